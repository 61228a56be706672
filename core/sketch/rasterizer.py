"""Strokes to pictures, differentiable: black ink on white in any order, or colours one over the other.

Papers: Vinker et al., CLIPasso, SIGGRAPH 2022, https://arxiv.org/abs/2202.05822, and Frans et al., CLIPDraw, 2021,
https://arxiv.org/abs/2106.14843, which both draw with diffvg. Different from it: no samples and no compiler
(`coverage`); where two strokes cross, the light that passes is the product of what each lets through.

Control points are in pixels of the picture: x right, y down, (0, 0) the corner of the first pixel. Widths are whole
widths, as SVG's `stroke-width` is: twice what diffvg calls so. Ends are round. Gradients go to points, widths,
colours and opacities; a pixel gives one only where a border crosses it, so that a stroke off the picture has none.

Legend: B sketches, N strokes of each, H and W of the picture, C pairs of a pixel and a stroke near it.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from core.sketch.bezier import flatten
from core.sketch.coverage import cover
from core.sketch.nearest import Nearest, nearest

WHITE = (1.0, 1.0, 1.0)
LEAST_LIGHT = 1e-12  # that full ink lets through, so that its logarithm is a number


def draw_ink(
    points: Float[Tensor, "B N 4 2"],
    widths: Float[Tensor, "B N"],
    size_hw: tuple[int, int],
    opacity: Float[Tensor, "B N"] | None = None,
) -> Float[Tensor, "B H W"]:
    """Draw each sketch in black, 0 paper and 1 ink; the order of its strokes does not matter."""
    _check(size_hw)
    height, width = size_hw
    ink, near = _strokes(points, widths, size_hw)
    if opacity is not None:
        ink = ink * opacity.flatten().float().index_select(0, near.stroke)
    sketch = near.stroke // max(points.shape[1], 1)
    pixel = sketch * (height * width) + near.pixel
    return _Ink.apply(ink, pixel, len(points) * height * width).view(-1, height, width)


def draw_color(
    points: Float[Tensor, "B N 4 2"],
    widths: Float[Tensor, "B N"],
    colors: Float[Tensor, "B N 4"],
    size_hw: tuple[int, int],
    background: tuple[float, float, float] = WHITE,
) -> Float[Tensor, "B 3 H W"]:
    """Draw each sketch in colour (red, green, blue, opacity, 0 to 1): later strokes over earlier ones."""
    _check(size_hw)
    height, width = size_hw
    batch, strokes = widths.shape
    ink, near = _strokes(points.transpose(0, 1), widths.T, size_hw)  # first strokes first, of all sketches at once
    rgba = colors.transpose(0, 1).flatten(0, 1).float()  # (N * B, 4)
    alpha = ink * rgba[:, 3].index_select(0, near.stroke)
    pixel = near.stroke % max(batch, 1) * (height * width) + near.pixel
    ends = torch.bincount(near.stroke, minlength=strokes * batch).view(strokes, batch).sum(1).cumsum(0)
    paper = alpha.new_tensor(background)[:, None].expand(3, batch * height * width)
    painted = _Paint.apply(alpha, rgba[:, :3], paper, pixel, near.stroke, ends.tolist())
    return painted.view(3, batch, height, width).transpose(0, 1)


def _check(size_hw: tuple[int, int]) -> None:
    if min(size_hw) < 1:
        raise ValueError(f"wanted a picture of at least 1 x 1 pixels, got {size_hw[1]} x {size_hw[0]}")


def _strokes(points: Tensor, widths: Tensor, size_hw: tuple[int, int]) -> tuple[Float[Tensor, "C"], Nearest]:
    """Return how much of each pixel near a stroke it covers."""
    half_widths = widths.flatten().float() / 2
    lines = flatten(points.flatten(0, 1).float())
    near = nearest(lines, half_widths.detach(), size_hw)
    return cover(lines, half_widths, near), near


class _Ink(Function):
    """One minus the product of what all strokes let through, as a sum of logarithms."""

    @staticmethod
    def forward(ctx: Any, alpha: Tensor, pixel: Tensor, pixels: int) -> Tensor:
        logs = (1 - alpha).clamp(min=LEAST_LIGHT).log()
        total = alpha.new_zeros(pixels).index_add_(0, pixel, logs)
        ctx.save_for_backward(logs, total, pixel)
        return 1 - total.exp()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        logs, total, pixel = ctx.saved_tensors
        return grad[pixel] * (total[pixel] - logs).exp(), None, None


class _Paint(Function):
    """Stroke over stroke; backwards, each stroke finds what it was painted on and dims what lies below."""

    @staticmethod
    def forward(
        ctx: Any, alpha: Tensor, colors: Tensor, paper: Tensor, pixel: Tensor, stroke: Tensor, ends: list[int]
    ) -> Tensor:
        canvas, ground = paper.clone(), alpha.new_empty(3, len(alpha))
        ink = colors.T.index_select(1, stroke)
        for first, end in zip([0, *ends], ends, strict=False):
            places = pixel[first:end]
            below = canvas.index_select(1, places)
            ground[:, first:end] = below
            canvas.index_copy_(1, places, below.lerp(ink[:, first:end], alpha[first:end]))
        ctx.save_for_backward(alpha, ink, ground, pixel, stroke)
        ctx.ends, ctx.strokes = ends, len(colors)
        return canvas

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        alpha, ink, ground, pixel, stroke = ctx.saved_tensors
        grad, above = grad.clone(), alpha.new_empty(3, len(alpha))
        for first, end in reversed(list(zip([0, *ctx.ends], ctx.ends, strict=False))):
            places = pixel[first:end]
            seen = grad.index_select(1, places)
            above[:, first:end] = seen
            grad.index_copy_(1, places, seen * (1 - alpha[first:end]))
        colors = above.new_zeros(3, ctx.strokes).index_add_(1, stroke, above * alpha)
        return (above * (ink - ground)).sum(0), colors.T, None, None, None, None
