"""Pixels near a stroke, and how much of each it covers."""

import math

import pytest
import torch

from core.sketch import nearest as search
from core.sketch.bezier import flatten
from core.sketch.coverage import cover, half_plane, half_plane_slopes
from core.sketch.nearest import HALF_DIAGONAL, nearest

ANGLES = torch.linspace(0, 2 * math.pi, 33, dtype=torch.float64)


def normals(angles: torch.Tensor) -> torch.Tensor:
    return torch.stack([angles.cos(), angles.sin()])


def strokes(count: int, spread: float, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(count, 1, 2, generator=generator) * 48
    return start + torch.randn(count, 4, 2, generator=generator) * spread


def brute_force(points: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    """Return each pixel's distance from each stroke's polyline."""
    lines = flatten(points)
    y, x = torch.meshgrid(*(torch.arange(size) + 0.5 for size in size_hw), indexing="ij")
    begin, leg = lines.vertices[lines.starts], lines.vertices[lines.starts + 1] - lines.vertices[lines.starts]
    away = torch.stack([x, y], -1)[..., None, :] - begin
    share = ((away * leg).sum(-1) / leg.square().sum(-1).clamp(min=1e-12)).clamp(0, 1)
    distance = (away - share[..., None] * leg).norm(dim=-1)  # (H, W, M)
    return torch.stack([distance[..., lines.curve == number].amin(-1) for number in range(len(points))])


@pytest.mark.parametrize(("depth", "degrees", "area"), [(0, 30, 0.5), (0.25, 0, 0.75), (-0.25, 90, 0.25), (1, 45, 1)])
def test_areas_that_are_known_by_hand(depth, degrees, area):
    angle = torch.tensor([math.radians(degrees)])
    assert float(half_plane(torch.tensor([float(depth)]), normals(angle))) == pytest.approx(area, abs=1e-5)


def test_a_border_across_a_corner_cuts_off_its_triangle():
    depth = torch.tensor([-math.sqrt(0.5) + 0.3])  # 0.3 past the corner of the square, along its diagonal
    assert float(half_plane(depth, normals(torch.tensor([math.pi / 4])))) == pytest.approx(0.3**2, abs=1e-5)


def test_areas_are_those_that_samples_count():
    side = (torch.arange(200, dtype=torch.float64) + 0.5) / 200 - 0.5
    y, x = torch.meshgrid(side, side, indexing="ij")
    for depth in (-0.6, -0.3, 0.1, 0.5):
        normal = normals(ANGLES)
        counted = (x[..., None] * normal[0] + y[..., None] * normal[1] <= depth).double().mean((0, 1))
        assert torch.allclose(half_plane(torch.full_like(ANGLES, depth), normal), counted, atol=0.01)


@pytest.mark.parametrize("depth", [-0.55, -0.2, 0.05, 0.4, 0.62])
def test_slopes_are_those_of_finite_differences(depth):
    angles, step = ANGLES + 0.1, 1e-5
    at = torch.full_like(angles, depth)
    by_depth, by_angle = half_plane_slopes(at, normals(angles))
    assert torch.allclose(
        by_depth,
        (half_plane(at + step, normals(angles)) - half_plane(at - step, normals(angles))) / (2 * step),
        atol=1e-4,
    )
    assert torch.allclose(
        by_angle,
        (half_plane(at, normals(angles + step)) - half_plane(at, normals(angles - step))) / (2 * step),
        atol=1e-4,
    )


@pytest.mark.parametrize("width", [0.3, 3.0, 25.0])
@pytest.mark.parametrize("spread", [0.5, 8.0, 60.0])
def test_no_pixel_near_a_stroke_is_overlooked_and_none_counts_twice(width, spread):
    points, size_hw = strokes(12, spread), (48, 40)
    near = nearest(flatten(points), torch.full((12,), width / 2), size_hw)
    found = torch.full((12, 48 * 40), torch.inf)
    found[near.stroke, near.pixel] = near.away.norm(dim=0)
    want = brute_force(points, size_hw).flatten(1)
    within = want < width / 2 + HALF_DIAGONAL - 1e-3
    assert torch.allclose(found[within], want[within], atol=1e-3)
    assert len(set(zip(near.stroke.tolist(), near.pixel.tolist(), strict=True))) == len(near.stroke)
    assert (near.stroke.diff() >= 0).all()


def test_strokes_in_several_goes_give_what_one_go_gives(monkeypatch):
    points, widths = strokes(9, 8.0), torch.full((9,), 2.0)
    lines = flatten(points)
    whole = nearest(lines, widths, (48, 48))
    monkeypatch.setattr(search, "MAX_CELLS", 2000)
    parts = nearest(lines, widths, (48, 48))
    for name in ("stroke", "pixel", "start", "away"):
        assert torch.equal(getattr(parts, name), getattr(whole, name))


def test_an_upright_stroke_through_pixel_borders_covers_what_its_width_says():
    points = torch.tensor([[[10.0, -5.0], [10.0, 5.0], [10.0, 15.0], [10.0, 25.0]]])
    lines, half = flatten(points), torch.tensor([1.5])
    near = nearest(lines, half, (20, 20))
    row = torch.zeros(20, 20)
    row.view(-1)[near.pixel] = cover(lines, half, near)
    assert row[7, 7:13].tolist() == pytest.approx([0, 0.5, 1, 1, 0.5, 0])


@pytest.mark.parametrize("width", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("x", [10.0, 10.25, 10.5])
def test_a_hairline_covers_its_width_wherever_it_lies(x, width):
    points = torch.tensor([[[x, -5.0], [x, 5.0], [x, 15.0], [x, 25.0]]])
    lines, half = flatten(points), torch.tensor([width / 2])
    near = nearest(lines, half, (20, 20))
    assert float(cover(lines, half, near).sum()) == pytest.approx(20 * width, rel=1e-4)
