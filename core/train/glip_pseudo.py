"""A teacher's boxes for the noun phrases of sentences (GLIP, Sec. 3.3), found once and kept.

Paper: Li et al. 2022, https://arxiv.org/abs/2112.03857. There the teacher is a GLIP trained on human boxes. Here the
teacher is two: the network itself, half trained and on base boxes only, says where there is any 'thing'; the embedded
CLIP, which learnt from sentences and never saw a box, says through the region scorer which of these a phrase means.

Legend: M plain pictures, K phrases of a sentence at most, R boxes of a picture, D embedding size.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from tokenizers import Tokenizer
from torch import Tensor

from core.backbones.clip import ClipBackbone
from core.backbones.regions import RegionScorer, RegionSettings
from core.checkpoints import Weights
from core.detection.glip import Glip, GlipSettings
from core.detection.glip_chunker import noun_phrases
from core.detection.glip_model import GlipNetwork
from core.device import choose
from core.train.glip_data import MOST_THINGS, Scenes, spoken

log = logging.getLogger(__name__)
THING = "thing"
TEMPLATE = "a photo of {}"
REGIONS = RegionSettings(mode="bbox", square=True, margin=0.1)  # measured: CLIP names Toybox things best so
LEAST_OBJECT = 0.3  # score of a 'thing', from which a box is shown to CLIP
OVERLAP = 0.4
MOST_BOXES = 8  # of a picture
LEAST_MEANT = 0.4  # CLIP's probability that a box is the phrase's, against the sentence's others and all other nouns


@dataclass(frozen=True, kw_only=True)
class Pseudo:
    """A box for each phrase of each plain picture's first sentence, where one was found."""

    boxes: Float[np.ndarray, "M K 4"]  # zeros where none was found
    there: Bool[np.ndarray, "M K"]
    nouns: tuple[tuple[str, ...], ...]  # the last word of each phrase
    words: tuple[str, ...]  # every noun that the sentences hold

    @property
    def kept(self) -> Int[np.ndarray, " m"]:
        """The pictures that have a box for any phrase."""
        return np.flatnonzero(self.there.any(1))

    def found(self, index: int) -> list[bool]:
        """Return whether each phrase of a picture has a box."""
        return self.there[index, : len(self.nouns[index])].tolist()

    def facts(self) -> dict[str, Any]:
        """Return how many phrases got a box."""
        return {"phrases": sum(map(len, self.nouns)), "with_a_box": int(self.there.sum()), "words": list(self.words)}


def pseudo_boxes(
    network: GlipNetwork,
    tokenizer: Tokenizer,
    clip: ClipBackbone,
    scenes: Scenes,
    *,
    anchor_scale: float,
    path: Path,
) -> Pseudo:
    """Find boxes for the phrases of all plain pictures, or read those that were kept at `path`."""
    phrases = [_phrases(sentences) for sentences in scenes.plain_sentences]
    nouns = tuple(tuple(noun for _, noun in own) for own in phrases)
    words = tuple(sorted({noun for own in nouns for noun in own}))
    if not path.exists():
        log.info("looking for the phrases of %d sentences", len(phrases))
        boxes, there = _found(network, tokenizer, clip, scenes, phrases, words, anchor_scale)
        part = path.with_suffix(".part.npz")
        np.savez(part, boxes=boxes, there=there)
        part.replace(path)
    with np.load(path) as stored:
        return Pseudo(boxes=stored["boxes"], there=stored["there"], nouns=nouns, words=words)


def matched(
    likely: Float[np.ndarray, "R K"], objects: Float[np.ndarray, " R"], least: float = LEAST_MEANT
) -> list[tuple[int, int]]:
    """Return boxes and phrases that belong together, each once, so that the sum of both scores is largest."""
    rows, columns = linear_sum_assignment(-(likely * objects[:, None]))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if likely[r, c] >= least]


def _phrases(sentences: list) -> list[tuple[str, str]]:
    """Return each phrase of the first sentence with its noun, which the chunker finds."""
    text, spans = spoken(sentences[0])
    found = [text[first:last] for (first, last), _ in spans][:MOST_THINGS]
    return [(phrase, noun_phrases(phrase)[0].noun) for phrase in found]


def _found(
    network: GlipNetwork,
    tokenizer: Tokenizer,
    clip: ClipBackbone,
    scenes: Scenes,
    phrases: list[list[tuple[str, str]]],
    words: tuple[str, ...],
    anchor_scale: float,
) -> tuple[Float[np.ndarray, "M K 4"], Bool[np.ndarray, "M K"]]:
    training = network.training
    side = scenes.plain.shape[1]
    settings = GlipSettings(short_side=side, least=0.05, anchor_scale=anchor_scale)
    finder = Glip(network.eval(), tokenizer, Weights(name="teacher", system="glip"), choose("cpu"), settings)
    scorer = RegionScorer(clip)
    boxes = np.zeros((len(phrases), MOST_THINGS, 4), np.float32)
    there = np.zeros((len(phrases), MOST_THINGS), bool)
    for index, own in enumerate(phrases):
        things = finder.detect(scenes.plain[index], [THING]).boxes(LEAST_OBJECT, OVERLAP, MOST_BOXES)
        if not things.labels:
            continue
        features = scorer.encode(scenes.plain[index], boxes_xyxy=things.boxes_xyxy, settings=REGIONS)
        for place, phrase in matched(_likely(scorer, features, own, words), things.scores):
            boxes[index, phrase], there[index, phrase] = things.boxes_xyxy[place], True
    network.train(training)
    return boxes, there


@torch.inference_mode()
def _likely(
    scorer: RegionScorer,
    features: Float[Tensor, "R D"],
    phrases: list[tuple[str, str]],
    words: tuple[str, ...],
) -> Float[np.ndarray, "R K"]:
    """Return CLIP's probability of each phrase at each box, against the others and against nouns not mentioned."""
    said = {noun for _, noun in phrases}
    texts = [phrase for phrase, _ in phrases] + [f"a {word}" for word in words if word not in said]
    cosines = features @ scorer.classifier(texts, [TEMPLATE]).T
    likely = (scorer.backbone.logit_scale * cosines).softmax(-1)[:, : len(phrases)].numpy()
    same = np.array([[a == b for a, _ in phrases] for b, _ in phrases])  # a phrase twice: its probability is shared
    return likely @ same
