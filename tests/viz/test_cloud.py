"""A cloud is drawn with its points, its colours and its own upwards."""

import numpy as np

from core.results import Cloud
from core.viz.cloud import MOST_POINTS, cloud_figure

POINTS = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 2]], np.float32)


def test_every_point_is_there_in_its_own_colour():
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    dots = cloud_figure(Cloud(points=POINTS, colors=colors)).data[0]
    assert list(dots.z) == [0, 0, 2]
    assert dots.marker.color[1] == "rgb(0,255,0)"


def test_without_colours_height_decides():
    assert list(cloud_figure(Cloud(points=POINTS), up="z").data[0].marker.color) == [0, 0, 2]
    assert list(cloud_figure(Cloud(points=POINTS), up="y").data[0].marker.color) == [0, 1, 0]
    assert cloud_figure(Cloud(points=POINTS), up="z").layout.scene.camera.up.z == 1


def test_a_large_cloud_is_thinned_out():
    many = Cloud(points=np.zeros((2 * MOST_POINTS + 1, 3), np.float32))
    assert MOST_POINTS / 2 < len(cloud_figure(many).data[0].x) <= MOST_POINTS
