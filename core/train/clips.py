"""Toybox clips to learn from: drawn once in pieces that a kill cannot spoil, and seen once by a frozen image tower.

Each clip is used four ways: as it is, mirrored (left and right, and the sense of a spin, change places), and both
backwards. Its captions follow from the motion, not from the picture.

Legend: N clips, T frames, S side, D embedding size.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from core.backbones.clip import ClipBackbone
from core.backbones.clip_model import encode_image
from core.world.clips import opposite
from core.world.motion import MOTIONS, clip, partner

log = logging.getLogger(__name__)
PIECE = 250  # clips in one file
DRAWING = 1  # raise it when the clips of the Toybox change, so that cached ones are drawn again
SPIN_SHARE = 0.4  # of the clips spin: the hardest motion to see, and the one with most to learn
HANDED = ("moving to the left", "moving to the right", "spinning counterclockwise", "spinning clockwise")


@dataclass(frozen=True, kw_only=True)
class SeenClips:
    """N clips as an image tower sees them, each with its action and sentences."""

    features: Float[Tensor, "N T D"]  # not normalised
    actions: tuple[str, ...]
    sentences: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.actions)


def seen_clips(
    backbone: ClipBackbone, sha256: str, seed: int, count: int, *, frames: int, size: int, cache: Path
) -> SeenClips:
    """Return `count` clips and their mirror images as `backbone` sees them; a second call reads `cache`.

    `sha256` is of the backbone's weights: another one looks anew, at the same clips.
    """
    pieces = list(draw(seed, count, frames=frames, size=size, cache=cache))
    path = pieces[0][0].parent / f"seen-{sha256[:12]}-{count}.npz"
    if not path.exists():
        looked = [look(backbone, turned) for file, _ in pieces for turned in _both_hands(_frames(file))]
        _save(path, features=np.concatenate(looked).astype(np.float16))
    with np.load(path) as stored:
        features = torch.from_numpy(stored["features"].astype(np.float32))
    told = [each for _, piece in pieces for turned in (piece, [_mirrored(*one) for one in piece]) for each in turned]
    return SeenClips(
        features=features,
        actions=tuple(action for action, _ in told),
        sentences=tuple(tuple(sentences) for _, sentences in told),
    )


def draw(
    seed: int, count: int, *, frames: int, size: int, cache: Path
) -> Iterator[tuple[Path, list[tuple[str, list[str]]]]]:
    """Yield files of frames, each with the action and sentences of its clips, drawing those that are not there."""
    name = hashlib.sha256(repr((seed, frames, size, SPIN_SHARE, DRAWING)).encode()).hexdigest()[:12]
    folder = cache / f"clips-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, count, PIECE):
        end = min(start + PIECE, count)
        path, words = folder / f"{start}-{end}.npz", folder / f"{start}-{end}.json"
        if not (path.exists() and words.exists()):
            log.info("drawing clips %d to %d of %d", start, end, count)
            drawn = [clip(seed + i, _motion(seed, i), frames=frames, size=size) for i in range(start, end)]
            words.write_text(json.dumps([(each.action, each.sentences) for each in drawn]))
            _save(path, frames=np.stack([each.film.frames for each in drawn]))
        yield path, [(action, sentences) for action, sentences in json.loads(words.read_text())]


@torch.inference_mode()
def look(backbone: ClipBackbone, clips: UInt8[np.ndarray, "N T S S 3"]) -> Float[np.ndarray, "N T D"]:
    """Return the features of all frames, not normalised."""
    device, seen = backbone.device.torch_device(), []
    for film in clips:
        inputs = torch.stack([backbone.preprocess(frame) for frame in film])
        seen.append(encode_image(backbone.model, inputs.to(device)).float().cpu())
    return torch.stack(seen).numpy()


def _motion(seed: int, index: int) -> str:
    """Return the action of the clip at a place: SPIN_SHARE of them spin, the other motions share the rest."""
    rng = np.random.default_rng((seed, index, 4))
    spins = [motion.forwards.startswith("spinning") for motion in MOTIONS]
    shares = np.where(spins, SPIN_SHARE / sum(spins), (1 - SPIN_SHARE) / (len(spins) - sum(spins)))
    return MOTIONS[rng.choice(len(MOTIONS), p=shares)].forwards


def _frames(path: Path) -> UInt8[np.ndarray, "N T S S 3"]:
    with np.load(path) as stored:
        return stored["frames"]


def _both_hands(frames: UInt8[np.ndarray, "N T S S 3"]) -> tuple[np.ndarray, np.ndarray]:
    """Return the clips, and the clips in a mirror."""
    return frames, np.ascontiguousarray(frames[:, :, :, ::-1])


def _mirrored(action: str, sentences: list[str]) -> tuple[str, list[str]]:
    """Return what a mirror image shows."""
    if action not in HANDED:
        return action, sentences
    return partner(action), [opposite(sentence, action) for sentence in sentences]


def _save(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays so that a kill leaves the old file or none."""
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays)
    part.replace(path)
