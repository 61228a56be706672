"""A CLIP that hears how far away the places of a picture are, not only what the picture shows.

DepthCLIP (Zhang et al. 2022, https://arxiv.org/abs/2207.01077) asks a CLIP about the distance of each place, while
captions speak of whole pictures. So the embedded ResNet goes on learning for a while from pictures some places of which
have a sentence of their own ('a thing that is far'), as localized narratives have, beside the pictures and sentences
that it knows. That is more than DepthCLIP asks of a CLIP, and closer to learning depth; the figures of both are given.
Captioned crops were tried first: 900 steps of them lowered the rank accuracy of the places.

Legend: N pictures, P places, S side of the network's input, G side of the grid of places.
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
from core.backbones.clip_model import RESNET_STRIDE, encode_text, from_tensors
from core.backbones.dense import place_features
from core.train import validation
from core.train.augment import normalise
from core.train.data import tokenise, toybox_pairs
from core.train.losses import class_prompt_loss, contrastive_loss
from core.train.run import adam_w
from core.world.captions import DISTANCE_METRES
from core.world.picture import picture

SEED = 40_000_000  # of the pictures that are cropped, far from every figure's
PIXELS = 128  # of the pictures, before they are resized to an input
INPUTS = (128, 192, 256)  # sides of the input whose places are captioned
INPUT_PIXELS = 24 * 128**2  # of one step, so that its cost does not depend on the side
PLACES = 192  # captioned in a step
MOST_METRES = 1000.0  # the sky has no end, but a word
TEMPLATES = ("a thing that is {}", "this object is {}", "a place that is {}", "something {}", "it is {}")


@dataclass(frozen=True, kw_only=True)
class PlacesRecipe:
    """Some more steps for an embedded CLIP ResNet."""

    checkpoint: str
    start: str  # weights to go on from
    pictures: int = 3_000
    toybox_pictures: int = 80_000
    batch_toys: int = 48
    steps: int = 700
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
        self.recipe, self.batch = recipe, recipe.batch_toys
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
        """Return the places' loss over the distance words and the pictures' contrastive loss."""
        rng = np.random.default_rng((self.recipe.seed, 4, step))
        side = int(rng.choice(INPUTS))
        picks = rng.choice(len(self.pictures), INPUT_PIXELS // side**2, replace=False)
        places, words = self.places(self.pictures[picks], self.metres[picks], side, mirror=bool(rng.random() < 0.5))
        kept = torch.from_numpy(rng.choice(len(places), min(PLACES, len(places)), replace=False))
        asked = self._encode([str(rng.choice(TEMPLATES)).format(word) for word in DISTANCE_METRES])
        scale = self.model.logit_scale.exp()
        return class_prompt_loss(places[kept], asked, scale, words[kept]) + self._whole(rng, scale)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return the share of fresh places whose word wins, and the Toybox accuracies."""
        places, words = self.places(*_draw(-2_000_000, 60), PIXELS)
        asked = F.normalize(self._encode([TEMPLATES[0].format(word) for word in DISTANCE_METRES]), dim=-1)
        right = float(((F.normalize(places, dim=-1) @ asked.T).argmax(1) == words).float().mean())
        return {"distance_top1": right} | validation.toybox_accuracy(self.model, self.size, self.context)

    def facts(self) -> dict[str, Any]:
        """Return nothing more than the recipe says."""
        return {}

    def places(
        self, pictures: np.ndarray, metres: np.ndarray, side: int, *, mirror: bool = False
    ) -> tuple[Float[Tensor, "P D"], Tensor]:
        """Return the features of every place of pictures shown at `side`, and the index of each one's word, (P,)."""
        inputs = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255  # (N, 3, H, W)
        depth = torch.from_numpy(metres.astype(np.float32)).clamp(max=MOST_METRES)
        if mirror:
            inputs, depth = inputs.flip(-1), depth.flip(-1)
        inputs = F.interpolate(inputs, (side, side), mode="bilinear", align_corners=False, antialias=True)
        features = place_features(self.model.visual, normalise(inputs).contiguous(memory_format=torch.channels_last))
        grid = side // RESNET_STRIDE
        shown = F.interpolate(depth[:, None], (grid * 3, grid * 3), mode="nearest-exact")
        middles = shown[:, 0, 1::3, 1::3].flatten()
        ends = torch.tensor(list(DISTANCE_METRES.values())[:-1])
        return features.flatten(0, 2), torch.bucketize(middles, ends, right=True)

    def _whole(self, rng: np.random.Generator, scale: Tensor) -> Float[Tensor, ""]:
        """Return the contrastive loss of whole pictures with their sentences, so that nothing is forgotten."""
        picks = rng.integers(len(self.toys), size=self.recipe.batch_toys)
        tokens = torch.from_numpy(self.toys.tokens[picks, rng.integers(self.toys.tokens.shape[1], size=len(picks))])
        inputs = normalise(torch.from_numpy(self.toys.pictures[picks]).permute(0, 3, 1, 2).float() / 255)
        images = self.model.encode_image(inputs.contiguous(memory_format=torch.channels_last))
        same = torch.unique(tokens, dim=0, return_inverse=True)[1]
        return contrastive_loss(images, encode_text(self.model, tokens.long()), scale, same)

    def _encode(self, sentences: list[str]) -> Float[Tensor, "K D"]:
        return encode_text(self.model, torch.from_numpy(tokenise(sentences, self.context)).long())


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
