"""Toybox scenes for ViLD: boxes and masks of base things, and what a frozen CLIP says of proposals, computed once.

Things of novel categories stand in every second scene and carry no annotation, as in LVIS without its rare categories:
where one is, the truth says that there is nothing. Proposals and their embeddings are stored beside the scenes (Gu et
al. 2022, https://arxiv.org/abs/2104.13921, Sec. 3.3): no step of the training runs CLIP's image tower.

Legend: N pictures, S their side, K things of a picture at most, M proposals of each, D embedding size.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from core.backbones.clip import ClipBackbone
from core.detection.proposals import Frame
from core.detection.vild_crops import encode_crops
from core.detection.vild_model import VildNetwork
from core.world.picture import picture
from core.world.render import View
from core.world.scene import BASE

log = logging.getLogger(__name__)
MOST_THINGS = 4
FIRST_SEED, SEED_STEP = 31_000_000, 100_000  # a recipe's seed moves them
LEAST_PIXELS = 24  # of a thing that is annotated
SAMPLES = 2
DRAWING = 1  # raise it when the Toybox itself changes, so that cached pictures are drawn again
PAD = -1


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """N pictures with the boxes, words and masks of their base things."""

    pictures: UInt8[np.ndarray, "N S S 3"]
    boxes: Float[np.ndarray, "N K 4"]  # float32, xyxy, end exclusive; rows of PAD
    words: Int[np.ndarray, "N K"]  # int8, indices into BASE; PAD
    things: Int[np.ndarray, "N S S"]  # int8, the row in `boxes` that a pixel shows; PAD

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True, kw_only=True)
class Stored:
    """M proposals of each picture and CLIP's unit vector for each; boxes of PAD where there are fewer."""

    boxes: Float[np.ndarray, "N M 4"]  # float32
    embeddings: Float[np.ndarray, "N M D"]  # float16


def toybox_scenes(seed: int, count: int, *, size: int, cache: Path) -> Scenes:
    """Draw `count` scenes of one to four things; a second call reads them back from `cache`."""
    name = hashlib.sha256(repr((seed, count, size, MOST_THINGS, LEAST_PIXELS, DRAWING)).encode()).hexdigest()[:12]
    path = cache / f"vild-{name}.npz"
    if not path.exists():
        log.info("drawing %d Toybox scenes", count)
        _write(path, _draw(FIRST_SEED + SEED_STEP * seed, count, size))
    with np.load(path) as stored:
        return Scenes(**{key: stored[key] for key in stored.files})


def annotated(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boxes, words and the map of a picture's base things, padded."""
    boxes, words = np.full((MOST_THINGS, 4), PAD, np.float32), np.full(MOST_THINGS, PAD, np.int8)
    things = np.full(view.instances.ids.shape, PAD, np.int8)
    row = 0
    for box, label, index in zip(view.boxes.boxes_xyxy, view.boxes.labels, view.visible, strict=True):
        mask = view.instances.mask(index)
        if label in BASE and mask.sum() >= LEAST_PIXELS:
            boxes[row], words[row], things[mask] = box, BASE.index(label), row
            row += 1
    return boxes, words, things


def stored_proposals(
    network: VildNetwork, clip: ClipBackbone, scenes: Scenes, count: int, path: Path, *, square: bool
) -> Stored:
    """Return the best `count` proposals of each picture with their embeddings; a second call reads them back."""
    if not path.exists():
        log.info("storing what CLIP says of %d proposals of each of %d pictures", count, len(scenes))
        boxes = propose(network, scenes.pictures, count)
        embeddings = [teach(clip, *each, square=square) for each in zip(scenes.pictures, boxes, strict=True)]
        _write(path, {"boxes": boxes, "embeddings": np.stack(embeddings)})
    with np.load(path) as stored:
        return Stored(**{key: stored[key] for key in stored.files})


@torch.inference_mode()
def propose(network: VildNetwork, pictures: UInt8[np.ndarray, "N S S 3"], count: int) -> Float[np.ndarray, "N M 4"]:
    """Return the best proposals of each picture."""
    network.eval()
    found = np.full((len(pictures), count, 4), PAD, np.float32)
    for row, each in enumerate(pictures):
        frame = Frame.of(each.shape[:2], max(each.shape[:2]))
        boxes, _ = network.propose(network.pyramid(frame.inputs(each)), frame.inner_hw, frame.padded_hw)
        found[row, : min(count, len(boxes))] = boxes[:count].numpy()
    return found


def teach(
    clip: ClipBackbone, shown: UInt8[np.ndarray, "S S 3"], boxes: Float[np.ndarray, "M 4"], *, square: bool
) -> Float[np.ndarray, "M D"]:
    """Return CLIP's unit vectors for a picture's proposals; zeros for those that pad."""
    there = boxes.max(1) > 0
    found = encode_crops(clip, shown, boxes[there], square=square).numpy()
    rows = np.zeros((len(boxes), found.shape[1]), np.float16)
    rows[there] = found
    return rows


def _draw(first: int, count: int, size: int) -> dict[str, np.ndarray]:
    pictures, parts = np.empty((count, size, size, 3), np.uint8), []
    for index in range(count):
        pairs = ("base", "seen")[index // MOST_THINGS % 2]
        view = picture(first + index, size, count=1 + index % MOST_THINGS, pairs=pairs, samples=SAMPLES)
        pictures[index] = view.rgb
        parts.append(annotated(view))
    boxes, words, things = (np.stack(each) for each in zip(*parts, strict=True))
    return {"pictures": pictures, "boxes": boxes, "words": words, "things": things}


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(path)
