"""Scenes: the camera by hand, the splits, and things that do not stand in each other."""

import numpy as np
import pytest

from core.world.scene import (
    BASE,
    COLORS,
    HELD_OUT_PAIRS,
    NOVEL,
    SEEN_PAIRS,
    SIZES,
    Camera,
    Scene,
    Thing,
    is_held_out,
    sample,
    sample_thing,
)
from core.world.shapes import CATEGORIES, shape

LEVEL = Camera(eye=(0, 0, 0.5), target=(1, 0, 0.5), fov_degrees=90)  # looks along +x; focal length half the side


def test_the_camera_sees_left_on_the_left_and_up_above():
    assert LEVEL.axes == pytest.approx(np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]]))
    points = np.array([(4, 0, 0.5), (4, 1, 0.5), (4, 0, 1.5)], float)  # ahead, to the left, above
    wanted = [(30, 20, 4), (25, 20, 4), (30, 15, 4)]  # a metre at 4 m is 20 / 4 pixels
    assert LEVEL.project(points, (40, 60)) == pytest.approx(np.array(wanted, float))


@pytest.mark.parametrize("size_hw", [(24, 40), (40, 24)])
def test_projecting_a_point_on_a_ray_gives_back_its_pixel_and_depth(size_hw):
    camera = Camera(eye=(1, -2, 3), target=(0, 0.5, 0.2), fov_degrees=50)
    depths = np.random.default_rng(0).uniform(1, 9, size_hw)
    points = camera.eye + camera.rays(size_hw) * depths.reshape(-1, 1)
    found = camera.project(points, size_hw).reshape(*size_hw, 3)
    rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
    assert found == pytest.approx(np.stack([columns + 0.5, rows + 0.5, depths], -1), abs=1e-3)


def test_a_camera_may_look_straight_down():
    down = Camera(eye=(0, 0, 5), target=(0, 0, 0))
    assert down.project(np.zeros((1, 3)), (10, 10)) == pytest.approx(np.array([[5, 5, 5]], float))


def test_a_thing_turns_about_the_middle_of_its_foot():
    thing = Thing(category="cube", color="red", size_metres=2, position=(1, 2, 3), yaw_degrees=90)
    assert thing.corners().min(0) == pytest.approx([0, 1, 3])
    assert thing.corners().max(0) == pytest.approx([2, 3, 5])
    assert thing.rotation @ (1, 0, 0) == pytest.approx([0, 1, 0], abs=1e-12)
    assert thing.top_metres == pytest.approx(5)
    nose = Thing(category="rocket", color="red", pitch_degrees=90)
    assert nose.rotation @ (0, 0, 1) == pytest.approx([1, 0, 0], abs=1e-12)


def test_one_pair_in_eight_is_held_out_and_no_word_is_lost():
    assert len(SEEN_PAIRS) + len(HELD_OUT_PAIRS) == len(COLORS) * len(CATEGORIES)
    assert len(HELD_OUT_PAIRS) == len(COLORS) * len(CATEGORIES) / 8
    assert not set(SEEN_PAIRS) & set(HELD_OUT_PAIRS)
    assert all(is_held_out(*pair) for pair in HELD_OUT_PAIRS)
    assert {color for color, _ in SEEN_PAIRS} == set(COLORS)
    assert {name for _, name in SEEN_PAIRS} == set(CATEGORIES)


def test_base_and_novel_are_all_categories():
    assert len(BASE) == 18
    assert len(NOVEL) == 6
    assert {*BASE, *NOVEL} == set(CATEGORIES)


def test_training_scenes_never_hold_a_held_out_pair():
    rng = np.random.default_rng(1)
    things = [thing for _ in range(400) for thing in sample(rng).things]
    assert not [thing for thing in things if is_held_out(thing.color, thing.category)]
    assert len({(thing.color, thing.category) for thing in things}) > 0.9 * len(SEEN_PAIRS)


@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_a_scene_holds_as_many_things_as_asked(count):
    rng = np.random.default_rng(2)
    assert {len(sample(rng, count=count).things) for _ in range(5)} == {count}


def test_a_scene_without_a_count_holds_one_to_ten():
    rng = np.random.default_rng(3)
    counts = [len(sample(rng).things) for _ in range(600)]
    assert min(counts) == 1
    assert 6 <= max(counts) <= 10


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_what_their_words_say(size):
    rng = np.random.default_rng(4)
    least, most = SIZES[size]
    assert all(least <= sample_thing(rng, size=size).size_metres <= most for _ in range(50))


def footprint(thing: Thing) -> np.ndarray:
    """Return the corners of a thing on the ground plan, (V, 2)."""
    turned = shape(thing.category).vertices @ thing.rotation.T * thing.size_metres
    return turned[:, :2] + np.array(thing.position[:2])


def overlap_metres(one: np.ndarray, other: np.ndarray) -> float:
    """Return how deep two convex hulls stand in each other along the best of 90 directions; below 0 is apart."""
    angles = np.linspace(0, np.pi, 90, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    a, b = one @ directions, other @ directions
    return float(np.minimum(a.max(0) - b.min(0), b.max(0) - a.min(0)).min())


def test_things_do_not_stand_in_each_other():
    rng = np.random.default_rng(5)
    for _ in range(60):
        feet = [footprint(thing) for thing in sample(rng).things if thing.position[2] == 0]
        pairs = [(a, b) for i, a in enumerate(feet) for b in feet[:i]]
        assert all(overlap_metres(a, b) < 0.02 for a, b in pairs)


def test_a_stacked_thing_stands_on_the_top_of_the_first():
    rng = np.random.default_rng(6)
    stacked = 0
    for _ in range(500):
        below, *others = sample(rng).things
        for thing in others:
            if thing.position[2] > 0:
                stacked += 1
                assert below.category in ("table", "cube")
                assert thing.position == pytest.approx((*below.position[:2], below.top_metres))
                assert thing.size_metres < below.size_metres
    assert stacked > 3


def test_what_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="known category"):
        Thing(category="unicorn", color="red")
    with pytest.raises(ValueError, match="above 0 metres"):
        Thing(category="cube", color="red", size_metres=0)
    with pytest.raises(ValueError, match="known ground"):
        Scene(things=(), camera=LEVEL, ground="lava")
