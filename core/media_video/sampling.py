"""Which frames of a clip are looked at, and in which order.

The samplings of CLIP4Clip (ArrowLuo/CLIP4Clip at 508ffa3, dataloaders/rawvideo_util.py), ActionCLIP
(sallymmx/ActionCLIP at 31c34df, datasets/datasets.py) and clifs (johanmodin/clifs at 91041a9, search/app/clifs.py),
and beside the released ones those that hold at every frame rate. Indices count from 0.

Legend: T frames looked at, N frames there are.
"""

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np
from jaxtyping import Float, Int

SLACK = 1e-9  # seconds: a time that is a multiple but for rounding counts as one
ORDERS = ("forwards", "reversed", "shuffled", "frozen")
Draw = Callable[[int], int]  # a whole number below the one given


def uniform_indices(count: int, frames: int) -> Int[np.ndarray, " T"]:
    """Return at most `frames` of `count` frames, evenly from the first to the last (CLIP4Clip slice_framepos 2)."""
    _check(count, frames)
    return np.arange(count) if count <= frames else np.linspace(0, count - 1, frames).astype(int)


def head_indices(count: int, frames: int) -> Int[np.ndarray, " T"]:
    """Return the first frames, at most `frames` (CLIP4Clip slice_framepos 0)."""
    _check(count, frames)
    return np.arange(min(count, frames))


def tail_indices(count: int, frames: int) -> Int[np.ndarray, " T"]:
    """Return the last frames, at most `frames` (CLIP4Clip slice_framepos 1)."""
    _check(count, frames)
    return np.arange(max(0, count - frames), count)


def tsn_segment_indices(count: int, segments: int, length: int = 1, draw: Draw | None = None) -> Int[np.ndarray, " T"]:
    """Return `length` frames from each of `segments` equal parts, as ActionCLIP has them.

    Without `draw` the middle of each part (testing); with it a drawn place (training): `draw(bound)` is a whole number
    below `bound`. Counted from 0; the released files count from 1.
    """
    _check(count, segments * length)
    wanted = segments * length
    if draw is None:
        return _segment_middles(count, segments, length)
    if count <= wanted:
        repeats = [draw(count) for _ in range(wanted - count)]
        return np.sort(np.array([*range(count), *repeats], dtype=int))
    starts = []
    for i in range(segments):
        first, end = i * count // segments, (i + 1) * count // segments
        room = end - first - length + 1
        starts.append(first + (draw(room) if room > 0 else 0))
    return (np.array(starts)[:, None] + np.arange(length)).ravel()


def second_indices(
    count: int,
    frames_per_second: float,
    *,
    each_second: int = 1,
    span_seconds: tuple[int, int] | None = None,
) -> Int[np.ndarray, " T"]:
    """Return `each_second` frames of every second (0: all of them), as CLIP4Clip reads.

    The release cuts the frame rate to a whole number, so that its seconds drift; grid_indices() has no such fault.
    """
    _check(count, 1)
    rate = int(frames_per_second)
    if rate < 1:
        raise ValueError(f"wanted at least 1 frame in a second, got {frames_per_second}")
    step = max(1, rate // each_second) if each_second else 1
    inside = np.arange(0, rate, step)[: each_second or rate]
    first, last = 0, ceil(count / rate)
    if span_seconds is not None:
        start, end = sorted(span_seconds)
        first, last = start, min(end + (start == end), last)
    found = (np.arange(first, last + 1)[:, None] * rate + inside).ravel()
    beyond = np.flatnonzero(found >= count)
    return found[: beyond[0]] if len(beyond) else found


def reorder(
    frames: int, order: str, rng: np.random.Generator | np.random.RandomState | None = None
) -> Int[np.ndarray, " T"]:
    """Return the places of `frames` frames in another order: 'frozen' repeats the first, 'shuffled' needs `rng`."""
    places = np.arange(frames)
    if order == "shuffled":
        if rng is None:
            raise ValueError("wanted a random generator for shuffled frames, got none")
        return rng.permutation(frames)
    changed = {"forwards": places, "reversed": places[::-1].copy(), "frozen": np.zeros_like(places)}
    if order not in changed:
        raise ValueError(f"wanted one of {', '.join(ORDERS)}, got {order!r}")
    return changed[order]


def grid_indices(seconds: Sequence[float] | Float[np.ndarray, " T"], step_seconds: float) -> Int[np.ndarray, " K"]:
    """Return the first frame at or after each multiple of `step_seconds`, each frame once (any frame rate)."""
    if not step_seconds > 0:
        raise ValueError(f"wanted a step above 0 seconds, got {step_seconds}")
    times = np.asarray(seconds, np.float64)
    if not len(times):
        return np.zeros(0, int)
    grid = np.arange(int(times[-1] / step_seconds + SLACK) + 1) * step_seconds
    return np.unique(np.searchsorted(times, grid - SLACK))


def released_grid_indices(count: int, frames_per_second: float, step_seconds: float) -> Int[np.ndarray, " K"]:
    """Return the frames that clifs as released keeps: at 29.97 or 23.976 frames a second the first one only.

    It asks for an exact multiple of a fraction; grid_indices() is what was meant.
    """
    _check(count, 1)
    step = frames_per_second / (1 / step_seconds)
    return np.array([place for place in range(count) if place % step == 0], dtype=int)


def _segment_middles(count: int, segments: int, length: int) -> Int[np.ndarray, " T"]:
    wanted = segments * length
    if segments == 1 and length == 1:
        return np.array([count // 2])
    if count <= wanted:
        return np.arange(wanted) * count // wanted
    middle = (count / segments - length) / 2
    starts = np.arange(segments) * count / segments + middle
    return (starts[:, None] + np.arange(length)).astype(int).ravel()


def _check(count: int, frames: int) -> None:
    if count < 1 or frames < 1:
        raise ValueError(f"wanted at least 1 frame of a clip of at least 1, got {frames} of {count}")
