"""Accuracies that a run logs while it learns; the full figures come from `python -m core.evaluate`.

Legend: N pictures, C classes.
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from open_clip.model import CLIP
from torch import Tensor

from core.backbones.clip_model import encode_text
from core.train.augment import normalise
from core.train.data import Pairs, tokenise
from core.world.picture import picture
from core.world.scene import COLORS
from core.world.shapes import CATEGORIES

SEED = 5_000_000  # far from every seed that training or evaluation draws
PICTURES = 240
PHOTOS = 1000


@cache
def _views(pairs: str, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return pictures of one thing with the indices of its category and colour."""
    views = [picture(SEED + i, size, count=1, pairs=pairs, samples=2) for i in range(PICTURES)]
    things = [view.scene.things[0] for view in views]
    return (
        np.stack([view.rgb for view in views]),
        np.array([CATEGORIES.index(thing.category) for thing in things]),
        np.array([list(COLORS).index(thing.color) for thing in things]),
    )


def toybox_accuracy(model: CLIP, size: int, context_length: int) -> dict[str, float]:
    """Return toy_top1 (category), toy_heldout_top1 (colour and category) and color_top1."""
    pictures, kinds, colors = _views("seen", size)
    category = classify(model, pictures, [f"a {name}" for name in CATEGORIES], size, context_length)
    tint = classify(model, pictures, [f"a {color} thing" for color in COLORS], size, context_length)
    hidden, hidden_kinds, hidden_colors = _views("held-out", size)
    both = [f"a {color} {name}" for color in COLORS for name in CATEGORIES]
    found = classify(model, hidden, both, size, context_length)
    return {
        "toy_top1": float((category == kinds).mean()),
        "color_top1": float((tint == colors).mean()),
        "toy_heldout_top1": float((found == hidden_colors * len(CATEGORIES) + hidden_kinds).mean()),
    }


def photo_accuracy(model: CLIP, photos: Pairs, size: int, context_length: int) -> float:
    """Return the share of test photographs whose class wins under 'a photo of a ...'."""
    step = max(1, len(photos) // PHOTOS)
    prompts = [f"a photo of a {name}." for name in photos.names]
    found = classify(model, photos.pictures[::step], prompts, size, context_length)
    return float((found == photos.classes[::step]).mean())


@torch.inference_mode()
def classify(
    model: CLIP, pictures: UInt8[np.ndarray, "N H W 3"], prompts: list[str], size: int, context_length: int
) -> np.ndarray:
    """Return the index of the best prompt for each picture, (N,)."""
    texts = F.normalize(encode_text(model, torch.from_numpy(tokenise(prompts, context_length)).long()), dim=-1)
    images = torch.cat([_features(model, chunk, size) for chunk in torch.from_numpy(pictures).split(256)])
    return (images @ texts.T).argmax(1).numpy()


def _features(model: CLIP, pictures: Tensor, size: int) -> Float[Tensor, "N D"]:
    images = pictures.permute(0, 3, 1, 2).float() / 255
    if images.shape[-1] != size:
        images = F.interpolate(images, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)
    return F.normalize(model.encode_image(normalise(images)), dim=-1)
