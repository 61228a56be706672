"""Cubic Bezier curves: points on them, how fast they run, how long they are, and polylines close to them.

A curve is four control points in pixels of the picture: x right, y down, (0, 0) the corner of the first pixel.
A curve strays from its chord by an eighth of its largest second derivative at most, so that a tolerance says how few
segments will do. Everything but their number can be differentiated.

Legend: S curves, T values of the parameter, V vertices and M segments of all polylines one after another.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

TOLERANCE_PIXELS = 0.05  # between curve and polyline
MAX_SEGMENTS = 128  # of one curve, however far its points are from the picture
LENGTH_SEGMENTS = 64


@dataclass(frozen=True)
class Polylines:
    """Polylines one after another: segment i goes from vertex `starts[i]` to the next one."""

    vertices: Float[Tensor, "V 2"]
    starts: Int[Tensor, "M"]
    curve: Int[Tensor, "M"]  # to which each segment belongs
    first: Bool[Tensor, "M"]
    last: Bool[Tensor, "M"]


def evaluate(points: Float[Tensor, "*S 4 2"], t: Float[Tensor, "... T"]) -> Float[Tensor, "*S T 2"]:
    """Return the points of each curve at each parameter; `t` is one list for all curves, or one for each."""
    return bernstein(t) @ points


def derivative(points: Float[Tensor, "*S 4 2"], t: Float[Tensor, "... T"]) -> Float[Tensor, "*S T 2"]:
    """Return each curve's velocity at each parameter."""
    legs = 3 * points.diff(dim=-2)  # (*S, 3, 2)
    rest = 1 - t
    return torch.stack([rest * rest, 2 * rest * t, t * t], -1) @ legs


def bernstein(t: Float[Tensor, "*T"]) -> Float[Tensor, "*T 4"]:
    """Return the share of each control point at each parameter."""
    rest = 1 - t
    return torch.stack([rest**3, 3 * rest * rest * t, 3 * rest * t * t, t**3], -1)


def split(points: Float[Tensor, "*S 4 2"], t: float = 0.5) -> tuple[Float[Tensor, "*S 4 2"], Float[Tensor, "*S 4 2"]]:
    """Cut each curve in two at a parameter, as de Casteljau does it."""
    levels = [points]
    while levels[-1].shape[-2] > 1:
        levels.append(levels[-1][..., :-1, :].lerp(levels[-1][..., 1:, :], t))
    before = torch.stack([level[..., 0, :] for level in levels], -2)
    after = torch.stack([level[..., -1, :] for level in reversed(levels)], -2)
    return before, after


def polyline(points: Float[Tensor, "*S 4 2"], segments: int) -> Float[Tensor, "*S V 2"]:
    """Return `segments` + 1 points of each curve, equally far apart in the parameter."""
    return evaluate(points, torch.linspace(0, 1, segments + 1, dtype=points.dtype, device=points.device))


def lengths(points: Float[Tensor, "*S 4 2"]) -> Float[Tensor, "*S"]:
    """Return the length of each curve in pixels."""
    return polyline(points, LENGTH_SEGMENTS).diff(dim=-2).norm(dim=-1).sum(-1)


def num_segments(points: Float[Tensor, "S 4 2"], tolerance_pixels: float = TOLERANCE_PIXELS) -> Int[Tensor, "S"]:
    """Return into how many segments each curve must be cut to stay within the tolerance."""
    bends = points[:, :2] - 2 * points[:, 1:3] + points[:, 2:]  # a sixth of the second derivative at both ends
    most = bends.square().sum(-1).amax(-1).sqrt().nan_to_num(0.0, posinf=torch.inf)
    return (most * (0.75 / tolerance_pixels)).sqrt().ceil().clamp(1, MAX_SEGMENTS).long()


def flatten(points: Float[Tensor, "S 4 2"], tolerance_pixels: float = TOLERANCE_PIXELS) -> Polylines:
    """Cut each curve into as few equal steps of its parameter as the tolerance allows."""
    count = num_segments(points.detach(), tolerance_pixels)
    curves = torch.arange(len(points), device=points.device)
    owner = curves.repeat_interleave(count + 1)  # (V,)
    step = torch.arange(len(owner), device=points.device) - ((count + 1).cumsum(0) - count - 1)[owner]
    shares = bernstein(step / count[owner])  # (V, 4)
    vertices = (shares[:, :, None] * points.index_select(0, owner)).sum(1)
    curve = curves.repeat_interleave(count)  # (M,)
    starts = torch.arange(len(curve), device=points.device) + curve
    place = step[starts]
    return Polylines(vertices, starts, curve, place == 0, place == count[curve] - 1)
