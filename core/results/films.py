"""Clips, and the moments that were found in them.

Legend: T frames or places on a curve over time, H height, W width.
"""

from dataclasses import dataclass

import numpy as np

from core.results.checks import require


@dataclass(frozen=True, kw_only=True, eq=False)
class Film:
    """T frames of a clip with the second at which each is shown."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    seconds: np.ndarray  # (T,) float32, increasing

    def __post_init__(self) -> None:
        require(self.frames, "frames", np.uint8, (None, None, None, 3))
        require(self.seconds, "seconds", np.float32, (len(self.frames),))
        if (np.diff(self.seconds) <= 0).any():
            raise ValueError("wanted increasing seconds")


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
