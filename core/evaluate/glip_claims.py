"""GLIP's claims against the Toybox's truth: fusion, lists and sentences, prompts of any kind, absent words.

Switching the exchange off in weights that were trained with it is not the paper's ablation (GLIP-T (A) against (B),
which are trained apart): it says how much these weights rely on it. What moves a word's logit is the same question
asked in two ways: with the exchange off, other words still reach it through the text encoder.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from core.detection.answer import THRESHOLD
from core.detection.glip import Glip
from core.evaluate import glip_measure as figures
from core.train.glip_data import spoken
from core.train.glip_watch import shown_boxes
from core.world.render import View
from core.world.shapes import CATEGORIES

SEPARATORS = {"'. '": ". ", "' . '": " . ", "', '": ", ", "' '": " ", "' and '": " and "}
ORDERS = 3
CHUNKS = (24, 8, 2)  # labels a prompt
BLANKS = {"black": 0, "grey": 128, "white": 255}
SAME = 0.9  # overlap from which two boxes are called the same


def fusion(model: Glip, views: Sequence[View]) -> dict[str, Any]:
    """Compare the exchange on and off: figures, and how far a word's logit moves when the other words change."""
    found: dict[str, Any] = {}
    for name, exchange in (("on", True), ("off", False)):
        settings = replace(model.defaults, exchange=exchange)
        shifts = []
        for view in views:
            word = shown_boxes(view).labels[0]
            others = [each for each in CATEGORIES if each != word]
            sentences = [f"{word}. {others[0]}", f"{word}. {others[7]}. {others[14]}", f"a photo of {word} and sky"]
            logits = model.word_logits(view.rgb, word, sentences, settings)
            shifts += [abs(each - logits[0]) for each in logits[1:]]
        found[name] = figures.precision(model, views, settings=settings) | {
            "logit_shift": round(float(np.mean(shifts)), 4)
        }
    return found


def same_box(model: Glip, views: Sequence[View], seed: int) -> dict[str, float]:
    """Ask for the same things as a list and as a sentence: how well the best boxes agree."""
    overlaps, right = [], {"list": [], "sentence": []}
    for number, view in enumerate(views):
        truth = shown_boxes(view)
        text, phrases = spoken(figures.told(view, seed, number))
        listed = model.detect(view.rgb, sorted(set(truth.labels))).boxes(figures.LEAST_SCORE)
        answer = model.ground(view.rgb, text, spans=[span for span, _ in phrases])
        for place, (_, things) in enumerate(phrases):
            if truth.labels.count(truth.labels[things[0]]) > 1:
                continue  # a list says nothing about which of two
            by_list = figures.best_of(listed, truth.labels[things[0]])
            scores = answer.candidates.scores[:, place]
            if by_list is None or not len(scores):
                continue
            by_sentence = answer.candidates.boxes_xyxy[[int(scores.argmax())]]
            overlaps.append(float(figures.overlap(by_list, by_sentence)[0, 0]))
            for name, box in (("list", by_list), ("sentence", by_sentence)):
                right[name].append(float(figures.overlap(box, truth.boxes_xyxy[things]).max()) >= figures.RIGHT)
    return {
        "things": len(overlaps),
        "mean_iou": round(float(np.mean(overlaps)), 4),
        "same_box": round(float(np.mean(np.array(overlaps) >= SAME)), 4),
        "right_by_list": round(float(np.mean(right["list"])), 4),
        "right_by_sentence": round(float(np.mean(right["sentence"])), 4),
    }


def chunked(model: Glip, views: Sequence[View]) -> dict[str, Any]:
    """Ask the whole list in one prompt and in several: figures, and how many prompts there were."""
    found: dict[str, Any] = {}
    for count in CHUNKS:
        settings = replace(model.defaults, labels_a_prompt=count)
        prompts = len(model.prompts(CATEGORIES, settings))
        found[f"{count} labels"] = figures.precision(model, views, settings=settings) | {"prompts": prompts}
    return found


def order(model: Glip, views: Sequence[View], seed: int) -> dict[str, Any]:
    """Shuffle the list: figures of each order, and how often a word's best box stays."""
    rng = np.random.default_rng((9, seed))
    found: dict[str, Any] = {"as it is": figures.precision(model, views)}
    for number in range(ORDERS):
        words = [CATEGORIES[place] for place in rng.permutation(len(CATEGORIES))]
        found[f"shuffled {number + 1}"] = figures.precision(model, views, words) | _stays(model, views, words)
    return found


def separators(model: Glip, views: Sequence[View]) -> dict[str, Any]:
    """Join the list in other ways: figures of each."""
    return {
        name: figures.precision(model, views, settings=replace(model.defaults, separator=separator))
        for name, separator in SEPARATORS.items()
    }


def absent(model: Glip, views: Sequence[View]) -> dict[str, Any]:
    """Ask for words that are in the picture and words that are not: how often a box is shown at all."""
    there: list[float] = []
    not_there: list[float] = []
    for view in views:
        named = set(view.boxes.labels)
        spoken_of = set(shown_boxes(view).labels)
        for word, score in zip(CATEGORIES, model.detect(view.rgb, CATEGORIES).best(), strict=True):
            if word in spoken_of:
                there.append(float(score))
            elif word not in named:
                not_there.append(float(score))
    blank = {
        name: model.detect(np.full(views[0].rgb.shape, value, np.uint8), CATEGORIES).best()
        for name, value in BLANKS.items()
    }
    ranks = np.array(there)[:, None], np.array(not_there)[None]
    return {
        "threshold": THRESHOLD,
        "shown_of_present": round(float(np.mean(np.array(there) >= THRESHOLD)), 4),
        "shown_of_absent": round(float(np.mean(np.array(not_there) >= THRESHOLD)), 4),
        "present_above_absent": round(float((ranks[0] > ranks[1]).mean() + (ranks[0] == ranks[1]).mean() / 2), 4),
        "shown_on_blank": {name: round(float(np.mean(each >= THRESHOLD)), 4) for name, each in blank.items()},
        "best_on_blank": {name: round(float(each.max()), 4) for name, each in blank.items()},
    }


def flat_offsets(model: Glip, views: Sequence[View]) -> dict[str, Any]:
    """Hand offsets to the coarser level as the released kernel reads them, and as one would mean it."""
    return {
        "flat": figures.precision(model, views),
        "stretched": figures.precision(model, views, settings=replace(model.defaults, flat_offsets=False)),
    }


def _stays(model: Glip, views: Sequence[View], words: Sequence[str]) -> dict[str, float]:
    """Return how often the best box of a thing's word is the same under the list's own order and another."""
    stays = []
    for view in views:
        own, other = (model.detect(view.rgb, each).boxes(figures.LEAST_SCORE) for each in (CATEGORIES, words))
        for word in set(shown_boxes(view).labels):
            boxes = figures.best_of(own, word), figures.best_of(other, word)
            both = all(box is not None for box in boxes)
            stays.append(both and bool(figures.overlap(*boxes)[0, 0] >= SAME))
    return {"same_box": round(float(np.mean(stays)), 4)}
