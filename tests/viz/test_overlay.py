"""Overlays never write into what they are given, and put things where they belong."""

import numpy as np
import pytest

from core.results import HeatMap
from core.viz import overlay
from core.viz.palette import OKABE_ITO, color_of, rgb

PICTURE = np.full((40, 60, 3), 100, np.uint8)
PICTURE.flags.writeable = False


def test_heat_is_brightest_where_the_map_is_highest():
    values = np.zeros((40, 60), np.float32)
    values[10, 20] = 1
    out = overlay.heat(PICTURE, HeatMap(values=values, label="dog"))
    assert np.unravel_index(out.sum(2).argmax(), values.shape) == (10, 20)


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="wanted a map of"):
        overlay.heat(PICTURE, HeatMap(values=np.zeros((4, 6), np.float32), label="dog"))


def test_a_frame_darkens_what_lies_outside():
    out = overlay.frame(PICTURE, (10, 0, 50, 40))
    assert out[20, 30].tolist() == [100, 100, 100]
    assert out[20, 5, 0] < 50


def test_a_word_is_painted_in_the_middle():
    out = overlay.paint_word(PICTURE, "cat")
    assert (out[15:25] == 255).any()
    assert (out[:5] == 100).all()


def test_beside_puts_the_picture_at_the_left_end():
    out = overlay.beside(PICTURE)
    assert out.shape == (40, 180, 3)
    assert (out[:, :60] == 100).all()
    assert (out[:, 60:] == 128).all()


def test_colours_follow_the_index_and_repeat():
    assert color_of(0) == color_of(len(OKABE_ITO))
    assert rgb("#0072B2") == (0, 114, 178)
    with pytest.raises(ValueError, match="#rrggbb"):
        rgb("red")
