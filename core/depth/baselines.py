"""Depth without looking: what an answer must beat before it may be called sight.

The mean depth picture is the reference of Eigen et al. 2014, Sec. 4.1, https://arxiv.org/abs/1406.2283. That distance
follows height in the picture is an old cue (Torralba and Oliva 2002, Depth Estimation from Image Structure); with a
camera above a floor it is most of what there is. DepthCLIP's own lower bound is a random answer, which is no rival.

Depths that are infinite in the training pictures (sky) are left out.

Legend: H height, W width, rows and columns of a grid laid over pictures of any size.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.results import DepthMap

GRID = 32  # ours: rows, and columns, into which training pictures are averaged


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The same depth everywhere."""

    metres: float

    def __post_init__(self) -> None:
        if not 0 < self.metres < np.inf:
            raise ValueError(f"wanted a depth above 0 metres, got {self.metres}")

    @classmethod
    def fit(cls, depths: Iterable[DepthMap]) -> "Constant":
        """Return the mean over all pixels of the training pictures."""
        sums, counts = _tally(depths, 1, 1, np.asarray)
        return cls(metres=float(sums[0, 0] / counts[0, 0]))

    def predict(self, size_hw: tuple[int, int]) -> DepthMap:
        """Return the depth map for a picture of this size."""
        return DepthMap(metres=np.full(size_hw, self.metres, np.float32))


@dataclass(frozen=True, kw_only=True, eq=False)
class MeanDepth:
    """The mean depth of the training pictures at each place."""

    metres: Float[np.ndarray, "rows columns"]

    @classmethod
    def fit(cls, depths: Iterable[DepthMap], *, rows: int = GRID, columns: int = GRID) -> "MeanDepth":
        """Average the training pictures on a grid; a place that none of them measured gets the mean of all."""
        sums, counts = _tally(depths, rows, columns, np.asarray)
        overall = sums.sum() / counts.sum()
        return cls(metres=np.where(counts > 0, sums / np.maximum(counts, 1), overall))

    def predict(self, size_hw: tuple[int, int]) -> DepthMap:
        """Return the depth map for a picture of this size."""
        y, x = (_places(size, cells) for size, cells in zip(size_hw, self.metres.shape, strict=True))
        return DepthMap(metres=self.metres[np.ix_(y, x)].astype(np.float32))


@dataclass(frozen=True, kw_only=True, eq=False)
class VerticalPosition:
    """Depth from nothing but the row of the picture: the mean logarithm of the training depths in that row."""

    log_metres: Float[np.ndarray, " rows"]

    @classmethod
    def fit(cls, depths: Iterable[DepthMap], *, rows: int = GRID) -> "VerticalPosition":
        """Average log depth in bands from top to bottom; a band without any is filled from its neighbours."""
        sums, counts = (part[:, 0] for part in _tally(depths, rows, 1, np.log))
        known = np.flatnonzero(counts)
        return cls(log_metres=np.interp(np.arange(rows), known, sums[known] / counts[known]))

    def predict(self, size_hw: tuple[int, int]) -> DepthMap:
        """Return the depth map for a picture of this size, linear in log depth between the bands' middles."""
        rows = len(self.log_metres)
        middles = (np.arange(rows) + 0.5) / rows
        column = np.exp(np.interp((np.arange(size_hw[0]) + 0.5) / size_hw[0], middles, self.log_metres))
        return DepthMap(metres=np.repeat(column[:, None], size_hw[1], 1).astype(np.float32))


Baseline = Constant | MeanDepth | VerticalPosition
BASELINES: dict[str, type[Baseline]] = {
    "constant": Constant,
    "mean depth": MeanDepth,
    "vertical position": VerticalPosition,
}


def _places(size: int, cells: int) -> np.ndarray:
    """Return the cell in which each pixel's middle lies, (size,) int."""
    return ((np.arange(size) + 0.5) / size * cells).astype(int)


def _tally(
    depths: Iterable[DepthMap], rows: int, columns: int, scale: Callable[[np.ndarray], np.ndarray]
) -> tuple[Float[np.ndarray, "rows columns"], Float[np.ndarray, "rows columns"]]:
    """Return the sum of scaled finite depths in each cell, and their number; ValueError where there are none."""
    sums, counts = np.zeros((rows, columns)), np.zeros((rows, columns))
    for depth in depths:
        height, width = depth.metres.shape
        cells = _places(height, rows)[:, None] * columns + _places(width, columns)
        finite = np.isfinite(depth.metres)
        values = scale(depth.metres[finite].astype(np.float64))
        sums += np.bincount(cells[finite], values, rows * columns).reshape(rows, columns)
        counts += np.bincount(cells[finite], minlength=rows * columns).reshape(rows, columns)
    if not counts.any():
        raise ValueError("wanted training pictures with a finite depth, got none")
    return sums, counts
