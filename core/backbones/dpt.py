"""A dense prediction transformer: a plain ViT, and a decoder that makes one fine map of what four of its blocks say.

Paper: Ranftl, Bochkovskiy and Koltun 2021, Vision Transformers for Dense Prediction, ICCV 2021,
https://arxiv.org/abs/2103.13413. Four blocks of the ViT are read; each token takes the class token in (readout
'project'), the grids become maps with strides 4, 8, 16 and 32 pixels (reassemble), and four RefineNet blocks fuse them
from coarse to fine. Names of the parameters are those of LSeg's released files (isl-org/lang-seg at bb00b21,
modules/models/lseg_vit.py and lseg_blocks.py; the ViT's are timm's), so that these load without a table.

Different from it: sizes are read off a dataclass, so that a patch of any power of two from 4 to 32 pixels will do; what
the answer does not need (the ViT's last norm and classifier) is not there.

Legend: B pictures, H W pixels, h w the grid of patches, P = h w patches, D width of the ViT, C width of the decoder.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STRIDES = (4, 8, 16, 32)  # pixels, of the four maps, whatever the patch (Ranftl et al. 2021, Sec. 3.1)
HEAD_WIDTH = 64  # of timm's ViT-B and ViT-L
NORM_EPSILON = 1e-6  # timm's ViT
MLP_RATIO = 4


@dataclass(frozen=True, kw_only=True)
class DptSize:
    """The numbers that fix a ViT with its decoder."""

    width: int
    layers: int
    patch: int
    grid: int  # patches along a side of the pictures that positions were learned on
    channels: tuple[int, int, int, int]  # of the four maps, finest first
    features: int  # width of the decoder
    heads: int
    hooks: tuple[int, int, int, int]  # the blocks that are read, counted from 0

    def __post_init__(self) -> None:
        if self.patch not in (4, 8, 16, 32):
            raise ValueError(f"wanted a patch of 4, 8, 16 or 32 pixels, got {self.patch}")
        if self.width % self.heads or not 0 <= min(self.hooks) <= max(self.hooks) < self.layers:
            raise ValueError(f"wanted heads that divide {self.width} and hooks below {self.layers}, got {self}")


def quarters(layers: int) -> tuple[int, int, int, int]:
    """Return the last block of each quarter of a ViT: 5, 11, 17, 23 of 24, as released."""
    first, second, third, last = (max(layers * part // 4 - 1, 0) for part in (1, 2, 3, 4))
    return first, second, third, last


VIT_L16 = DptSize(
    width=1024,
    layers=24,
    patch=16,
    grid=24,
    channels=(256, 512, 1024, 1024),
    features=256,
    heads=16,
    hooks=quarters(24),
)


def size_of(tensors: Mapping[str, Tensor], *, heads: int | None = None) -> DptSize:
    """Read sizes off tensors; heads, which no tensor tells, are 64 wide as timm's. ValueError where a key is absent."""
    try:
        width, _, patch, _ = tensors["pretrained.model.patch_embed.proj.weight"].shape
        places = tensors["pretrained.model.pos_embed"].shape[1] - 1
        first, second, third, last = (len(tensors[f"pretrained.act_postprocess{k}.3.bias"]) for k in (1, 2, 3, 4))
        features = len(tensors["scratch.layer1_rn.weight"])
    except KeyError as missing:
        raise ValueError(f"wanted a DPT in LSeg's key layout, got a file without {missing}") from None
    layers = len({key.split(".")[3] for key in tensors if key.startswith("pretrained.model.blocks.")})
    return DptSize(
        width=width,
        layers=layers,
        patch=patch,
        grid=round(places**0.5),
        channels=(first, second, third, last),
        features=features,
        heads=heads or max(1, width // HEAD_WIDTH),
        hooks=quarters(layers),
    )


class Attention(nn.Module):
    """Self-attention with one matrix for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Let every token look at every token."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two layers with an exact GELU between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, MLP_RATIO * width), nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Map each token on its own."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A transformer block that normalises first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=NORM_EPSILON) for _ in range(2))
        self.attn, self.mlp = Attention(width, heads), Mlp(width)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Attend, then map."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """A linear map of each patch."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P D"]:
        """Cut pictures into patches."""
        return self.proj(x).flatten(2).transpose(1, 2)


class Vit(nn.Module):
    """A ViT for pictures of any size that the patch divides."""

    def __init__(self, size: DptSize) -> None:
        super().__init__()
        self.size = size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + size.grid**2, size.width))
        self.patch_embed = PatchEmbed(size.width, size.patch)
        self.blocks = nn.ModuleList(Block(size.width, size.heads) for _ in range(size.layers))

    def positions(self, grid_hw: tuple[int, int]) -> Float[Tensor, "1 T D"]:
        """Return the class token's position and those of a grid, stretched bilinearly."""
        grid = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (self.size.grid, self.size.grid))
        stretched = F.interpolate(grid, size=grid_hw, mode="bilinear", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], stretched.flatten(2).transpose(1, 2)], dim=1)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B T D"]]:
        """Return what the hooked blocks give, class token first, without a last norm."""
        grid_hw = (x.shape[2] // self.size.patch, x.shape[3] // self.size.patch)
        tokens = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1) + self.positions(grid_hw)
        outputs = []
        for block in self.blocks:
            tokens = block(tokens)
            outputs.append(tokens)
        return [outputs[index] for index in self.size.hooks]


class Readout(nn.Module):
    """Give every patch what the class token knows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(2 * width, width), nn.GELU())

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B P D"]:
        """Join each patch with the class token and project."""
        patches = x[:, 1:]
        return self.project(torch.cat([patches, x[:, :1].expand_as(patches)], dim=-1))


def reassemble(width: int, channels: int, *, patch: int, stride: int) -> nn.ModuleDict:
    """Return readout, 1 x 1 convolution and resizing for one map, under the numbers that released files give them."""
    parts: dict[str, nn.Module] = {"0": Readout(width), "3": nn.Conv2d(width, channels, 1)}
    if patch > stride:
        parts["4"] = nn.ConvTranspose2d(channels, channels, patch // stride, stride=patch // stride)
    elif patch < stride:
        times = stride // patch
        parts["4"] = nn.Conv2d(channels, channels, 2 * times - 1, stride=times, padding=times - 1)
    return nn.ModuleDict(parts)


class Encoder(nn.Module):
    """The ViT and its four maps."""

    def __init__(self, size: DptSize) -> None:
        super().__init__()
        self.model = Vit(size)
        for number, (channels, stride) in enumerate(zip(size.channels, STRIDES, strict=True), start=1):
            part = reassemble(size.width, channels, patch=size.patch, stride=stride)
            setattr(self, f"act_postprocess{number}", part)

    def forward(self, x: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """Return maps with strides 4, 8, 16 and 32 pixels of pictures whose sides are multiples of 32."""
        if x.shape[2] % STRIDES[-1] or x.shape[3] % STRIDES[-1]:
            raise ValueError(f"wanted sides that are multiples of {STRIDES[-1]} pixels, got {tuple(x.shape[2:])}")
        patch = self.model.size.patch
        grid_hw = (x.shape[2] // patch, x.shape[3] // patch)
        maps = []
        for number, tokens in enumerate(self.model(x), start=1):
            parts = getattr(self, f"act_postprocess{number}")
            grid = parts["3"](parts["0"](tokens).transpose(1, 2).unflatten(2, grid_hw))
            maps.append(parts["4"](grid) if "4" in parts else grid)
        return maps


class ResidualConvUnit(nn.Module):
    """Two normalised convolutions beside a shortcut."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(features, features, 3, padding=1, bias=False) for _ in range(2))
        self.bn1, self.bn2 = nn.BatchNorm2d(features), nn.BatchNorm2d(features)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        """Refine a map."""
        inner = self.bn1(self.conv1(F.relu(x)))
        return self.bn2(self.conv2(F.relu(inner))) + x


class Fusion(nn.Module):
    """A RefineNet block: what came from below, joined with a finer map, at twice the size."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(features, features, 1)
        self.resConfUnit1, self.resConfUnit2 = ResidualConvUnit(features), ResidualConvUnit(features)

    def forward(self, x: Float[Tensor, "B C h w"], finer: Tensor | None = None) -> Float[Tensor, "B C h2 w2"]:
        """Join, refine, double; the coarsest block has nothing to join, so its first unit is never used."""
        if finer is not None:
            x = x + self.resConfUnit1(finer)
        return self.out_conv(double(self.resConfUnit2(x)))


class Decoder(nn.Module):
    """From four maps to one with half the picture's sides."""

    def __init__(self, size: DptSize) -> None:
        super().__init__()
        for number, channels in enumerate(size.channels, start=1):
            setattr(self, f"layer{number}_rn", nn.Conv2d(channels, size.features, 3, padding=1, bias=False))
            setattr(self, f"refinenet{number}", Fusion(size.features))

    def forward(self, maps: list[Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B C h w"]:
        """Fuse from the coarsest map to the finest."""
        even = [getattr(self, f"layer{number}_rn")(each) for number, each in enumerate(maps, start=1)]
        path = self.refinenet4(even[3])
        for number in (3, 2, 1):
            path = getattr(self, f"refinenet{number}")(path, even[number - 1])
        return path


def double(x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h2 w2"]:
    """Stretch a map bilinearly to twice its sides, corners on corners."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
