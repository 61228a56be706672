"""The figures of GLIP: fresh Toybox scenes, class lists and sentences, and what its claims are worth.

Truth are the tight boxes of the things that are large enough to speak of. The class list holds all 24 categories, of
which the six novel ones never had a box drawn by hand: their words stood in sentences, with pseudo boxes. A sentence of
two phrases or more names every thing; a phrase is right where its best box overlaps one of its things by half.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from core import registry
from core.detection.glip import Glip
from core.evaluate import glip_claims as claims
from core.evaluate.glip_measure import is_right, precision, scenes, share, told
from core.train.glip_data import spoken
from core.train.glip_watch import shown_boxes
from core.world.render import View
from core.world.scene import NOVEL

LESSON_SCENES = 40  # of the figures beside the main ones


def evaluate_glip(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure AP50 of base and novel words, the recall of phrases, and the claims."""
    model: Glip = registry.load("glip", arguments.weights)
    views = scenes(arguments.seed, arguments.size)
    few = views[:LESSON_SCENES]
    return {
        "system": "glip",
        "weights": model.weights,
        "seed": arguments.seed,
        "size": arguments.size,
        **precision(model, views, by_word=True),
        **phrase_recall(model, views, arguments.seed),
        "fusion": claims.fusion(model, few),
        "same_box": claims.same_box(model, few, arguments.seed),
        "chunked": claims.chunked(model, few),
        "order": claims.order(model, few, arguments.seed),
        "separators": claims.separators(model, few),
        "absent": claims.absent(model, few),
        "flat_offsets": claims.flat_offsets(model, few),
        "lesson_size": len(few),
    }


def phrase_recall(model: Glip, views: Sequence[View], seed: int) -> dict[str, float | None]:
    """Return how often a phrase's best box is right, in sentences of two or more; the model finds the phrases."""
    right: dict[str, list[bool]] = {"base": [], "novel": []}
    unfound = 0
    for number, view in enumerate(views):
        text, phrases = spoken(told(view, seed, number))
        if len(phrases) < 2:
            continue
        truth, answer = shown_boxes(view), model.ground(view.rgb, text)
        for span, things in phrases:
            kind = "novel" if truth.labels[things[0]] in NOVEL else "base"
            place = answer.spans.index(span) if span in answer.spans else None
            unfound += place is None
            right[kind].append(place is not None and is_right(answer, place, truth.boxes_xyxy[things]))
    every = right["base"] + right["novel"]
    return {
        "phrase_r1": share(every),
        "phrase_r1_base": share(right["base"]),
        "phrase_r1_novel": share(right["novel"]),
        "phrases": len(every),
        "phrases_that_the_chunker_missed": unfound,
    }
