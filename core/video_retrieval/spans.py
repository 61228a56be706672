"""Answers of moment search: videos with the seconds from and until which they fit, and the way from scores to those.

Legend: T places on a curve over time.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

GAP_SECONDS = 1.0  # between two stretches that are one moment


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A stretch of a video that fits, its best second, and where in the frame where a patch told."""

    start_seconds: float
    end_seconds: float
    peak_seconds: float
    score: float  # cosine at the peak
    box_xyxy: tuple[float, float, float, float]  # the whole frame unless a patch was best

    def __post_init__(self) -> None:
        if not 0 <= self.start_seconds <= self.peak_seconds <= self.end_seconds:
            raise ValueError(
                f"wanted start <= peak <= end, got {self.start_seconds}, {self.peak_seconds}, {self.end_seconds}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class VideoMoments:
    """One video's moments, best first, and its score over time."""

    video: str
    name: str
    path: str
    seconds: float
    size_hw: tuple[int, int]
    curve_seconds: np.ndarray  # (T,) float32, increasing
    curve_scores: np.ndarray  # (T,) float32 cosines
    moments: tuple[Moment, ...]

    def __post_init__(self) -> None:
        if self.curve_seconds.shape != self.curve_scores.shape or self.curve_seconds.ndim != 1:
            raise ValueError(
                f"wanted a score for each second, got {self.curve_scores.shape}, {self.curve_seconds.shape}"
            )

    @property
    def best(self) -> float:
        """The score of the best moment."""
        return max((moment.score for moment in self.moments), default=-1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """What a query found, the best video first, and the scores against which it was cut."""

    query: str
    kind: str  # frames, windows or patches
    videos: tuple[VideoMoments, ...]
    typical: float  # median score of this query over the index
    spread: float
    threshold: float

    @property
    def stands_out(self) -> float:
        """How many spreads the best score lies above a typical one; below 2 or so nothing fits well."""
        best = self.videos[0].best if self.videos else self.typical
        return (best - self.typical) / max(self.spread, 1e-6)


def moments_in(
    starts: Float[np.ndarray, " T"],
    ends: Float[np.ndarray, " T"],
    scores: Float[np.ndarray, " T"],
    boxes_xyxy: Float[np.ndarray, "T 4"],
    threshold: float,
    *,
    peaks: Float[np.ndarray, " T"] | None = None,
    gap_seconds: float = GAP_SECONDS,
) -> tuple[Moment, ...]:
    """Return the stretches that reach the threshold, best first; stretches that (nearly) touch are one.

    `peaks` are the seconds that stand for the places, by default their starts.
    """
    groups: list[list[int]] = []
    until = -np.inf
    for place in np.flatnonzero(scores >= threshold).tolist():
        if starts[place] > until + gap_seconds:
            groups.append([])
        groups[-1].append(place)
        until = max(until, float(ends[place]))
    found = []
    for group in groups:
        peak = max(group, key=lambda place: scores[place])
        found.append(
            Moment(
                start_seconds=float(starts[group[0]]),
                end_seconds=float(max(ends[place] for place in group)),
                peak_seconds=float((starts if peaks is None else peaks)[peak]),
                score=float(scores[peak]),
                box_xyxy=tuple(float(side) for side in boxes_xyxy[peak]),
            )
        )
    return tuple(sorted(found, key=lambda moment: -moment.score))
