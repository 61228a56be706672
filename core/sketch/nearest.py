"""The pixels near each stroke, and for each of them the nearest point of the stroke.

Where the work goes: a segment of a stroke looks at the rectangle around it, row by row of pixels, that the width asks
for and that its neighbours leave to it; where two segments still see one pixel, the nearer keeps it. So time grows
with the ink, not with strokes times pixels times segments. Nothing here is differentiated: of the nearest point only
its place on the segment is needed, and that it is the nearest makes the derivative by its place zero.

Legend: N strokes, V vertices and M segments of their polylines, R rows of pixels of all segments, C pairs of a pixel
and a stroke near it.
"""

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.sketch.bezier import Polylines

HALF_DIAGONAL = 0.7072  # pixels; a border farther than this from a pixel's centre leaves it whole
SLACK = 0.01  # pixels by which neighbours overlap, so that rounding leaves no gap between them
NEAR_ZERO = 1e-6
MAX_CELLS = 1 << 22  # of all bounding boxes together that are looked at in one go: 32 MiB
NEVER = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Nearest:
    """The nearest point of a stroke for each pixel near it; pairs of one stroke lie one after another."""

    stroke: Int[Tensor, "C"]
    pixel: Int[Tensor, "C"]  # row times width plus column
    start: Int[Tensor, "C"]  # the vertex at which the nearest segment begins
    place: Float[Tensor, "C"]  # of the nearest point on that segment, in pixels from its start
    length: Float[Tensor, "C"]  # of the segment
    away: Float[Tensor, "2 C"]  # from the nearest point to the pixel's centre
    ahead: Float[Tensor, "2 C"]  # the segment's direction, of length 1


@torch.no_grad()
def nearest(lines: Polylines, half_widths: Float[Tensor, "N"], size_hw: tuple[int, int]) -> Nearest:
    """Find the pixels near each stroke, and for each the nearest point of its polyline."""
    height, width = size_hw
    segments, strips, low, high = _rectangles(lines, half_widths)
    corner, stride, area = _boxes(low, high, lines.curve, len(half_widths), size_hw)
    if area > MAX_CELLS and len(half_widths) > 1:
        return _in_halves(lines, half_widths, size_hw)

    top, count = _whole(low[1], high[1], height)
    segment, step = _unroll(torch.where((high[0] > 0) & (low[0] < width), count, 0))  # (R,)
    rows = segments.index_select(1, segment)  # begin x, begin y, ahead x, ahead y, length
    y = top[segment] + step
    down = y + 0.5 - rows[1]
    left, count = _whole(*_span(rows[0], down, strips.index_select(1, segment)), width)
    owner = lines.curve[segment]
    cell = corner[owner] + y * stride[owner] + left

    row, step = _unroll(count)  # (C,)
    rows[0], rows[1] = left + 0.5 - rows[0], down
    right, down, ahead_x, ahead_y, length = rows.index_select(1, row)
    right = right + step
    place = torch.minimum((right * ahead_x + down * ahead_y).clamp(min=0), length)
    away_x, away_y = right - place * ahead_x, down - place * ahead_y
    kept = _nearer(away_x * away_x + away_y * away_y, cell[row] + step, area)

    found = torch.stack([place, length, away_x, away_y, ahead_x, ahead_y]).index_select(1, kept)
    row = row[kept]
    pixel = (y * width + left)[row] + step[kept]
    return Nearest(owner[row], pixel, lines.starts[segment[row]], found[0], found[1], found[2:4], found[4:])


def _in_halves(lines: Polylines, half_widths: Tensor, size_hw: tuple[int, int]) -> Nearest:
    """Find the same for one half of the strokes after the other, so that memory stays small."""
    half = len(half_widths) // 2
    parts = []
    for chosen, first in ((lines.curve < half, 0), (lines.curve >= half, half)):
        some = [each[chosen] for each in (lines.starts, lines.curve - first, lines.first, lines.last)]
        widths = half_widths[half:] if first else half_widths[:half]
        part = nearest(Polylines(lines.vertices, *some), widths, size_hw)
        parts.append(replace(part, stroke=part.stroke + first))
    return Nearest(*(torch.cat([getattr(part, field.name) for part in parts], -1) for field in fields(Nearest)))


def _rectangles(lines: Polylines, half_widths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return each segment, the two strips of the plane whose intersection it looks at, and that rectangle's bounds.

    A strip is told by where it cuts a row of pixels, relative to the segment's begin: its middle at the row through
    that, how the middle moves from row to row, and half its width.
    """
    begin = lines.vertices[lines.starts].T  # (2, M)
    ahead = lines.vertices[lines.starts + 1].T - begin
    length = ahead.square().sum(0).sqrt()
    some = length > NEAR_ZERO
    ahead = torch.where(some, ahead / length.clamp(min=NEAR_ZERO), ahead.new_tensor([[1.0], [0.0]]))
    reach = (half_widths.clamp(min=0) + HALF_DIAGONAL)[lines.curve]
    back = reach * _turn(ahead, lines.first | ~some) + SLACK
    front = length + torch.where(lines.last | ~some, reach, 0.0) + SLACK
    safe = torch.where(ahead.abs() < NEAR_ZERO, NEAR_ZERO, ahead)
    middle, half = (front - back) / 2, (front + back) / 2
    slope = ahead[0] / safe[1]
    beside = (torch.zeros_like(slope), slope, reach / safe[1].abs())
    strips = torch.stack([*beside, middle / safe[0], -ahead[1] / safe[0], half / safe[0].abs()])
    centre = begin + middle * ahead
    spread = half * ahead.abs() + reach * ahead.flip(0).abs()
    return torch.cat([begin, ahead, length[None]]), strips, centre - spread, centre + spread


def _turn(ahead: Tensor, free: Tensor) -> Tensor:
    """Return the sine of the turn from the segment before, that says how far back a segment is needed; 1 if `free`."""
    before = ahead.roll(1, 1)
    sine = (ahead[0] * before[1] - ahead[1] * before[0]).abs()
    return torch.where(free | ((ahead * before).sum(0) < 0), 1.0, sine)


def _boxes(
    low: Tensor, high: Tensor, stroke: Tensor, strokes: int, size_hw: tuple[int, int]
) -> tuple[Tensor, Tensor, int]:
    """Lay out a cell for each pixel of each stroke's bounding box: return those of (0, 0), row lengths, the sum."""
    bounds = torch.cat([low, -high]).nan_to_num(torch.inf)
    least = bounds.new_full((4, strokes), torch.inf).scatter_reduce_(1, stroke.expand(4, -1), bounds, "amin")
    x0, width = _whole(least[0], -least[2], size_hw[1])
    y0, height = _whole(least[1], -least[3], size_hw[0])
    end = (width * height).cumsum(0)
    return end - width * height - y0 * width - x0, width, int(end[-1]) if strokes else 0


def _span(begin_x: Tensor, down: Tensor, strips: Tensor) -> tuple[Tensor, Tensor]:
    """Return from where to where both strips cut each row."""
    middle, slope, half, middle2, slope2, half2 = strips
    first, second = middle + slope * down, middle2 + slope2 * down
    return torch.maximum(first - half, second - half2) + begin_x, torch.minimum(first + half, second + half2) + begin_x


def _whole(low: Tensor, high: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return the first pixel whose centre lies between two bounds, and how many do; none if a bound is not a number."""
    first = (low - 0.5).ceil().clamp(0, size)
    count = (high - 0.5).floor().clamp(-1, size - 1) - first + 1
    return first.nan_to_num(0.0).long(), count.nan_to_num(0.0).clamp(min=0).long()


def _unroll(count: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each of the things that are counted whose it is, and which of its owner's it is."""
    owner = torch.repeat_interleave(count)
    return owner, torch.arange(len(owner), device=count.device) - (count.cumsum(0) - count)[owner]


def _nearer(squared: Tensor, cell: Tensor, area: int) -> Tensor:
    """Return which pairs are the nearest of their cell: bits of a positive float sort as it does, ties by place."""
    index = torch.arange(len(cell), device=cell.device)
    rank = squared.view(torch.int32).long() << 32 | index
    best = rank.new_full((area,), NEVER).scatter_reduce_(0, cell, rank, "amin")
    return (best[cell] == rank).nonzero()[:, 0]
