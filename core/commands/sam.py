"""Everything in pictures, masked and named: results.csv, coco.json, and an index PNG of each picture."""

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core import registry
from core.commands.clip import pictures, remark
from core.prompts import TEMPLATES, parse_labels
from core.segmentation.prompts import mask_box
from core.viz.segment_files import NOTHING, decode, encode

MOST_LINES = 10  # printed for one picture


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the masks of each picture, the surest first, with the label that wins each; None where none does."""
    labels = parse_labels(arguments.labels)
    model = registry.load("sam", arguments.weights, download=arguments.download)
    clip = registry.load("clip")
    remark(f"{clip.weights} has never seen: ", clip.unseen_words(labels))
    for name, picture in pictures(arguments.inputs, failed):
        masks = model.everything(picture)
        found = model.label(picture, masks, labels, clip.backbone, templates=TEMPLATES[arguments.templates])
        winners, shares = found.winners()
        label_map = found.label_map()
        yield {
            "input": name,
            "weights": model.weights,
            "labels": list(labels),
            "size_hw": list(picture.shape[:2]),
            "pixel_share": {label: float(label_map.mask(i).mean()) for i, label in enumerate(labels)},
            "masks": [
                {
                    "label": labels[winners[place]] if winners[place] >= 0 else None,
                    "probability": float(shares[place]),
                    "predicted_iou": float(masks.predicted_iou[place]),
                    "stability": float(masks.stability[place]),
                    "box_xyxy": list(mask_box(mask)),
                    "pixels": int(mask.sum()),
                    "segmentation": encode(mask),
                }
                for place, mask in enumerate(masks.masks)
            ],
        }


def lines(result: dict[str, Any]) -> list[str]:
    """Return the surest masks of one picture and how much of it each label has."""
    shares = ", ".join(f"{label} {share:.1%}" for label, share in result["pixel_share"].items() if share)
    head = f"{result['input']}  ({result['weights']}, {len(result['masks'])} masks)  {shares or 'no label found'}"
    return [head] + [
        f"  {mask['label'] or '-':16} {mask['probability']:7.2%}  predicted IoU {mask['predicted_iou']:.2f}  "
        f"box {' '.join(map(str, mask['box_xyxy']))}"
        for mask in result["masks"][:MOST_LINES]
    ]


def write(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Write results.csv (a row a mask), coco.json and, for each picture, its labels as an index PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("input", "label", "probability", "predicted_iou", "x0", "y0", "x1", "y1", "pixels"))
        for result in results:
            for mask in result["masks"]:
                row = (mask["label"], mask["probability"], mask["predicted_iou"], *mask["box_xyxy"], mask["pixels"])
                table.writerow((result["input"], *row))
    (folder / "coco.json").write_text(json.dumps(coco(results), ensure_ascii=False), encoding="utf-8")
    for number, result in enumerate(results):
        Image.fromarray(index_picture(result)).save(folder / f"{number:03}-{Path(result['input']).stem}.png")


def coco(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the labelled masks in COCO's instance layout."""
    labels = list(results[0]["labels"]) if results else []
    labelled = [(number, mask) for number, result in enumerate(results) for mask in result["masks"] if mask["label"]]
    sizes = [result["size_hw"] for result in results]
    return {
        "images": [
            {"id": number + 1, "file_name": Path(result["input"]).name, "height": height, "width": width}
            for number, (result, (height, width)) in enumerate(zip(results, sizes, strict=True))
        ],
        "categories": [{"id": index + 1, "name": label} for index, label in enumerate(labels)],
        "annotations": [
            {
                "id": place + 1,
                "image_id": number + 1,
                "category_id": labels.index(mask["label"]) + 1,
                "bbox": _xywh(mask["box_xyxy"]),
                "area": mask["pixels"],
                "iscrowd": 0,
                "score": mask["probability"],
                "segmentation": mask["segmentation"],
            }
            for place, (number, mask) in enumerate(labelled)
        ],
    }


def index_picture(result: dict[str, Any]) -> np.ndarray:
    """Return each pixel's label, counted from 0, NOTHING for none, (H, W) uint8; smaller masks lie over larger ones.

    Raises ValueError for more labels than 8 bits can count.
    """
    if len(result["labels"]) > NOTHING:
        raise ValueError(f"An index PNG holds at most {NOTHING} labels; these are {len(result['labels'])}.")
    indices = np.full(result["size_hw"], NOTHING, np.uint8)
    for mask in sorted(result["masks"], key=lambda each: -each["pixels"]):
        if mask["label"]:
            indices[decode(mask["segmentation"])] = result["labels"].index(mask["label"])
    return indices


def _xywh(box: Sequence[int]) -> list[int]:
    x0, y0, x1, y1 = box
    return [x0, y0, x1 - x0, y1 - y0]
