"""Pictures and their truth against geometry known by hand."""

import numpy as np
import pytest

from core.world.render import CLOUD_POINTS, Tracer, View, crease_edges, render, surface_cloud, text_bitmap
from core.world.scene import COLORS, Camera, Scene, Thing, sample
from core.world.shapes import CATEGORIES, shape

LEVEL = Camera(eye=(0, 0, 0.5), target=(1, 0, 0.5), fov_degrees=90)  # focal length: half the shorter side
ABOVE = Camera(eye=(-3, -2, 2), target=(0, 0, 0.4), fov_degrees=40)


def alone(category: str = "cube", color: str = "red", camera: Camera = ABOVE, **more) -> Scene:
    return Scene(things=(Thing(category=category, color=color, **more),), camera=camera)


def grown(mask: np.ndarray) -> np.ndarray:
    """Return a mask with every pixel's eight neighbours."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    return np.any([padded[y : y + height, x : x + width] for y in range(3) for x in range(3)], axis=0)


def test_a_unit_cube_at_4_metres_is_8_pixels_wide_and_4_metres_deep():
    view = render(alone(camera=LEVEL, position=(4.5, 0, 0)), (64, 64))
    assert view.boxes.boxes_xyxy.tolist() == [[28, 28, 36, 36]]
    mask = view.instances.mask(0)
    assert mask.sum() == 64
    assert view.depth.metres[mask] == pytest.approx(4, abs=1e-5)


def test_a_ball_is_as_deep_as_the_sphere():
    size = 96
    camera = Camera(eye=(0, 0, 0.5), target=(1, 0, 0.5), fov_degrees=30)
    view = render(alone("ball", camera=camera, position=(4, 0, 0)), (size, size))
    rays = camera.rays((size, size)).astype(float)
    along, square = rays @ (4, 0, 0), (rays**2).sum(1)
    under = along**2 - square * (16 - 0.25)  # |t ray - centre| = radius, solved for t
    inside = (under > 0.2).reshape(size, size)  # away from the rim, where a mesh and a sphere differ
    wanted = ((along - np.sqrt(np.maximum(under, 0))) / square).reshape(size, size)
    assert inside.sum() > 300
    assert view.depth.metres[inside] == pytest.approx(wanted[inside], abs=0.01)
    assert view.instances.mask(0)[inside].all()


def test_the_ground_is_as_deep_as_the_eye_is_high():
    view = render(Scene(things=(), camera=LEVEL), (64, 64))
    slopes = (np.arange(64) + 0.5 - 32) / 32  # down, for each row
    assert view.depth.metres[32:, 5] == pytest.approx(0.5 / slopes[32:], rel=1e-4)
    assert np.isinf(view.depth.metres[:32]).all()
    assert view.visible == ()
    assert view.boxes.boxes_xyxy.shape == (0, 4)


def test_height_and_width_are_not_swapped():
    view = render(alone(camera=LEVEL, position=(4.5, 1, 0)), (40, 80))
    assert view.rgb.shape == (40, 80, 3)
    assert view.depth.metres.shape == view.instances.ids.shape == view.categories.ids.shape == (40, 80)
    assert view.boxes.size_hw == (40, 80)
    x0, y0, x1, y1 = view.boxes.boxes_xyxy[0]  # at 4 m a metre is 5 pixels; the left side of the cube faces away
    assert (x0, y0, y1) == pytest.approx((32.5, 17.5, 22.5), abs=0.51)
    assert x1 < 40


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_box_of_a_thing_is_that_of_its_projected_corners(category):
    scene = alone(category, yaw_degrees=33)
    view = render(scene, (120, 160))
    thing = scene.things[0]
    points = shape(category).vertices @ thing.rotation.T * thing.size_metres
    x, y, _ = ABOVE.project(points, (120, 160)).T
    margins = (view.boxes.boxes_xyxy[0] - [x.min(), y.min(), x.max(), y.max()]) * (1, 1, -1, -1)
    assert (margins > -0.51).all()  # a pixel shows what its centre meets
    assert (margins < 1.51).all()  # and a tip may fall between two centres


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_cloud_of_a_thing_falls_into_its_mask(category):
    view = render(alone(category, yaw_degrees=33), (120, 120))
    cloud = view.clouds[0]
    assert cloud.points.shape == cloud.colors.shape == (CLOUD_POINTS, 3)
    x, y, metres = view.camera.project(cloud.points, (120, 120)).T
    assert grown(view.instances.mask(0))[y.astype(int), x.astype(int)].all()
    nearest = view.depth.metres[view.instances.mask(0)].min()
    assert metres.min() > nearest - 0.05


def test_the_cloud_of_a_cube_lies_on_its_six_faces_evenly():
    thing = Thing(category="cube", color="blue", size_metres=2, position=(1, 2, 3), yaw_degrees=45)
    cloud = surface_cloud(thing, 6000, np.random.default_rng(0))
    local = (cloud.points - np.array(thing.position)) @ thing.rotation - (0, 0, 1)
    assert np.abs(local).max(1) == pytest.approx(1, abs=1e-5)
    faces = 2 * np.abs(local).argmax(1) + (local[np.arange(6000), np.abs(local).argmax(1)] > 0)
    assert np.bincount(faces) == pytest.approx(1000, abs=150)
    assert cloud.colors == pytest.approx(np.broadcast_to(COLORS["blue"], (6000, 3)), abs=1)


@pytest.mark.parametrize("seed", range(6))
def test_maps_boxes_and_things_say_the_same(seed):
    scene = sample(np.random.default_rng(seed), count=4)
    view = render(scene, (72, 96))
    ids = view.instances.ids
    assert view.visible == tuple(np.unique(ids[ids >= 0]))
    assert view.boxes.labels == tuple(scene.things[index].category for index in view.visible)
    for row, index in enumerate(view.visible):
        mask = view.instances.mask(index)
        rows, columns = np.nonzero(mask)
        wanted = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert view.boxes.boxes_xyxy[row].tolist() == wanted
        assert (view.categories.ids[mask] == CATEGORIES.index(scene.things[index].category)).all()
        assert view.instances.labels[index] == f"{scene.things[index].color} {scene.things[index].category}"
    assert (view.categories.ids[ids < 0] == -1).all()
    assert np.isfinite(view.depth.metres[ids >= 0]).all()


def hidden_behind(view: View) -> tuple[int, ...]:
    return tuple(index for index in range(len(view.scene.things)) if index not in view.visible)


def test_the_nearer_thing_hides_the_farther_one():
    near = Thing(category="cube", color="red", size_metres=2, position=(4, 0, 0))
    far = Thing(category="ball", color="blue", position=(8, 0, 0))
    view = render(Scene(things=(far, near), camera=LEVEL), (48, 48))
    assert hidden_behind(view) == (0,)
    assert len(view.clouds) == len(view.boxes.labels) == 1


def test_the_colours_are_red_green_blue_in_this_order():
    for color, strongest in (("red", 0), ("green", 1), ("blue", 2)):
        view = render(alone(color=color), (48, 48))
        assert view.rgb[view.instances.mask(0)].mean(0).argmax() == strongest


def test_the_side_in_the_shade_is_darker_and_the_shadow_falls_away_from_the_sun():
    scene = Scene(
        things=(Thing(category="cube", color="white"),),
        camera=Camera(eye=(0, 0, 9), target=(0, 0, 0), fov_degrees=50),
        ground="snow",
        sun=(0.7, 0, 0.7),
    )
    view = render(scene, (80, 80))
    right = scene.camera.axes[0]
    towards_sun = np.sign(right[0]) or np.sign(-scene.camera.axes[1][0])
    axis = 1 if abs(right[0]) > 0.5 else 0
    level = np.where(view.instances.mask(0), np.nan, view.rgb.mean(2))
    profile = np.nanmean(level[30:50] if axis else level[:, 30:50].T, axis=0)
    lower, upper = np.nanmean(profile[20:34]), np.nanmean(profile[46:60])
    assert (upper - lower) * towards_sun > 10


@pytest.mark.parametrize("pattern", ["striped", "checkered", "dotted"])
def test_a_pattern_shows_two_shades_of_one_colour(pattern):
    plain, patterned = (render(alone("cube", pattern=name), (64, 64)) for name in ("plain", pattern))
    mask = plain.instances.mask(0)
    differs = (plain.rgb != patterned.rgb).any(2)
    assert 0.15 < differs[mask].mean() < 0.85
    assert not differs[~grown(mask)].any()


def test_painted_text_changes_the_thing_and_nothing_else():
    bare, painted = (render(alone("cube", text=text), (96, 96)) for text in ("", "dog"))
    differs = (bare.rgb != painted.rgb).any(2)
    assert differs[bare.instances.mask(0)].mean() > 0.1
    assert not differs[~grown(bare.instances.mask(0))].any()
    assert np.array_equal(bare.depth.metres, painted.depth.metres)


@pytest.mark.parametrize("text", ["i", "dog", "a very long sentence that has to shrink to fit"])
def test_text_is_ink_on_paper_with_a_margin(text):
    paper = text_bitmap(text)
    assert paper.min() < 0.5
    assert paper.max() == 1
    assert paper[:, [0, -1]].min() == 1


def test_edges_lie_on_the_outline_and_on_the_creases_of_a_cube():
    scene = alone(yaw_degrees=20)
    hits = Tracer(scene).cast(scene.camera.rays((64, 64)))
    edges = crease_edges(hits, (64, 64))
    mask = (hits.things == 0).reshape(64, 64)
    inner = np.all([np.roll(mask, step, axis) for step in (-1, 1) for axis in (0, 1)], axis=0) & mask
    assert edges[mask & ~inner].all()
    assert 0 < edges[inner].mean() < 0.2  # three creases meet in the near corner


def test_the_same_scene_gives_the_same_bytes():
    scene = sample(np.random.default_rng(8), count=3)
    one, other = render(scene, (48, 48)), render(scene, (48, 48))
    assert np.array_equal(one.rgb, other.rgb)
    assert np.array_equal(one.depth.metres, other.depth.metres)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 33), (33, 1)])
def test_any_size_from_one_pixel_on_can_be_drawn(size_hw):
    assert render(alone(), size_hw).rgb.shape == (*size_hw, 3)


def test_no_size_at_all_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        render(alone(), (0, 8))
    with pytest.raises(ValueError, match="at least 1"):
        render(alone(), (8, 8), samples=0)
