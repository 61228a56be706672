"""How well label maps agree with the truth: intersection over union, counted over all pictures, and with an oracle.

Mean IoU as PASCAL VOC has it (Everingham et al. 2015, Sec. 4.2.3, https://doi.org/10.1007/s11263-014-0733-5): pixels of
all pictures are pooled before the ratio is taken, and a label that neither truth nor prediction holds does not count.
Pixels whose truth is IGNORED are in no count; a prediction of -1 is wrong wherever a label was wanted.

Legend: N labels, H height, W width, G groups, M masks.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from core.results import LabelMap

IGNORED = -1


class Confusion:
    """Pixels counted by true and predicted label, over as many pictures as are added."""

    def __init__(self, labels: int) -> None:
        """Start with nothing counted; ValueError for no labels."""
        if labels < 1:
            raise ValueError(f"wanted at least one label, got {labels}")
        self.counts = np.zeros((labels, labels + 1), np.int64)  # the last column: predicted as nothing

    def add(self, prediction: Int[np.ndarray, "_ _"], truth: Int[np.ndarray, "_ _"]) -> None:
        """Count one picture; ValueError where shapes differ or an index is out of range."""
        labels = len(self.counts)
        if prediction.shape != truth.shape:
            raise ValueError(f"wanted a prediction of the truth's shape {truth.shape}, got {prediction.shape}")
        for name, ids in (("prediction", prediction), ("truth", truth)):
            if ids.size and not (ids.min() >= -1 and ids.max() < labels):
                raise ValueError(f"wanted a {name} from -1 to {labels - 1}, got {ids.min()} to {ids.max()}")
        kept = truth != IGNORED
        guess = np.where(prediction[kept] < 0, labels, prediction[kept]).astype(np.int64)
        pairs = truth[kept].astype(np.int64) * (labels + 1) + guess
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)

    def iou(self) -> Float[np.ndarray, " N"]:
        """Return each label's intersection over union, NaN where neither truth nor prediction holds it."""
        square = self.counts[:, :-1]
        both = np.diag(square).astype(np.float64)
        union = self.counts.sum(1) + square.sum(0) - both
        return np.divide(both, union, out=np.full(len(both), np.nan), where=union > 0)

    def mean_iou(self, indices: Sequence[int] | None = None) -> float:
        """Return the mean over the labels, or over some, that occur; NaN where none does."""
        found = self.iou() if indices is None else self.iou()[list(indices)]
        found = found[~np.isnan(found)]
        return float(found.mean()) if len(found) else float("nan")

    def accuracy(self) -> float:
        """Return the share of counted pixels whose label is right; NaN where none was counted."""
        total = self.counts.sum()
        return float(np.trace(self.counts[:, :-1]) / total) if total else float("nan")


def label_ious(prediction: LabelMap, truth: LabelMap) -> dict[str, float]:
    """Return the IoU of each word of the truth on one picture; words pair by name, one not predicted has 0.

    A word that has no pixel in either map is left out.
    """
    if prediction.ids.shape != truth.ids.shape:
        raise ValueError(f"wanted a prediction of the truth's shape {truth.ids.shape}, got {prediction.ids.shape}")
    found = {}
    for index, word in enumerate(truth.labels):
        wanted = truth.ids == index
        same = [number for number, other in enumerate(prediction.labels) if other == word]
        given = np.isin(prediction.ids, same)
        union = int((wanted | given).sum())
        if union:
            found[word] = int((wanted & given).sum()) / union
    return found


def oracle_labels(groups: Int[np.ndarray, "H W"], truth: Int[np.ndarray, "H W"]) -> Int[np.ndarray, "H W"]:
    """Give each group of pixels the true label that most of its pixels have: grouping without recognition.

    Pixels whose truth is IGNORED have no vote; a group of such pixels alone, and pixels in no group, get -1.
    """
    if groups.shape != truth.shape:
        raise ValueError(f"wanted groups of the truth's shape {truth.shape}, got {groups.shape}")
    labels = int(truth.max(initial=0)) + 1
    found = np.full(groups.shape, IGNORED, np.int32)
    for group in np.unique(groups[groups >= 0]):
        inside = groups == group
        votes = np.bincount(truth[inside & (truth != IGNORED)], minlength=labels)
        if votes.any():
            found[inside] = int(votes.argmax())
    return found


def pooled_iou(pairs: Iterable[tuple[Bool[np.ndarray, "_ _"], Bool[np.ndarray, "_ _"]]]) -> float | None:
    """Return the IoU of masks, given and true, over the pictures whose truth shows anything; None where none does."""
    both = either = 0
    for given, truth in pairs:
        if truth.any():
            both, either = both + int((truth & given).sum()), either + int((truth | given).sum())
    return both / either if either else None


def main_groups(masks: Sequence[Bool[np.ndarray, "H W"]], groups: Int[np.ndarray, "H W"]) -> list[int]:
    """Return the group of most pixels of each mask, none of which may be empty."""
    return [int(np.bincount(groups[mask]).argmax()) for mask in masks]


def apart(masks: Sequence[Bool[np.ndarray, "H W"]], groups: Int[np.ndarray, "H W"]) -> float:
    """Return the share of the masks whose main group is no other mask's, nor that of what is in no mask."""
    if not len(masks):
        return 0.0
    mine, behind = main_groups(masks, groups), groups[~np.any(masks, axis=0)]
    taken = {int(np.bincount(behind).argmax())} if len(behind) else set()
    return sum(mine.count(group) == 1 and group not in taken for group in mine) / len(mine)
