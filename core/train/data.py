"""Pairs of pictures and sentences to learn from, and those of the Toybox.

Everything is held in memory as uint8 and as token ids; a step's batch follows from (seed, step) alone, so that a run
that was interrupted goes on as if it had not been.

Legend: N pictures, S sentences a picture, L token positions.
"""

import hashlib
import logging
import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Int, UInt8

from core.backbones.tokenizer import clip_tokenizer
from core.world.captions import describe, shown
from core.world.looks import view_as
from core.world.render import View, render
from core.world.scene import Scene, sample
from core.world.shapes import CATEGORIES

log = logging.getLogger(__name__)
SENTENCES = 4  # a picture
LOOK_SHARE = {"photo": 0.72, "line drawing": 0.09, "silhouette": 0.03, "depth map": 0.06, "point cloud": 0.1}
TEXT_SHARE = 0.03  # of Toybox photos carry a painted word
SINGLE_SHARE, SINGLE_LOOK_SHARE = 0.6, 0.9  # of photos, and of other looks, are asked to show one thing only
DRAWING = 2  # raise it when the Toybox itself changes, so that cached pictures are drawn again
CHUNK = 500  # pictures a worker draws at a time
ALONE_UP_TO = 8_000  # pictures in all that are drawn in this process
Chunk, Drawn = TypeVar("Chunk"), TypeVar("Drawn")


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """N pictures with S tokenised sentences each, and the class of those that show one thing."""

    pictures: UInt8[np.ndarray, "N H W 3"]
    tokens: Int[np.ndarray, "N S L"]
    classes: Int[np.ndarray, " N"]  # index into names, -1 where there is no single one
    names: tuple[str, ...]
    same_sentences: bool  # whether a sentence of one picture is true of every picture of its class

    def __len__(self) -> int:
        return len(self.pictures)

    def chosen(self, which: Bool[np.ndarray, " N"]) -> "Pairs":
        """Return the pairs that are marked."""
        return replace(self, pictures=self.pictures[which], tokens=self.tokens[which], classes=self.classes[which])


def toybox_pairs(seed: int, count: int, *, size: int, context_length: int, cache: Path) -> Pairs:
    """Draw `count` Toybox pictures with sentences on all cores; a second call reads them back from `cache`."""
    shares = (LOOK_SHARE, TEXT_SHARE, SINGLE_SHARE, SINGLE_LOOK_SHARE)
    name = hashlib.sha256(repr((seed, count, size, context_length, shares, DRAWING)).encode()).hexdigest()[:12]
    path = cache / f"toybox-{name}.npz"
    if not path.exists():
        log.info("drawing %d Toybox pictures", count)
        chunks = [(seed, start, min(CHUNK, count - start)) for start in range(0, count, CHUNK)]
        parts = on_all_cores(partial(_draw_chunk, size=size, context_length=context_length), chunks, count)
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, **{key: np.concatenate([each[key] for each in parts]) for key in parts[0]})
        part.replace(path)
    with np.load(path) as stored:
        arrays = {key: stored[key] for key in stored.files}
    return Pairs(**arrays, names=CATEGORIES, same_sentences=False)


def on_all_cores(draw: Callable[[Chunk], Drawn], chunks: Sequence[Chunk], count: int) -> list[Drawn]:
    """Return what `draw` makes of each chunk; few pictures are drawn sooner than other processes are started."""
    if count <= ALONE_UP_TO:
        return [draw(chunk) for chunk in chunks]
    with multiprocessing.get_context("spawn").Pool() as pool:
        return pool.map(draw, chunks, chunksize=1)


def training_view(rng: np.random.Generator, size: int) -> tuple[View, str]:
    """Draw a scene of the training split and the look it is shown in."""
    look = str(rng.choice(list(LOOK_SHARE), p=list(LOOK_SHARE.values())))
    count = 1 if rng.random() < (SINGLE_SHARE if look == "photo" else SINGLE_LOOK_SHARE) else None
    while True:
        scene = sample(rng, count=count)
        if look == "photo" and rng.random() < TEXT_SHARE:
            scene = with_text(scene, str(rng.choice(CATEGORIES)))
        view = render(scene, (size, size), samples=2 if look == "photo" else 1)
        if shown(view):
            return view, look


def with_text(scene: Scene, text: str) -> Scene:
    """Return the scene with a word painted on its first thing."""
    return replace(scene, things=(replace(scene.things[0], text=text), *scene.things[1:]))


def tokenise(sentences: list[str], context_length: int) -> Int[np.ndarray, "N L"]:
    """Return CLIP's BPE ids, cut to the context length, (N, L) int32."""
    return clip_tokenizer(context_length)(sentences).numpy().astype(np.int32)


def _draw_chunk(chunk: tuple[int, int, int], *, size: int, context_length: int) -> dict[str, np.ndarray]:
    seed, start, count = chunk
    pictures, sentences, classes = [], [], []
    for index in range(start, start + count):
        rng = np.random.default_rng((seed, index))
        view, look = training_view(rng, size)
        pictures.append(view_as(view, look))
        sentences += [describe(view, rng, look) for _ in range(SENTENCES)]
        seen = shown(view)
        classes.append(CATEGORIES.index(view.scene.things[seen[0]].category) if len(seen) == 1 else -1)
    return {
        "pictures": np.stack(pictures),
        "tokens": tokenise(sentences, context_length).reshape(count, SENTENCES, context_length),
        "classes": np.array(classes),
    }
