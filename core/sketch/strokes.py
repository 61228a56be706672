"""A sketch as a list of pen strokes: what CLIPasso and CLIPDraw answer with.

Legend: N strokes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int


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
