"""How much of a pixel a stroke covers, from the nearest point of the stroke, with its exact derivative.

No paper: CLIPasso and CLIPDraw draw with diffvg (Li et al., SIGGRAPH Asia 2020, https://doi.org/10.1145/3414685.3417871),
which samples each pixel at a few places. Here the coverage is the area that the nearest piece of border, taken for
straight, cuts off the pixel's square. That has a closed form in the border's distance and direction, and so has its
derivative: no samples, no noise. A straight border is at odds with round ends and sharp bends, by a few hundredths.

Legend: N strokes, V vertices of their polylines, C pairs of a pixel and a stroke near it.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from core.sketch.bezier import Polylines
from core.sketch.nearest import HALF_DIAGONAL, NEAR_ZERO, Nearest

ON_LINE = 1e-3  # pixels; a pixel's centre this near the line takes the line's own normal


def cover(lines: Polylines, half_widths: Float[Tensor, "N"], near: Nearest) -> Float[Tensor, "C"]:
    """Return how much of each pixel its stroke covers, 0 to 1, differentiable in vertices and widths."""
    return _Cover.apply(lines.vertices, half_widths, near)


def half_plane(depth: Float[Tensor, "C"], normal: Float[Tensor, "2 C"]) -> Float[Tensor, "C"]:
    """Return the area of a unit square whose centre lies `depth` inside a straight border of this normal."""
    most, least, flat, far = _square(depth, normal)
    beyond = torch.minimum((far - flat).clamp(min=0), least)
    return 0.5 + ((torch.minimum(far, flat) + beyond - beyond * beyond / (2 * least)) / most).copysign(depth)


def half_plane_slopes(
    depth: Float[Tensor, "C"], normal: Float[Tensor, "2 C"]
) -> tuple[Float[Tensor, "C"], Float[Tensor, "C"]]:
    """Return how fast `half_plane` grows with the depth, and with the normal's angle from x towards y."""
    most, least, flat, far = _square(depth, normal)
    share = ((far - flat) / least).clamp(0, 1)  # of the corner, that the border has passed
    reached = torch.minimum(far, flat) + share * least * (1 - share / 2)
    turned = (reached * least / most - share * least / 2 - most * share * (1 - share) / 2) / most
    folded = depth.sign() * normal.prod(0).sign() * (normal[0].abs() - normal[1].abs()).sign()
    return (1 - share) / most, turned * folded


def _square(depth: Tensor, normal: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return a unit square as seen along the normal, long side, short side and half the difference; and |depth|.

    So seen its area lies in a trapezium, `most - least` wide at the top and `most + least` at the foot.
    """
    sides = normal.abs()
    most, least = sides.amax(0), sides.amin(0).clamp(min=NEAR_ZERO)
    return most, least, (most - least) / 2, depth.abs()


class _Cover(Function):
    """The area between a stroke's two borders; only pixels that a border crosses have a derivative."""

    @staticmethod
    def forward(ctx: Any, vertices: Tensor, half_widths: Tensor, near: Nearest) -> Tensor:
        distance = near.away.square().sum(0).sqrt()
        normal = torch.where(distance > ON_LINE, near.away / distance.clamp(min=ON_LINE), _left(near.ahead))
        half = half_widths[near.stroke]
        thin = bool((half_widths < HALF_DIAGONAL).any())  # the other border may cut the same pixel
        area = half_plane(half - distance, normal)
        if thin:
            area = (area + half_plane(half + distance, normal) - 1).clamp(min=0)
        ctx.near, ctx.thin, ctx.sizes = near, thin, (len(vertices), len(half_widths))
        ctx.save_for_backward(distance, normal, half, area)
        return area

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        distance, normal, half, area = ctx.saved_tensors
        near = ctx.near
        ring = ((area - 0.5).abs() < 0.5 - NEAR_ZERO).nonzero()[:, 0]
        rows = [grad, distance, half, near.place, near.length, *normal, *near.ahead]
        table = torch.stack(rows).index_select(1, ring)
        grad, distance, half, place, length = table[:5]
        normal, ahead = table[5:7], table[7:]

        widen, turn = half_plane_slopes(half - distance, normal)
        leave = -widen  # by the distance
        if ctx.thin:
            other, other_turn = half_plane_slopes(half + distance, normal)
            widen, leave, turn = widen + other, leave + other, turn + other_turn

        # Moving the nearest point moves the border. Turning it: beside a segment the normal turns with the segment's
        # two ends, around an end with that end alone.
        beside = (place > 0) & (place < length)
        push = -leave * grad * normal
        spin = turn * grad / torch.where(beside, length, distance.clamp(min=ON_LINE))
        spin = spin * torch.where(beside, _left(ahead), -_left(normal))
        both = push + torch.where(beside, 0, spin)
        end = both * (place / length.clamp(min=NEAR_ZERO)) + torch.where(beside, spin, 0)
        start, (vertices, strokes) = near.start[ring], ctx.sizes
        sums = grad.new_zeros(2, vertices).index_add_(1, start, both - end).index_add_(1, start + 1, end)
        widths = grad.new_zeros(strokes).index_add_(0, near.stroke[ring], widen * grad)
        return sums.T, widths, None


def _left(direction: Tensor) -> Tensor:
    """Turn each direction by a right angle, from x towards y."""
    return torch.stack([-direction[1], direction[0]])
