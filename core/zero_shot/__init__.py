"""Zero-shot classification: which of these words, never trained as classes, fits this picture best."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from core.results import Ranking


class ZeroShot(Protocol):
    """What every zero-shot classifier can do."""

    def rank(self, image: UInt8[np.ndarray, "H W 3"], labels: Sequence[str], *, templates: Sequence[str]) -> Ranking:
        """Score each label against a picture."""
        ...
