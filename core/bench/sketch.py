"""How fast strokes become ink and ink becomes gradients, and how far from the truth it is.

The alternatives are written here, each as fast as its idea allows on one processor: a dense rasteriser looks at every
pixel for every segment, of as many segments a stroke as ours has at most; the other (CarterMcClellan/diffvg-torch has
it) looks at the pixels in a stroke's box, tries nine parameters for each and refines the best by four Newton steps.
Both take for coverage what is usual, the distance to the border clamped to a pixel's width.

The truth is counted on samples, 8 x 8 a pixel; 2 x 2 jittered ones are what CLIPasso asks of diffvg.
"""

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.bench.measure import paired, report

if TYPE_CHECKING:
    from torch import Tensor

SIDE, STROKES, WIDTH = 224, 16, 3.0  # CLIPasso's canvas, strokes and visible width
STEP_PIXELS = 25.0  # of the random walk from one control point to the next
REFERENCE_SAMPLES, REFERENCE_SEGMENTS = 8, 256
STARTS, NEWTON_STEPS = 9, 4
SCALING = (4, 16, 64, 256)
FINITE_STEP_PIXELS = 0.02
DENSE = "a dense soft-distance rasteriser, every pixel and every segment"
NEWTON = "nine samples and four Newton steps per pixel in each stroke's box"


def rasteriser() -> dict[str, Any]:
    """Draw 16 strokes and go back, against Newton's method per pixel and against a dense rasteriser; with errors."""
    import torch

    from core.sketch.rasterizer import draw_ink

    points, weight = scene(STROKES), torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    ours = lambda p: draw_ink(p[None], torch.full((1, len(p)), WIDTH), (SIDE, SIDE))[0]  # noqa: E731
    turn = lambda draw: forward_and_back(draw, points, weight)  # noqa: E731
    against_newton = report(*paired(lambda: turn(ours), lambda: turn(newton_ink), repeats=15), NEWTON)
    against_dense = report(*paired(lambda: turn(ours), lambda: turn(dense_ink), repeats=7), DENSE)
    truth = sampled(points, REFERENCE_SAMPLES)
    errors = {
        name: float((drawn - truth).abs()[truth > 0].mean())
        for name, drawn in {
            "error": ours(points),
            "error_newton": newton_ink(points),
            "error_dense": dense_ink(points),
            "error_2x2_samples": sampled(points, 2, jitter=torch.Generator().manual_seed(0)),
        }.items()
    }
    return against_newton | {
        "ratio_newton": against_newton["ratio"],
        "ratio_dense": against_dense["ratio"],
        "dense_median_seconds": against_dense["alternative_median_seconds"],
        **errors,
        "gradient_error": gradient_error(ours, points, weight),
        "scaling": scaling(ours),
        "threads": torch.get_num_threads(),
    }


def scene(strokes: int) -> "Tensor":
    """Return the control points of strokes that wander about the canvas, (N, 4, 2)."""
    import torch

    generator = torch.Generator().manual_seed(strokes)
    starts = torch.rand(strokes, 1, 2, generator=generator) * SIDE
    steps = torch.randn(strokes, 3, 2, generator=generator) * STEP_PIXELS
    return torch.cat([starts, starts + steps.cumsum(1)], 1)


def forward_and_back(draw: Callable[["Tensor"], "Tensor"], points: "Tensor", weight: "Tensor") -> "Tensor":
    """Return the gradient of a weighted sum of ink by the control points."""
    import torch

    points = points.clone().requires_grad_()
    return torch.autograd.grad((draw(points) * weight).sum(), points)[0]


def scaling(draw: Callable[["Tensor"], "Tensor"]) -> dict[str, float]:
    """Return the time of each number of strokes over that of the fewest, all taking turns."""
    import torch

    weight = torch.ones(SIDE, SIDE)
    fewest = scene(SCALING[0])
    found = {}
    for strokes in SCALING[1:]:
        points = scene(strokes)
        many, few = paired(
            lambda points=points: forward_and_back(draw, points, weight),
            lambda: forward_and_back(draw, fewest, weight),
            repeats=7,
        )
        found[str(strokes)] = statistics.median(many) / statistics.median(few)
    return {str(SCALING[0]): 1.0, **found}


def gradient_error(draw: Callable[["Tensor"], "Tensor"], points: "Tensor", weight: "Tensor") -> float:
    """Return how far our gradient is from central finite differences, as a share of theirs; the weights are smooth."""
    import torch
    from torch.nn.functional import avg_pool2d

    weight = avg_pool2d(weight[None, None], 9, stride=1, padding=4)[0, 0]
    exact = forward_and_back(draw, points, weight).flatten()
    nudges = FINITE_STEP_PIXELS * torch.eye(points.numel()).view(-1, *points.shape)
    ink = lambda moved: float((draw(moved).double() * weight).sum())  # noqa: E731
    found = [(ink(points + nudge) - ink(points - nudge)) / (2 * FINITE_STEP_PIXELS) for nudge in nudges]
    differences = torch.tensor(found)
    return float((exact - differences).norm() / differences.norm())


def dense_ink(points: "Tensor") -> "Tensor":
    """Draw by each pixel's distance from each segment of each stroke."""
    import torch

    from core.sketch.bezier import num_segments, polyline

    y, x = torch.meshgrid(torch.arange(SIDE) + 0.5, torch.arange(SIDE) + 0.5, indexing="ij")
    light = torch.ones(SIDE, SIDE)
    for line in polyline(points, int(num_segments(points.detach()).max())):  # a stroke at a time, to spare memory
        begin, leg = line[:-1, :, None, None], line.diff(dim=0)[..., None, None]  # (K, 2, 1, 1)
        away_x, away_y = x - begin[:, 0], y - begin[:, 1]  # (K, H, W)
        share = (away_x * leg[:, 0] + away_y * leg[:, 1]) / leg.square().sum(1).clamp(min=1e-12)
        share = share.clamp(0, 1)
        squared = (away_x - share * leg[:, 0]).square() + (away_y - share * leg[:, 1]).square()
        light = light * (1 - clamped(squared.amin(0)))
    return 1 - light


def newton_ink(points: "Tensor") -> "Tensor":
    """Draw by each pixel's nearest point of the curve: the best of nine parameters, then four Newton steps."""
    import torch

    light = torch.ones(SIDE, SIDE)
    for curve in points:
        low = (curve.detach().amin(0) - WIDTH / 2 - 1).floor().clamp(0, SIDE).long().tolist()
        high = (curve.detach().amax(0) + WIDTH / 2 + 1).ceil().clamp(0, SIDE).long().tolist()
        if high[0] <= low[0] or high[1] <= low[1]:
            continue
        x, y = (torch.arange(first, last) + 0.5 for first, last in zip(low, high, strict=True))
        pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)  # (P, 2)
        covered = clamped((pixels - on_curve(curve, nearest_parameter(curve.detach(), pixels))).square().sum(-1))
        box = torch.zeros(SIDE, SIDE)
        box[low[1] : high[1], low[0] : high[0]] = covered.view(len(y), len(x))
        light = light * (1 - box)
    return 1 - light


def nearest_parameter(curve: "Tensor", pixels: "Tensor") -> "Tensor":
    """Return the parameter of the nearest point of one curve for each pixel, (P,)."""
    import torch

    starts = torch.linspace(0, 1, STARTS)
    t = starts[torch.cdist(pixels, on_curve(curve, starts)).argmin(1)]
    legs, bends = 3 * curve.diff(dim=0), 6 * curve.diff(n=2, dim=0)
    for _ in range(NEWTON_STEPS):
        rest = (1 - t)[:, None]
        velocity = rest**2 * legs[0] + 2 * rest * t[:, None] * legs[1] + t[:, None] ** 2 * legs[2]
        bend = rest * bends[0] + t[:, None] * bends[1]
        away = on_curve(curve, t) - pixels
        slope = velocity.square().sum(-1) + (away * bend).sum(-1)
        t = (t - (away * velocity).sum(-1) / slope.abs().clamp(min=1e-6)).clamp(0, 1)
    return t


def on_curve(curve: "Tensor", t: "Tensor") -> "Tensor":
    """Return the points of one curve, (T, 2)."""
    from core.sketch.bezier import bernstein

    return bernstein(t) @ curve


def clamped(squared: "Tensor") -> "Tensor":
    """Return the usual coverage: the distance to the border, clamped to a pixel's width."""
    return (WIDTH / 2 + 0.5 - squared.clamp(min=1e-12).sqrt()).clamp(0, 1)


def sampled(points: "Tensor", samples: int, jitter: Any = None) -> "Tensor":
    """Return the share of each pixel's samples that lie on a stroke; `jitter` moves each within its own cell."""
    import torch

    from core.sketch.bezier import polyline

    grid = torch.arange(SIDE * samples).float()
    places = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), -1)
    shift = torch.rand(places.shape, generator=jitter) if jitter else 0.5
    places = (places + shift) / samples
    inked = torch.zeros(places.shape[:2], dtype=torch.bool)
    for line in polyline(points, REFERENCE_SEGMENTS):
        first, last = (
            (line.amin(0) - WIDTH).mul(samples).long().clamp(min=0),
            (line.amax(0) + WIDTH).mul(samples).long(),
        )
        part = slice(int(first[1]), max(int(last[1]), 0)), slice(int(first[0]), max(int(last[0]), 0))
        near = places[part]
        distance = torch.stack([torch.cdist(row, line).amin(1) for row in near]) if near.numel() else near[..., 0]
        inked[part] |= distance <= WIDTH / 2
    return inked.view(SIDE, samples, SIDE, samples).float().mean((1, 3))
