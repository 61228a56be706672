"""The figures of ViLD: fresh Toybox scenes of one to four things, base and novel, and what its claims are worth.

All 24 words are asked at once; boxes of the six novel ones were never shown in training. Average precision is COCO's at
an overlap of 0.5, over all pictures. A thing too small to speak of (core.world.captions) is not in the truth.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from core import registry
from core.detection.vild import Vild, VildSettings
from core.detection.vild_parts import VildParts
from core.metrics.detection import average_precision, average_recall, mean_of
from core.results import Boxes
from core.world.captions import shown
from core.world.picture import picture
from core.world.render import View
from core.world.scene import BASE, NOVEL
from core.world.shapes import CATEGORIES

FIRST_SEED, SEED_STEP = 16_400_000, 10_000  # far from training's and validation's
PIXELS = 128
MOST_THINGS = 4
MOST_BOXES = 300  # of a picture: the paper's
CLAIM_SCENES = 100
CROP_SCENES = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A picture with the boxes of the things that are large enough to speak of."""

    view: View
    truth: Boxes


Scores = Callable[[VildParts], np.ndarray]  # (boxes, words)


def evaluate_vild(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure average precision on base and novel words by head, proposals, masks, and the claims."""
    from core.evaluate.vild_claims import claims

    model: Vild = registry.load("vild", arguments.weights)
    found = {
        "system": "vild",
        "weights": model.weights,
        "path": model.path_title,
        "seed": arguments.seed,
        "size": arguments.size,
    }
    if model.path == "crops":
        few = scenes(arguments.seed, min(CROP_SCENES, arguments.size))
        return found | {"size": len(few), "crops": crops_baseline(model, few)}
    every = scenes(arguments.seed, arguments.size)
    parts = [model.parts(scene.view.rgb, CATEGORIES) for scene in every]
    truths = [scene.truth for scene in every]
    by_head = {
        head: aps(parts, truths, lambda each, head=head: each.of(head))
        for head in ("ensemble", "vild", "text", "image")
    }
    found |= by_head["ensemble"]
    found |= {f"{name}_{head}": value for head, figures in by_head.items() for name, value in figures.items()}
    found |= {"ap50_by_word": ap50_by_word(parts, truths)}
    found |= {"proposals": recalls(model, every), "mask_iou": mask_iou(model, every[:CLAIM_SCENES])}
    few = every[:CLAIM_SCENES]
    return found | claims(model, few, parts[: len(few)]) | {"claims_size": len(few)}


@lru_cache(maxsize=4)
def scenes(seed: int, count: int) -> tuple[Scene, ...]:
    """Draw fresh scenes of one to four things in turn."""
    first = FIRST_SEED + SEED_STEP * seed
    views = (picture(first + i, PIXELS, count=1 + i % MOST_THINGS, samples=2) for i in range(count))
    return tuple(Scene(view=view, truth=truth(view)) for view in views)


def truth(view: View) -> Boxes:
    """Return the boxes of what is large enough to speak of."""
    large = shown(view)
    rows = [row for row, index in enumerate(view.visible) if index in large]
    return Boxes(
        boxes_xyxy=view.boxes.boxes_xyxy[rows],
        labels=tuple(view.boxes.labels[row] for row in rows),
        scores=view.boxes.scores[rows],
        size_hw=view.boxes.size_hw,
    )


def detections(parts: VildParts, scores: np.ndarray) -> Boxes:
    """Return every box and word but what a better one of the word overlaps."""
    return replace(parts.candidates(next(iter(parts.scores))), scores=scores).boxes(0.0, most=MOST_BOXES)


def rounded(value: float) -> float | None:
    """Return a figure for the card; None where there was nothing to measure."""
    return None if np.isnan(value) else round(float(value), 4)


def aps(parts: Sequence[VildParts], truths: Sequence[Boxes], scores: Scores) -> dict[str, float | None]:
    """Return ap50, and ap over all overlaps, of base and of novel words."""
    found = average_precision([detections(each, scores(each)) for each in parts], truths, CATEGORIES)
    by_label = found["ap50_by_label"]
    return {
        "ap50_base": rounded(mean_of(by_label, BASE)),
        "ap50_novel": rounded(mean_of(by_label, NOVEL)),
        "ap_base": rounded(mean_of(found["ap_by_label"], BASE)),
        "ap_novel": rounded(mean_of(found["ap_by_label"], NOVEL)),
    }


def ap50_by_word(parts: Sequence[VildParts], truths: Sequence[Boxes]) -> dict[str, float]:
    """Return the mixture's ap50 of each word."""
    found = average_precision([detections(each, each.ensemble()) for each in parts], truths, CATEGORIES)
    return {word: round(value, 4) for word, value in found["ap50_by_label"].items()}


def recalls(model: Vild, every: Sequence[Scene]) -> dict[str, dict[str, float | None]]:
    """Return how many base and novel things the best proposals hold, whatever they are called."""
    found: dict[str, dict[str, float | None]] = {}
    looks = [model.look(scene.view.rgb) for scene in every]
    boxes = [
        Boxes(
            boxes_xyxy=look.boxes_xyxy,
            labels=("thing",) * len(look.boxes_xyxy),
            scores=look.objectness,
            size_hw=look.size_hw,
        )
        for look in looks
    ]
    for most in (10, 30, 100):
        for kind, words in (("base", BASE), ("novel", NOVEL)):
            figures = average_recall(boxes, [scene.truth for scene in every], most=most, labels=words)
            found[f"{kind} at {most}"] = {name: rounded(value) for name, value in figures.items()}
    return found


def mask_iou(model: Vild, every: Sequence[Scene]) -> dict[str, float | None]:
    """Return the mean IoU of a thing's mask with that of the box which fits it best, base and novel."""
    found: dict[str, list[float]] = {"base": [], "novel": []}
    for scene in every:
        view, look = scene.view, model.look(scene.view.rgb)
        large = [index for index in view.visible if index in shown(view)]
        for index, box, label in zip(large, scene.truth.boxes_xyxy, scene.truth.labels, strict=True):
            best = int(np.argmax(overlaps(box, look.boxes_xyxy)))
            mask, true = model.masks(view.rgb, [best])[0], view.instances.mask(index)
            found["base" if label in BASE else "novel"].append(float((mask & true).sum() / (mask | true).sum()))
    return {kind: rounded(np.mean(values)) if values else None for kind, values in found.items()}


def overlaps(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the intersection over union of a box with each of others, (R,)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    both = np.clip(high - low, 0, None).prod(1)
    return both / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - both)


def crops_baseline(model: Vild, few: Sequence[Scene]) -> dict[str, dict[str, float | None]]:
    """Measure 'CLIP on cropped regions': both crops, one, and without the objectness."""
    truths = [scene.truth for scene in few]
    found = {}
    for name, scales in (("1x and 1.5x", (1.0, 1.5)), ("1x", (1.0,))):
        settings = VildSettings(head="crops", scales=scales)
        parts = [model.parts(scene.view.rgb, CATEGORIES, settings, heads=("crops",)) for scene in few]
        found[name] = aps(parts, truths, lambda each: each.of("crops"))
        if len(scales) > 1:
            found["without objectness"] = aps(
                parts, truths, lambda each: each.of("crops") ** 2 / np.maximum(each.objectness, 1e-6)[:, None]
            )
    return found
