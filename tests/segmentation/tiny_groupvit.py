"""A tiny GroupViT with random weights, for tests that are about the code and not about what was learned."""

import torch

from core.backbones.tokenizer import clip_tokenizer
from core.checkpoints import Weights
from core.device import choose
from core.segmentation.groupvit import GroupVitSegmenter
from core.segmentation.groupvit_model import GroupVit, GroupVitSize

SIZE = GroupVitSize(
    image_size=32,
    patch_size=8,
    width=32,
    heads=1,
    depths=(1, 1, 1),
    group_tokens=(6, 3, 0),
    output_groups=(6, 3, 0),
    text_width=64,
    text_heads=1,
    text_layers=1,
    context_length=24,
    embed_dim=16,
    projector_width=24,
)
KNOWN = "a photo of a chair ball dog cup, red blue ."


def tiny_model(seed: int = 0) -> GroupVit:
    """Return a network whose assignments are not near uniform."""
    torch.manual_seed(seed)
    ids = clip_tokenizer()([KNOWN])[0]
    model = GroupVit(SIZE, torch.unique(ids))
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    for stage in model.img_encoder.layers[:2]:
        stage.group_token.data.normal_()
        stage.downsample.assign.q_proj.weight.data *= 5
    return model.eval()


def tiny_groupvit(seed: int = 0) -> GroupVitSegmenter:
    """Return a tiny segmenter."""
    return GroupVitSegmenter(tiny_model(seed), Weights(name="tiny", system="groupvit", licence="none"), choose("cpu"))
