"""Where in a picture or in space something is: labels, boxes, heat, points, strokes.

Legend: N boxes or strokes, H height, W width, P points, S places along a stroke.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from core.results.checks import require


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelMap:
    """One label index for each pixel; -1 is background or 'nothing here'."""

    ids: np.ndarray  # (H, W) int32, values -1 .. len(labels) - 1
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        require(self.ids, "ids", np.int32, (None, None))
        if self.ids.size and (self.ids.min() < -1 or self.ids.max() >= len(self.labels)):
            raise ValueError(f"wanted ids from -1 to {len(self.labels) - 1}, got {self.ids.min()} to {self.ids.max()}")

    def mask(self, index: int) -> np.ndarray:
        """Return the pixels of one label, (H, W) bool."""
        return self.ids == index


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """N labelled boxes in the pixels of one picture, best first where they carry scores."""

    boxes_xyxy: np.ndarray  # (N, 4) float32, pixels, end exclusive
    labels: tuple[str, ...]
    scores: np.ndarray  # (N,) float32; 1 for ground truth
    size_hw: tuple[int, int]

    def __post_init__(self) -> None:
        count = len(self.labels)
        require(self.boxes_xyxy, "boxes_xyxy", np.float32, (count, 4))
        require(self.scores, "scores", np.float32, (count,))
        x0, y0, x1, y1 = self.boxes_xyxy.T
        if count and not ((x0 <= x1).all() and (y0 <= y1).all()):
            raise ValueError("wanted x0 <= x1 and y0 <= y1 in every box")


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatMap:
    """How much each pixel spoke for one label; the scale is the method's own (say which where you show it)."""

    values: np.ndarray  # (H, W) float32, finite
    label: str

    def __post_init__(self) -> None:
        require(self.values, "values", np.float32, (None, None))
        if not np.isfinite(self.values).all():
            raise ValueError("wanted finite values, got NaN or infinity")


@dataclass(frozen=True, kw_only=True, eq=False)
class Cloud:
    """P points in metres, with a colour each where one is known."""

    points: np.ndarray  # (P, 3) float32
    colors: np.ndarray | None = None  # (P, 3) uint8, sRGB

    def __post_init__(self) -> None:
        require(self.points, "points", np.float32, (None, 3))
        if not np.isfinite(self.points).all():
            raise ValueError("wanted finite points, got NaN or infinity")
        if self.colors is not None:
            require(self.colors, "colors", np.uint8, (len(self.points), 3))


@dataclass(frozen=True, kw_only=True, eq=False)
class Strokes:
    """N cubic Bezier strokes with round caps on white paper, the first at the bottom.

    Coordinates are pixels of the canvas, x right, y down; points may lie outside it.
    """

    points: np.ndarray  # (N, 4, 2) float32, x and y of the control points
    widths: np.ndarray  # (N,) float32, the whole visible width in pixels, not half of it
    colors: np.ndarray  # (N, 4) float32, red, green, blue and opacity, 0 to 1
    size_hw: tuple[int, int]  # of the canvas

    def __post_init__(self) -> None:
        count = len(self.points)
        for name, shape in (("points", (count, 4, 2)), ("widths", (count,)), ("colors", (count, 4))):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"wanted {name} as float32 {shape}, got {array.dtype.name} {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"wanted finite {name}, got NaN or infinity")
        if (self.widths < 0).any():
            raise ValueError("wanted widths of at least 0, got a negative one")
        if (self.colors < 0).any() or (self.colors > 1).any():
            raise ValueError("wanted colours from 0 to 1")
        if min(self.size_hw) < 1:
            raise ValueError(f"wanted a canvas of at least one pixel, got {self.size_hw}")

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def black(cls, points: Float[np.ndarray, "N 4 2"], width: float, size_hw: tuple[int, int]) -> "Strokes":
        """Return opaque black strokes of one width."""
        count = len(points)
        return cls(
            points=np.ascontiguousarray(points, np.float32),
            widths=np.full(count, width, np.float32),
            colors=np.tile(np.array([0, 0, 0, 1], np.float32), (count, 1)),
            size_hw=size_hw,
        )

    def chosen(self, which: Int[np.ndarray, " n"] | Sequence[int]) -> "Strokes":
        """Return these strokes, in this order."""
        index = np.asarray(which, dtype=int)
        return replace(self, points=self.points[index], widths=self.widths[index], colors=self.colors[index])

    def with_pen(self, *, width_factor: float = 1.0, color: tuple[float, float, float] | None = None) -> "Strokes":
        """Return the same lines drawn with a thicker or thinner pen, or in one colour; opacities stay."""
        if not width_factor > 0:
            raise ValueError(f"wanted a factor above 0, got {width_factor}")
        colors = self.colors.copy()
        if color is not None:
            colors[:, :3] = color
        return replace(self, widths=(self.widths * width_factor).astype(np.float32), colors=colors)

    def along(self, samples: int = 24) -> Float[np.ndarray, "N S 2"]:
        """Return points along each stroke, evenly spaced in the curve's parameter, both ends included."""
        t = np.linspace(0, 1, samples, dtype=np.float32)
        weights = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)  # (S, 4)
        return np.einsum("sk,nkc->nsc", weights, self.points)
