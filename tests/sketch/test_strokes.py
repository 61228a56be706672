"""Strokes check themselves, and take another pen."""

from dataclasses import replace

import numpy as np
import pytest

from core.results import Strokes


def three() -> Strokes:
    points = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    return replace(Strokes.black(points, 2.0, (50, 60)), widths=np.array([1, 2, 3], np.float32))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"points": np.zeros((3, 4, 2))}, "wanted points as float32"),
        ({"points": np.full((3, 4, 2), np.nan, np.float32)}, "finite points"),
        ({"widths": np.full(3, -1, np.float32)}, "at least 0"),
        ({"widths": np.ones(2, np.float32)}, "wanted widths as float32 \\(3,\\)"),
        ({"colors": np.full((3, 4), 1.5, np.float32)}, "colours from 0 to 1"),
        ({"size_hw": (0, 4)}, "at least one pixel"),
    ],
)
def test_strokes_that_make_no_sense_are_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        replace(three(), **change)


def test_strokes_are_chosen_in_the_order_given():
    chosen = three().chosen([2, 0])
    assert chosen.widths.tolist() == [3, 1]
    assert chosen.points[0, 0].tolist() == [16, 17]
    assert len(three().chosen([])) == 0


def test_another_pen_leaves_the_lines_where_they_are():
    drawn = three().with_pen(width_factor=2.0, color=(1.0, 0.0, 0.0))
    assert drawn.widths.tolist() == [2, 4, 6]
    assert drawn.colors[0].tolist() == [1, 0, 0, 1]
    assert (drawn.points == three().points).all()
    with pytest.raises(ValueError, match="above 0"):
        three().with_pen(width_factor=0.0)
