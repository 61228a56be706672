"""The figures that a run is watched by: fresh scenes, every word on the list, and sentences of several phrases."""

from functools import lru_cache

import numpy as np
import torch
from tokenizers import Tokenizer
from torchvision.ops import box_iou

from core.checkpoints import Weights
from core.detection.glip import Glip, GlipSettings
from core.detection.glip_model import GlipNetwork
from core.device import choose
from core.metrics.detection import average_precision, mean_of
from core.results import Boxes
from core.train.glip_data import MOST_THINGS, sentence, spoken
from core.world.captions import shown
from core.world.picture import picture
from core.world.render import View
from core.world.scene import BASE, NOVEL
from core.world.shapes import CATEGORIES

WATCHED_SEED, WATCHED = 5_400_000, 80


def watched_figures(network: GlipNetwork, tokenizer: Tokenizer, size: int, anchor_scale: float) -> dict[str, float]:
    """Return AP50 of base and novel words with all 24 on the list, and how often a phrase's best box is right."""
    settings = GlipSettings(short_side=size, least=0.01, most_tokens=64, anchor_scale=anchor_scale)
    model = Glip(network, tokenizer, Weights(name="watched", system="glip"), choose("cpu"), settings)
    found, truths, right = [], [], []
    for number, view in enumerate(_watched(size, WATCHED)):
        truth = shown_boxes(view)
        found.append(model.detect(view.rgb, CATEGORIES).boxes(0.01))
        truths.append(truth)
        text, phrases = spoken(sentence(view, np.random.default_rng(number)))
        if len(phrases) > 1:
            best = model.ground(view.rgb, text, spans=[span for span, _ in phrases]).candidates
            right += [_is_right(best, n, truth, things) for n, (_, things) in enumerate(phrases)]
    by_label = average_precision(found, truths, CATEGORIES)["ap50_by_label"]
    return {
        "ap50_base": round(mean_of(by_label, BASE), 4),
        "ap50_novel": round(mean_of(by_label, NOVEL), 4),
        "phrase_r1": round(float(np.mean(right)), 4),
    }


@lru_cache(maxsize=1)
def _watched(size: int, count: int) -> tuple[View, ...]:
    return tuple(picture(WATCHED_SEED + i, size, count=1 + i % MOST_THINGS, samples=2) for i in range(count))


def shown_boxes(view: View) -> Boxes:
    """Return the true boxes of the things that are large enough to speak of, largest first."""
    places = [view.visible.index(index) for index in shown(view)[:MOST_THINGS]]
    return Boxes(
        boxes_xyxy=view.boxes.boxes_xyxy[places],
        labels=tuple(view.boxes.labels[place] for place in places),
        scores=view.boxes.scores[places],
        size_hw=view.boxes.size_hw,
    )


def _is_right(candidates, phrase: int, truth: Boxes, things: list[int]) -> bool:
    """Say whether a phrase's best box overlaps one of its things by half (recall at 1 as on Flickr30k Entities)."""
    scores = candidates.scores[:, phrase]
    if not len(scores) or scores.max() <= 0:
        return False
    best = torch.from_numpy(candidates.boxes_xyxy[[int(scores.argmax())]])
    return bool(box_iou(best, torch.from_numpy(truth.boxes_xyxy[things])).max() >= 0.5)
