"""Segmentation from words: which of these words, never trained as classes, each pixel of a picture shows."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from core.segmentation.answer import WordMaps


class SegmentsWords(Protocol):
    """What every segmenter that is asked in words can do."""

    def segment(self, image: UInt8[np.ndarray, "H W 3"], words: Sequence[str]) -> WordMaps:
        """Score every word at every place of a picture."""
        ...
