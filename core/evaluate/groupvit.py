"""The figures of GroupViT on fresh Toybox scenes of one to four things.

What is averaged, as in the authors' evaluation (NVlabs/GroupViT 13b7861, segmentation/): every category of the Toybox
is asked for in every picture, background is what scores below one threshold, the pixels of all pictures are pooled,
and `miou` is the mean over background and all categories that truth or answer holds. Which words are in the picture
is told in `miou_told_words` only. Plain CLIP is measured in the same way; its background is found twice, by the
threshold that suits it best on these very scenes and by the names of grounds and skies, and the better one counts.

Legend: B pictures, H height, W width.
"""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from core import registry
from core.evaluate.groupvit_claims import claims
from core.metrics.segmentation import Confusion, oracle_labels
from core.segmentation.groupvit import GroupVitSegmenter, GroupWords
from core.segmentation.plain_clip import PlainClip
from core.world.picture import picture
from core.world.render import View
from core.world.scene import GROUNDS, SKIES
from core.world.shapes import CATEGORIES

FIRST_SEED = 13_000_000  # far from training's and validation's
PIXELS = 192
MOST_THINGS = 4
CLAIM_SIZE = 60  # pictures of each claim, at most
BACKGROUND = len(CATEGORIES)  # the last label of the counts
STUFF = (*GROUNDS, *SKIES)
PLAIN_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(20))


def evaluate_groupvit(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure mIoU with words, with an oracle's words and of plain CLIP's patches, and the claims."""
    model: GroupVitSegmenter = registry.load("groupvit", arguments.weights)
    seed, size = FIRST_SEED + 10_000 * arguments.seed, arguments.size
    views = scenes(seed, size)
    answers = [model.segment(view.rgb, CATEGORIES) for view in views]
    counted = counts(views, (answer.label_map().ids for answer in answers))
    found: dict[str, Any] = {
        "system": "groupvit",
        "weights": model.weights,
        "seed": arguments.seed,
        "size": size,
        "threshold": model.defaults.threshold,
        "miou": round(counted.mean_iou(), 4),
        **oracle_figures(views, answers),
        **plain_figures(registry.load("plain_clip"), views),
        "miou_told_words": round(told_words(model, views, answers), 4),
        "miou_things": round(counted.mean_iou(range(BACKGROUND)), 4),
        "iou_background": round(float(counted.iou()[BACKGROUND]), 4),
        "iou_by_word": {word: round(float(iou), 4) for word, iou in zip(CATEGORIES, counted.iou(), strict=False)},
        "pixel_accuracy": round(counted.accuracy(), 4),
    }
    return found | claims(model, seed + 5_000, min(size, CLAIM_SIZE))


def scenes(seed: int, count: int) -> list[View]:
    """Draw scenes of one to four things in turn."""
    return [picture(seed + i, PIXELS, count=1 + i % MOST_THINGS, samples=2) for i in range(count)]


def true_ids(view: View) -> Int[np.ndarray, "H W"]:
    """Return the category of each pixel, background being a label of its own, the last."""
    return with_background(view.categories.ids)


def with_background(ids: Int[np.ndarray, "H W"]) -> Int[np.ndarray, "H W"]:
    """Make -1 the last label."""
    return np.where(ids < 0, BACKGROUND, ids)


def counts(views: Sequence[View], answers: Iterable[Int[np.ndarray, "_ _"]]) -> Confusion:
    """Count the pixels of answers whose ids are categories, -1 being background."""
    found = Confusion(BACKGROUND + 1)
    for view, ids in zip(views, answers, strict=True):
        found.add(with_background(ids), true_ids(view))
    return found


def oracle_figures(views: Sequence[View], answers: Sequence[GroupWords]) -> dict[str, float]:
    """Return mIoU where each group takes the true label of most of its pixels: grouping without recognition."""
    found = {}
    for name, kind in (("oracle_miou", "map"), ("oracle_miou_first_stage", "first_map")):
        confusion = Confusion(BACKGROUND + 1)
        for view, answer in zip(views, answers, strict=True):
            truth = true_ids(view)
            confusion.add(oracle_labels(getattr(answer.groups, kind), truth), truth)
        found[name] = round(confusion.mean_iou(), 4)
    return found


def plain_figures(model: PlainClip, views: Sequence[View]) -> dict[str, Any]:
    """Return plain CLIP's mIoU with the background that serves it better, and both."""
    answers = [model.segment(view.rgb, CATEGORIES) for view in views]
    by_threshold = {
        threshold: counts(views, (answer.label_map(threshold).ids for answer in answers)).mean_iou()
        for threshold in PLAIN_THRESHOLDS
    }
    best = max(by_threshold, key=by_threshold.__getitem__)
    named = (model.segment(view.rgb, (*CATEGORIES, *STUFF)).label_map().ids for view in views)
    by_names = counts(views, (np.where(ids < BACKGROUND, ids, -1) for ids in named)).mean_iou()
    return {
        "miou_plain_clip": round(max(by_threshold[best], by_names), 4),
        "plain_clip": model.weights,
        "miou_plain_clip_by_threshold": round(by_threshold[best], 4),
        "plain_clip_threshold": best,
        "miou_plain_clip_by_names": round(by_names, 4),
    }


def told_words(model: GroupVitSegmenter, views: Sequence[View], answers: Sequence[GroupWords]) -> float:
    """Return mIoU where only the words of what is in the picture are asked for.

    One word alone has nothing to compete with and takes the whole picture: that is the protocol, and counted so.
    """
    found = []
    for view, answer in zip(views, answers, strict=True):
        present = np.unique(view.categories.ids[view.categories.ids >= 0])
        ids = model.label(answer.groups, [CATEGORIES[i] for i in present]).label_map().ids
        found.append(np.where(ids < 0, -1, present[ids]))
    return counts(views, found).mean_iou()
