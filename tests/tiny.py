"""Tiny CLIPs with random weights, for tests that are about the code and not about what was learned."""

import torch

from core.backbones.clip import ClipBackbone, Preprocess
from core.backbones.clip_model import ClipSize, build
from core.backbones.tokenizer import clip_tokenizer
from core.checkpoints import Weights
from core.device import choose
from core.zero_shot.clip import ZeroShotClip

RESNET = ClipSize(
    embed_dim=16,
    image_size=64,
    vision_layers=(1, 1, 1, 1),
    vision_width=4,
    patch_size=None,
    context_length=24,
    text_width=64,
    text_layers=2,
)
VIT = ClipSize(
    embed_dim=16,
    image_size=32,
    vision_layers=2,
    vision_width=64,
    patch_size=8,
    context_length=24,
    text_width=64,
    text_layers=2,
)


def tiny_backbone(size: ClipSize = VIT, known: list[int] | None = None) -> ClipBackbone:
    """Return a tiny CLIP; `known` gives it a token table of these BPE ids only."""
    torch.manual_seed(0)
    model = build(size, None if known is None else torch.tensor(known))
    for parameter in model.visual.parameters():  # no branch may be switched off by a zero
        parameter.data += 0.02 * torch.randn_like(parameter)
    tokenizer = clip_tokenizer(size.context_length)
    return ClipBackbone(model.eval(), tokenizer, Preprocess(size=size.image_size), choose("cpu"), size.context_length)


def tiny_clip(size: ClipSize = VIT, known: list[int] | None = None) -> ZeroShotClip:
    """Return a tiny zero-shot CLIP."""
    return ZeroShotClip(tiny_backbone(size, known), Weights(name="tiny", system="clip", licence="none"))
