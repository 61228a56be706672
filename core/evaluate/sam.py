"""The figures of SAM x CLIP: clicks, boxes and everything on fresh Toybox scenes, and each way of naming a region.

Every thing that shows (core/world/captions.py: MIN_SHARE) counts once, small ones as much as large ones. Ways of naming
are compared on the true masks, so that the segmenter's mistakes stay out.

Legend: M masks, H height, W width.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool

from core import registry
from core.backbones.regions import MODES, RegionScorer, RegionSettings
from core.metrics.ranking import wilson_interval
from core.prompts import TEMPLATES
from core.segmentation.masks import MaskSet
from core.segmentation.prompts import deepest_point, mask_box, overlaps
from core.segmentation.sam import SegmentAnything
from core.world.captions import shown
from core.world.picture import picture
from core.world.render import View
from core.world.shapes import CATEGORIES

FIRST_SEED = 12_000_000  # far from training's and validation's
MOST_THINGS = 4
SIDE = 256  # of the pictures
CLIPS = ("toybox-resnet", "toybox-vit")
FOUND = 0.5  # IoU from which a thing counts as found
EVERYTHING_STEP = 3  # one scene in so many is used for the slowest figures
SMALL_SHARE = 0.01  # of the picture, below which a thing is called small


def evaluate_sam(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one click, one box, clicks that follow, everything mode, and the ways of naming a region."""
    model: SegmentAnything = registry.load("sam", arguments.weights)
    scenes = list(draw(FIRST_SEED + 10_000 * arguments.seed, arguments.size))
    found: dict[str, Any] = {
        "system": "sam",
        "weights": model.weights,
        "seed": arguments.seed,
        "size": arguments.size,
        "side": SIDE,
    }
    found |= prompted(model, scenes)
    found |= found_by_everything(model, scenes[::EVERYTHING_STEP])
    found |= named(scenes)
    return found


def draw(seed: int, size: int) -> Iterator[View]:
    """Yield fresh scenes of one to four things, of all pairs of colour and category."""
    for index in range(size):
        yield picture(seed + index, SIDE, count=1 + index % MOST_THINGS, pairs="all")


def truth(view: View) -> Bool[np.ndarray, "M H W"]:
    """Return the masks of the things that show, largest first."""
    return np.stack([view.instances.mask(index) for index in shown(view)])


def prompted(model: SegmentAnything, scenes: list[View]) -> dict[str, Any]:
    """Measure the masks of one click and of one box, and what a second click repairs."""
    point, box, best_of_three, again, expected, areas = [], [], [], [], [], []
    for view in scenes:
        for mask in truth(view):
            click = deepest_point(mask)
            three = model.points(view.rgb, [click], [1])
            scores = overlaps(three.masks, mask[None])[:, 0]
            point.append(scores[0])
            best_of_three.append(scores.max())
            expected.append(three.predicted_iou[0])
            box.append(overlaps(model.box(view.rgb, mask_box(mask)).masks, mask[None])[0, 0])
            again.append(_second_click(model, view, mask, three, click))
            areas.append(mask.mean())
    small = np.array(areas) < SMALL_SHARE
    return {
        "things": len(point),
        "iou_point": float(np.mean(point)),
        "iou_box": float(np.mean(box)),
        "iou_point_best_of_three": float(np.mean(best_of_three)),
        "iou_two_points": float(np.mean(again)),
        "iou_point_small": _mean(np.array(point)[small]),
        "iou_box_small": _mean(np.array(box)[small]),
        "predicted_iou_error": float(np.mean(np.abs(np.array(expected) - np.array(point)))),
    }


def _second_click(
    model: SegmentAnything, view: View, mask: np.ndarray, three: MaskSet, click: tuple[int, int]
) -> float:
    """Return the IoU after a click in the middle of the largest mistake; that of the first where there is none."""
    wrong = three.masks[0] != mask
    if not wrong.any():
        return 1.0
    second = deepest_point(wrong)
    inside = int(mask[second[1], second[0]])
    one = model.points(view.rgb, [click, second], [1, inside], before=three.logits[0], three=False)
    return float(overlaps(one.masks, mask[None])[0, 0])


def found_by_everything(model: SegmentAnything, scenes: list[View]) -> dict[str, Any]:
    """Measure how many things have a mask at IoU 0.5 among all that a grid of clicks finds."""
    best, counts = [], []
    for view in scenes:
        masks = model.everything(view.rgb).masks
        counts.append(len(masks))
        best += list(overlaps(masks, truth(view)).max(0) if len(masks) else np.zeros(len(truth(view))))
    return {
        "everything_recall": float((np.array(best) >= FOUND).mean()),
        "everything_iou": float(np.mean(best)),
        "everything_masks": float(np.mean(counts)),
        "everything_scenes": len(scenes),
    }


def named(scenes: list[View]) -> dict[str, Any]:
    """Measure each way of showing a region to each embedded CLIP: the share of true masks whose category wins."""
    by_clip: dict[str, dict[str, float]] = {}
    for name in CLIPS:
        clip = registry.load("clip", name).backbone
        by_clip[name] = {mode: _accuracy(scenes, RegionScorer(clip), mode) for mode in MODES}
    regions = sum(len(shown(view)) for view in scenes)
    best = max(by_clip[CLIPS[0]].values())
    return {
        "regions": regions,
        "region_top1": by_clip,
        "region_top1_interval": [round(end, 4) for end in wilson_interval(best, regions)],
        "region_chance": 1 / len(CATEGORIES),
    }


def _accuracy(scenes: list[View], scorer: RegionScorer, mode: str) -> float:
    right = []
    for view in scenes:
        rankings = scorer.score(
            view.rgb,
            CATEGORIES,
            masks=truth(view),
            templates=TEMPLATES["one template"],
            settings=RegionSettings(mode=mode),
        )
        wanted = [view.scene.things[index].category for index in shown(view)]
        right += [ranking.best == name for ranking, name in zip(rankings, wanted, strict=True)]
    return float(np.mean(right))


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
