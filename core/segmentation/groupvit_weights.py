"""Open GroupViT's weights in the key layout of its release or of transformers, with sizes read off the tensors.

The networks here keep the release's own keys (NVlabs/GroupViT 13b7861). The files at nvidia/groupvit-gcc-yfcc and
nvidia/groupvit-gcc-redcaps are in the layout of transformers, which names the parts otherwise, has queries, keys and
values apart and leaves out the temperature of the multi-label loss.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from core.backbones.clip_model import HEAD_WIDTH, load_tensors
from core.segmentation.groupvit_model import FIRST_LOG_SCALE, GroupVit, GroupVitSize

TRANSFORMERS_KEY = "vision_model.layernorm.weight"
RELEASED_KEY = "img_encoder.norm.weight"
UNUSED = ("text_encoder.attn_mask",)
RENAMED: tuple[tuple[str, str], ...] = (  # patterns of transformers' keys, applied in turn
    (r"^vision_model\.embeddings\.position_embeddings", "img_encoder.pos_embed"),
    (r"^vision_model\.embeddings\.patch_embeddings\.projection", "img_encoder.patch_embed.proj"),
    (r"^vision_model\.embeddings\.layernorm", "img_encoder.patch_embed.norm"),
    (r"^vision_model\.layernorm", "img_encoder.norm"),
    (r"^vision_model\.encoder\.stages\.(\d+)\.layers\.(\d+)\.", r"img_encoder.layers.\1.blocks.\2."),
    (r"^vision_model\.encoder\.stages\.", "img_encoder.layers."),
    (r"(img_encoder.*)\.self_attn\.out_proj", r"\1.attn.proj"),
    (r"(img_encoder.*)\.self_attn\.qkv", r"\1.attn.qkv"),
    (r"(img_encoder.*)\.layer_norm", r"\1.norm"),
    (r"(pre_assign_attn\.attn)\.out_proj", r"\1.proj"),
    (r"^text_model\.embeddings\.token_embedding", "text_encoder.token_embedding"),
    (r"^text_model\.embeddings\.position_embedding\.weight", "text_encoder.positional_embedding"),
    (r"^text_model\.final_layer_norm", "text_encoder.ln_final"),
    (r"^text_model\.encoder\.layers\.", "text_encoder.transformer.resblocks."),
    (r"(text_encoder.*)\.self_attn\.qkv\.", r"\1.attn.in_proj_"),
    (r"(text_encoder.*)\.self_attn\.out_proj", r"\1.attn.out_proj"),
    (r"(text_encoder.*)\.layer_norm", r"\1.ln_"),
    (r"(text_encoder.*)\.mlp\.fc1", r"\1.mlp.c_fc"),
    (r"(text_encoder.*)\.mlp\.fc2", r"\1.mlp.c_proj"),
    (r"^visual_projection", "img_projector"),
    (r"^text_projection", "text_projector"),
    (r"^(img_projector|text_projector)\.([01])\.", r"\1.linear_hidden.\2."),
    (r"^(img_projector|text_projector)\.3\.", r"\1.linear_out."),
)


def from_tensors(tensors: Mapping[str, Tensor], *, heads: int | None = None) -> GroupVit:
    """Return a float32 GroupViT in evaluation mode with these weights; ValueError where they do not fit.

    `heads` of the image tower are not in the tensors: without it each is as wide as the published ones'.
    """
    if TRANSFORMERS_KEY in tensors:
        tensors = from_transformers(tensors)
    if RELEASED_KEY not in tensors:
        raise ValueError("wanted a GroupViT in the key layout of its release or of transformers, got other weights")
    wanted = {key: value for key, value in tensors.items() if key not in UNUSED}
    model = GroupVit(size_of(wanted, heads), wanted.get("text_encoder.token_embedding.token_ids"))
    return load_tensors(model, wanted)


def from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename transformers' tensors as the release has them; queries, keys and values of self-attention become one."""
    found: dict[str, Tensor] = {}
    for key, value in _joined(tensors).items():
        for pattern, name in RENAMED:
            key = re.sub(pattern, name, key)
        linear = re.search(r"^(img|text)_projector\.linear_(hidden\.0|out)\.weight", key) and value.ndim == 2
        found[key] = value[..., None] if linear else value
    return {"multi_label_logit_scale": torch.tensor(FIRST_LOG_SCALE)} | found


def _joined(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put q_proj, k_proj and v_proj of each self-attention under one another as 'qkv'."""
    found = {}
    for key, value in tensors.items():
        if key.endswith("position_ids"):
            continue
        if ".self_attn.q_proj." in key:
            parts = [tensors[key.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"]
            found[key.replace(".q_proj.", ".qkv.")] = torch.cat(parts)
        elif not re.search(r"\.self_attn\.[kv]_proj\.", key):
            found[key] = value
    return found


def size_of(tensors: Mapping[str, Tensor], heads: int | None = None) -> GroupVitSize:
    """Read a GroupViT's sizes off tensors with the release's keys; ValueError where one is missing."""
    try:
        return _size(tensors, heads)
    except KeyError as missing:
        raise ValueError(f"wanted a GroupViT in the key layout of its release, got a file without {missing}") from None


def _size(tensors: Mapping[str, Tensor], heads: int | None) -> GroupVitSize:
    _, patches, width = tensors["img_encoder.pos_embed"].shape
    patch = tensors["img_encoder.patch_embed.proj.weight"].shape[-1]
    text_width = tensors["text_encoder.ln_final.weight"].shape[0]
    stages = range(_count(tensors, "img_encoder.layers."))
    groups = [_rows(tensors, f"img_encoder.layers.{i}.downsample.mlp_inter.fc2.weight", 0) for i in stages]
    return GroupVitSize(
        image_size=patch * round(patches**0.5),
        patch_size=patch,
        width=width,
        heads=heads or max(1, width // HEAD_WIDTH),
        depths=tuple(_count(tensors, f"img_encoder.layers.{i}.blocks.") for i in stages),
        group_tokens=tuple(_rows(tensors, f"img_encoder.layers.{i}.group_token", 1) for i in stages),
        output_groups=tuple(groups),
        text_width=text_width,
        text_heads=max(1, text_width // HEAD_WIDTH),
        text_layers=_count(tensors, "text_encoder.transformer.resblocks."),
        context_length=tensors["text_encoder.positional_embedding"].shape[0],
        vocab_size=tensors["text_encoder.token_embedding.weight"].shape[0],
        embed_dim=tensors["img_projector.linear_out.weight"].shape[0],
        projector_width=tensors["img_projector.linear_out.weight"].shape[1],
    )


def _rows(tensors: Mapping[str, Tensor], key: str, axis: int) -> int:
    """Return a tensor's size along an axis, 0 where there is no such tensor."""
    return tensors[key].shape[axis] if key in tensors else 0


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Count the numbered children of a module list."""
    return len({key[len(prefix) :].split(".")[0] for key in tensors if key.startswith(prefix)})
