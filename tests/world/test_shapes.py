"""The 24 things: scale, foot and faces."""

import numpy as np
import pytest

from core.world.shapes import CATEGORIES, shape


def test_there_are_24_things_with_names_of_their_own():
    assert len(CATEGORIES) == len(set(CATEGORIES)) == 24


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_thing_stands_on_its_foot_with_its_longest_side_1(category):
    vertices = shape(category).vertices
    low, high = vertices.min(0), vertices.max(0)
    assert (high - low).max() == pytest.approx(1, abs=1e-6)
    assert low[2] == pytest.approx(0, abs=1e-6)
    assert (low + high)[:2] == pytest.approx([0, 0], abs=1e-6)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_corner_has_a_unit_normal_on_its_faces_side(category):
    solid = shape(category)
    assert np.linalg.norm(solid.normals, axis=-1) == pytest.approx(1, abs=1e-5)
    corners = solid.vertices[solid.faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((solid.normals * flat[:, None]).sum(-1) > 0).all()


def test_a_cube_is_the_unit_cube():
    vertices = np.unique(shape("cube").vertices, axis=0)
    wanted = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)]
    assert vertices == pytest.approx(np.array(wanted))


def test_a_ball_is_round():
    away = np.linalg.norm(shape("ball").vertices - (0, 0, 0.5), axis=1)
    assert away == pytest.approx(0.5, abs=0.01)


def test_an_unknown_thing_is_refused():
    with pytest.raises(ValueError, match="wanted one of ball, cube"):
        shape("unicorn")
