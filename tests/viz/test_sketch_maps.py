"""What CLIPasso looks at, as pictures."""

import numpy as np

from core.viz.palette import color_of, rgb
from core.viz.sketch_maps import edge_picture, starts_picture


def test_edges_are_black_on_white():
    drawn = edge_picture(np.array([[True, False], [False, False]]))
    assert drawn.tolist() == [[[0] * 3, [255] * 3], [[255] * 3, [255] * 3]]


def test_each_seed_has_its_colour_and_the_picture_is_only_faded():
    picture = np.zeros((224, 224, 3), np.uint8)
    drawn = starts_picture(picture, [np.array([[50.0, 100.0]]), np.array([[150.0, 20.0]])])
    assert tuple(drawn[100, 50]) == rgb(color_of(0))
    assert tuple(drawn[20, 150]) == rgb(color_of(1))
    assert 0 < drawn[200, 200, 0] < 255
    assert not picture.any()
