"""Action recognition: which of these words names what happens in a clip."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from core.action.scores import ClipFeatures, TemplateScores


class ActionClassifier(Protocol):
    """What every action classifier can do."""

    def clip_features(self, frames: UInt8[np.ndarray, "T H W 3"]) -> ClipFeatures:
        """Look at a clip once; what is kept can be scored in any order, against any labels."""
        ...

    def score(
        self, features: ClipFeatures, labels: Sequence[str], *, templates: Sequence[str], head: str | None = None
    ) -> TemplateScores:
        """Score each label in each template against a clip that was looked at."""
        ...
