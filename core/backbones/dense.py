"""A feature in CLIP's joint space for every place of a picture, from towers that were made to give one for all of it.

- ResNet: every place queries the attention pooling, in which the mean of the places is one more key, as for the one
  feature that CLIP reads (Radford et al. 2021, Sec. 2.4, https://arxiv.org/abs/2103.00020).
- ViT: in the last block each token takes its own value instead of attending (MaskCLIP, Zhou et al. 2022, Sec. 3.2,
  https://arxiv.org/abs/2112.01071; residual path and MLP stay), then ln_post and proj.

Different from CLIP: positions are stretched bilinearly, so that pictures may have any size that the stride divides.

Legend: V pictures, C channels, D embedding size, P table rows, Q table rows wanted, H W pixels, h w the grid of places.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.modified_resnet import AttentionPool2d, ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from core.backbones.clip_model import RESNET_STRIDE, is_plain_vit


def stride_of(visual: nn.Module) -> int:
    """Return how many pixels lie between two places; ValueError where the tower is no CLIP ResNet or ViT."""
    if isinstance(visual, ModifiedResNet):
        return RESNET_STRIDE
    if is_plain_vit(visual):
        return visual.patch_size[0]
    raise ValueError("This model is neither a CLIP ResNet nor a plain ViT: it has no places to ask.")


def place_features(visual: nn.Module, inputs: Float[Tensor, "V 3 H W"]) -> Float[Tensor, "V h w D"]:
    """Bring every place of normalised pictures into the joint space; not normalised; ValueError as in `stride_of`."""
    stride_of(visual)
    if isinstance(visual, ModifiedResNet):
        return pool_each_place(visual.attnpool, last_stage(visual, inputs))
    return project_patches(visual, inputs)


def last_stage(visual: ModifiedResNet, inputs: Float[Tensor, "V 3 H W"]) -> Float[Tensor, "V C h w"]:
    """Return what a ResNet's last stage gives its attention pooling."""
    return visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(inputs)))))


def resize_positions(table: Float[Tensor, "P D"], grid_hw: tuple[int, int]) -> Float[Tensor, "Q D"]:
    """Stretch a square grid of positions, the class token's first, bilinearly over another grid."""
    side = round((len(table) - 1) ** 0.5)
    square = table[1:].T.reshape(1, -1, side, side)
    stretched = F.interpolate(square, size=grid_hw, mode="bilinear", align_corners=True)
    return torch.cat([table[:1], stretched[0].flatten(1).T])


def pool_each_place(pool: AttentionPool2d, layer4: Float[Tensor, "V C h w"]) -> Float[Tensor, "V h w D"]:
    """Let every place query CLIP's attention pooling, in which their mean is one more key; not normalised."""
    grid_hw = layer4.shape[2:]
    x = layer4.flatten(2).transpose(1, 2)  # (V, h w, C)
    x = torch.cat([x.mean(1, keepdim=True), x], dim=1) + resize_positions(pool.positional_embedding, grid_hw)
    query, key, value = (
        project(x).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
        for project in (pool.q_proj, pool.k_proj, pool.v_proj)
    )
    pooled = F.scaled_dot_product_attention(query[:, :, 1:], key, value)  # (V, heads, h w, C / heads)
    return pool.c_proj(pooled.transpose(1, 2).flatten(2)).unflatten(1, grid_hw)


def project_patches(visual: VisionTransformer, inputs: Float[Tensor, "V 3 H W"]) -> Float[Tensor, "V h w D"]:
    """Bring a ViT's patch tokens into the joint space; in the last block each keeps its own value; not normalised."""
    x = visual.conv1(inputs)  # (V, width, h, w)
    grid_hw = x.shape[2:]
    first = visual.class_embedding.expand(len(x), 1, -1)
    x = torch.cat([first, x.flatten(2).transpose(1, 2)], dim=1)  # (V, 1 + h w, width)
    x = visual.ln_pre(x + resize_positions(visual.positional_embedding, grid_hw))
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = block(x)
    x = x[:, 1:]
    weight, bias = (part.chunk(3)[2] for part in (last.attn.in_proj_weight, last.attn.in_proj_bias))  # the values'
    x = x + last.ls_1(last.attn.out_proj(F.linear(last.ln_1(x), weight, bias)))
    x = x + last.ls_2(last.mlp(last.ln_2(x)))
    return (visual.ln_post(x) @ visual.proj).unflatten(1, grid_hw)
