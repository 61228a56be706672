"""Toybox pictures for GLIP: some with boxes and sentences, which show base things only, and some with sentences alone.

An annotated picture shows base things only, so that no novel thing in one was ever punished as background. A sentence
names every thing that shows; it is kept in pieces, so that 'left' and 'right' can change places when a picture is
mirrored, and so that the characters of each noun phrase are known. In a plain picture it is known which piece is a
noun phrase, as a chunker would tell, but not where in the picture its thing is.

Legend: N pictures, K things of a picture at most, B pictures of a batch, S side of a crop.
"""

import hashlib
import json
import logging
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from core.detection.glip_prompts import SPECIAL
from core.world import captions
from core.world.captions import noun_phrase, relation, shown
from core.world.picture import picture
from core.world.render import View
from core.world.scene import COLORS, GROUNDS, PATTERNS, SIZES, SKIES
from core.world.shapes import CATEGORIES

log = logging.getLogger(__name__)
MOST_THINGS = 4
FIRST_ANNOTATED, FIRST_PLAIN = 41_000_000, 42_000_000  # seeds; a recipe's seed moves both
SEED_STEP = 100_000
DRAWING = 1  # raise it when the Toybox itself changes, so that cached pictures are drawn again
CHUNK = 200  # pictures a worker draws at a time
SAMPLES = 2
SENTENCES = 3  # a picture
COLOR_SHARE, PATTERN_SHARE, SIZE_SHARE = 0.75, 0.2, 0.15  # of noun phrases that say so
RELATED_SHARE = 0.5  # of sentences with two things or more that say how two of them stand
FRAMES = ("{}", "{}", "{}.", "a picture of {}", "a photo of {}", "there is {}", "this is {}", "an image of {}")
OTHER_WORDS = (
    "thing things object objects the with it two three four word left right front behind on under in to of and"
)
Piece = tuple[str, list[int]]  # words, and the things that they name; none outside noun phrases
SWAPPED = {"left": "right", "right": "left"}


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Annotated pictures with boxes, names and sentences, and plain pictures with sentences alone."""

    pictures: UInt8[np.ndarray, "N H W 3"]
    boxes: Float[np.ndarray, "N K 4"]  # xyxy, end exclusive; zeros beyond a picture's own
    names: Int[np.ndarray, "N K"]  # index into CATEGORIES, -1 beyond a picture's own
    sentences: tuple[list[list[Piece]], ...]  # SENTENCES of each picture, whose pieces name boxes
    plain: UInt8[np.ndarray, "M H W 3"]
    plain_sentences: tuple[list[list[Piece]], ...]  # their noun phrases are marked, and name no box


def vocabulary() -> tuple[str, ...]:
    """Return the words that a prompt can hold, special tokens and punctuation first."""
    sources = [*captions.FRAMES, *captions.DISTANCE_METRES, *captions.COUNTS, *COLORS, *PATTERNS, *SIZES, *CATEGORIES]
    sources += [*GROUNDS, *SKIES, OTHER_WORDS, *captions.PLURALS.values(), *(f"{name}s" for name in CATEGORIES)]
    words = {word for source in sources for word in source.replace("{}", " ").replace("-", " ").split()}
    words = {word.strip(".,") for word in words} - {""}
    return (*SPECIAL, ".", ",", "-", *sorted(words))


def toybox_scenes(seed: int, annotated: int, plain: int, *, size: int, cache: Path) -> Scenes:
    """Draw scenes of one to four things on all cores; a second call reads them back from `cache`."""
    shares = (COLOR_SHARE, PATTERN_SHARE, SIZE_SHARE, RELATED_SHARE, FRAMES, SENTENCES)
    key = repr((seed, annotated, plain, size, MOST_THINGS, SAMPLES, shares, DRAWING))
    path = cache / f"glip-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"
    if not path.exists():
        log.info("drawing %d Toybox scenes", annotated + plain)
        with_boxes = _drawn(FIRST_ANNOTATED + SEED_STEP * seed, annotated, size, "base")
        without = _drawn(FIRST_PLAIN + SEED_STEP * seed, plain, size, "seen")
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        names = ("pictures", "boxes", "names", "sentences")
        arrays = dict(zip(names, with_boxes, strict=True)) | {"plain": without[0], "plain_sentences": without[3]}
        np.savez(part, **arrays)
        part.replace(path)
    with np.load(path) as stored:
        found = {key: stored[key] for key in stored.files}
    found["sentences"] = tuple(_pieces(text) for text in found["sentences"])
    found["plain_sentences"] = tuple(_pieces(text, marked_only=True) for text in found["plain_sentences"])
    return Scenes(**found)


def sentence(view: View, rng: np.random.Generator) -> list[Piece]:
    """Draw a true sentence that names every thing that shows, in pieces; things are counted as `shown` does."""
    seen = shown(view)[:MOST_THINGS]
    order = [int(place) for place in rng.permutation(len(seen))]
    phrases = [_phrase(view, seen, place, rng) for place in order]
    pieces: list[Piece] = [phrases[0]]
    related = relation(view, seen[order[0]], seen[order[1]]) if len(seen) > 1 else None
    if related and rng.random() < RELATED_SHARE:
        pieces += [(f" {related} ", []), phrases[1]]
        phrases = phrases[1:]
    for number, phrase in enumerate(phrases[1:], start=2):
        pieces += [(" and " if number == len(phrases) else ", ", []), phrase]
    before, after = str(rng.choice(FRAMES)).split("{}")
    return [piece for piece in [(before, []), *pieces, (after, [])] if piece[0]]


def _phrase(view: View, seen: Sequence[int], place: int, rng: np.random.Generator) -> Piece:
    """Draw a noun phrase for one thing, and the places of all that it is true of; twins are told apart by colour."""
    things = [view.scene.things[index] for index in seen]
    own = things[place]
    twins = [thing.category == own.category for thing in things]
    color = sum(twins) > 1 or bool(rng.random() < COLOR_SHARE)
    pattern, size = bool(rng.random() < PATTERN_SHARE), bool(rng.random() < SIZE_SHARE)
    words = noun_phrase(view, seen[place], color=color, pattern=pattern, size=size)
    meant = [i for i, twin in enumerate(twins) if twin and things[i].color == own.color]
    return words, meant if color else [i for i, twin in enumerate(twins) if twin]


def spoken(pieces: Sequence[Piece], *, mirrored: bool = False) -> tuple[str, list[tuple[tuple[int, int], list[int]]]]:
    """Return a sentence's text, and the characters and things of each of its noun phrases, in order."""
    text, phrases = "", []
    for words, things in pieces:
        shown_words = " ".join(SWAPPED.get(w, w) for w in words.split(" ")) if mirrored and not things else words
        if things:
            phrases.append(((len(text), len(text) + len(words)), list(things)))
        text += shown_words
    return text, phrases


def cropped_boxes(
    boxes: Float[np.ndarray, "K 4"], theta: Float[Tensor, "2 3"], picture: int, size: int
) -> tuple[Float[Tensor, "K 4"], Float[Tensor, " K"]]:
    """Return boxes of a picture in the pixels of its crop, cut to it, and which share of each is left."""
    scale, shift = theta[[0, 1], [0, 1]], theta[:, 2]
    corners = (2 * torch.from_numpy(boxes).view(-1, 2, 2) / picture - 1 - shift) / scale
    corners = (corners + 1) * size / 2  # (K, 2, 2)
    whole = torch.cat([corners.amin(1), corners.amax(1)], 1)
    cut = whole.clamp(0, size)
    areas = [(each[:, 2:] - each[:, :2]).prod(1) for each in (cut, whole)]
    return cut, areas[0] / areas[1].clamp(min=1e-6)


def _pieces(text: str, *, marked_only: bool = False) -> list[list[Piece]]:
    """Read sentences back; `marked_only` keeps that a piece is a noun phrase, and forgets what it means."""
    return [
        [(words, things[:1] and [0] if marked_only else things) for words, things in each]
        for each in json.loads(str(text))
    ]


def _drawn(first: int, count: int, size: int, pairs: str) -> list[np.ndarray]:
    chunks = [(first + start, min(CHUNK, count - start)) for start in range(0, count, CHUNK)]
    draw = partial(_draw_chunk, size=size, pairs=pairs)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if min(cores, len(chunks)) == 1:
        parts = [draw(chunk) for chunk in chunks]
    else:
        with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
            parts = list(pool.map(draw, chunks))
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def _draw_chunk(
    chunk: tuple[int, int], *, size: int, pairs: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    first, count = chunk
    pictures, sentences = [], []
    boxes = np.zeros((count, MOST_THINGS, 4), np.float32)
    names = np.full((count, MOST_THINGS), -1, np.int64)
    for row, seed in enumerate(range(first, first + count)):
        view = picture(seed, size, count=1 + seed % MOST_THINGS, pairs=pairs, samples=SAMPLES)
        pictures.append(view.rgb)
        seen = shown(view)[:MOST_THINGS]
        for place, index in enumerate(seen):
            boxes[row, place] = view.boxes.boxes_xyxy[view.visible.index(index)]
            names[row, place] = CATEGORIES.index(view.scene.things[index].category)
        rng = np.random.default_rng((seed, 7))
        sentences.append(json.dumps([sentence(view, rng) for _ in range(SENTENCES)]))
    return np.stack(pictures), boxes, names, np.array(sentences)
