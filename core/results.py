"""The answers that models, ground truth, metrics and pictures share.

Every type is frozen and checks itself when it is made, so that a wrong shape is found where it was born and not
in a picture three calls later. Arrays are NumPy, on the host, in the user's own pixels: x right, y down, (0, 0) the
corner of the first pixel, boxes xyxy with the end exclusive. Two answers are equal only when they are the same object,
because arrays have no single truth value. The Toybox hands out its truth in the same types.

Legend: N labels or boxes, H height, W width, T frames, P points.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

ScoreKind = Literal["softmax", "sigmoid"]


def _require(array: np.ndarray, name: str, dtype: type, shape: tuple[int | None, ...]) -> None:
    """Raise ValueError unless `array` has this dtype and shape; None in `shape` fits any length."""
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != np.dtype(dtype):
        raise ValueError(f"wanted {name} as {np.dtype(dtype).name} {shape}, got {array.dtype.name} {array.shape}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """How well each of N labels fits one picture; probabilities are derived, never stored.

    Keeping the cosines is what lets a temperature slider move without another forward pass.
    Softmax probabilities are over these labels only; sigmoid ones (SigLIP) are independent of each other.
    """

    labels: tuple[str, ...]
    cosines: np.ndarray  # (N,) float32
    logit_scale: float
    logit_bias: float = 0.0
    kind: ScoreKind = "softmax"

    def __post_init__(self) -> None:
        _require(self.cosines, "cosines", np.float32, (len(self.labels),))
        if not self.labels:
            raise ValueError("wanted at least one label, got none")
        if not np.isfinite(self.cosines).all():
            raise ValueError("wanted finite cosines, got NaN or infinity")

    def logits(self, temperature: float = 1.0) -> np.ndarray:
        """Return (scale * cosine + bias) / temperature, (N,) float32."""
        if temperature <= 0:
            raise ValueError(f"wanted a temperature above 0, got {temperature}")
        return ((self.logit_scale * self.cosines + self.logit_bias) / temperature).astype(np.float32)

    def probabilities(self, temperature: float = 1.0) -> np.ndarray:
        """Return softmax or sigmoid of the logits, (N,) float32."""
        logits = self.logits(temperature).astype(np.float64)
        if self.kind == "sigmoid":
            return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
        weights = np.exp(logits - logits.max())
        return (weights / weights.sum()).astype(np.float32)

    def order(self) -> np.ndarray:
        """Return label indices from best to worst, (N,) int; equal scores keep their order."""
        return np.argsort(-self.cosines, kind="stable")

    @property
    def best(self) -> str:
        """The label with the highest cosine."""
        return self.labels[int(self.order()[0])]


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelMap:
    """One label index for each pixel; -1 is background or 'nothing here'."""

    ids: np.ndarray  # (H, W) int32, values -1 .. len(labels) - 1
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        _require(self.ids, "ids", np.int32, (None, None))
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
        _require(self.boxes_xyxy, "boxes_xyxy", np.float32, (count, 4))
        _require(self.scores, "scores", np.float32, (count,))
        x0, y0, x1, y1 = self.boxes_xyxy.T
        if count and not ((x0 <= x1).all() and (y0 <= y1).all()):
            raise ValueError("wanted x0 <= x1 and y0 <= y1 in every box")


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthMap:
    """Distance along the optical axis for each pixel, in metres; infinity where nothing was hit."""

    metres: np.ndarray  # (H, W) float32

    def __post_init__(self) -> None:
        _require(self.metres, "metres", np.float32, (None, None))
        if np.isnan(self.metres).any() or (self.metres <= 0).any():
            raise ValueError("wanted depths above 0, got NaN, zero or negative ones")


@dataclass(frozen=True, kw_only=True, eq=False)
class Cloud:
    """P points in metres, with a colour each where one is known."""

    points: np.ndarray  # (P, 3) float32
    colors: np.ndarray | None = None  # (P, 3) uint8, sRGB

    def __post_init__(self) -> None:
        _require(self.points, "points", np.float32, (None, 3))
        if not np.isfinite(self.points).all():
            raise ValueError("wanted finite points, got NaN or infinity")
        if self.colors is not None:
            _require(self.colors, "colors", np.uint8, (len(self.points), 3))


@dataclass(frozen=True, kw_only=True, eq=False)
class Film:
    """T frames of a clip with the second at which each is shown."""

    frames: np.ndarray  # (T, H, W, 3) uint8 RGB
    seconds: np.ndarray  # (T,) float32, increasing

    def __post_init__(self) -> None:
        _require(self.frames, "frames", np.uint8, (None, None, None, 3))
        _require(self.seconds, "seconds", np.float32, (len(self.frames),))
        if (np.diff(self.seconds) <= 0).any():
            raise ValueError("wanted increasing seconds")


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatMap:
    """How much each pixel spoke for one label; the scale is the method's own (say which where you show it)."""

    values: np.ndarray  # (H, W) float32, finite
    label: str

    def __post_init__(self) -> None:
        _require(self.values, "values", np.float32, (None, None))
        if not np.isfinite(self.values).all():
            raise ValueError("wanted finite values, got NaN or infinity")


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMatrix:
    """N pictures against M captions, as in Figure 1 of the CLIP paper."""

    cosines: np.ndarray  # (N, M) float32
    captions: tuple[str, ...]
    logit_scale: float
    logit_bias: float = 0.0
    loss: float | None = None  # symmetric contrastive loss of the batch; None unless N == M

    def __post_init__(self) -> None:
        _require(self.cosines, "cosines", np.float32, (None, len(self.captions)))

    def logits(self) -> np.ndarray:
        """Return scale * cosine + bias, (N, M) float32."""
        return (self.logit_scale * self.cosines + self.logit_bias).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cost:
    """What one answer cost, and who may use it."""

    milliseconds: float
    device: str
    model: str
    licence: str


def unique_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels stripped, without empty ones, each once, in first-seen order."""
    return tuple(dict.fromkeys(text for label in labels if (text := " ".join(label.split()))))
