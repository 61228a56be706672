"""What GroupViT learns from: pictures with sentences about them, and the nouns that the sentences hold; no masks.

Three sources: the Toybox pictures that the CLIPs learn from, scenes of one to four things drawn larger with sentences
that name them all, and collages of any four of the small pictures, of which each quarter has its own nouns.

Legend: N pictures, S sentences a picture, P token positions, K nouns, B pictures of a batch.
"""

import hashlib
import logging
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from core.backbones.tokenizer import clip_tokenizer
from core.train.data import Pairs, tokenise
from core.world.captions import FRAMES, PLURALS, noun_phrase, shown, with_article
from core.world.render import View, render
from core.world.scene import GROUNDS, SKIES, sample
from core.world.shapes import CATEGORIES

log = logging.getLogger(__name__)
PLACES = (*GROUNDS, *(sky for sky in SKIES if "sky" in sky))  # what captions say of where a thing is
NOUNS: tuple[str, ...] = (*CATEGORIES, *PLACES)
COUNT_SHARES = (0.25, 0.3, 0.25, 0.2)  # of drawn scenes show one, two, three, four things
COLOR_SHARE, PLACE_SHARE = 0.6, 0.5  # of the things are named with their colour, of the sentences name ground or sky
SENTENCES = 4  # a drawn scene
TILES = 4  # a collage
GREY_RANGE = 12  # between a pixel's channels: no picture of another look than a photo's reaches it
DRAWING = 1  # raise it when what is drawn changes, so that cached scenes are drawn again
CHUNK = 250  # scenes a worker draws at a time


@dataclass(frozen=True, kw_only=True)
class Captioned:
    """Pictures of one size, each with sentences and the nouns in them."""

    pictures: UInt8[Tensor, "N H W 3"]
    tokens: Int[Tensor, "N S P"]
    nouns: Bool[Tensor, "N K"]

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw pictures, (B, H, W, 3), a sentence for each, (B, P), and their nouns, (B, K)."""
        picks = torch.from_numpy(rng.integers(len(self), size=count))
        sentence = torch.from_numpy(rng.integers(self.tokens.shape[1], size=count))
        return self.pictures[picks], self.tokens[picks, sentence], self.nouns[picks]


@dataclass(frozen=True, kw_only=True)
class Collages:
    """Any four pictures make a picture twice as large; what is true of each of the four is known from its sentences."""

    source: Captioned  # every picture's nouns have a category among them

    def batch(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw tiles, (B, 4, H, W, 3), a sentence for each collage, (B, P), and the tiles' nouns, (B, 4, K)."""
        picks = torch.from_numpy(rng.integers(len(self.source), size=(count, TILES)))
        nouns = self.source.nouns[picks]
        sentences = [self._sentence(rng, rows) for rows in nouns[..., : len(CATEGORIES)].numpy()]
        tokens = torch.from_numpy(tokenise(sentences, self.source.tokens.shape[2])).long()
        return self.source.pictures[picks], tokens, nouns

    @staticmethod
    def _sentence(rng: np.random.Generator, rows: Bool[np.ndarray, "4 C"]) -> str:
        """Name one thing of each tile, in any order."""
        names = [with_article(CATEGORIES[rng.choice(np.flatnonzero(row))]) for row in rows]
        return str(rng.choice(FRAMES)).format(listed([str(name) for name in rng.permutation(names)]))


def photos_only(pairs: Pairs) -> Pairs:
    """Leave out the looks without colour and what has a word painted on it: that word names nothing in the picture."""
    sampled = pairs.pictures[:, ::4, ::4]
    spread = (sampled.max(-1) - sampled.min(-1)).max((1, 2))
    word = tokenise(["word"], 3)[0, 1]
    return pairs.chosen((spread > GREY_RANGE) & ~(pairs.tokens == word).any((1, 2)))


def captioned(pictures: UInt8[np.ndarray, "N H W 3"], tokens: Int[np.ndarray, "N S P"]) -> Captioned:
    """Return pictures and their sentences with the nouns that these hold."""
    return Captioned(
        pictures=torch.from_numpy(pictures),
        tokens=torch.from_numpy(tokens).long(),
        nouns=torch.from_numpy(nouns_in(tokens)),
    )


def assembled(tiles: Float[Tensor, "B 4 C H W"]) -> Float[Tensor, "B C 2*H 2*W"]:
    """Put four pictures together, row by row."""
    return torch.cat([torch.cat([tiles[:, i], tiles[:, i + 1]], dim=-1) for i in (0, 2)], dim=-2)


def nouns_in(tokens: Int[np.ndarray, "N S P"]) -> Bool[np.ndarray, "N K"]:
    """Say which nouns, singular or plural, the sentences of each picture hold."""
    encode = clip_tokenizer().encode
    found = np.zeros((len(tokens), len(NOUNS)), bool)
    for index, noun in enumerate(NOUNS):
        for form in (noun.removeprefix("a "), PLURALS.get(noun, f"{noun}s")):
            ids = encode(form)
            width = tokens.shape[2] - len(ids) + 1
            hits = [tokens[:, :, place : place + width] == token for place, token in enumerate(ids)]
            found[:, index] |= np.logical_and.reduce(hits).any((1, 2))
    return found


def draw_scenes(seed: int, count: int, *, size: int, context_length: int, cache: Path) -> Captioned:
    """Draw scenes of one to four things with sentences that name all of them; a second call reads them back."""
    settings = (seed, count, size, context_length, COUNT_SHARES, COLOR_SHARE, PLACE_SHARE, SENTENCES, DRAWING)
    path = cache / f"groupvit-{hashlib.sha256(repr(settings).encode()).hexdigest()[:12]}.npz"
    if not path.exists():
        log.info("drawing %d scenes", count)
        chunks = [(seed, start, min(CHUNK, count - start)) for start in range(0, count, CHUNK)]
        with multiprocessing.get_context("spawn").Pool() as pool:
            parts = pool.map(partial(_draw_chunk, size=size, context_length=context_length), chunks, chunksize=1)
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, **{key: np.concatenate([each[key] for each in parts]) for key in parts[0]})
        part.replace(path)
    with np.load(path) as stored:
        return captioned(stored["pictures"], stored["tokens"])


def sentence(view: View, rng: np.random.Generator) -> str:
    """Name up to four things that show, in any order, some with their colour, and now and then where they are."""
    seen = rng.permutation(list(shown(view))[:4])
    text = listed([noun_phrase(view, int(i), color=bool(rng.random() < COLOR_SHARE)) for i in seen])
    if rng.random() < PLACE_SHARE:
        text += f" on {view.scene.ground}"
    if rng.random() < PLACE_SHARE and view.scene.sky in PLACES:
        text += f" under {view.scene.sky}"
    return str(rng.choice(FRAMES)).format(text)


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does: 'a, b and c'."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def noun_prompt(frame: str, noun: str) -> str:
    """Put a noun in a caption's frame: 'a photo of a chair'."""
    return frame.format(with_article(noun) if noun in CATEGORIES else noun)


def _draw_chunk(chunk: tuple[int, int, int], *, size: int, context_length: int) -> dict[str, np.ndarray]:
    seed, start, count = chunk
    views = [_scene(np.random.default_rng((seed, 7, start + i)), size) for i in range(count)]
    texts = [sentence(view, rng) for view, rng in views for _ in range(SENTENCES)]
    return {
        "pictures": np.stack([view.rgb for view, _ in views]),
        "tokens": tokenise(texts, context_length).reshape(count, SENTENCES, context_length),
    }


def _scene(rng: np.random.Generator, size: int) -> tuple[View, np.random.Generator]:
    while True:
        count = 1 + int(rng.choice(len(COUNT_SHARES), p=COUNT_SHARES))
        view = render(sample(rng, count=count), (size, size), samples=1)
        if shown(view):
            return view, rng
