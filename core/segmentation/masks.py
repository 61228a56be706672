"""Masks that belong to no words yet, and the same masks with words: what a promptable segmenter answers.

Masks may overlap: a part and its whole are both answers. Where one label for each pixel is wanted, smaller masks are
painted over larger ones.

Legend: M masks, H height, W width, s side of a mask as the network gives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from core.results import Boxes, LabelMap, Ranking
from core.segmentation.prompts import mask_box, paint_order


@dataclass(frozen=True, kw_only=True, eq=False)
class MaskSet:
    """M masks of one picture, best first, with what the network thinks of each."""

    masks: np.ndarray  # (M, H, W) bool
    predicted_iou: np.ndarray  # (M,) float32, what the network expects its IoU to be; may leave 0 .. 1
    stability: np.ndarray  # (M,) float32, IoU of the mask cut a little higher with the one cut a little lower
    logits: np.ndarray | None = None  # (M, s, s) float32, to cut elsewhere or to go on from; None for everything

    def __post_init__(self) -> None:
        count = len(self.masks)
        if self.masks.ndim != 3 or self.masks.dtype != np.bool_:
            raise ValueError(f"wanted masks as bool (M, H, W), got {self.masks.dtype} {self.masks.shape}")
        for name in ("predicted_iou", "stability"):
            values = getattr(self, name)
            if values.shape != (count,) or not np.isfinite(values).all():
                raise ValueError(f"wanted a finite {name} for each of {count} masks, got {values.shape}")
        if self.logits is not None and len(self.logits) != count:
            raise ValueError(f"wanted logits for each of {count} masks, got {len(self.logits)}")

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def best(self) -> Bool[np.ndarray, "H W"]:
        """The mask with the highest predicted IoU; ValueError where there is none."""
        if not len(self):
            raise ValueError("There is no mask: nothing was found.")
        return self.masks[int(self.predicted_iou.argmax())]

    def chosen(self, indices: Sequence[int]) -> "MaskSet":
        """Return some of the masks, in this order."""
        places = np.asarray(indices, dtype=int)
        return MaskSet(
            masks=self.masks[places],
            predicted_iou=self.predicted_iou[places],
            stability=self.stability[places],
            logits=None if self.logits is None else self.logits[places],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledMasks:
    """Masks with a ranking of words each; thresholds move without another forward pass.

    `labels` are the words asked for; a ranking may hold more, and a mask that one of those wins has no label.
    """

    masks: MaskSet
    rankings: tuple[Ranking, ...]
    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.rankings) != len(self.masks):
            raise ValueError(f"wanted a ranking for each of {len(self.masks)} masks, got {len(self.rankings)}")
        if any(ranking.labels[: len(self.labels)] != self.labels for ranking in self.rankings):
            raise ValueError("wanted every ranking to begin with the labels")

    def winners(self, least: float = 0.0, temperature: float = 1.0) -> tuple[np.ndarray, Float[np.ndarray, " M"]]:
        """Return each mask's label, -1 where another word wins or its probability is below `least`, and probability."""
        shares = np.array([ranking.probabilities(temperature) for ranking in self.rankings], np.float32)
        if not len(shares):
            return np.empty(0, np.int32), np.empty(0, np.float32)
        first, best = shares.argmax(1), shares.max(1)
        kept = (first < len(self.labels)) & (best >= least)
        return np.where(kept, first, -1).astype(np.int32), best

    def label_map(self, least: float = 0.0, temperature: float = 1.0) -> LabelMap:
        """Return one label for each pixel, smaller masks over larger ones; -1 where no labelled mask lies."""
        winners, _ = self.winners(least, temperature)
        ids = np.full(self.masks.masks.shape[1:], -1, np.int32)
        for place in paint_order(self.masks.masks):
            if winners[place] >= 0:
                ids[self.masks.masks[place]] = winners[place]
        return LabelMap(ids=ids, labels=self.labels)

    def boxes(self, least: float = 0.0, temperature: float = 1.0) -> Boxes:
        """Return the labelled masks' boxes with their labels' probabilities, best first."""
        winners, shares = self.winners(least, temperature)
        order = [place for place in np.argsort(-shares, kind="stable") if winners[place] >= 0]
        return Boxes(
            boxes_xyxy=np.array([mask_box(self.masks.masks[i]) for i in order], np.float32).reshape(-1, 4),
            labels=tuple(self.labels[winners[i]] for i in order),
            scores=shares[order],
            size_hw=self.masks.masks.shape[1:],
        )
