"""Boxes as the contents of files: COCO's detection layout, a table, and YOLO's lines.

Formats: https://cocodataset.org/#format-data, categories and annotations counted from 1; YOLO's, as Darknet and its
successors read it, a line each with the label's index from 0 and the box's centre, width and height as shares of the
picture. Boxes are cut to the picture in all of them, and one without an area in it is left out.

Legend: N boxes, H W the picture.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool

from core.results import Boxes
from core.viz.segment_files import encode

COLUMNS = ("label", "score", "x0", "y0", "x1", "y1", "width", "height")


def coco(
    boxes: Boxes, labels: Sequence[str], file_name: str, masks: Bool[np.ndarray, "N H W"] | None = None
) -> dict[str, Any]:
    """Return one picture's boxes in COCO's layout, with their masks as run lengths where they have some.

    `labels` are all that were asked for, so that category ids do not depend on what was found.
    """
    numbers = {label: number for number, label in enumerate(labels, 1)}
    annotations: list[dict[str, Any]] = []
    for place, label, score, (x0, y0, x1, y1) in _cut(boxes):
        annotation = {
            "id": len(annotations) + 1,
            "image_id": 1,
            "category_id": numbers[label],
            "bbox": [round(edge, 2) for edge in (x0, y0, x1 - x0, y1 - y0)],
            "area": round((x1 - x0) * (y1 - y0), 2),
            "iscrowd": 0,
            "score": round(score, 4),
        }
        if masks is not None and masks[place].any():
            annotation |= {"segmentation": encode(masks[place]), "area": int(masks[place].sum())}
        annotations.append(annotation)
    height, width = boxes.size_hw
    return {
        "images": [{"id": 1, "file_name": file_name, "height": height, "width": width}],
        "categories": [{"id": number, "name": label} for label, number in numbers.items()],
        "annotations": annotations,
    }


def table(boxes: Boxes) -> str:
    """Return the boxes as CSV, a row each, under COLUMNS; pixels, the end exclusive."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(COLUMNS)
    for _, label, score, (x0, y0, x1, y1) in _cut(boxes):
        rows.writerow((label, f"{score:.4f}", *(f"{edge:.2f}" for edge in (x0, y0, x1, y1, x1 - x0, y1 - y0))))
    return file.getvalue()


def yolo(boxes: Boxes, labels: Sequence[str]) -> str:
    """Return the boxes as YOLO's lines; the label's index is its place among all `labels`."""
    numbers = {label: number for number, label in enumerate(labels)}
    height, width = boxes.size_hw
    lines = []
    for _, label, _, (x0, y0, x1, y1) in _cut(boxes):
        shares = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
        lines.append(f"{numbers[label]} " + " ".join(f"{share:.6f}" for share in shares) + "\n")
    return "".join(lines)


def _cut(boxes: Boxes) -> Iterator[tuple[int, str, float, tuple[float, float, float, float]]]:
    """Go through the boxes that have an area in the picture: place, label, score, edges."""
    height, width = boxes.size_hw
    edges = np.clip(boxes.boxes_xyxy, 0, np.array([width, height, width, height], np.float32))
    for place, (label, score, box) in enumerate(zip(boxes.labels, boxes.scores.tolist(), edges.tolist(), strict=True)):
        if box[2] > box[0] and box[3] > box[1]:
            yield place, label, score, tuple(box)
