"""The figures of LSeg: fresh Toybox scenes of one to four things, base and novel, and what its claims are worth.

Every pixel of a scene is a thing's or 'other'. The list of words holds all 24 categories and 'other', of which the six
novel ones were never annotated. IoUs are over all pictures together. Plain CLIP is given the names of grounds and skies
for what is no thing, which serves it better than 'other', a word that it does not know.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int

from core import registry
from core.metrics.segmentation import Confusion, oracle_labels, pooled_iou
from core.results import LabelMap
from core.segmentation.lseg import Lseg, LsegSettings
from core.segmentation.plain_clip import PlainClip
from core.world.picture import picture
from core.world.render import View
from core.world.scene import BASE, GROUNDS, NOVEL, SKIES
from core.world.shapes import CATEGORIES

FIRST_SEED = 14_000_000  # far from training's and validation's
PIXELS = 192
MOST_THINGS = 4
OTHER = "other"
WORDS = (*CATEGORIES, OTHER)
STUFF = (*GROUNDS, *SKIES)
LESSON_SCENES = 60  # of the figures beside the main ones
RENAMED = {  # a word, and others for the same thing: wider, narrower or equal in meaning
    "chair": ("furniture", "seat"),
    "table": ("furniture",),
    "bed": ("furniture",),
    "sofa": ("furniture", "couch"),
    "car": ("vehicle", "automobile", "truck"),
    "boat": ("vehicle", "ship"),
    "airplane": ("vehicle", "plane"),
    "dog": ("animal", "puppy"),
    "house": ("building",),
    "tree": ("plant",),
    "ball": ("toy", "sphere"),
}


def evaluate_lseg(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure mean IoU of seen and novel words, of every kind of blocks, of plain CLIP, and the claims."""
    model: Lseg = registry.load("lseg", arguments.weights)
    views = scenes(arguments.seed, arguments.size)
    counts = confusions(model, views, {"own": model.defaults})["own"]
    found: dict[str, Any] = {
        "system": "lseg",
        "weights": model.weights,
        "seed": arguments.seed,
        "size": arguments.size,
        **mean_ious(counts),
        "pixel_accuracy": round(counts.accuracy(), 4),
        "iou_by_word": {word: round(float(iou), 4) for word, iou in zip(WORDS, counts.iou(), strict=True)},
    }
    found |= plain_figures(views)
    seed, count = arguments.seed, min(LESSON_SCENES, len(views))
    few = scenes(seed, count)
    return found | {
        "by_blocks": by_blocks(model, views),
        "by_look": by_look(model, few),
        "oracle_miou": round(oracle(model, few), 4),
        "omitted_word": omitted_word(model, seed, count),
        "renamed": renamed(model, seed, count),
        "same_word_twice": same_word_twice(model, seed, count),
        "lesson_size": count,
    }


@lru_cache(maxsize=4)
def scenes(seed: int, count: int) -> tuple[View, ...]:
    """Draw fresh scenes of one to four things in turn."""
    first = FIRST_SEED + 10_000 * seed
    return tuple(picture(first + i, PIXELS, count=1 + i % MOST_THINGS, samples=2) for i in range(count))


def true_ids(view: View) -> Int[np.ndarray, "H W"]:
    """Return the index into WORDS of each pixel."""
    ids = view.categories.ids
    return np.where(ids < 0, len(CATEGORIES), ids)


def confusions(model: Lseg, views: Sequence[View], asked: Mapping[str, LsegSettings]) -> dict[str, Confusion]:
    """Count true and predicted words of every pixel under each of these settings, the whole list being asked."""
    counts = {name: Confusion(len(WORDS)) for name in asked}
    for view in views:
        for name, settings in asked.items():  # a picture after the other, so that what was seen is still remembered
            counts[name].add(model.segment(view.rgb, WORDS, settings).label_map().ids, true_ids(view))
    return counts


def mean_ious(counts: Confusion) -> dict[str, float]:
    """Return the mean IoU of base things, of novel things and of both; 'other' is in none of them."""
    members = {"miou_seen": BASE, "miou_novel": NOVEL, "miou": CATEGORIES}
    return {
        name: round(counts.mean_iou([CATEGORIES.index(word) for word in words]), 4) for name, words in members.items()
    }


def plain_figures(views: Sequence[View]) -> dict[str, Any]:
    """Measure plain CLIP on the same scenes."""
    model: PlainClip = registry.load("plain_clip")
    counts = Confusion(len(WORDS))
    for view in views:
        ids = model.segment(view.rgb, (*CATEGORIES, *STUFF)).label_map().ids
        counts.add(np.minimum(ids, len(CATEGORIES)), true_ids(view))
    found = mean_ious(counts)
    return {
        "plain_clip": model.weights,
        "miou_plain_clip": found["miou"],
        "miou_plain_clip_seen": found["miou_seen"],
        "miou_plain_clip_novel": found["miou_novel"],
    }


def by_blocks(model: Lseg, views: Sequence[View]) -> dict[str, dict[str, float]]:
    """Measure every kind and number of regularisation blocks that the weights have a kernel for."""
    asked = {name: replace(model.defaults, regulariser=blocks) for name, blocks in model.regularisers.items()}
    return {name: mean_ious(counts) for name, counts in confusions(model, views, asked).items()}


def by_look(model: Lseg, views: Sequence[View]) -> dict[str, dict[str, float]]:
    """Measure other sizes, the mirror image and several scales."""
    own = model.defaults.pixels
    looks = {
        f"{pixels} pixels": LsegSettings(pixels=pixels) for pixels in sorted({own * 3 // 4, own, own * 3 // 2, 2 * own})
    }
    looks["mirror image"] = LsegSettings(pixels=own, flip=True)
    looks["three scales, mirror image"] = LsegSettings(pixels=own, flip=True, scales=(0.75, 1.0, 1.25))
    return {name: mean_ious(counts) for name, counts in confusions(model, views, looks).items()}


def oracle(model: Lseg, views: Sequence[View]) -> float:
    """Return the mean IoU when every predicted region gets the name that it should have: outlines without names."""
    counts = Confusion(len(WORDS))
    for view in views:
        ids, truth = model.segment(view.rgb, WORDS).label_map().ids, true_ids(view)
        counts.add(oracle_labels(ids, truth), truth)
    return mean_ious(counts)["miou"]


def omitted_word(model: Lseg, seed: int, count: int) -> dict[str, Any]:
    """Leave the word of a thing that shows off the list, with 'other' on it or not: say where its pixels go."""
    found: dict[str, Any] = {}
    for name, ending in (("with other", (OTHER,)), ("without other", ())):
        went: Counter[str] = Counter()
        for view in scenes(seed, count):
            word = view.boxes.labels[0]
            words = [each for each in CATEGORIES if each != word] + list(ending)
            answer = model.segment(view.rgb, words).label_map()
            went.update(words[i] for i in answer.ids[view.categories.mask(CATEGORIES.index(word))])
        total = sum(went.values())
        found[name] = {word: round(pixels / total, 4) for word, pixels in went.most_common(5)}
    return found


def renamed(model: Lseg, seed: int, count: int) -> dict[str, dict[str, Any]]:
    """Put another word in the place of a thing's own: the IoU of both with the thing's true mask."""
    table: dict[str, dict[str, Any]] = {}
    for word, others in RENAMED.items():
        for other in (word, *others):
            words = [each for each in WORDS if each not in (word, other)] + [other]
            found = _iou_of_last(model, scenes(seed, count), words, CATEGORIES.index(word))
            if found is not None:
                known = not model.unseen_words([other])
                table[word if other == word else f"{word} as {other}"] = {"iou": found, "known_word": known}
    return table


def _iou_of_last(model: Lseg, views: Sequence[View], words: Sequence[str], category: int) -> float | None:
    """Return the IoU of the last word with one category, over the pictures that show it; None where none does."""
    found = pooled_iou(
        (model.segment(view.rgb, words).label_map().ids == len(words) - 1, view.categories.mask(category))
        for view in views
        if view.categories.mask(category).any()
    )
    return None if found is None else round(found, 4)


def same_word_twice(model: Lseg, seed: int, count: int) -> dict[str, float]:
    """Write a thing's word twice: the second gets no pixel, the labels stay, the probability is shared."""
    second = changed = 0
    ratios = []
    for view in scenes(seed, count):
        word = view.boxes.labels[0]
        once, twice = (model.segment(view.rgb, words) for words in ((word, OTHER), (word, word, OTHER)))
        before, after = once.label_map(), twice.label_map()
        second += int((after.ids == 1).sum())
        changed += int((merged(after) != before.ids).sum())
        left, top = (int(side) for side in (view.boxes.boxes_xyxy[0, :2] + view.boxes.boxes_xyxy[0, 2:]) / 2)
        ratios.append(float(twice.probabilities_at(left, top)[0] / max(once.probabilities_at(left, top)[0], 1e-9)))
    return {
        "pixels_of_the_second": float(second),
        "pixels_that_change": float(changed),
        "probability_over_once": round(float(np.median(ratios)), 4),
    }


def merged(answer: LabelMap) -> Int[np.ndarray, "H W"]:
    """Return the ids with the second of three words counted as the first."""
    return np.array([0, 0, 1])[answer.ids]
