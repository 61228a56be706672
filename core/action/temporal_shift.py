"""Visual prompts before and inside the image tower: all frames as one sequence (pre), channels lent to neighbours (in).

Paper: Wang et al. 2021, Sec. 3.3, https://arxiv.org/abs/2109.08472; the shift is that of Lin et al., TSM, ICCV 2019.
As in sallymmx/ActionCLIP at 31c34df, modules/temporal_shift.py and clip/model.py: the first eighth of the channels
comes from the next frame, the second from the one before, with zeros at the ends. In a ViT the shift replaces the
input of every block, the residual stream itself, but leaves the class token alone; in a ResNet it stands before each
block's first convolution. Different from the release: its joint branch stops with a NameError, this one runs.

Legend: B clips, T frames, P patches and the class token, C channels, S side of the input, D embedding size.
"""

import torch
from jaxtyping import Float
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

SHARE = 8  # one channel of this many comes from the next frame, as many from the one before


def shift_frames(values: Float[Tensor, "BT *rest"], frames: int, channel_dim: int, share: int = SHARE) -> Tensor:
    """Return features, video by video and frame by frame, whose first channels come from the neighbouring frames."""
    if len(values) % frames:
        raise ValueError(f"wanted a multiple of {frames} pictures, got {len(values)}")
    clips = values.unflatten(0, (-1, frames)).movedim(channel_dim + 1, -1)  # (B, T, ..., C)
    fold = clips.shape[-1] // share
    shifted = clips.clone()
    shifted[:, :-1, ..., :fold] = clips[:, 1:, ..., :fold]
    shifted[:, -1, ..., :fold] = 0
    shifted[:, 1:, ..., fold : 2 * fold] = clips[:, :-1, ..., fold : 2 * fold]
    shifted[:, 0, ..., fold : 2 * fold] = 0
    return shifted.movedim(-1, channel_dim + 1).flatten(0, 1)


def shift_tokens(tokens: Float[Tensor, "BT P C"], frames: int, share: int = SHARE) -> Float[Tensor, "BT P C"]:
    """Shift the patches of a ViT's tokens; the class token, the first, stays."""
    return torch.cat([tokens[:, :1], shift_frames(tokens[:, 1:], frames, 2, share)], dim=1)


def shift_maps(maps: Float[Tensor, "BT C h w"], frames: int, share: int = SHARE) -> Float[Tensor, "BT C h w"]:
    """Shift a ResNet's feature maps."""
    return shift_frames(maps, frames, 1, share)


def encode_shifted(
    visual: nn.Module, inputs: Float[Tensor, "BT 3 S S"], frames: int, share: int = SHARE
) -> Float[Tensor, "BT D"]:
    """Encode frames, not normalised, by an image tower of CLIP's own kind with the shift inside."""
    if isinstance(visual, VisionTransformer):
        x = visual._embeds(inputs)
        for block in visual.transformer.resblocks:
            x = block(shift_tokens(x, frames, share))
        return visual._pool(x)[0] @ visual.proj
    if not isinstance(visual, ModifiedResNet):
        raise ValueError("The temporal shift needs an image tower of CLIP's own kind: a ViT or a ModifiedResNet.")
    x = visual.stem(inputs)
    for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        for block in stage:
            x = _shifted_block(block, x, frames, share)
    return visual.attnpool(x)


def joint_tokens(
    visual: VisionTransformer, time_embedding: Float[Tensor, "T C"], inputs: Float[Tensor, "BT 3 S S"]
) -> Float[Tensor, "B TP C"]:
    """Return one sequence a clip: the class token, then each patch in all T frames; before the first norm."""
    frames = len(time_embedding)
    x = visual.conv1(inputs).flatten(2).transpose(1, 2)  # (BT, patches, C)
    x = (x + visual.positional_embedding[1:]).unflatten(0, (-1, frames))  # (B, T, patches, C)
    x = (x + time_embedding[:, None]).transpose(1, 2).flatten(1, 2)  # patches outside, frames inside
    first = visual.class_embedding + visual.positional_embedding[0]
    return torch.cat([first.expand(len(x), 1, -1), x], dim=1)


def encode_joint(
    visual: VisionTransformer, time_embedding: Float[Tensor, "T C"], inputs: Float[Tensor, "BT 3 S S"]
) -> Float[Tensor, "B D"]:
    """Encode clips, not normalised, with attention over the patches of all their frames at once."""
    x = visual.transformer(visual.ln_pre(joint_tokens(visual, time_embedding, inputs)))
    return visual._pool(x)[0] @ visual.proj


def _shifted_block(block: Bottleneck, x: Tensor, frames: int, share: int) -> Tensor:
    out = block.act1(block.bn1(block.conv1(shift_maps(x, frames, share))))
    out = block.act2(block.bn2(block.conv2(out)))
    out = block.bn3(block.conv3(block.avgpool(out)))
    return block.act3(out + (x if block.downsample is None else block.downsample(x)))
