"""Cubic curves: points, velocities, halves, lengths, and the polylines that stand for them."""

import math

import pytest
import torch

from core.sketch.bezier import (
    MAX_SEGMENTS,
    bernstein,
    derivative,
    evaluate,
    flatten,
    lengths,
    num_segments,
    polyline,
    split,
)

LINE = torch.tensor([[[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]]])
QUARTER = 4 / 3 * (math.sqrt(2) - 1)  # a cubic with these handles is a quarter circle within 0.03 %
ARC = torch.tensor([[[1.0, 0.0], [1.0, QUARTER], [QUARTER, 1.0], [0.0, 1.0]]])


def curves(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 4, 2, generator=torch.Generator().manual_seed(seed)) * 200


def test_a_curve_begins_and_ends_at_its_outer_points_and_halves_a_line():
    found = evaluate(LINE, torch.tensor([0.0, 0.5, 1.0]))
    assert found.tolist() == [[[0, 0], [1.5, 3], [3, 6]]]


def test_each_curve_may_have_its_own_parameters():
    both = torch.cat([LINE, ARC])
    t = torch.tensor([[0.25], [0.75]])
    found = evaluate(both, t)
    assert torch.allclose(found[0], evaluate(LINE, t[0])[0])
    assert torch.allclose(found[1], evaluate(ARC, t[1])[0])


def test_shares_of_control_points_sum_to_one():
    assert torch.allclose(bernstein(torch.rand(7)).sum(-1), torch.ones(7))


def test_the_velocity_is_what_autograd_finds():
    points, t = curves(3).double(), torch.tensor([0.1, 0.6], dtype=torch.float64, requires_grad=True)
    for curve in points:
        slopes = torch.stack([torch.autograd.grad(evaluate(curve, t)[:, axis].sum(), t)[0] for axis in (0, 1)], -1)
        assert torch.allclose(derivative(curve, t), slopes)


def test_two_pieces_lie_on_the_curve_they_were_cut_from():
    points = curves(5)
    before, after = split(points, 0.3)
    t = torch.linspace(0, 1, 9)
    assert torch.allclose(evaluate(before, t), evaluate(points, 0.3 * t), atol=1e-3)
    assert torch.allclose(evaluate(after, t), evaluate(points, 0.3 + 0.7 * t), atol=1e-3)


def test_lengths_of_a_line_and_of_a_quarter_circle():
    assert float(lengths(LINE)) == pytest.approx(math.hypot(3, 6), rel=1e-5)
    assert float(lengths(100 * ARC)) == pytest.approx(50 * math.pi, rel=1e-3)
    assert float(lengths(torch.ones(1, 4, 2))) == 0


def test_a_straight_line_needs_one_segment_and_a_bend_as_many_as_the_tolerance_asks_for():
    assert num_segments(LINE).tolist() == [1]
    coarse, fine = (int(num_segments(100 * ARC, tolerance)) for tolerance in (0.4, 0.1))
    assert fine == pytest.approx(2 * coarse, abs=1)  # the error falls with the square


@pytest.mark.parametrize("tolerance", [0.5, 0.05])
def test_a_polyline_stays_within_the_tolerance_of_its_curve(tolerance):
    points = curves(20)
    lines = flatten(points, tolerance)
    dense = polyline(points, 2000)
    for number, curve in enumerate(dense):
        begin = lines.vertices[lines.starts[lines.curve == number]]
        leg = lines.vertices[lines.starts[lines.curve == number] + 1] - begin
        away = curve[:, None] - begin
        share = ((away * leg).sum(-1) / leg.square().sum(-1)).clamp(0, 1)
        distance = (away - share[..., None] * leg).norm(dim=-1).amin(1)
        assert distance.max() <= tolerance + 1e-3


def test_the_ends_of_each_polyline_are_marked_and_are_the_curves_own():
    points = torch.cat([LINE, 50 * ARC, LINE])
    lines = flatten(points)
    assert lines.curve.bincount().tolist() == num_segments(points).tolist()
    assert torch.allclose(lines.vertices[lines.starts[lines.first]], points[:, 0])
    assert torch.allclose(lines.vertices[lines.starts[lines.last] + 1], points[:, 3], atol=1e-5)


def test_points_at_infinity_get_no_more_segments_than_allowed():
    points = torch.tensor([1e30, torch.inf, torch.nan])[:, None, None] * curves(3)
    assert (num_segments(points) <= MAX_SEGMENTS).all()


def test_no_curves_make_an_empty_polyline():
    lines = flatten(torch.zeros(0, 4, 2))
    assert lines.vertices.shape == (0, 2)
    assert len(lines.starts) == 0
