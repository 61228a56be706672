"""The answers that models, ground truth, metrics and pictures share.

Every type is frozen and checks itself when it is made, so that a wrong shape is found where it was born and not
in a picture three calls later. Arrays are NumPy, on the host, in the user's own pixels: x right, y down, (0, 0) the
corner of the first pixel, boxes xyxy with the end exclusive. Two answers are equal only when they are the same object,
because arrays have no single truth value. The Toybox hands out its truth in the same types.

Legend: N labels or boxes, H height, W width, T frames, P points,
V views of one thing, K distance words on an h x w grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from jaxtyping import Float

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
class ViewScores:
    """How well each of L labels fits each of V views; weights can change without another forward pass.

    After an adapter the entries are not cosines but each view's part in one: their mean over the views is it.
    """

    labels: tuple[str, ...]
    cosines: np.ndarray  # (V, L) float32
    logit_scale: float

    def __post_init__(self) -> None:
        _require(self.cosines, "cosines", np.float32, (None, len(self.labels)))
        if not self.cosines.size:
            raise ValueError("wanted at least one view and one label, got none")
        if not np.isfinite(self.cosines).all():
            raise ValueError("wanted finite cosines, got NaN or infinity")

    def ranking(self, view_weights: Sequence[float] | np.ndarray | None = None) -> Ranking:
        """Add the views up: the ranking's cosines are weighted means, its logits the released score."""
        views = len(self.cosines)
        weights = np.ones(views) if view_weights is None else np.asarray(view_weights, np.float64)
        if weights.shape != (views,) or not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
            raise ValueError(f"wanted {views} view weights of at least 0, not all 0, got {weights.tolist()}")
        return Ranking(
            labels=self.labels,
            cosines=(weights @ self.cosines / weights.sum()).astype(np.float32),
            logit_scale=float(self.logit_scale * weights.sum() / np.sqrt(views)),
        )


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
class DepthAnswer:
    """A depth map with what it was made from, so that bins and temperature can move without another forward pass."""

    depth: DepthMap  # at the picture's size
    responses: np.ndarray  # (K, h, w) float32, probabilities over the words at each place, mean of the views
    words: tuple[str, ...]
    bins_metres: tuple[float, ...]
    temperature: float
    logits: np.ndarray  # (V, K, h, w) float32, scaled products before the temperature, the mirror image turned back

    def __post_init__(self) -> None:
        check_bins(self.words, self.bins_metres, self.temperature)
        _require(self.logits, "logits", np.float32, (None, len(self.words), None, None))
        _require(self.responses, "responses", np.float32, self.logits.shape[1:])
        if not np.isfinite(self.logits).all():
            raise ValueError("wanted finite logits, got NaN or infinity")
        if (self.responses < 0).any() or not np.allclose(self.responses.sum(0), 1, atol=1e-4):
            raise ValueError("wanted responses that sum to 1 over the words")

    @classmethod
    def from_logits(
        cls,
        logits: Float[np.ndarray, "V K h w"],
        words: tuple[str, ...],
        bins_metres: tuple[float, ...],
        temperature: float,
        size_hw: tuple[int, int],
    ) -> "DepthAnswer":
        """Return the expected depth of a softmax over the words, stretched over a picture of `size_hw`."""
        check_bins(words, bins_metres, temperature)
        heights = (logits / np.float32(temperature)).astype(np.float64)
        weights = np.exp(heights - heights.max(1, keepdims=True))
        responses = (weights / weights.sum(1, keepdims=True)).mean(0).astype(np.float32)
        metres = stretch(np.tensordot(bins_metres, responses, 1), size_hw)
        return cls(
            depth=DepthMap(metres=metres.astype(np.float32)),
            responses=responses,
            words=words,
            bins_metres=bins_metres,
            temperature=temperature,
            logits=logits,
        )

    def with_bins(self, bins_metres: tuple[float, ...], temperature: float) -> "DepthAnswer":
        """Return the answer that other bins and another temperature would have given."""
        return self.from_logits(self.logits, self.words, bins_metres, temperature, self.depth.metres.shape)

    def bin_distribution(self, x: int, y: int) -> Float[np.ndarray, " K"]:
        """Return the probability of each bin at one pixel; the depth there is the bins' mean under it."""
        height, width = self.depth.metres.shape
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"wanted a pixel inside {width} x {height}, got x = {x}, y = {y}")
        _, rows, columns = self.responses.shape
        return (_hats(height, rows)[y] @ self.responses @ _hats(width, columns)[x]).astype(np.float32)


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


def check_bins(words: tuple[str, ...], bins_metres: tuple[float, ...], temperature: float) -> None:
    """Raise ValueError unless there are at least two distance words, a bin above 0 m for each and a temperature."""
    if len(words) < 2 or len(words) != len(bins_metres):
        raise ValueError(f"wanted at least 2 words and a bin for each, got {len(words)} and {len(bins_metres)}")
    if not all(isfinite(metres) and metres > 0 for metres in bins_metres):
        raise ValueError(f"wanted every bin above 0 metres, got {bins_metres}")
    if not temperature > 0:
        raise ValueError(f"wanted a temperature above 0, got {temperature}")


def stretch(grid: Float[np.ndarray, "h w"], size_hw: tuple[int, int]) -> Float[np.ndarray, "H W"]:
    """Stretch a grid bilinearly, the middles of its outer places on the outer pixels (align_corners)."""
    rows, columns = (_hats(size, places) for size, places in zip(size_hw, grid.shape, strict=True))
    return rows @ grid @ columns.T


def _hats(size: int, places: int) -> Float[np.ndarray, "size places"]:
    """Return the weight of each place for each pixel along one side."""
    middles = np.arange(size) * ((places - 1) / max(1, size - 1))
    return np.maximum(0.0, 1 - np.abs(middles[:, None] - np.arange(places)))


def unique_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels stripped, without empty ones, each once, in first-seen order."""
    return tuple(dict.fromkeys(text for label in labels if (text := " ".join(label.split()))))
