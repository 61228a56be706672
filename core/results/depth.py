"""Distances, and the answer they are the mean of.

Legend: H height, W width, V views of one thing, K distance words on an h x w grid.
"""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from jaxtyping import Float

from core.results.checks import require


@dataclass(frozen=True, kw_only=True, eq=False)
class DepthMap:
    """Distance along the optical axis for each pixel, in metres; infinity where nothing was hit."""

    metres: np.ndarray  # (H, W) float32

    def __post_init__(self) -> None:
        require(self.metres, "metres", np.float32, (None, None))
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
        require(self.logits, "logits", np.float32, (None, len(self.words), None, None))
        require(self.responses, "responses", np.float32, self.logits.shape[1:])
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
