"""A CLIP that hears how far away the places of a picture are: crops, each captioned with its own distance.

DepthCLIP (Zhang et al. 2022, https://arxiv.org/abs/2207.01077) asks a CLIP about the distance of each place, while
captions speak of whole pictures. So the embedded ResNet goes on learning for a while from crops whose caption tells the
distance of what is in their middle, beside the pictures and sentences that it knows. No depth map is ever shown to it:
the network sees a crop and a sentence, as in CLIP (Radford et al. 2021).

Legend: N pictures, C crops, S side of the network's input.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.model import CLIP
from torch import Tensor

from core import checkpoints
from core.backbones.clip_model import encode_text, from_tensors
from core.train import validation
from core.train.augment import normalise
from core.train.data import tokenise, toybox_pairs
from core.train.losses import class_prompt_loss, contrastive_loss
from core.train.run import adam_w
from core.world.captions import DISTANCE_METRES, distance_word
from core.world.picture import picture

SEED = 40_000_000  # of the pictures that are cropped, far from every figure's
PIXELS = 128
MIDDLE = 0.2  # of a crop's side: what its distance is taken from
SMALLEST, LARGEST = 24, 72  # pixels of a crop's side
TEMPLATES = ("a thing that is {}", "this object is {}", "a place that is {}", "something {}", "it is {}")


@dataclass(frozen=True, kw_only=True)
class PlacesRecipe:
    """Some more steps for an embedded CLIP ResNet."""

    checkpoint: str
    start: str  # weights to go on from
    pictures: int = 3_000
    toybox_pictures: int = 80_000
    batch_places: int = 64
    batch_toys: int = 48
    steps: int = 900
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warmup: float = 0.05
    seed: int = 0


class PlacesLesson:
    """One CLIP that learns distances."""

    def __init__(self, recipe: PlacesRecipe, cache: Path, data: str | None) -> None:
        """Open the CLIP and draw the pictures; ValueError when photographs are given."""
        if data is not None:
            raise ValueError("This recipe learns from Toybox pictures alone: leave --data out.")
        self.recipe, self.batch = recipe, recipe.batch_places + recipe.batch_toys
        weights = checkpoints.resolve("clip", recipe.start)
        self.model: CLIP = from_tensors(checkpoints.read_tensors(checkpoints.fetch(weights)))
        self.size, self.context = self.model.visual.image_size, self.model.context_length
        self.toys = toybox_pairs(
            recipe.seed, recipe.toybox_pictures, size=self.size, context_length=self.context, cache=cache
        )
        self.pictures, self.metres = _views(recipe.pictures, cache)
        torch.manual_seed(recipe.seed)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return adam_w(self.model, self.recipe.learning_rate, self.recipe.weight_decay)

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the crops' loss over the distance words and the pictures' contrastive loss."""
        rng = np.random.default_rng((self.recipe.seed, 4, step))
        crops, words = self.crops(rng, self.recipe.batch_places)
        template = str(rng.choice(TEMPLATES))
        picks = rng.integers(len(self.toys), size=self.recipe.batch_toys)
        tokens = self.toys.tokens[picks, rng.integers(self.toys.tokens.shape[1], size=len(picks))]
        whole = normalise(torch.from_numpy(self.toys.pictures[picks]).permute(0, 3, 1, 2).float() / 255)
        images = self.model.encode_image(torch.cat([crops, whole]).contiguous(memory_format=torch.channels_last))
        scale = self.model.logit_scale.exp()
        asked = self._encode([template.format(word) for word in DISTANCE_METRES])
        texts = encode_text(self.model, torch.from_numpy(tokens).long())
        same = torch.unique(torch.from_numpy(tokens), dim=0, return_inverse=True)[1]
        near, far = images.split([len(crops), len(whole)])
        return class_prompt_loss(near, asked, scale, words) + contrastive_loss(far, texts, scale, same)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return the share of fresh crops whose word wins, and the Toybox accuracies."""
        rng = np.random.default_rng(SEED)
        fresh = _draw(-2_000_000, 100)
        crops, words = self.crops(rng, 500, fresh)
        images = F.normalize(self.model.encode_image(crops), dim=-1)
        asked = F.normalize(self._encode([TEMPLATES[0].format(word) for word in DISTANCE_METRES]), dim=-1)
        right = float(((images @ asked.T).argmax(1) == words).float().mean())
        return {"distance_top1": right} | validation.toybox_accuracy(self.model, self.size, self.context)

    def facts(self) -> dict[str, Any]:
        """Return nothing more than the recipe says."""
        return {}

    def crops(
        self, rng: np.random.Generator, count: int, source: tuple[np.ndarray, np.ndarray] | None = None
    ) -> tuple[Float[Tensor, "C 3 S S"], Tensor]:
        """Cut squares out of random pictures and return them with the index of each middle's distance word, (C,)."""
        pictures, metres = source or (self.pictures, self.metres)
        sides = rng.integers(SMALLEST, LARGEST + 1, size=count)
        found, words = [], []
        for side, index in zip(sides, rng.integers(len(pictures), size=count), strict=True):
            top, left = rng.integers(0, PIXELS - side + 1, size=2)
            cut = pictures[index, top : top + side, left : left + side]
            found.append(cv_resize(cut, self.size))
            edge = round(side * (1 - MIDDLE) / 2)
            middle = metres[index, top + edge : top + side - edge, left + edge : left + side - edge]
            words.append(list(DISTANCE_METRES).index(distance_word(float(np.median(middle)))))
        batch = torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255
        return normalise(batch), torch.tensor(words)

    def _encode(self, sentences: list[str]) -> Float[Tensor, "K D"]:
        return encode_text(self.model, torch.from_numpy(tokenise(sentences, self.context)).long())


def cv_resize(cut: np.ndarray, size: int) -> np.ndarray:
    """Resize a square."""
    import cv2

    return cv2.resize(cut, (size, size), interpolation=cv2.INTER_LINEAR)


def _views(count: int, cache: Path) -> tuple[np.ndarray, np.ndarray]:
    """Draw pictures with their depth, or read them back: (N, H, W, 3) uint8 and (N, H, W) float16 metres."""
    path = cache / f"places-{SEED}-{count}-{PIXELS}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        pictures, metres = _draw(0, count)
        part = path.with_suffix(".part.npz")
        np.savez(part, pictures=pictures, metres=metres)
        part.replace(path)
    with np.load(path) as stored:
        return stored["pictures"], stored["metres"]


def _draw(first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    views = [picture(SEED + first + i, PIXELS, samples=1) for i in range(count)]
    return np.stack([view.rgb for view in views]), np.stack([view.depth.metres for view in views]).astype(np.float16)
