"""Dynamic head: each level takes from its neighbours through deformable convolutions, weighted as it sees fit.

Papers: Dai et al. 2021, Dynamic Head: Unifying Object Detection Heads with Attentions, CVPR 2021,
https://arxiv.org/abs/2106.08322; Zhu et al. 2019, Deformable ConvNets v2, https://arxiv.org/abs/1811.11168; Chen et al.
2020, Dynamic ReLU, https://arxiv.org/abs/2003.10027. As in microsoft/GLIP at 9dda955 (modeling/rpn/vldyhead.py,
layers/dyrelu.py), with one oddity that the released weights were trained with: a level's offsets are handed to the
convolution on the next coarser level too, whose map is a quarter as large, and the kernel reads the first quarter of
the offsets' memory as if it were a map of that size. `flat_offsets=False` stretches the offsets instead, which is what
one would mean; weights know only one of the two.

The convolution is torchvision's. `sampled` computes the same from PyTorch's grid sampling, whose backward pass is the
faster one on a CPU; training here uses it.

Legend: B pictures, C channels, O channels out, H W a map's sides, h w the sides of another map.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

KERNEL = 3
TAPS = KERNEL * KERNEL
OFFSETS = 2 * TAPS  # dy and dx of each tap, then a weight for each
GROUPS = 16  # of the group normalisation
COARSER, SAME, FINER = 0, 1, 2  # places in DyConv, as released


class DeformableConv(nn.Module):
    """A 3 x 3 convolution whose taps move and weigh as it is told, then a group normalisation."""

    def __init__(self, channels: int, out: int, stride: int, groups: int = GROUPS) -> None:
        super().__init__()
        self.stride, self.by_sampling = stride, False
        self.conv = nn.Conv2d(channels, out, KERNEL, stride, KERNEL // 2)  # holds the weights alone
        self.bn = nn.GroupNorm(groups, out)
        nn.init.normal_(self.conv.weight, 0, 0.01)
        nn.init.zeros_(self.conv.bias)

    def forward(
        self, x: Float[Tensor, "B C h w"], offsets: Float[Tensor, "B 18 H W"], mask: Float[Tensor, "B 9 H W"]
    ) -> Float[Tensor, "B O H W"]:
        """Convolve and normalise."""
        return self.bn(self.convolved(x, offsets, mask))

    def convolved(
        self, x: Float[Tensor, "B C h w"], offsets: Float[Tensor, "B 18 H W"], mask: Float[Tensor, "B 9 H W"]
    ) -> Float[Tensor, "B O H W"]:
        """Return the convolution alone."""
        if self.by_sampling:
            return sampled(x, offsets, self.conv.weight, self.conv.bias, self.stride, mask)
        return deform_conv2d(
            x,
            offsets.contiguous(),
            self.conv.weight,
            self.conv.bias,
            stride=self.stride,
            padding=KERNEL // 2,
            mask=mask.contiguous(),
        )


class DyReLU(nn.Module):
    """The larger of two lines, whose slopes and heights follow from the whole map (Dynamic ReLU, version B)."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction), nn.ReLU(), nn.Linear(channels // reduction, 4 * channels)
        )

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """Bend each channel; the slopes begin at 1 and 0, the heights at 0."""
        lines = h_sigmoid(self.fc(x.mean((2, 3))))[:, :, None, None]
        slope, height, other_slope, other_height = lines.chunk(4, 1)
        first = x * (2 * (slope - 0.5) + 1) + (height - 0.5)
        return torch.maximum(first, x * 2 * (other_slope - 0.5) + (other_height - 0.5))


class DyConv(nn.Module):
    """One layer of the head over all levels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.DyConv = nn.ModuleList(DeformableConv(channels, channels, stride) for stride in (1, 1, 2))
        self.AttnConv = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, 1, 1), nn.ReLU())
        self.relu = DyReLU(channels)
        self.offset = nn.Conv2d(channels, OFFSETS + TAPS, KERNEL, padding=KERNEL // 2)
        self.flat_offsets = True
        nn.init.normal_(self.offset.weight, 0, 0.01)
        nn.init.zeros_(self.offset.bias)

    def forward(self, maps: list[Float[Tensor, "B C _ _"]]) -> list[Float[Tensor, "B C _ _"]]:
        """Return each level after taking from itself and its neighbours."""
        return [self.relu(self._level(maps, level)) for level in range(len(maps))]

    def _level(self, maps: list[Float[Tensor, "B C _ _"]], level: int) -> Float[Tensor, "B C H W"]:
        own = maps[level]
        moved = self.offset(own)
        offsets, mask = moved[:, :OFFSETS], moved[:, OFFSETS:].sigmoid()
        found = [self.DyConv[SAME](own, offsets, mask)]
        if level > 0:
            found.append(self.DyConv[FINER](maps[level - 1], offsets, mask))
        if level < len(maps) - 1:
            coarse = maps[level + 1]
            fit = flat if self.flat_offsets else stretched
            taken = self.DyConv[COARSER](coarse, *(fit(part, coarse.shape[2:]) for part in (offsets, mask)))
            found.append(F.interpolate(taken, size=own.shape[2:], mode="bilinear", align_corners=True))
        weights = h_sigmoid(torch.stack([self.AttnConv(each) for each in found]))
        return (torch.stack(found) * weights).mean(0)


def flat(x: Float[Tensor, "B C H W"], size_hw: tuple[int, int]) -> Float[Tensor, "B C h w"]:
    """Read each picture's map as if its memory held a smaller one: the released kernel's reading."""
    channels = x.shape[1]
    return x.flatten(1)[:, : channels * size_hw[0] * size_hw[1]].reshape(len(x), channels, *size_hw)


def stretched(x: Float[Tensor, "B C H W"], size_hw: tuple[int, int]) -> Float[Tensor, "B C h w"]:
    """Shrink a map of offsets bilinearly: what is meant, but not what the released weights learnt."""
    return F.interpolate(x, size=tuple(size_hw), mode="bilinear", align_corners=False)


def h_sigmoid(x: Tensor) -> Tensor:
    """Return the piecewise linear sigmoid: 0 below -3, 1 above 3."""
    return F.relu6(x + 3) / 6


def sampled(
    x: Float[Tensor, "B C h w"],
    offsets: Float[Tensor, "B 18 H W"],
    weight: Float[Tensor, "O C 3 3"],
    bias: Float[Tensor, " O"],
    stride: int,
    mask: Float[Tensor, "B 9 H W"],
) -> Float[Tensor, "B O H W"]:
    """Return the deformable convolution (Eq. 1 of DCNv2) through bilinear grid sampling; zero outside the map."""
    batch, channels, height, width = x.shape
    rows, columns = offsets.shape[2:]
    steps = torch.arange(KERNEL, device=x.device, dtype=x.dtype) - KERNEL // 2
    taps = torch.cartesian_prod(steps, steps)  # (9, 2), row by row
    moved = offsets.view(batch, TAPS, 2, rows, columns) + taps[None, :, :, None, None]
    y = moved[:, :, 0] + stride * torch.arange(rows, device=x.device, dtype=x.dtype)[:, None]
    x_place = moved[:, :, 1] + stride * torch.arange(columns, device=x.device, dtype=x.dtype)
    grid = torch.stack([(2 * x_place + 1) / width - 1, (2 * y + 1) / height - 1], -1)  # (B, 9, H, W, 2)
    values = F.grid_sample(x, grid.flatten(1, 2), "bilinear", "zeros", align_corners=False)  # (B, C, 9 H, W)
    values = values.view(batch, channels, TAPS, rows, columns) * mask[:, None]
    summed = weight.flatten(1) @ values.reshape(batch, channels * TAPS, rows * columns)  # (B, O, H W)
    return (summed + bias[:, None]).unflatten(2, (rows, columns))
