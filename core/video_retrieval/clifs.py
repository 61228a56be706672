"""clifs as released: its patches, its search and its threshold, to compare with and to show what goes wrong.

Software: johanmodin/clifs at 91041a9 (Apache-2.0), https://github.com/johanmodin/clifs, search/app/clifs.py. Its
patches are kept here; its search fails on an index of fewer than 100 features a result, this one does not.

Legend: N features, D embedding size, K patches or results.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

PATCH_PIXELS = 360  # .env: 360 pixels, half of it apart
RESULTS = 9
THRESHOLD = 37.0  # of 100 * cosine, for RN50x4 alone
CANDIDATES = 100  # looked at for each result


@dataclass(frozen=True, kw_only=True)
class PatchSettings:
    """Squares that overlap, cut from every frame, in the frame's own pixels."""

    side: int = PATCH_PIXELS
    step: int = PATCH_PIXELS // 2


def released_patches(size_hw: tuple[int, int], settings: PatchSettings = PatchSettings()) -> Int[np.ndarray, "K 4"]:
    """Return the squares that fit, row by row, xyxy; what remains at the right and the bottom is left out."""
    height, width = size_hw
    if min(size_hw) < settings.side:
        raise ValueError(f"wanted a frame of at least {settings.side} pixels, got {height} x {width}")
    return _boxes(
        np.arange(0, height - settings.side + 1, settings.step),
        np.arange(0, width - settings.side + 1, settings.step),
        settings.side,
    )


def covering_patches(size_hw: tuple[int, int], settings: PatchSettings = PatchSettings()) -> Int[np.ndarray, "K 4"]:
    """Return the released squares and those that reach the right and bottom edges, in frames of any size.

    In a frame less than twice as high or wide as a square, the squares shrink to half of its shorter side.
    """
    half = max(1, min(size_hw) // 2)
    side = min(settings.side, half)
    step = max(1, settings.step * side // settings.side)
    tops, lefts = (_places(length, side, step) for length in size_hw)
    return _boxes(tops, lefts, side)


def released_search(
    features: Float[np.ndarray, "N D"],
    query: Float[np.ndarray, " D"],
    videos: Int[np.ndarray, " N"],
    frames: Int[np.ndarray, " N"],
    *,
    results: int = RESULTS,
    threshold: float = THRESHOLD,
) -> tuple[Int[np.ndarray, " K"], Float[np.ndarray, " N"]]:
    """Return the features that answer, best first and one a frame, and 100 * cosine of all."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    scores = 100 * (unit @ (query / np.linalg.norm(query)))
    found: dict[tuple[int, int], int] = {}
    for place in np.argsort(-scores, kind="stable")[: results * CANDIDATES]:
        if scores[place] < threshold or len(found) == results:
            break
        found.setdefault((int(videos[place]), int(frames[place])), int(place))
    return np.array(list(found.values()), dtype=int), scores.astype(np.float32)


def _places(length: int, side: int, step: int) -> Int[np.ndarray, " K"]:
    return np.unique(np.append(np.arange(0, length - side + 1, step), length - side))


def _boxes(tops: Int[np.ndarray, " R"], lefts: Int[np.ndarray, " C"], side: int) -> Int[np.ndarray, "K 4"]:
    y, x = (axis.ravel() for axis in np.meshgrid(tops, lefts, indexing="ij"))
    return np.stack([x, y, x + side, y + side], axis=1)
