"""A GroupViT that starts where a CLIP's vision transformer ended, so that little training goes far.

The text tower is the CLIP's, frozen. The image tower's blocks are the CLIP's in turn, its patches and positions too;
what the CLIP has no counterpart of starts so that it lets things through: an assignment that compares without turning
either side, group tokens as wide as patches.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, UInt8
from open_clip.model import CLIP
from torch import Tensor, nn

from core.backbones.clip import OPENAI_MEAN, OPENAI_STD
from core.segmentation.groupvit import MEAN, STD
from core.segmentation.groupvit_model import GroupVit, GroupVitSize, ImageEncoder

SHARPNESS = 2.0  # of the first assignments: near uniform ones tell the groups apart too slowly
TEXT_PARTS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.")


def start_from_clip(
    clip: CLIP, size: GroupVitSize, pictures: UInt8[Tensor, "N H W 3"], generator: torch.Generator
) -> GroupVit:
    """Return an untrained GroupViT with a CLIP's parts; `pictures` tell how large its patches come out.

    The sizes must be the CLIP's own, with no more blocks than it has.
    """
    model = GroupVit(size, clip.token_embedding.token_ids)
    texts = {key: value for key, value in clip.state_dict().items() if key.startswith(TEXT_PARTS)}
    model.text_encoder.load_state_dict(texts)
    model.text_encoder.requires_grad_(False)
    with torch.no_grad():
        _take_patches(model.img_encoder, clip.visual, pictures)
        _take_blocks(model.img_encoder, iter(clip.visual.transformer.resblocks))
        _open_groupings(model.img_encoder, generator)
    return model


def _take_patches(tower: ImageEncoder, visual: nn.Module, pictures: UInt8[Tensor, "N H W 3"]) -> None:
    """Take patches and positions over.

    A CLIP normalises the sum of both, GroupViT the patches alone: each gets the share of the sum's spread that it has
    on these pictures. The change from the CLIP's normalisation of colours to ImageNet's is put into the weights.
    """
    (old_mean, old_std), (mean, std) = (map(torch.tensor, pair) for pair in ((OPENAI_MEAN, OPENAI_STD), (MEAN, STD)))
    kernel = visual.conv1.weight
    tower.patch_embed.proj.weight.copy_(kernel * (std / old_std)[None, :, None, None])
    tower.patch_embed.proj.bias.copy_(kernel.sum((2, 3)) @ ((mean - old_mean) / old_std))
    inputs = (pictures.permute(0, 3, 1, 2) / 255 - mean[:, None, None]) / std[:, None, None]
    patches = tower.patch_embed.proj(inputs).flatten(2).mT  # (N, L, C)
    positions = visual.positional_embedding[1:]
    spread = (patches + positions).std(-1).mean()
    norm = visual.ln_pre
    tower.patch_embed.norm.weight.copy_(norm.weight * patches.std(-1).mean() / spread)
    tower.patch_embed.norm.bias.copy_(norm.bias)
    tower.pos_embed.copy_(positions * norm.weight / spread)


def _take_blocks(tower: ImageEncoder, olds: Iterator[nn.Module]) -> None:
    for block in (block for stage in tower.layers for block in stage.blocks):
        old = next(olds)
        pairs = (
            (block.norm1, old.ln_1),
            (block.norm2, old.ln_2),
            (block.attn.proj, old.attn.out_proj),
            (block.mlp.fc1, old.mlp.c_fc),
            (block.mlp.fc2, old.mlp.c_proj),
        )
        for mine, theirs in pairs:
            mine.load_state_dict(theirs.state_dict())
        block.attn.qkv.weight.copy_(old.attn.in_proj_weight)
        block.attn.qkv.bias.copy_(old.attn.in_proj_bias)


def _open_groupings(tower: ImageEncoder, generator: torch.Generator) -> None:
    width = tower.pos_embed.shape[-1]
    spread: Float[Tensor, ""] = tower.patch_embed.norm.weight.abs().mean()
    for stage in tower.layers:
        if not stage.tokens:
            continue
        stage.group_token.copy_(spread * torch.randn(stage.group_token.shape, generator=generator))
        assign = stage.downsample.assign
        for linear in (assign.q_proj, assign.k_proj, assign.v_proj, assign.proj):
            linear.weight.copy_(torch.eye(width))
            linear.bias.zero_()
        assign.q_proj.weight.mul_(SHARPNESS)
