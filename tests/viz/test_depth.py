"""Near is bright, nothing is grey, and a pixel's bins are the numbers they were given."""

import numpy as np
import pytest

from core.results import DepthMap
from core.viz import depth as viz
from core.viz.palette import SEQUENTIAL, rgb

STEPS = DepthMap(metres=np.array([[1, 2], [3, np.inf]], np.float32))


def test_the_nearest_is_brightest_and_nothing_is_grey():
    picture = viz.depth_picture(STEPS)
    assert picture[0, 0].tolist() == list(rgb(SEQUENTIAL[-1]))
    assert picture[1, 0].tolist() == list(rgb(SEQUENTIAL[0]))
    assert picture[1, 1].tolist() == [viz.NOWHERE] * 3


def test_two_pictures_share_a_scale_when_asked_to():
    near = viz.depth_picture(DepthMap(metres=np.ones((1, 1), np.float32)), near_metres=1, far_metres=5)
    far = viz.depth_picture(DepthMap(metres=np.full((1, 1), 5, np.float32)), near_metres=1, far_metres=5)
    assert near.mean() > far.mean()


def test_a_flat_map_and_one_without_any_depth_are_drawn():
    assert viz.depth_picture(DepthMap(metres=np.full((2, 2), 3, np.float32))).shape == (2, 2, 3)
    assert (viz.depth_picture(DepthMap(metres=np.full((2, 2), np.inf, np.float32))) == viz.NOWHERE).all()


def test_a_response_is_drawn_in_blocks():
    picture = viz.response_picture(np.array([[0.0, 1.0]], np.float32), (4, 8))
    assert picture.shape == (4, 8, 3)
    assert (picture[:, :4] == rgb(SEQUENTIAL[0])).all()
    assert (picture[:, 4:] == rgb(SEQUENTIAL[-1])).all()


def test_bins_are_named_with_their_distance():
    figure = viz.bin_figure(np.array([0.25, 0.75]), ["close", "far"], [1.0, 2.5], title="t")
    assert figure.data[0].x.tolist() == [0.25, 0.75]
    assert figure.data[0].y[1] == "far · 2.5 m"


def test_a_surface_has_holes_where_there_is_no_depth():
    z = np.array(viz.surface_figure(STEPS, title="t").data[0].z)
    assert np.isnan(z[1, 1])
    assert z[0, 0] == -1


def test_the_mark_is_on_a_copy():
    picture = np.zeros((20, 20, 3), np.uint8)
    assert viz.marked(picture, 5, 6)[6, 5].tolist() == pytest.approx(list(rgb("#D55E00")))
    assert picture.sum() == 0
