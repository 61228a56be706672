"""Toybox pictures of one thing each, for a CLIP that learns from nothing while a class watches.

The vocabulary is the recipe's own: fewer categories, none of them a name or another word for a class of CIFAR-10, so
that photographs of those are new to whoever learnt from these pictures alone.

Legend: N pictures, S sentences a picture, L token positions.
"""

import hashlib
from functools import cache, partial
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from core.train.data import CHUNK, DRAWING, SENTENCES, Pairs, on_all_cores, tokenise
from core.world.captions import describe, shown, with_article
from core.world.render import View, render
from core.world.scene import HELD_OUT_PAIRS, SEEN_PAIRS, sample

CATEGORIES = (
    "ball",
    "cube",
    "cone",
    "ring",
    "chair",
    "table",
    "lamp",
    "mug",
    "bottle",
    "house",
    "tree",
    "snowman",
    "rocket",
    "dumbbell",
    "hammer",
    "person",
)
WATCHED_SEED = 5_600_000  # of the pictures that a run is watched on, far from those it learns from
WATCHED = 240
SHOWN = 12  # pictures and captions of the matrix that turns diagonal


def preset_pairs(
    seed: int, count: int, categories: tuple[str, ...], *, size: int, context_length: int, cache: Path
) -> Pairs:
    """Draw `count` pictures of one thing with sentences; a second call reads them back from `cache`."""
    name = hashlib.sha256(repr((seed, count, categories, size, context_length, DRAWING)).encode()).hexdigest()[:12]
    path = cache / f"things-{name}.npz"
    if not path.exists():
        chunks = [(start, min(CHUNK, count - start)) for start in range(0, count, CHUNK)]
        parts = on_all_cores(partial(_draw_chunk, seed, categories, size, context_length), chunks, count)
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, **{key: np.concatenate([each[key] for each in parts]) for key in parts[0]})
        part.replace(path)
    with np.load(path) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return Pairs(**arrays, names=categories, same_sentences=False)


def single(rng: np.random.Generator, size: int, categories: tuple[str, ...], *, held_out: bool = False) -> View:
    """Render one thing of these categories that is large enough to speak of."""
    pairs = tuple(pair for pair in (HELD_OUT_PAIRS if held_out else SEEN_PAIRS) if pair[1] in categories)
    while True:
        view = render(sample(rng, count=1, pairs=pairs), (size, size), samples=2)
        if shown(view):
            return view


@cache
def watched(
    categories: tuple[str, ...], size: int, seed: int = WATCHED_SEED, count: int = WATCHED
) -> tuple[UInt8[np.ndarray, "N H W 3"], Int[np.ndarray, " N"]]:
    """Return pictures that nobody trained on with the index of each one's category."""
    views = [single(np.random.default_rng(seed + i), size, categories) for i in range(count)]
    kinds = [categories.index(view.scene.things[0].category) for view in views]
    return np.stack([view.rgb for view in views]), np.array(kinds)


@cache
def exhibits(
    categories: tuple[str, ...], size: int
) -> tuple[UInt8[np.ndarray, "N H W 3"], tuple[str, ...], tuple[str, ...]]:
    """Return a few pictures of different things with the sentence and the category of each."""
    names = categories[:: max(1, len(categories) // SHOWN)][:SHOWN]
    views = [single(np.random.default_rng((WATCHED_SEED, 7, i)), size, (name,)) for i, name in enumerate(names)]
    sentences = [with_article(f"{view.scene.things[0].color} {view.scene.things[0].category}") for view in views]
    return np.stack([view.rgb for view in views]), tuple(sentences), names


def _draw_chunk(
    seed: int, categories: tuple[str, ...], size: int, context_length: int, chunk: tuple[int, int]
) -> dict[str, np.ndarray]:
    pictures, sentences, classes = [], [], []
    for index in range(chunk[0], sum(chunk)):
        rng = np.random.default_rng((seed, 8, index))
        view = single(rng, size, categories)
        pictures.append(view.rgb)
        sentences += [describe(view, rng) for _ in range(SENTENCES)]
        classes.append(categories.index(view.scene.things[0].category))
    return {
        "pictures": np.stack(pictures),
        "tokens": tokenise(sentences, context_length).reshape(chunk[1], SENTENCES, context_length),
        "classes": np.array(classes),
    }
