"""CLIP4Clip's 3D linear patch: the first convolution of a ViT sees a frame together with its neighbours in time.

Paper: Luo et al., Neurocomputing 2022, Sec. 3.2, https://arxiv.org/abs/2104.08860; ArrowLuo/CLIP4Clip at 508ffa3,
modules/module_clip.py (conv2) and modeling.py (how it starts). Different from it: a convolution that takes the place of
CLIP's own, so that the rest of the tower stays as it is.

Legend: N clips, T frames, S side of the input, W width, P patch size, g patches along a side.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class TubePatch(nn.Module):
    """Takes the frames of clips one after the other, as a 2D patch convolution does, and looks along time too."""

    def __init__(self, weight: Float[Tensor, "W 3 3 P P"], frames: int) -> None:
        """Keep the kernel, [width, colour, time, row, column]; `frames` is how many belong to one clip."""
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.frames = frames

    def forward(self, pixels: Float[Tensor, "NT 3 S S"]) -> Float[Tensor, "NT W g g"]:
        """Return the patches of every frame; before the first and after the last frame there is nothing."""
        return self.tubes(pixels).transpose(1, 2).flatten(0, 1)

    def tubes(self, pixels: Float[Tensor, "NT 3 S S"]) -> Float[Tensor, "N W T g g"]:
        """Return the patches clip by clip; ValueError where the frames do not make whole clips."""
        if len(pixels) % self.frames:
            raise ValueError(f"wanted a multiple of {self.frames} frames, got {len(pixels)}")
        patch = self.weight.shape[-1]
        clips = pixels.unflatten(0, (-1, self.frames)).transpose(1, 2)  # (N, 3, T, S, S)
        return nn.functional.conv3d(clips, self.weight, stride=(1, patch, patch), padding=(1, 0, 0))


def inflated(weight: Float[Tensor, "W 3 P P"]) -> Float[Tensor, "W 3 3 P P"]:
    """Return the kernel that a 3D patch starts from: the 2D one in the middle, nothing before and after.

    With it a tower gives the same numbers as before.
    """
    nothing = torch.zeros_like(weight)
    return torch.stack([nothing, weight, nothing], dim=2)


def see_along_time(visual: nn.Module, frames: int, weight: Float[Tensor, "W 3 3 P P"] | None = None) -> nn.Module:
    """Put a 3D patch into a ViT and return it: the given kernel, or the one that changes nothing yet.

    Raises ValueError for a tower without a patch convolution.
    """
    first = getattr(visual, "conv1", None)
    if not isinstance(first, nn.Conv2d) or first.kernel_size != first.stride:
        raise ValueError("wanted a ViT, whose first convolution cuts patches, got another kind of tower")
    visual.conv1 = TubePatch(inflated(first.weight.detach()) if weight is None else weight, frames)
    return visual
