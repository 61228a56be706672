"""What each of ViLD's heads says of the same boxes, kept so that heads can be mixed without another forward pass.

Legend: R boxes, N words.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from core.detection.answer import Candidates
from core.detection.vild_scores import WEIGHT, ensemble

HEADS = ("ensemble", "vild", "text", "image", "crops")


@dataclass(frozen=True, kw_only=True, eq=False)
class VildParts:
    """R boxes with each head's probability of each of N words."""

    labels: tuple[str, ...]
    base: Bool[np.ndarray, " N"]  # which words were taught with boxes
    boxes_xyxy: Float[np.ndarray, "R 4"]  # pixels of the picture, end exclusive
    objectness: Float[np.ndarray, " R"]  # 0 to 1
    scores: Mapping[str, Float[np.ndarray, "R N"]]  # by head: text, image, vild, crops; those that were asked
    size_hw: tuple[int, int]
    background: Float[np.ndarray, " R"] | None = None  # the text head's probability that a box holds nothing

    def ensemble(self, weight: float = WEIGHT) -> Float[np.ndarray, "R N"]:
        """Mix text and image: the text head has `weight` for base words and the rest for all others."""
        text, image = (torch.from_numpy(self.of(head)) for head in ("text", "image"))
        return ensemble(text, image, torch.from_numpy(self.base), weight).numpy()

    def of(self, head: str, weight: float = WEIGHT) -> Float[np.ndarray, "R N"]:
        """Return one head's scores, or the mixture's; ValueError for a head that was not asked."""
        if head == "ensemble":
            return self.ensemble(weight)
        if head not in self.scores:
            raise ValueError(f"wanted one of {', '.join(self.scores)}, got {head!r}")
        return self.scores[head]

    def candidates(self, head: str, weight: float = WEIGHT) -> Candidates:
        """Return the boxes with one head's scores, or the mixture's."""
        return Candidates(
            labels=self.labels,
            boxes_xyxy=self.boxes_xyxy,
            scores=self.of(head, weight),
            size_hw=self.size_hw,
            objectness=self.objectness,
        )
