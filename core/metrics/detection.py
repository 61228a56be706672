"""How well boxes agree with the truth: COCO's average precision, and recall of boxes without names.

Definitions: Lin et al. 2014, Microsoft COCO, https://arxiv.org/abs/1405.0312, as pycocotools computes them: precision
at 101 recalls, at most 100 boxes a picture and label, each true box found by one box at most. Different from its
summary: there is no split by area, and a label without a true box is left out.

Legend: N pictures.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from core.results import Boxes

MOST_BOXES = 100  # a picture and label, COCO's
EVERY_AREA = [[0.0, 1e10]]  # cocoeval.py's own upper end
HALF, THREE_QUARTERS = 0, 5  # places of 0.50 and 0.75 among cocoeval.py's ten overlaps


def average_precision(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], labels: Sequence[str], *, most: int = MOST_BOXES
) -> dict[str, Any]:
    """Return ap (mean over overlaps 0.50 to 0.95), ap50, ap75, recall50 and, by label, ap_by_label and ap50_by_label.

    Boxes of other labels are not looked at. A label without a true box is in no figure; where none has one, means are
    NaN. Raises ValueError for no labels, no pictures, or unequal numbers of them.
    """
    _check(predictions, truths, labels)
    found = _evaluated(predictions, truths, tuple(dict.fromkeys(labels)), most)
    precision = found["precision"][:, :, :, 0, 0]  # (overlaps, recalls, labels)
    recall = found["recall"][:, :, 0, 0]  # (overlaps, labels)
    there = [(place, label) for place, label in enumerate(dict.fromkeys(labels)) if precision[0, 0, place] > -1]
    by_label = {label: float(precision[:, :, place].mean()) for place, label in there}
    by_label_50 = {label: float(precision[HALF, :, place].mean()) for place, label in there}
    return {
        "ap": mean_of(by_label),
        "ap50": mean_of(by_label_50),
        "ap75": mean_of({label: float(precision[THREE_QUARTERS, :, place].mean()) for place, label in there}),
        "recall50": mean_of({label: float(recall[HALF, place]) for place, label in there}),
        "ap_by_label": by_label,
        "ap50_by_label": by_label_50,
    }


def mean_of(by_label: Mapping[str, float], labels: Sequence[str] | None = None) -> float:
    """Return the mean over those of the labels that have a figure, or over all; NaN where none has."""
    found = [value for label, value in by_label.items() if labels is None or label in labels]
    return float(np.mean(found)) if found else float("nan")


def average_recall(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], *, most: int = MOST_BOXES, labels: Sequence[str] = ()
) -> dict[str, float]:
    """Return recall (mean over overlaps 0.50 to 0.95) and recall50 of the best `most` boxes a picture, names unread.

    With `labels`, only true boxes of these count. Means are NaN where there is no true box.
    """
    _check(predictions, truths, ["thing"])
    kept = [_without_names(truth, labels or truth.labels) for truth in truths]
    boxes = [_without_names(each, each.labels) for each in predictions]
    recall = _evaluated(boxes, kept, ("thing",), most)["recall"][:, 0, 0, 0]
    if recall[0] < 0:
        return {"recall": float("nan"), "recall50": float("nan")}
    return {"recall": float(recall.mean()), "recall50": float(recall[HALF])}


def _check(predictions: Sequence[Boxes], truths: Sequence[Boxes], labels: Sequence[str]) -> None:
    if not labels or not truths or len(predictions) != len(truths):
        counts = f"{len(predictions)} and {len(truths)} pictures, {len(labels)} labels"
        raise ValueError(f"wanted labels, and boxes and truth of the same pictures, got {counts}")


def _without_names(boxes: Boxes, labels: Sequence[str]) -> Boxes:
    kept = [place for place, label in enumerate(boxes.labels) if label in labels]
    return Boxes(
        boxes_xyxy=boxes.boxes_xyxy[kept],
        labels=("thing",) * len(kept),
        scores=boxes.scores[kept],
        size_hw=boxes.size_hw,
    )


def _evaluated(
    predictions: Sequence[Boxes], truths: Sequence[Boxes], labels: tuple[str, ...], most: int
) -> dict[str, Any]:
    """Return pycocotools' tables; its chatter goes nowhere."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(_indexed(truths, labels), _indexed(predictions, labels), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = EVERY_AREA, ["all"]
        evaluation.params.maxDets = [most]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


def _indexed(pictures: Sequence[Boxes], labels: tuple[str, ...]) -> COCO:
    """Return pictures in COCO's own form; ids begin at 1, because cocoeval.py takes 0 for 'not found'."""
    numbers = {label: number for number, label in enumerate(labels, 1)}
    annotations: list[dict[str, Any]] = []
    for picture, boxes in enumerate(pictures, 1):
        for (x0, y0, x1, y1), label, score in zip(
            boxes.boxes_xyxy.tolist(), boxes.labels, boxes.scores.tolist(), strict=True
        ):
            if label in numbers:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": picture,
                        "category_id": numbers[label],
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": (x1 - x0) * (y1 - y0),
                        "iscrowd": 0,
                        "score": score,
                    }
                )
    found = COCO()
    found.dataset = {
        "images": [{"id": number} for number in range(1, len(pictures) + 1)],
        "categories": [{"id": number, "name": label} for label, number in numbers.items()],
        "annotations": annotations,
    }
    found.createIndex()
    return found
