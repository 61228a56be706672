"""A GLIP so small that a test can wait for it, random, with a vocabulary of a few words."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from core.backbones.swin import SwinSize
from core.checkpoints import Weights
from core.detection.glip import Glip, GlipSettings
from core.detection.glip_dyhead import DyConv
from core.detection.glip_model import GlipNetwork, GlipSize
from core.detection.glip_prompts import SPECIAL, word_tokenizer
from core.device import choose

WORDS = (
    *SPECIAL,
    ".",
    ",",
    "a",
    "the",
    "red",
    "blue",
    "dog",
    "cat",
    "ball",
    "car",
    "on",
    "and",
    "left",
    "to",
    "of",
    "is",
)
SIZE = GlipSize(
    swin=SwinSize(width=16, depths=(1, 2, 1, 1), heads=(1, 2, 2, 4), window=4),
    channels=32,
    layers=2,
    levels=4,
    joint=64,
    fusion_heads=8,
    text_width=64,
    text_layers=1,
    text_heads=2,
    text_intermediate=64,
    vocabulary=len(WORDS),
    positions=128,
)
SETTINGS = GlipSettings(short_side=64, least=0.0, most_tokens=24, anchor_scale=3.0)
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)


def tiny_network(seed: int = 0, *, fused: bool = True, own_words: bool = True, offsets: float = 0.1) -> GlipNetwork:
    """Return a network in evaluation mode, in which no branch is switched off."""
    torch.manual_seed(seed)
    network = GlipNetwork(replace(SIZE, fused=fused), WORDS if own_words else None).eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, DyConv):
            nn.init.normal_(module.offset.weight, 0, offsets)
    head = network.rpn["head"]
    nn.init.normal_(head.bbox_pred.weight, 0, 0.5)
    nn.init.normal_(head.dot_product_projection_text.weight, 0, 2.0)
    nn.init.normal_(head.bias_lang, 0, 1.0)
    head.bias0.fill_(-1.0)
    return network


def tiny_glip(seed: int = 0, **how: bool) -> Glip:
    """Return a GLIP over `tiny_network`."""
    weights = Weights(name="tiny", system="glip")
    return Glip(tiny_network(seed, **how), word_tokenizer(WORDS), weights, choose("cpu"), SETTINGS)
