"""What a picture is asked in training: a class list, its sentence, or the one word 'thing'.

As in the paper (Sec. 3.1) and its released code (data/datasets/od_to_grounding.py): a list holds a picture's classes
and others that are not in it, shuffled; half of the lists hold all there is. Different from it: now and then a class of
the picture is left out, so that a list can hold nothing that is there.

Legend: K boxes, T tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from tokenizers import Encoding
from torch import Tensor

from core.detection.glip_prompts import Span, class_prompt, span_tokens
from core.train.glip_data import Piece, Scenes, spoken
from core.train.glip_pseudo import Pseudo
from core.world.scene import BASE
from core.world.shapes import CATEGORIES

THING = "thing"
THING_SHARE, SENTENCE_SHARE = 0.12, 0.38  # of annotated pictures; the others are asked a list
PSEUDO_SENTENCE_SHARE = 0.5
LEFT_OUT_SHARE = 0.15  # of the lists, without some class of the picture
FULL_SHARE = 0.5  # of the lists, with every class that may be asked


@dataclass(frozen=True)
class Asked:
    """A prompt's text, the boxes that each span of it means, and the spans of which nobody knows."""

    text: str
    meant: Sequence[tuple[Span, Sequence[int]]]
    unknown: Sequence[Span] = ()


@dataclass(frozen=True)
class Example:
    """A picture, its boxes, and what it is asked: a finished prompt, or a sentence in pieces."""

    picture: UInt8[np.ndarray, "H W 3"]
    boxes: Float[np.ndarray, "K 4"]
    asked: Asked | None = None
    pieces: Sequence[Piece] = ()
    unknown_phrases: Sequence[int] = ()

    def spoken(self, mirrored: bool) -> Asked:
        """Return the prompt, left and right exchanged where the picture is mirrored."""
        if self.asked is not None:
            return self.asked
        text, phrases = spoken(self.pieces, mirrored=mirrored)
        return Asked(
            text,
            [phrase for number, phrase in enumerate(phrases) if number not in self.unknown_phrases],
            [phrases[number][0] for number in self.unknown_phrases],
        )


def annotated_example(scenes: Scenes, index: int, rng: np.random.Generator) -> Example:
    """Draw what an annotated picture is asked."""
    names = scenes.names[index]
    boxes = scenes.boxes[index][names >= 0]
    kinds = [CATEGORIES[name] for name in names[names >= 0]]
    kind = rng.random()
    if kind < THING_SHARE:
        everything = Asked(THING, [((0, len(THING)), range(len(boxes)))])
        return Example(scenes.pictures[index], boxes, everything)
    if kind < THING_SHARE + SENTENCE_SHARE:
        sentences = scenes.sentences[index]
        return Example(scenes.pictures[index], boxes, pieces=sentences[rng.integers(len(sentences))])
    return Example(scenes.pictures[index], boxes, list_asked(kinds, BASE, rng))


def pseudo_example(scenes: Scenes, pseudo: Pseudo, index: int, rng: np.random.Generator) -> Example:
    """Draw what a picture with pseudo boxes is asked: its sentence, or the nouns of it among others."""
    found = pseudo.found(index)
    boxes = pseudo.boxes[index][: len(found)]
    if rng.random() < PSEUDO_SENTENCE_SHARE:
        pieces = numbered(scenes.plain_sentences[index][0])
        missing = [number for number, there in enumerate(found) if not there]
        return Example(scenes.plain[index], boxes, pieces=pieces, unknown_phrases=missing)
    kinds = pseudo.nouns[index]
    known = {noun for noun, there in zip(kinds, found, strict=True) if not there}
    others = [word for word in pseudo.words if word not in known]
    own = [noun if noun not in known else "" for noun in kinds]
    return Example(scenes.plain[index], boxes, list_asked(own, others, rng))


def list_asked(kinds: Sequence[str], words: Sequence[str], rng: np.random.Generator) -> Asked:
    """Draw a class list for a picture whose boxes are of these kinds; '' is a box that no word may mean."""
    own = sorted({kind for kind in kinds if kind})
    others = [word for word in words if word not in own]
    if rng.random() < LEFT_OUT_SHARE:
        own = [kind for kind in own if rng.random() < 0.5]
    count = len(others) if rng.random() < FULL_SHARE else int(rng.integers(1, len(others) + 1))
    chosen = own + [others[i] for i in rng.permutation(len(others))[:count]]
    chosen = [chosen[i] for i in rng.permutation(len(chosen))]
    prompt = class_prompt(chosen, ending="." if rng.random() < 0.2 else "")
    meant = [(spans[0], [i for i, kind in enumerate(kinds) if kind == word])
             for word, spans in zip(chosen, prompt.spans, strict=True)]  # fmt: skip
    return Asked(prompt.text, meant)


def numbered(pieces: Sequence[Piece]) -> list[Piece]:
    """Return a sentence whose noun phrases mean the box of their own number."""
    found, number = [], 0
    for words, things in pieces:
        found.append((words, [number] if things else []))
        number += bool(things)
    return found


def token_targets(
    asked: Asked, encoding: Encoding, boxes: int, tokens: int
) -> tuple[Bool[Tensor, "K T"], Bool[Tensor, " T"]]:
    """Return which tokens mean each box, and which are in the loss at all."""
    meant = torch.zeros(boxes, tokens, dtype=torch.bool)
    counted = torch.ones(tokens, dtype=torch.bool)
    for span, places in asked.meant:
        own = list(span_tokens(encoding, span) or ())
        for place in places:
            meant[place, own] = True
    for span in asked.unknown:
        counted[list(span_tokens(encoding, span) or ())] = False
    return meant, counted
