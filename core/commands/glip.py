"""Boxes of the user's words, or of the noun phrases of a sentence: boxes.csv, coco.json, YOLO text files."""

import argparse
from collections.abc import Iterator
from typing import Any

from core import registry
from core.commands.clip import pictures, remark
from core.commands.vild import lines, write
from core.results import Boxes, unique_labels

__all__ = ["answers", "lines", "write"]
PATHS = {"words": "a class list", "sentence": "the phrases of a sentence"}


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the boxes of each picture, best first: of --labels, or of the phrases of --sentence."""
    words, sentence = unique_labels(arguments.labels.split(",")), getattr(arguments, "sentence", "").strip()
    if not words and not sentence:
        raise ValueError("Write at least one word.")
    if words and sentence:
        raise ValueError("Give --labels or --sentence, not both.")
    model = registry.load("glip", arguments.weights, download=arguments.download)
    remark(f"{model.weights} has never seen: ", model.unseen_words([sentence] if sentence else words))
    if sentence and not hasattr(model, "ground"):
        raise ValueError(f"{model.weights} answers to lists of words only: give --labels.")
    for name, picture in pictures(arguments.inputs, failed):
        if sentence:
            grounding = model.ground(picture, sentence)
            best, boxes, candidates = grounding.candidates.best(), grounding.best(), grounding.candidates
        else:
            candidates = model.detect(picture, words)
            best, boxes = candidates.best(), candidates.boxes()
        scores = dict.fromkeys(candidates.labels, 0.0)
        for label, score in zip(candidates.labels, best, strict=True):
            scores[label] = max(scores[label], float(score))
        yield {
            "input": name,
            "weights": model.weights,
            "path": PATHS["sentence" if sentence else "words"],
            "words": list(scores),
            "size_hw": list(picture.shape[:2]),
            "best": scores,
            "boxes": _rows(boxes),
        }


def _rows(boxes: Boxes) -> list[dict[str, Any]]:
    return [
        {
            "word": word,
            "score": float(score),
            "box_xyxy": [round(float(edge), 2) for edge in box],
            "segmentation": [],
        }
        for word, score, box in zip(boxes.labels, boxes.scores, boxes.boxes_xyxy, strict=True)
    ]
