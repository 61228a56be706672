"""Toybox films as the frozen part of an image tower sees them: drawn once, then read back.

What the stages below the tuned ones make of a film does not change while the rest learns, so it is kept, in half
precision. The file's name follows from the weights' sha256 and from everything else that the maps depend on.

Legend: F films, T frames, C channels, h x w places of a feature map.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from open_clip.modified_resnet import ModifiedResNet

from core.train.augment import normalise
from core.world.motion import MOTIONS, TURNING, Clip, clip

log = logging.getLogger(__name__)
AT_ONCE = 32  # films that the frozen part looks at together
STAGES = ("layer1", "layer2", "layer3", "layer4")
LOG_FILMS = 600
SPINNING = next(i for i, motion in enumerate(MOTIONS) if motion.forwards == "spinning counterclockwise")
SHOWN = (*range(len(MOTIONS)), *[SPINNING] * 3)  # in turn; spinning, the hardest to tell from its reversal, more often
DRAWING = 1  # raise it when the Toybox itself changes, so that kept films are drawn again


@dataclass(frozen=True, kw_only=True)
class Films:
    """What the frozen part of the tower makes of F films, and what each shows, played forwards."""

    maps: Float[np.ndarray, "F T C h w"]
    motions: Int[np.ndarray, " F"]
    turns: Float[np.ndarray, "F T"]  # radians from facing the viewer; NaN for things that look alike from all sides


class FrozenPart:
    """The stages of an image tower below the tuned ones, and what they make of films; drawn once, then read back."""

    def __init__(
        self, visual: ModifiedResNet, first_tuned: str, tower_sha256: str, cache: Path, *, frames: int, size: int
    ) -> None:
        """Take the stages below the first tuned one, for films of this many frames of this size."""
        below = STAGES[: STAGES.index(first_tuned)]
        self.stages = (visual.stem, *(getattr(visual, name) for name in below))
        self.frames, self.size, self.cache = frames, size, cache
        self.key = (tower_sha256, below, frames, size, SHOWN, DRAWING)

    def films(self, seed: int, each: int) -> Films:
        """Return `each` films of each motion."""
        name = hashlib.sha256(repr((self.key, seed, each)).encode()).hexdigest()[:12]
        path = self.cache / f"actionclip-{name}.npz"
        if not path.exists():
            log.info("drawing %d Toybox films", each * len(MOTIONS))
            self.cache.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part.npz")
            np.savez(part, **self._draw(seed, each))
            part.replace(path)
        with np.load(path) as stored:
            return Films(maps=stored["maps"], motions=stored["motions"], turns=stored["turns"])

    def _draw(self, seed: int, each: int) -> dict[str, np.ndarray]:
        wanted = [(seed + len(SHOWN) * i + j, place) for i in range(each) for j, place in enumerate(SHOWN)]
        maps, turns = [], []
        for start in range(0, len(wanted), AT_ONCE):
            films = [self._film(*pair) for pair in wanted[start : start + AT_ONCE]]
            maps.append(self._look(np.stack([film.film.frames for film in films])))
            turns += [turns_of(film) for film in films]
            if start // AT_ONCE % (LOG_FILMS // AT_ONCE) == 0:
                log.info("%d of %d films", start, len(wanted))
        places = np.array([place for _, place in wanted])
        return {"maps": np.concatenate(maps), "motions": places, "turns": np.stack(turns)}

    def _film(self, seed: int, place: int) -> Clip:
        return clip(seed, MOTIONS[place].forwards, frames=self.frames, size=self.size)

    @torch.inference_mode()
    def _look(self, films: UInt8[np.ndarray, "F T H W 3"]) -> Float[np.ndarray, "F T C h w"]:
        x = normalise(torch.from_numpy(films).flatten(0, 1).permute(0, 3, 1, 2).float() / 255)
        for stage in self.stages:
            x = stage(x)
        return x.half().unflatten(0, films.shape[:2]).numpy()


def turns_of(film: Clip) -> Float[np.ndarray, " T"]:
    """Return the angle, radians, from the camera to where the thing faces in each frame; NaN for what has no face."""
    first = film.views[0].scene
    if first.things[0].category not in TURNING:
        return np.full(len(film.views), np.nan, np.float32)
    ahead = first.camera.axes[2]
    towards = np.arctan2(-ahead[1], -ahead[0])
    yaws = np.radians([view.scene.things[0].yaw_degrees for view in film.views])
    return (yaws - towards).astype(np.float32)
