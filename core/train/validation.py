"""Accuracies that a run logs while it learns; the full figures come from `python -m core.evaluate`.

Legend: N pictures, C classes, D embedding size.
"""

from collections.abc import Sequence
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
from core.world.captions import with_article
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
    model: CLIP, pictures: UInt8[np.ndarray, "N H W 3"], prompts: Sequence[str], size: int, context_length: int
) -> np.ndarray:
    """Return the index of the best prompt for each picture, (N,)."""
    return cosines(model, pictures, prompts, size, context_length).argmax(1)


@torch.inference_mode()
def cosines(
    model: CLIP, pictures: UInt8[np.ndarray, "N H W 3"], prompts: Sequence[str], size: int, context_length: int
) -> Float[np.ndarray, "N C"]:
    """Return the cosine of every picture with every prompt."""
    tokens = torch.from_numpy(tokenise(list(prompts), context_length)).long().to(model.logit_scale.device)
    texts = F.normalize(encode_text(model, tokens), dim=-1)
    return (features(model, pictures, size) @ texts.float().cpu().T).numpy()


@torch.inference_mode()
def features(model: CLIP, pictures: UInt8[np.ndarray, "N H W 3"], size: int) -> Float[Tensor, "N D"]:
    """Return the unit vectors of pictures of any one size, on the CPU."""
    chunks = torch.from_numpy(pictures).split(256)
    return torch.cat([_features(model, chunk, size).float().cpu() for chunk in chunks])


def caption_accuracy(model: CLIP, pairs: Pairs, most: int, size: int) -> float:
    """Return the share of the first `most` pictures that are nearest to their own first sentence."""
    tokens = torch.from_numpy(pairs.tokens[:most, 0]).long().to(model.logit_scale.device)
    with torch.inference_mode():
        texts = F.normalize(encode_text(model, tokens), dim=-1).float().cpu()
    best = (features(model, pairs.pictures[:most], size) @ texts.T).argmax(1)
    same = (tokens[best.to(tokens.device)] == tokens).all(1)
    return float(same.float().mean())


def seen(
    model: CLIP,
    pictures: UInt8[np.ndarray, "N H W 3"],
    captions: Sequence[str],
    names: Sequence[str],
    size: int,
    context_length: int,
) -> dict[str, np.ndarray]:
    """Return what a class watches: N pictures, their captions, all cosines, and the name that each picture is given."""
    guesses = classify(model, pictures, [with_article(name) for name in names], size, context_length)
    return {
        "similarity": cosines(model, pictures, captions, size, context_length).astype(np.float32),
        "pictures": pictures,
        "captions": np.array(captions),
        "predictions": np.array([names[i] for i in guesses]),
    }


def _features(model: CLIP, pictures: Tensor, size: int) -> Float[Tensor, "N D"]:
    images = pictures.permute(0, 3, 1, 2).float() / 255  # resized on the CPU, wherever the network is
    if images.shape[-1] != size:
        images = F.interpolate(images, (size, size), mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
    return F.normalize(model.encode_image(normalise(images).to(model.logit_scale.device)), dim=-1)
