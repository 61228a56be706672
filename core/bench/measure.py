"""How a ratio is measured: both sides take turns, so that whatever else the machine does falls on both."""

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any


def paired(
    ours: Callable[[], Any], alternative: Callable[[], Any], *, repeats: int, warm: bool = True
) -> tuple[list[float], list[float]]:
    """Return the seconds of both sides over `repeats` turns, after one uncounted turn each."""
    if warm:
        ours(), alternative()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for side, function in enumerate((ours, alternative)):
            gc.collect()
            started = time.perf_counter()
            function()
            times[side].append(time.perf_counter() - started)
    return times


def report(ours: list[float], alternative: list[float], name: str, *, inverse: bool = False) -> dict[str, Any]:
    """Return the ratio of the medians with both sides' medians and spreads, seconds."""
    mine, theirs = statistics.median(ours), statistics.median(alternative)
    return {
        "ratio": mine / theirs if inverse else theirs / mine,
        "alternative": name,
        "ours_median_seconds": mine,
        "alternative_median_seconds": theirs,
        "ours_spread_seconds": [min(ours), max(ours)],
        "alternative_spread_seconds": [min(alternative), max(alternative)],
        "repeats": len(ours),
    }
