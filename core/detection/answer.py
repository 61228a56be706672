"""Boxes that may hold things with a score for every word, kept so that thresholds move without another forward pass.

Legend: R boxes, N words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torchvision.ops import batched_nms

from core.results import Boxes

THRESHOLD = 0.3  # a word's score from which a box is shown, where nobody says another
OVERLAP = 0.5  # intersection over union from which the lower of two boxes of one word goes
MOST = 100  # boxes of a picture, as COCO's evaluation counts them


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """R boxes and how well each of N words fits each; which of them are shown is decided later."""

    labels: tuple[str, ...]
    boxes_xyxy: Float[np.ndarray, "R 4"]  # float32, pixels of the picture, end exclusive
    scores: Float[np.ndarray, "R N"]  # float32, 0 to 1
    size_hw: tuple[int, int]
    objectness: Float[np.ndarray, " R"] | None = None  # 0 to 1, how much a box looks like any thing, where one is known

    def __post_init__(self) -> None:
        if not self.labels:
            raise ValueError("wanted at least one word, got none")
        wanted = (len(self.boxes_xyxy), len(self.labels))
        if self.boxes_xyxy.shape[1:] != (4,) or self.scores.shape != wanted:
            raise ValueError(f"wanted a score for each of {wanted} boxes and words, got {self.scores.shape}")
        if not np.isfinite(self.boxes_xyxy).all() or not np.isfinite(self.scores).all():
            raise ValueError("wanted finite boxes and scores, got NaN or infinity")

    def boxes(
        self,
        threshold: float | Sequence[float] = THRESHOLD,
        overlap: float = OVERLAP,
        most: int = MOST,
    ) -> Boxes:
        """Return the boxes of each word that score at least its threshold and overlap no better one of that word.

        `threshold` is one for all words or one for each. A box can be shown for several words.
        """
        limits = np.broadcast_to(np.asarray(threshold, np.float32), (len(self.labels),))
        rows, words = np.nonzero(self.scores >= limits)
        scores = torch.from_numpy(np.ascontiguousarray(self.scores[rows, words]))
        boxes = torch.from_numpy(np.ascontiguousarray(self.boxes_xyxy[rows]))
        kept = batched_nms(boxes, scores, torch.from_numpy(words), overlap)[:most].numpy()  # best first
        return Boxes(
            boxes_xyxy=self.boxes_xyxy[rows[kept]],
            labels=tuple(self.labels[word] for word in words[kept]),
            scores=self.scores[rows[kept], words[kept]],
            size_hw=self.size_hw,
        )

    def best(self) -> Float[np.ndarray, " N"]:
        """Return each word's best score anywhere in the picture; 0 where there is no box."""
        return self.scores.max(0, initial=0.0).astype(np.float32)
