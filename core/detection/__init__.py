"""Detection and grounding from words: where in a picture the things are that a class list or a sentence names."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from core.detection.answer import Candidates


class DetectsWords(Protocol):
    """What every detector that is asked in words can do."""

    def detect(self, image: UInt8[np.ndarray, "H W 3"], words: Sequence[str]) -> Candidates:
        """Find places that may hold things and score every word at each of them."""
        ...
