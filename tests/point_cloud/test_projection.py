"""From points to pictures: where a point falls, what its pixel says, and what V2's grid makes of it."""

import numpy as np
import pytest
import torch

from core.point_cloud.projection import (
    BRIGHT,
    FARTHEST,
    NEAREST,
    PRESETS,
    RELEASED_FEW_SHOT,
    RELEASED_ZERO_SHOT,
    V2,
    ViewSettings,
    densify,
    depth_grid,
    fit_to_box,
    gaussian_kernel,
    harmonic_depth,
    invert,
    nearness,
    project,
    smooth,
)
from core.world import looks

FIRST, TOP, BOTTOM = 0, 4, 5  # views of the six


def cloud(*points: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor([points], dtype=torch.float32)


def seen(*points: tuple[float, float, float]) -> torch.Tensor:
    """Return points already turned into one view of one cloud: down, right, away."""
    return torch.tensor([[points]], dtype=torch.float32)


def test_the_centre_is_in_the_middle_of_every_view_at_the_eyes_distance():
    drawn = project(cloud((0, 0, 0)), RELEASED_ZERO_SHOT, 128)
    assert drawn.shape == (1, 6, 128, 128)
    assert drawn[0, :, 64, 64].tolist() == pytest.approx([1.6] * 6)
    assert (drawn != 0).sum() == 6


def test_up_is_up_from_the_four_sides_near_from_the_top_and_far_from_below():
    drawn = project(cloud((0, 0.5, 0)), RELEASED_ZERO_SHOT, 128)[0]
    assert drawn[:4, 44, 64].tolist() == pytest.approx([1.6] * 4)  # (1 - 0.5 / 1.6) * 64
    assert float(drawn[TOP, 64, 64]) == pytest.approx(1.1)
    assert float(drawn[BOTTOM, 64, 64]) == pytest.approx(2.1)


def test_the_released_pictures_are_mirror_images():
    # The first eye is at -z and looks along +z with +y up, so that -x is on its right.
    drawn = project(cloud((-0.5, 0, 0)), RELEASED_ZERO_SHOT, 128)[0, FIRST]
    assert drawn.nonzero().tolist() == [[64, 44]]


def test_a_pixels_depth_is_the_harmonic_mean_of_its_points():
    depth = harmonic_depth(seen((0, 0, 1), (0, 0, 3)), 8)
    assert float(depth[0, 0, 4, 4]) == pytest.approx(1.5)  # 2 / (1 / 1 + 1 / 3)


def test_halves_of_a_pixel_go_down():
    assert harmonic_depth(seen((-0.375, 0.125, 1)), 8)[0, 0].nonzero().tolist() == [[2, 4]]  # at 2.5 and 4.5


def test_points_behind_the_eye_at_it_and_outside_leave_no_mark():
    assert not harmonic_depth(seen((0, 0, -1), (0, 0, 0), (0, 2, 1), (-2, 0, 1)), 8).any()


@pytest.mark.parametrize(("dot", "middle", "corner"), [(1, 1, 1), (3, 9, 4), (5, 25, 9)])
def test_a_dot_covers_its_square_as_far_as_the_picture_goes(dot, middle, corner):
    assert (harmonic_depth(seen((0, 0, 1)), 8, dot) > 0).sum() == middle
    assert (harmonic_depth(seen((-0.99, -0.99, 1)), 8, dot) > 0).sum() == corner


def test_a_pixels_depth_changes_with_its_points():
    turned = seen((0, 0, 1.6)).requires_grad_()
    harmonic_depth(turned, 8).sum().backward()
    assert turned.grad.flatten().tolist() == pytest.approx([0, 0, 1])


def test_bright_shows_the_nearest_brightest_and_hides_what_is_behind_it():
    drawn = nearness(seen((0, 0, 1), (0, 0, 3), (0.5, 0, 1), (1.5, 0, 3)), 8)[0, 0]
    assert float(drawn[4, 4]) == pytest.approx(NEAREST)
    assert float(drawn[6, 4]) == pytest.approx(NEAREST)  # where the last point, dim, falls too
    far = nearness(seen((0, 0, 1), (1.2, 0, 2), (-1.5, 0, 3)), 8)[0, 0]
    assert [float(far[row, 4]) for row in (4, 6, 2)] == pytest.approx([NEAREST, (NEAREST + FARTHEST) / 2, FARTHEST])
    assert (far != 0).sum() == 3


def test_bright_is_as_bright_as_the_pictures_that_the_embedded_clip_learned_from():
    assert (looks.NEAREST / 255, looks.FARTHEST / 255) == (NEAREST, FARTHEST)


@pytest.mark.parametrize("settings", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize("size", [32, 64, 224])
def test_every_preset_draws_at_any_size_of_input(settings, size):
    points = torch.rand((1, 50, 3), generator=torch.Generator().manual_seed(0)) - 0.5
    drawn = project(points, settings, size)
    assert drawn.shape == (1, settings.views, size, size)
    assert torch.isfinite(drawn).all()
    assert drawn.flatten(2).std(-1).min() > 0


@pytest.mark.parametrize("settings", PRESETS.values(), ids=PRESETS)
def test_a_cloud_looks_the_same_alone_and_among_others(settings):
    points = torch.rand((3, 50, 3), generator=torch.Generator().manual_seed(0)) - 0.5
    alone = project(points[1:2], settings, 64)[0]
    assert project(points, settings, 64)[1].numpy() == pytest.approx(alone.numpy(), abs=1e-5)


def test_the_few_shot_views_are_ten_different_ones():
    drawn = project(cloud((0.1, 0.2, 0.3)), RELEASED_FEW_SHOT, 224)[0]
    assert len({tuple(each.nonzero()[0].tolist()) for each in drawn}) == 10


def test_v2_fits_the_longest_side_of_the_bounding_box():
    fitted = fit_to_box(seen((1, 1, 1), (3, 2, 1)))[0, 0]
    assert fitted.numpy() == pytest.approx(np.array([[-0.8, -0.4, 0], [0.8, 0.4, 0]]))


def test_v2_sorts_points_by_depth_and_keeps_the_largest_of_a_cell():
    grid = depth_grid(seen((0, 0, -0.999), (0, 0, 0), (0, 0, 0.1), (0, 0, 0.999)), 112)[0, 0]
    assert grid.shape == (8, 112, 112)
    assert [place[0] for place in grid.nonzero().tolist()] == [2, 4, 6]  # ceil of 1.0025, 3.5 and 3.75, 5.9975
    assert float(grid[4, 56, 56]) == pytest.approx(3.75)


def test_v2_spreads_a_point_over_seven_pixels_and_shows_the_largest_depth_black_on_white():
    dense = densify(depth_grid(seen((0, 0, -1), (0, 0, 1)), 112))
    picture = invert(smooth(dense))[0, 0]
    assert picture.shape == (110, 110)
    assert float(picture[55, 55]) == pytest.approx(0, abs=1e-6)
    assert float(picture[0, 0]) == 1
    assert (picture < 1).sum() == 9 * 9  # the Gaussian adds a pixel on every side


def test_v2s_gaussian_sums_to_one():
    assert float(gaussian_kernel().sum()) == pytest.approx(1)


def test_v2_can_be_bright_on_black_too():
    bright = ViewSettings(variant="v2", views=10, resolution=112, look="bright")
    drawn = project(cloud((0, 0.5, 0.2), (0.3, -0.5, 0)), bright, 110)
    assert float(drawn.min()) == 0
    assert float(drawn.max()) == pytest.approx(NEAREST)


@pytest.mark.parametrize(
    "wrong",
    [
        {"variant": "v3"},
        {"views": 7},
        {"dot_pixels": 2},
        {"variant": "v2", "dot_pixels": 3},
        {"look": "dark"},
        {"resolution": 0},
        {"distance": 0.0},
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(wrong):
    with pytest.raises(ValueError, match="wanted"):
        ViewSettings(**wrong)


def test_the_presets_are_those_of_the_releases():
    assert (RELEASED_ZERO_SHOT.views, RELEASED_ZERO_SHOT.distance, RELEASED_ZERO_SHOT.resolution) == (6, 1.6, 128)
    assert (RELEASED_FEW_SHOT.views, RELEASED_FEW_SHOT.distance, RELEASED_FEW_SHOT.resolution) == (10, 1.4, None)
    assert (V2.variant, V2.views, V2.resolution) == ("v2", 10, 112)
    assert BRIGHT.look == "bright"
