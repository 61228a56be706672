"""Where a file of weights holds what: the release's key layout, transformers', and plain CLIPs.

Searchium-ai/clip4clip-webvid150k is a fine-tuned CLIP (meanP) in the layout of transformers' CLIPModel with
projections; its keys are put into OpenAI's, so that it becomes the one CLIP class of this project. The release's own
state dicts carry a CLIP under `clip.` beside the heads.
"""

import re
from collections.abc import Mapping
from math import log

import torch
from torch import Tensor

CLIP_PREFIX = "clip."
TUBE_KEY = "visual.conv2.weight"  # a 3D patch's kernel, where a file was trained with one
FULL_SCALE = log(100.0)  # where a file does not hold its logit scale: CLIP's upper end, at which OpenAI's all are
_TOWERS = {"text_model.": "", "vision_model.": "visual."}
_BLOCK = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_IN_BLOCK = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_OUTSIDE = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",  # spelled so in transformers
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "logit_scale": "logit_scale",
}
_TURNED = {"text_projection.weight": "text_projection", "visual_projection.weight": "visual.proj"}


def is_transformers(tensors: Mapping[str, Tensor]) -> bool:
    """Say whether a file is in the layout of transformers' CLIP with projections."""
    return "text_projection.weight" in tensors and "visual_projection.weight" in tensors


def from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same CLIP in OpenAI's layout; ValueError for a tensor that has no place there."""
    found: dict[str, Tensor] = {"logit_scale": torch.tensor(FULL_SCALE)}
    for key, value in tensors.items():
        if key.endswith("position_ids"):  # 0, 1, 2, ...: older files hold it
            continue
        if key in _TURNED:
            found[_TURNED[key]] = value.T.contiguous()
        elif key in _OUTSIDE:
            found[_OUTSIDE[key]] = value
        elif not _is_third(key):
            found[_block_key(key)] = value
    for key in [key for key in tensors if ".q_proj." in key]:
        thirds = [tensors[key.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
        found[_block_key(key)] = torch.cat(thirds)
    return found


def clip_part(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what a file in the release's layout holds under `clip.`, without that prefix."""
    return {key.removeprefix(CLIP_PREFIX): value for key, value in tensors.items() if key.startswith(CLIP_PREFIX)}


def _is_third(key: str) -> bool:
    """Say whether a tensor is the query's, the key's or the value's third of OpenAI's one matrix."""
    return bool(re.search(r"\.self_attn\.[qkv]_proj\.", key))


def _block_key(key: str) -> str:
    tower = next((tower for tower in _TOWERS if key.startswith(tower)), None)
    match = _BLOCK.fullmatch(key.removeprefix(tower)) if tower else None
    if tower is None or match is None:
        raise ValueError(f"wanted a CLIP in transformers' key layout, got a file with {key}")
    number, part, kind = match.groups()
    if part == "self_attn.q_proj":  # stands for all three
        name = f"attn.in_proj_{kind}"
    elif part in _IN_BLOCK:
        name = f"{_IN_BLOCK[part]}.{kind}"
    else:
        raise ValueError(f"wanted a CLIP in transformers' key layout, got a file with {key}")
    return f"{_TOWERS[tower]}transformer.resblocks.{number}.{name}"
