"""What is said of GroupViT, each a function of a seed with the truth at hand.

At most as many segments as groups; things of one category become one segment; the background threshold decides much;
grouping is better than recognition (Xu et al. 2022, Sec. 4, and the authors' answers in NVlabs/GroupViT issues 22, 31,
56 and 62).

Legend: H height, W width.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from core.metrics.segmentation import Confusion, apart, main_groups, oracle_labels
from core.segmentation.groupvit import GroupVitSegmenter
from core.world.captions import shown
from core.world.picture import picture, two_of
from core.world.render import View
from core.world.shapes import CATEGORIES

PIXELS = 192
THINGS = (1, 2, 3, 4, 6, 8, 10, 12)  # in a scene
THRESHOLDS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
BACKGROUND = len(CATEGORIES)


def claims(model: GroupVitSegmenter, seed: int, size: int) -> dict[str, Any]:
    """Measure every claim on `size` pictures."""
    return {
        "cap": cap(model, seed, max(2, size // len(THINGS))),
        "merged": merged(model, seed, max(2, size // 2)),
        "miou_by_threshold": by_threshold(model, seed, size),
        "grouping_and_recognition": grouping_and_recognition(model, seed, size),
        "claims_size": size,
    }


def cap(model: GroupVitSegmenter, seed: int, size: int) -> dict[str, Any]:
    """Count segments as the scene grows from 1 to 12 things; there are never more than the network has groups.

    `apart` is the share of the things that show that have a group to themselves: the group of most of their pixels is
    not that of another thing, nor the one that most of the background has.
    """
    rows = {}
    for number in THINGS:
        views = [view_of(seed + 100 * number + i, number) for i in range(size)]
        maps = [model.look(view.rgb).map for view in views]
        alone = [apart(masks_of(view), groups) for view, groups in zip(views, maps, strict=True)]
        rows[str(number)] = {
            "shown": round(float(np.mean([len(shown(view)) for view in views])), 2),
            "segments": round(float(np.mean([len(np.unique(groups)) for groups in maps])), 2),
            "most_segments": max(len(np.unique(groups)) for groups in maps),
            "apart": round(float(np.mean(alone)), 4),
        }
    return {"groups": model.most_groups, "by_things": rows}


def merged(model: GroupVitSegmenter, seed: int, size: int) -> dict[str, float]:
    """Return how often the two things of a scene have the same group: of one category, and of two."""
    pairs = {"same_category": [], "two_categories": []}
    for i in range(size):
        rng = np.random.default_rng((seed, i))
        first, second = (str(name) for name in rng.choice(CATEGORIES, 2, replace=False))
        for kind, names in (("same_category", (first,)), ("two_categories", (first, second))):
            if (view := two_of(rng, names, PIXELS)) is not None:
                groups = main_groups(masks_of(view), model.look(view.rgb).map)
                pairs[kind].append(groups[0] == groups[1])
    return {kind: round(float(np.mean(found)), 4) if found else float("nan") for kind, found in pairs.items()}


def by_threshold(model: GroupVitSegmenter, seed: int, size: int) -> dict[str, dict[str, float]]:
    """Return mIoU and the background's IoU for each background threshold, from one look at each picture."""
    counts = {threshold: Confusion(BACKGROUND + 1) for threshold in THRESHOLDS}
    for view in (view_of(seed + i, 1 + i % 4) for i in range(size)):
        answer = model.segment(view.rgb, CATEGORIES)
        for threshold, confusion in counts.items():
            confusion.add(_with_background(answer.label_map(threshold).ids), _with_background(view.categories.ids))
    return {
        f"{threshold:g}": {
            "miou": round(confusion.mean_iou(), 4),
            "iou_background": round(float(confusion.iou()[BACKGROUND]), 4),
        }
        for threshold, confusion in counts.items()
    }


def grouping_and_recognition(model: GroupVitSegmenter, seed: int, size: int) -> dict[str, dict[str, float]]:
    """Return mIoU with an oracle's label for each group and with the words', by the number of things in the scene."""
    found = {}
    for number in (1, 2, 3, 4):
        oracle, text = Confusion(BACKGROUND + 1), Confusion(BACKGROUND + 1)
        for i in range(max(2, size // 4)):
            view = view_of(seed + 1000 * number + i, number)
            answer, truth = model.segment(view.rgb, CATEGORIES), _with_background(view.categories.ids)
            oracle.add(oracle_labels(answer.groups.map, truth), truth)
            text.add(_with_background(answer.label_map().ids), truth)
        found[str(number)] = {"oracle": round(oracle.mean_iou(), 4), "text": round(text.mean_iou(), 4)}
    return found


def view_of(seed: int, number: int) -> View:
    """Draw a scene with so many things."""
    return picture(seed, PIXELS, count=number, samples=2)


def masks_of(view: View) -> list[Bool[np.ndarray, "H W"]]:
    """Return the masks of the things that show."""
    return [view.instances.mask(i) for i in shown(view)]


def _with_background(ids: Int[np.ndarray, "H W"]) -> Int[np.ndarray, "H W"]:
    return np.where(ids < 0, BACKGROUND, ids)
