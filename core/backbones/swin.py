"""Swin Transformer with maps of three strides, in the key layout of the authors' own detection code.

Paper: Liu et al. 2021, Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, ICCV 2021,
https://arxiv.org/abs/2103.14030. Keys and padding as microsoft/GLIP at 9dda955 (maskrcnn_benchmark/modeling/backbone/
swint.py): maps are padded to whole windows, every second block is shifted, the last three stages have a normalisation
of their own. Different from it: attention runs through PyTorch's fused kernel, and the positions' index, which is a
constant, is not stored.

Legend: B pictures, C channels, H W a map's sides in places, N places of a window, G windows, A heads.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

PATCH = 4  # Sec. 3.1
MLP_RATIO = 4  # Sec. 3.1: alpha
FAR = -100.0  # added to scores across a shift's seam, as released


@dataclass(frozen=True, kw_only=True)
class SwinSize:
    """The numbers that fix a Swin; the defaults are Swin-T's (Sec. 3.3)."""

    width: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.width * 2**stage for stage in range(len(self.depths)))


SWIN_T = SwinSize()


class Swin(nn.Module):
    """Stages of shifted-window attention; the maps of the last three come out, at strides 8, 16 and 32."""

    def __init__(self, size: SwinSize = SWIN_T) -> None:
        super().__init__()
        self.size = size
        self.patch_embed = PatchEmbedding(size.width)
        last = len(size.depths) - 1
        self.layers = nn.ModuleList(
            Stage(width, depth, heads, size.window, merge=stage < last)
            for stage, (width, depth, heads) in enumerate(zip(size.channels, size.depths, size.heads, strict=True))
        )
        for stage in range(1, last + 1):
            self.add_module(f"norm{stage}", nn.LayerNorm(size.channels[stage]))

    def forward(self, inputs: Float[Tensor, "B 3 _ _"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        """Return the maps of every stage but the first, finest first."""
        x, maps = self.patch_embed(inputs), []
        for stage, layer in enumerate(self.layers):
            inside, x = layer(x)
            if stage:
                maps.append(getattr(self, f"norm{stage}")(inside).permute(0, 3, 1, 2).contiguous())
        return tuple(maps)


class PatchEmbedding(nn.Module):
    """A vector for each 4 x 4 pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)
        self.norm = nn.LayerNorm(width)

    def forward(self, inputs: Float[Tensor, "B 3 _ _"]) -> Float[Tensor, "B H W C"]:
        """Pad to whole patches and embed them."""
        height, width = inputs.shape[2:]
        padded = F.pad(inputs, (0, -width % PATCH, 0, -height % PATCH))
        return self.norm(self.proj(padded).permute(0, 2, 3, 1))


class Stage(nn.Module):
    """Blocks at one resolution, then the merging of neighbours."""

    def __init__(self, width: int, depth: int, heads: int, window: int, *, merge: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(width, heads, window, window // 2 if number % 2 else 0) for number in range(depth)
        )
        self.downsample = PatchMerging(width) if merge else None

    def forward(self, x: Float[Tensor, "B H W C"]) -> tuple[Float[Tensor, "B H W C"], Float[Tensor, "B _ _ _"]]:
        """Return the stage's own map and what the next stage begins with."""
        for block in self.blocks:
            x = block(x)
        return x, x if self.downsample is None else self.downsample(x)


class PatchMerging(nn.Module):
    """Two by two places become one of twice the channels (Sec. 3.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Float[Tensor, "B H W C"]) -> Float[Tensor, "B _ _ _"]:
        """Merge; the order of the four is (0,0), (1,0), (0,1), (1,1) in rows and columns."""
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        corners = [x[:, row::2, column::2] for row, column in ((0, 0), (1, 0), (0, 1), (1, 1))]
        return self.reduction(self.norm(torch.cat(corners, -1)))


class Block(nn.Module):
    """Window attention and an MLP, each on normed input and added to it (Eq. 3)."""

    def __init__(self, width: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("fc1", nn.Linear(width, MLP_RATIO * width))
        self.mlp.add_module("act", nn.GELU())
        self.mlp.add_module("fc2", nn.Linear(MLP_RATIO * width, width))

    def forward(self, x: Float[Tensor, "B H W C"]) -> Float[Tensor, "B H W C"]:
        """Attend inside windows, which lie half a window further in every second block."""
        x = x + self._attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Float[Tensor, "B H W C"]) -> Float[Tensor, "B H W C"]:
        batch, height, width, channels = x.shape
        side, shift = self.window, self.shift
        x = F.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1] // side, x.shape[2] // side
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
        x = x.view(batch, rows, side, columns, side, channels).transpose(2, 3).reshape(-1, side * side, channels)
        x = self.attn(x, seams(rows, columns, side, shift, x.device) if shift else None)
        x = x.view(batch, rows, columns, side, side, channels).transpose(2, 3)
        x = x.reshape(batch, rows * side, columns * side, channels)
        if shift:
            x = torch.roll(x, (shift, shift), (1, 2))
        return x[:, :height, :width]


class WindowAttention(nn.Module):
    """Attention among the places of a window, with a bias for each relative position (Eq. 4)."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("index", relative_positions(window), persistent=False)

    def forward(self, x: Float[Tensor, "BG N C"], mask: Float[Tensor, "G N N"] | None) -> Float[Tensor, "BG N C"]:
        """Attend; `mask` is added to the scores of each window of a picture."""
        places = x.shape[1]
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (BG, A, N, _)
        bias = self.relative_position_bias_table[self.index].view(places, places, -1).permute(2, 0, 1)[None]
        if mask is not None:
            bias = (bias + mask[:, None]).repeat(len(x) // len(mask), 1, 1, 1)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.proj(attended.transpose(1, 2).flatten(2))


def relative_positions(window: int) -> Int[Tensor, " NN"]:
    """Return the row of the bias table for each pair of places in a window."""
    places = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    apart = places[:, None] - places[None] + window - 1  # (N, N, 2)
    return (apart[..., 0] * (2 * window - 1) + apart[..., 1]).flatten()


def seams(rows: int, columns: int, side: int, shift: int, device: torch.device) -> Float[Tensor, "G N N"]:
    """Return FAR for each pair of places of a shifted window that were not neighbours before the shift."""

    def bands(count: int) -> Tensor:
        places = torch.arange(count * side, device=device)
        return (places >= (count - 1) * side).long() + (places >= count * side - shift).long()

    regions = 3 * bands(rows)[:, None] + bands(columns)[None]
    regions = regions.view(rows, side, columns, side).transpose(1, 2).reshape(-1, side * side)  # (G, N)
    return (regions[:, :, None] != regions[:, None]).float() * FAR


def swin_size_of(tensors: Mapping[str, Tensor], prefix: str = "") -> SwinSize:
    """Read a Swin's sizes off its tensors; KeyError where they are not in this layout."""
    width = len(tensors[f"{prefix}patch_embed.proj.weight"])
    depths, heads = [], []
    while f"{prefix}layers.{len(depths)}.blocks.0.norm1.weight" in tensors:
        stage = f"{prefix}layers.{len(depths)}.blocks."
        table = tensors[f"{stage}0.attn.relative_position_bias_table"]
        heads.append(table.shape[1])
        depths.append(len({key.removeprefix(stage).split(".")[0] for key in tensors if key.startswith(stage)}))
    window = (round(len(table) ** 0.5) + 1) // 2
    return SwinSize(width=width, depths=tuple(depths), heads=tuple(heads), window=window)
