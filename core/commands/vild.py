"""Boxes of the user's words in pictures: boxes.csv, coco.json and a YOLO text file of each picture."""

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core import registry
from core.commands.clip import pictures, remark
from core.results import unique_labels
from core.viz.segment_files import encode

MOST_LINES = 20  # printed for one picture


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the boxes of each picture, best first, with the mask of each where the weights have masks."""
    words = unique_labels(arguments.labels.split(","))
    if not words:
        raise ValueError("Write at least one word.")
    model = registry.load("vild", arguments.weights, download=arguments.download)
    remark(f"{model.weights} has never seen: ", model.unseen_words(words))
    for name, picture in pictures(arguments.inputs, failed):
        candidates = model.detect(picture, words)
        boxes = candidates.boxes()
        masks = model.masks_of(picture, boxes.boxes_xyxy)
        yield {
            "input": name,
            "weights": model.weights,
            "path": model.path_title,
            "words": list(words),
            "size_hw": list(picture.shape[:2]),
            "best": dict(zip(words, map(float, candidates.best()), strict=True)),
            "boxes": [
                {
                    "word": word,
                    "score": float(score),
                    "box_xyxy": [round(float(edge), 2) for edge in box],
                    "segmentation": encode(mask),
                }
                for word, score, box, mask in zip(boxes.labels, boxes.scores, boxes.boxes_xyxy, masks, strict=True)
            ],
        }


def lines(result: dict[str, Any]) -> list[str]:
    """Return the best boxes of one picture, and the words that have none."""
    found = {box["word"] for box in result["boxes"]}
    absent = ", ".join(word for word in result["words"] if word not in found)
    head = f"{result['input']}  ({result['weights']}; {result['path']})"
    return [f"{head}  not found: {absent}" if absent else head] + [
        f"  {box['score']:7.2%}  {box['word']:16} box {' '.join(f'{edge:.0f}' for edge in box['box_xyxy'])}"
        for box in result["boxes"][:MOST_LINES]
    ]


def write(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Write boxes.csv (a row a box), coco.json, and YOLO's text file of each picture with names in classes.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "boxes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("input", "word", "score", "x0", "y0", "x1", "y1"))
        for result in results:
            table.writerows((result["input"], b["word"], b["score"], *b["box_xyxy"]) for b in result["boxes"])
    (folder / "coco.json").write_text(json.dumps(coco(results), ensure_ascii=False), encoding="utf-8")
    if results:
        (folder / "classes.txt").write_text("\n".join(results[0]["words"]) + "\n", encoding="utf-8")
    for number, result in enumerate(results):
        (folder / f"{number:03}-{Path(result['input']).stem}.txt").write_text(yolo(result), encoding="utf-8")


def coco(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the results as COCO has them: boxes are x, y, width, height; categories count from 1."""
    words = list(dict.fromkeys(word for result in results for word in result["words"]))
    images, annotations = [], []
    for number, result in enumerate(results, 1):
        height, width = result["size_hw"]
        images.append({"id": number, "file_name": result["input"], "height": height, "width": width})
        for box in result["boxes"]:
            x0, y0, x1, y1 = box["box_xyxy"]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": words.index(box["word"]) + 1,
                    "bbox": [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)],
                    "area": round((x1 - x0) * (y1 - y0), 2),
                    "segmentation": box["segmentation"],
                    "iscrowd": 0,
                    "score": box["score"],
                }
            )
    categories = [{"id": place, "name": word} for place, word in enumerate(words, 1)]
    return {"images": images, "categories": categories, "annotations": annotations}


def yolo(result: dict[str, Any]) -> str:
    """Return one picture's boxes a line each: class, middle and sides as shares of the picture."""
    height, width = result["size_hw"]
    rows = []
    for box in result["boxes"]:
        x0, y0, x1, y1 = np.array(box["box_xyxy"]) / [width, height, width, height]
        values = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
        rows.append(f"{result['words'].index(box['word'])} " + " ".join(f"{value:.6f}" for value in values))
    return "\n".join(rows) + "\n" if rows else ""
