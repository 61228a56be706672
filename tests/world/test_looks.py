"""The other looks show the same scene: lines, shadow, depth and points where the thing is."""

import numpy as np
import pytest

from core.world.looks import LOOKS, view_as
from core.world.picture import picture
from core.world.render import render
from core.world.scene import Camera, Scene, Thing

CAMERA = Camera(eye=(-3, -2, 2), target=(0, 0, 0.4), fov_degrees=40)
SCENE = Scene(things=(Thing(category="cube", color="red", yaw_degrees=20),), camera=CAMERA)


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    return render(SCENE, (64, 64)).instances.mask(0)


@pytest.mark.parametrize("look", LOOKS)
def test_every_look_is_a_picture_of_its_own(look):
    drawn = {name: LOOKS[name](SCENE, 64) for name in LOOKS}
    assert drawn[look].shape == (64, 64, 3)
    assert not [name for name in LOOKS if name != look and np.array_equal(drawn[name], drawn[look])]


@pytest.mark.parametrize("look", [look for look in LOOKS if look != "photo"])
def test_all_looks_but_the_photo_are_grey(look):
    drawn = LOOKS[look](SCENE, 48)
    assert (drawn == drawn[..., :1]).all()


def test_a_silhouette_is_the_mask(mask):
    assert np.array_equal(LOOKS["silhouette"](SCENE, 64)[..., 0] < 128, mask)


def test_a_line_drawing_has_dark_lines_on_white_paper(mask):
    drawn = LOOKS["line drawing"](SCENE, 64)[..., 0]
    assert (drawn == 255).mean() > 0.75
    assert drawn.min() < 60
    rows, columns = np.nonzero(drawn < 128)
    thing_rows, thing_columns = np.nonzero(mask)
    top = rows == rows.min()
    assert abs(rows.min() - thing_rows.min()) <= 1
    assert (np.abs(columns[top][:, None] - thing_columns[None]).min(1) <= 2).all()


def test_in_a_depth_picture_nearer_is_brighter_and_the_sky_is_black():
    camera = Camera(eye=(0, 0, 1), target=(5, 0, 1), fov_degrees=90)
    scene = Scene(things=(Thing(category="cube", color="red", position=(4.5, 0, 0)),), camera=camera)
    drawn, depth = LOOKS["depth map"](scene, 64)[..., 0].astype(int), render(scene, (64, 64)).depth.metres
    assert (drawn[np.isinf(depth)] == 0).all()
    finite = np.isfinite(depth)
    order = np.argsort(depth[finite])
    assert (np.diff(drawn[finite][order]) <= 0).all()
    assert drawn[finite].max() > drawn[finite].min()


def test_a_point_cloud_falls_on_the_thing_and_near_points_are_brighter(mask):
    drawn = LOOKS["point cloud"](SCENE, 64)[..., 0]
    reach = np.any([np.roll(mask, (y, x), (0, 1)) for y in (-1, 0, 1) for x in (-1, 0, 1)], axis=0)
    assert (drawn[~reach] == 0).all()
    assert (drawn[mask] > 0).mean() > 0.3
    assert drawn.max() > 200
    assert drawn[drawn > 0].min() < 90


def test_an_empty_scene_has_every_look():
    empty = Scene(things=(), camera=CAMERA)
    assert {name: LOOKS[name](empty, 16).shape for name in LOOKS} == dict.fromkeys(LOOKS, (16, 16, 3))


def test_a_view_changes_its_look_but_not_its_size():
    view = picture(1, 40)
    assert view_as(view, "photo") is view.rgb
    assert view_as(view, "silhouette").shape == (40, 40, 3)
    with pytest.raises(ValueError, match="wanted one of photo"):
        view_as(view, "oil painting")
