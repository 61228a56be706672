"""How GLIP's figures are measured: fresh scenes, average precision, and when a box is the right one."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torchvision.ops import box_iou

from core.detection.glip import Glip, GlipSettings
from core.detection.grounding import Grounding
from core.metrics.detection import average_precision, mean_of
from core.results import Boxes
from core.train.glip_data import Piece, sentence
from core.train.glip_watch import shown_boxes
from core.world.picture import picture
from core.world.render import View
from core.world.scene import BASE, NOVEL
from core.world.shapes import CATEGORIES

FIRST_SEED = 47_000_000  # far from training's and validation's
PIXELS = 224
MOST_THINGS = 4
LEAST_SCORE = 0.01  # of a box that average precision is told of
RIGHT = 0.5  # overlap, as on Flickr30k Entities and as AP50 has it


@lru_cache(maxsize=4)
def scenes(seed: int, count: int) -> tuple[View, ...]:
    """Draw fresh scenes of one to four things in turn."""
    first = FIRST_SEED + 10_000 * seed
    return tuple(picture(first + i, PIXELS, count=1 + i % MOST_THINGS, samples=2) for i in range(count))


def precision(
    model: Glip,
    views: Sequence[View],
    words: Sequence[str] = CATEGORIES,
    settings: GlipSettings | None = None,
    *,
    by_word: bool = False,
) -> dict[str, Any]:
    """Return average precision with these words on the list, of base words, novel ones and all."""
    found = [model.detect(view.rgb, words, settings).boxes(LEAST_SCORE) for view in views]
    figures = average_precision(found, [shown_boxes(view) for view in views], CATEGORIES)
    by_label = figures["ap50_by_label"]
    answer: dict[str, Any] = {
        "ap50_base": round(mean_of(by_label, BASE), 4),
        "ap50_novel": round(mean_of(by_label, NOVEL), 4),
        "ap50": round(figures["ap50"], 4),
        "ap": round(figures["ap"], 4),
    }
    if by_word:
        answer["ap50_by_word"] = {word: round(value, 4) for word, value in by_label.items()}
    return answer


def told(view: View, seed: int, number: int) -> list[Piece]:
    """Draw the sentence that a scene is told in."""
    return sentence(view, np.random.default_rng((FIRST_SEED, seed, number)))


def is_right(answer: Grounding, phrase: int, boxes: Float[np.ndarray, "K 4"]) -> bool:
    """Say whether a phrase's best box overlaps one of its things by half."""
    scores = answer.candidates.scores[:, phrase]
    if not len(scores) or scores.max() <= 0:
        return False
    best = answer.candidates.boxes_xyxy[[int(scores.argmax())]]
    return float(overlap(best, boxes).max()) >= RIGHT


def overlap(boxes: Float[np.ndarray, "R 4"], others: Float[np.ndarray, "S 4"]) -> Float[np.ndarray, "R S"]:
    """Return intersection over union of each pair."""
    return box_iou(torch.from_numpy(boxes), torch.from_numpy(others)).numpy()


def share(right: Sequence[bool]) -> float | None:
    """Return the share of what is right, None where there is nothing."""
    return round(float(np.mean(right)), 4) if right else None


def best_of(boxes: Boxes, label: str) -> Float[np.ndarray, "1 4"] | None:
    """Return a label's best box, None where it has none."""
    places = [place for place, each in enumerate(boxes.labels) if each == label]
    return boxes.boxes_xyxy[[places[0]]] if places else None
