"""How well each word fits each place of a picture, kept so that a threshold can move without another forward pass.

Legend: N words, H W the picture, h w the grid of places, whose corners lie on the picture's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from core.results import LabelMap, stretch

BAND = 16_000_000  # scores stretched at a time: 64 MB


@dataclass(frozen=True, kw_only=True, eq=False)
class WordMaps:
    """The logit of every word at every place; labels, probabilities and shares of the picture are derived."""

    words: tuple[str, ...]
    logits: Float[np.ndarray, "N h w"]  # float32; softmax over the words gives probabilities
    size_hw: tuple[int, int]
    before: Float[np.ndarray, "N h w"] | None = None  # logits before a step that can be shown, where there is one

    def __post_init__(self) -> None:
        if not self.words or len(self.words) != len(self.logits):
            raise ValueError(f"wanted a map for each of at least one word, got {len(self.logits)} of {len(self.words)}")
        if not np.isfinite(self.logits).all():
            raise ValueError("wanted finite logits, got NaN or infinity")

    def label_map(self, threshold: float = 0.0) -> LabelMap:
        """Return the best word of each pixel; -1 where its probability is below the threshold.

        Of words that score the same (the same word twice), the first gets the pixel.
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"wanted a threshold from 0 to 1, got {threshold}")
        ids = np.empty(self.size_hw, np.int32)
        for rows, scores in self._bands():
            best = scores.argmax(0)
            if threshold > 0:
                top = scores.max(0)
                best = np.where(1 / np.exp(scores - top).sum(0) < threshold, -1, best)
            ids[rows] = best
        return LabelMap(ids=ids, labels=self.words)

    def shares(self, threshold: float = 0.0) -> Float[np.ndarray, " N"]:
        """Return the share of the picture's pixels that each word has, 0 to 1; what is missing to 1 has no word."""
        ids = self.label_map(threshold).ids
        return np.bincount(ids[ids >= 0], minlength=len(self.words)) / max(1, ids.size)

    def logits_at(self, x: int, y: int) -> Float[np.ndarray, " N"]:
        """Return every word's logit at one pixel; ValueError outside the picture."""
        height, width = self.size_hw
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"wanted a pixel inside {width} x {height}, got x = {x}, y = {y}")
        return np.array([_at(grid, self.size_hw, x, y) for grid in self.logits], np.float32)

    def probabilities_at(self, x: int, y: int) -> Float[np.ndarray, " N"]:
        """Return every word's probability at one pixel, over these words only."""
        logits = self.logits_at(x, y).astype(np.float64)
        weights = np.exp(logits - logits.max())
        return (weights / weights.sum()).astype(np.float32)

    def word_map(self, index: int, *, before: bool = False) -> Float[np.ndarray, "H W"]:
        """Return one word's logit at every pixel, or what it was before the step that `before` holds."""
        maps = self.before if before else self.logits
        if maps is None:
            raise ValueError("This answer has no maps from before: nothing was done to them.")
        return stretch(maps[index], self.size_hw).astype(np.float32)

    def _bands(self) -> Iterator[tuple[slice, Float[np.ndarray, "N rows W"]]]:
        """Yield the stretched logits of a few rows of the picture at a time."""
        height, width = self.size_hw
        up, across = (_weights(size, places) for size, places in zip(self.size_hw, self.logits.shape[1:], strict=True))
        at_once = max(1, BAND // (len(self.words) * width))
        for start in range(0, height, at_once):
            rows = slice(start, min(start + at_once, height))
            yield rows, up[rows] @ self.logits @ across.T


def clean_words(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words without needless spaces and without empty ones, in their order, twice where they stand twice.

    Raises ValueError where none is left.
    """
    kept = tuple(text for word in words if (text := " ".join(word.split())))
    if not kept:
        raise ValueError("Write at least one word.")
    return kept


def _weights(size: int, places: int) -> Float[np.ndarray, "size places"]:
    """Return the weight of each place for each pixel along one side: each column is one place, stretched."""
    return stretch(np.eye(places), (size, places)).astype(np.float32)


def _at(grid: Float[np.ndarray, "h w"], size_hw: tuple[int, int], x: int, y: int) -> float:
    """Return a grid's stretched value at one pixel."""
    (top, below, down), (left, right, along) = (
        _neighbours(pixel, size, places) for pixel, size, places in zip((y, x), size_hw, grid.shape, strict=True)
    )
    upper = grid[top, left] * (1 - along) + grid[top, right] * along
    lower = grid[below, left] * (1 - along) + grid[below, right] * along
    return float(upper * (1 - down) + lower * down)


def _neighbours(pixel: int, size: int, places: int) -> tuple[int, int, float]:
    """Return the places before and after a pixel, and how far it is on its way from one to the other."""
    middle = pixel * (places - 1) / max(1, size - 1)
    first = min(int(middle), places - 1)
    return first, min(first + 1, places - 1), middle - first
