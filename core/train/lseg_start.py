"""LSeg's ViT before any training: a CLIP's, with the normalisation that LSeg's lacks folded into its patches.

Legend: B pictures.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.transformer import VisionTransformer
from torch import Tensor

from core.backbones.dpt import Vit
from core.train.augment import MEAN, STD


@torch.no_grad()
def folded_vit(
    visual: VisionTransformer, vit: Vit, samples: Float[Tensor, "B 3 _ _"], side: int
) -> Mapping[str, Tensor]:
    """Return CLIP's ViT as LSeg's: colours centred on 0.5, the first normalisation folded into patches and positions.

    A normalisation divides each token by its own deviation; the folded one divides by the mean over `samples`.
    """
    weight, std, mean = visual.conv1.weight, torch.tensor(STD)[:, None, None], torch.tensor(MEAN)[:, None, None]
    kernel = weight * 0.5 / std
    bias = (weight * ((0.5 - mean) / std)).sum((1, 2, 3))
    table = visual.positional_embedding
    grid_side = round((len(table) - 1) ** 0.5)
    grid = table[1:].T.unflatten(1, (grid_side, grid_side))[None]
    places = F.interpolate(grid, size=(vit.size.grid, vit.size.grid), mode="bilinear")[0].flatten(1).T
    images = F.interpolate(samples, size=(side, side), mode="bilinear")
    tokens = F.conv2d(2 * images - 1, kernel, bias, stride=vit.size.patch).flatten(2).transpose(1, 2) + places
    norm = visual.ln_pre
    gain = norm.weight / tokens.std(-1, correction=0).mean()
    first = norm(visual.class_embedding + table[0])
    found = {
        "cls_token": first[None, None],
        "pos_embed": torch.cat([torch.zeros_like(first)[None], _centred(places) * gain + norm.bias])[None],
        "patch_embed.proj.weight": _centred(kernel.flatten(1).T).T.unflatten(1, kernel.shape[1:])
        * gain[:, None, None, None],
        "patch_embed.proj.bias": _centred(bias) * gain,
    }
    for number, block in enumerate(visual.transformer.resblocks):
        parts = {
            "norm1": block.ln_1,
            "norm2": block.ln_2,
            "attn.proj": block.attn.out_proj,
            "mlp.fc1": block.mlp.c_fc,
            "mlp.fc2": block.mlp.c_proj,
        }
        found |= {f"blocks.{number}.{name}.weight": part.weight for name, part in parts.items()}
        found |= {f"blocks.{number}.{name}.bias": part.bias for name, part in parts.items()}
        found[f"blocks.{number}.attn.qkv.weight"] = block.attn.in_proj_weight
        found[f"blocks.{number}.attn.qkv.bias"] = block.attn.in_proj_bias
    return found


def _centred(x: Tensor) -> Tensor:
    """Take the mean over the last side away, as a normalisation does first."""
    return x - x.mean(-1, keepdim=True)
