"""Strokes to pictures: what is drawn, over what, and what its gradients say."""

from pathlib import Path

import pytest
import torch

from core.sketch.bezier import polyline
from core.sketch.rasterizer import draw_color, draw_ink
from tests.parity.clipasso_raster import is_raster, raster_comparisons
from tests.parity.compare import cases

SIZE_HW = (40, 48)
GOLDENS = Path(__file__).parent.parent / "golden" / "clipasso"


def sketch(batch: int = 1, strokes: int = 5, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(batch, strokes, 1, 2, generator=generator) * 40
    return start + torch.randn(batch, strokes, 4, 2, generator=generator) * 8


def widths(points: torch.Tensor, pixels: float = 3.0) -> torch.Tensor:
    return torch.full(points.shape[:2], pixels)


def bar(x: float) -> torch.Tensor:
    """Return an upright stroke that crosses the whole picture."""
    return torch.stack([torch.full((4,), x), torch.linspace(-20, 60, 4)], -1)[None, None]


def supersampled(points: torch.Tensor, half_width: float, samples: int = 8) -> torch.Tensor:
    """Return the share of samples within half the width of a fine polyline, the union of all strokes."""
    height, width = SIZE_HW
    y, x = torch.meshgrid(*((torch.arange(size * samples) + 0.5) / samples for size in SIZE_HW), indexing="ij")
    places = torch.stack([x, y], -1).flatten(0, 1)
    inked = torch.zeros(len(places), dtype=torch.bool)
    for line in polyline(points, 400):
        inked |= torch.cdist(places, line).amin(1) <= half_width
    return inked.view(height, samples, width, samples).float().mean((1, 3))


def test_ink_is_near_the_supersampled_reference():
    points = sketch(strokes=4)
    want = supersampled(points[0], 1.5)
    error = (draw_ink(points, widths(points), SIZE_HW)[0] - want).abs()
    assert error[want > 0].mean() < 0.015
    assert error.max() < 0.35


def test_goldens_agree():
    found = [case for case in cases(GOLDENS)[1] if (GOLDENS / case.file).exists()]
    lines = [line for case in found if is_raster(case) for line in raster_comparisons(case)]
    assert lines
    assert not [line for line in lines if not line.good]


def test_black_strokes_come_in_any_order_and_cross_as_their_product():
    points, thick = torch.cat([bar(20.25), bar(20.25)], 1), torch.tensor([[3.0, 1.0]])
    both = draw_ink(points, thick, SIZE_HW)
    alone = [draw_ink(points[:, i : i + 1], thick[:, i : i + 1], SIZE_HW) for i in (0, 1)]
    assert torch.allclose(1 - both, (1 - alone[0]) * (1 - alone[1]), atol=1e-5)
    assert torch.allclose(both, draw_ink(points.flip(1), thick.flip(1), SIZE_HW), atol=1e-6)


def test_x_goes_right_and_y_down():
    ink = draw_ink(torch.tensor([[[[30.0, 10.0]] * 4]]), torch.tensor([[3.0]]), SIZE_HW)[0]
    assert ink[10, 30] > 0.9
    assert ink.nonzero().float().mean(0).tolist() == pytest.approx([9.5, 29.5])


def test_a_dot_is_as_large_as_its_disc():
    ink = draw_ink(torch.tensor([[[[20.3, 20.6]] * 4]]), torch.tensor([[10.0]]), SIZE_HW)
    assert float(ink.sum()) == pytest.approx(torch.pi * 25, rel=0.01)


def test_several_sketches_are_drawn_as_each_alone():
    points = sketch(batch=3)
    colors = torch.rand(3, 5, 4, generator=torch.Generator().manual_seed(1))
    together = draw_ink(points, widths(points), SIZE_HW), draw_color(points, widths(points), colors, SIZE_HW)
    for i in range(3):
        one = slice(i, i + 1)
        assert torch.allclose(together[0][one], draw_ink(points[one], widths(points[one]), SIZE_HW), atol=1e-6)
        assert torch.allclose(
            together[1][one], draw_color(points[one], widths(points[one]), colors[one], SIZE_HW), atol=1e-6
        )


def test_later_colours_lie_over_earlier_ones():
    points = torch.cat([bar(20.0), bar(20.0)], 1)
    red, blue = [1.0, 0, 0, 1], [0, 0, 1.0, 0.75]
    drawn = draw_color(points, torch.tensor([[8.0, 4.0]]), torch.tensor([[red, blue]]), SIZE_HW)[0]
    assert drawn[:, 20, 20].tolist() == pytest.approx([0.25, 0, 0.75], abs=1e-5)
    assert drawn[:, 20, 17].tolist() == pytest.approx([1, 0, 0], abs=1e-5)
    assert drawn[:, 20, 5].tolist() == [1, 1, 1]
    flipped = draw_color(points.flip(1), torch.tensor([[4.0, 8.0]]), torch.tensor([[blue, red]]), SIZE_HW)[0]
    assert flipped[:, 20, 20].tolist() == pytest.approx([1, 0, 0], abs=1e-5)


def test_black_strokes_in_colour_are_the_ink():
    points = sketch()
    black = torch.tensor([0.0, 0, 0, 1]).expand(1, 5, 4)
    colour = draw_color(points, widths(points), black, SIZE_HW)
    assert torch.allclose(
        1 - colour, draw_ink(points, widths(points), SIZE_HW)[:, None].expand(1, 3, -1, -1), atol=1e-5
    )


def test_opacity_lets_paper_through():
    ink = draw_ink(bar(20.0), torch.tensor([[4.0]]), SIZE_HW, torch.tensor([[0.3]]))[0]
    assert float(ink[20, 20]) == pytest.approx(0.3)


def _inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    points = sketch(batch=2, strokes=4)
    return {
        "points": points,
        "widths": 1 + 4 * torch.rand(2, 4, generator=generator),
        "colors": torch.rand(2, 4, 4, generator=generator),
        "opacity": torch.rand(2, 4, generator=generator),
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ink", name) for name in ("points", "widths", "opacity")]
    + [("color", name) for name in ("points", "widths", "colors")],
)
def test_gradients_are_within_five_per_cent_of_finite_differences(kind, name):
    given = _inputs()
    shape = (2, *SIZE_HW) if kind == "ink" else (2, 3, *SIZE_HW)
    target = torch.rand(shape, generator=torch.Generator().manual_seed(9))
    target = torch.nn.functional.avg_pool2d(target, 5, stride=1, padding=2)

    def loss(value: torch.Tensor) -> torch.Tensor:
        these = given | {name: value}
        if kind == "ink":
            drawn = draw_ink(these["points"], these["widths"], SIZE_HW, these["opacity"])
        else:
            drawn = draw_color(these["points"], these["widths"], these["colors"], SIZE_HW)
        return (drawn.double() - target).square().sum()

    value = given[name].clone().requires_grad_()
    exact = torch.autograd.grad(loss(value), value)[0]
    step = 0.02
    found = torch.zeros(exact.numel())
    for i in range(len(found)):
        nudge = torch.zeros(len(found))
        nudge[i] = step
        nudge = nudge.view_as(value)
        found[i] = (loss(given[name] + nudge) - loss(given[name] - nudge)) / (2 * step)
    assert (exact.flatten() - found).norm() <= 0.05 * found.norm()


def test_a_moved_stroke_finds_its_way_back():
    goal = torch.tensor([[[[8.0, 10.0], [18.0, 30.0], [30.0, 5.0], [40.0, 28.0]]]])
    wanted = draw_ink(goal, widths(goal), SIZE_HW)
    points = (goal + torch.tensor([[2.0, -1.5], [-1.5, 2.0], [2.0, 1.5], [-1.5, 1.0]])).requires_grad_()
    for step in torch.linspace(0.4, 0, 120).tolist():  # pixels that the fastest coordinate moves
        loss = (draw_ink(points, widths(goal), SIZE_HW) - wanted).square().sum()
        grad = torch.autograd.grad(loss, points)[0]
        points = (points - step * grad / grad.abs().max()).detach().requires_grad_()
    assert (points - goal).norm(dim=-1).max() < 0.5


@pytest.mark.parametrize("strokes", [0, 1, 1000])
def test_any_number_of_strokes_can_be_drawn(strokes):
    points = sketch(strokes=strokes).requires_grad_()
    colors = torch.rand(1, strokes, 4)
    ink, colour = draw_ink(points, widths(points), SIZE_HW), draw_color(points, widths(points), colors, SIZE_HW)
    (ink.sum() + colour.sum()).backward()
    assert points.grad is not None
    assert points.grad.isfinite().all()
    assert ink.isfinite().all()
    if strokes == 0:
        assert not ink.any()
        assert (colour == 1).all()


@pytest.mark.parametrize(
    "stroke",
    [
        [[5.0, 5.0]] * 4,
        [[20.5, 20.5]] * 4,
        [[5.0, 5.0], [5.0, 5.0], [9.0, 9.0], [9.0, 9.0]],
        [[5.0, 5.0], [9.0, 9.0], [5.0, 5.0], [9.0, 9.0]],
        [[5.5, 5.5], [30.0, 5.5], [-20.0, 5.5], [9.5, 5.5]],
        [[-100.0, -100.0], [-90.0, -80.0], [-300.0, 5.0], [-100.0, 50.0]],
        [[1e8, 1e8], [1e8, 2e8], [-1e8, 0.0], [5.0, 5.0]],
        [[1e30, 0.0], [0.0, 1e30], [3.0, 3.0], [5.0, 5.0]],
        [[float("inf"), 0.0], [0.0, 3.0], [3.0, 3.0], [5.0, 5.0]],
        [[float("nan"), 0.0], [0.0, 3.0], [3.0, 3.0], [5.0, 5.0]],
    ],
)
@pytest.mark.parametrize("width", [0.0, 0.4, 3.0, 60.0])
def test_no_stroke_makes_a_number_that_is_none(stroke, width):
    points = torch.tensor([[stroke, bar(20.0)[0, 0].tolist()]]).requires_grad_()
    wide = torch.tensor([[width, 3.0]]).requires_grad_()
    colors = torch.full((1, 2, 4), 0.5).requires_grad_()
    ink, colour = draw_ink(points, wide, SIZE_HW), draw_color(points, wide, colors, SIZE_HW)
    grads = torch.autograd.grad(ink.square().sum() + colour.square().sum(), [points, wide, colors])
    assert all(each.isfinite().all() for each in (ink, colour, *grads))
    assert ink[0, 20, 20] == 1


def test_a_stroke_off_the_picture_leaves_it_white_and_gets_no_gradient():
    points = (bar(20.0) + torch.tensor([100.0, 0.0])).requires_grad_()
    ink = draw_ink(points, torch.tensor([[3.0]]), SIZE_HW)
    ink.sum().backward()
    assert not ink.any()
    assert not points.grad.any()


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(ValueError, match="wanted a picture of at least 1 x 1 pixels, got 0 x 5"):
        draw_ink(sketch(), widths(sketch()), (5, 0))


@pytest.mark.gpu
def test_the_gpu_draws_what_the_cpu_draws():
    points, colors = sketch(batch=2), torch.rand(2, 5, 4)
    there = [each.cuda() for each in (points, widths(points), colors)]
    assert torch.allclose(draw_ink(*there[:2], SIZE_HW).cpu(), draw_ink(points, widths(points), SIZE_HW), atol=1e-3)
    assert torch.allclose(
        draw_color(*there, SIZE_HW).cpu(), draw_color(points, widths(points), colors, SIZE_HW), atol=1e-3
    )
