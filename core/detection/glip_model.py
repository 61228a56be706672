"""GLIP's network: Swin and a feature pyramid, BERT, the fused dynamic head, boxes, and a score for every word.

Paper: Li et al. 2022, Grounded Language-Image Pre-training, CVPR 2022, https://arxiv.org/abs/2112.03857. Keys and
constants from microsoft/GLIP at 9dda955 (modeling/rpn/vldyhead.py, modeling/backbone/fpn.py), so that the published
files load as they are. Different from it: prompts are padded to the longest of a batch, not to 256, which changes no
number of a real token; any number of levels and any sizes, so that the embedded weights go through the same classes.

Legend: B pictures, C channels, T tokens, L text width, H W a level's sides, P places of all levels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from core.backbones.swin import SWIN_T, Swin, SwinSize, swin_size_of
from core.detection.glip_dyhead import DyConv
from core.detection.glip_fusion import LARGEST, BertLayer, Fusion
from core.detection.glip_tuned import TunedPrompt

PRIOR = 0.01  # Focal loss (Lin et al. 2017, Sec. 3.3): every score begins here
CLASSES = 80  # of a layer that every published file has and nobody reads
HEAD = "rpn.head."
BODY, PYRAMID, TEXT = "backbone.body.", "backbone.fpn.", "language_backbone.body.model."
VOCABULARY = "language_backbone.vocabulary"  # of this project's own files: the words, as bytes
Levels = list[Float[Tensor, "B C _ _"]]


@dataclass(frozen=True, kw_only=True)
class GlipSize:
    """The numbers that fix a GLIP; the defaults are GLIP-T's (Table 1 of the paper and its released configuration)."""

    swin: SwinSize = SWIN_T
    channels: int = 256
    layers: int = 6  # of the head
    levels: int = 5  # strides 8 to 128
    fused: bool = True  # False: GLIP-T (A)
    joint: int = 2048  # width in which pictures and words meet
    fusion_heads: int = 8
    text_width: int = 768
    text_layers: int = 12
    text_heads: int = 12
    text_intermediate: int = 3072
    vocabulary: int = 30_522
    positions: int = 512

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels between the places of each level."""
        return tuple(8 * 2**level for level in range(self.levels))


GLIP_T = GlipSize()


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What the head says at each place of each level."""

    boxes: list[Float[Tensor, "B 4 _ _"]]  # regression
    centerness: list[Float[Tensor, "B 1 _ _"]]  # logits
    tokens: list[Float[Tensor, "B _ T"]]  # logits of each token at each place, rows first
    hidden: Float[Tensor, "B T L"]  # the tokens after the last exchange
    maps: Levels = field(default_factory=list)  # the pictures after the last layer


class Pyramid(nn.Module):
    """Three maps of one width, the coarser added to the finer, and smaller ones by strides (FPN with P6 and P7)."""

    def __init__(self, channels: tuple[int, ...], out: int, levels: int) -> None:
        super().__init__()
        for number, width in enumerate(channels, start=2):  # named as if the first stage had a place too
            self.add_module(f"fpn_inner{number}", nn.Conv2d(width, out, 1))
            self.add_module(f"fpn_layer{number}", nn.Conv2d(out, out, 3, padding=1))
        extra = levels - len(channels)
        self.top_blocks = nn.ModuleDict({f"p{6 + i}": nn.Conv2d(out, out, 3, 2, 1) for i in range(extra)})
        for conv in (module for module in self.modules() if isinstance(module, nn.Conv2d)):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: tuple[Float[Tensor, "B _ _ _"], ...]) -> Levels:
        """Return all levels, finest first."""
        inner, found = None, []
        for number in range(len(maps) + 1, 1, -1):
            lateral = getattr(self, f"fpn_inner{number}")(maps[number - 2])
            if inner is not None:
                lateral = lateral + F.interpolate(inner, size=lateral.shape[2:], mode="nearest")
            inner = lateral
            found.insert(0, getattr(self, f"fpn_layer{number}")(inner))
        for number, block in enumerate(self.top_blocks.values()):
            found.append(block(F.relu(found[-1]) if number else found[-1]))
        return found


class TextEncoder(nn.Module):
    """BERT, whose last states are the tokens."""

    def __init__(self, size: GlipSize) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=size.vocabulary,
            hidden_size=size.text_width,
            num_hidden_layers=size.text_layers,
            num_attention_heads=size.text_heads,
            intermediate_size=size.text_intermediate,
            max_position_embeddings=size.positions,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        self.body = nn.ModuleDict({"model": BertModel(config, add_pooling_layer=False)})
        self.tuned: TunedPrompt | None = None

    def forward(self, ids: Int[Tensor, "B T"], mask: Int[Tensor, "B T"]) -> Float[Tensor, "B T L"]:
        """Return the last states, not masked; those of a tuned prompt with what they gained."""
        hidden = self.body["model"](input_ids=ids, attention_mask=mask).last_hidden_state
        return hidden if self.tuned is None else self.tuned(hidden, ids)


class Head(nn.Module):
    """The dynamic head with deep fusion, a box and a centerness at each place, and a score for each token."""

    def __init__(self, size: GlipSize) -> None:
        super().__init__()
        channels, width = size.channels, size.text_width
        self.fused = size.fused
        tower: list[nn.Module] = []
        for _ in range(size.layers):
            if size.fused:
                tower.append(Fusion(channels, width, size.joint, size.fusion_heads))
                tower.append(BertLayer(width, size.text_heads, size.text_intermediate))
            tower.append(DyConv(channels))
        self.dyhead_tower = nn.ModuleList(tower)
        self.cls_logits = nn.Conv2d(channels, CLASSES, 1).requires_grad_(False)
        self.bbox_pred, self.centerness = nn.Conv2d(channels, 4, 1), nn.Conv2d(channels, 1, 1)
        self.dot_product_projection_text = nn.Linear(width, channels)
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.bias_lang = nn.Parameter(torch.zeros(width))
        self.bias0 = nn.Parameter(torch.tensor([-log((1 - PRIOR) / PRIOR)]))
        self.scales = nn.ModuleList(Scale() for _ in range(size.levels))
        for conv in (self.cls_logits, self.bbox_pred, self.centerness):
            nn.init.normal_(conv.weight, 0, 0.01)
            nn.init.zeros_(conv.bias)

    def forward(self, maps: Levels, hidden: Float[Tensor, "B T L"], mask: Int[Tensor, "B T"]) -> Scores:
        """Run the tower and read it; without fusion the padding of the text is zero, as released."""
        if not self.fused:
            hidden = hidden * mask[..., None].to(hidden.dtype)
        for layer in self.dyhead_tower:
            if isinstance(layer, DyConv):
                maps = layer(maps)
            elif isinstance(layer, BertLayer):
                hidden = layer(hidden, mask)
            else:
                maps, hidden = layer(maps, hidden, mask)
        return self.read(maps, hidden)

    def read(self, maps: Levels, hidden: Float[Tensor, "B T L"]) -> Scores:
        """Compare places with tokens and predict the boxes (Sec. 3.1, Eq. 3)."""
        units = F.normalize(hidden, dim=-1)
        keys = self.dot_product_projection_text(units / 2)  # (B, T, C)
        bias = units @ self.bias_lang + self.bias0  # (B, T)
        tokens = []
        for level in maps:
            products = level.flatten(2).transpose(1, 2) @ keys.transpose(1, 2)  # (B, H W, T)
            tokens.append((products / self.log_scale.exp() + bias[:, None]).clamp(-LARGEST, LARGEST))
        return Scores(
            boxes=[scale(self.bbox_pred(level)) for level, scale in zip(maps, self.scales, strict=True)],
            centerness=[self.centerness(level) for level in maps],
            tokens=tokens,
            hidden=hidden,
            maps=maps,
        )


class Scale(nn.Module):
    """A factor that a level learns."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return x * self.scale


class GlipNetwork(nn.Module):
    """Everything that has weights, under the published names."""

    def __init__(self, size: GlipSize = GLIP_T, vocabulary: tuple[str, ...] | None = None) -> None:
        """Build it; an own `vocabulary` travels with the weights."""
        super().__init__()
        self.size = size
        self.backbone = nn.ModuleDict(
            {"body": Swin(size.swin), "fpn": Pyramid(size.swin.channels[1:], size.channels, size.levels)}
        )
        self.language_backbone = TextEncoder(size)
        if vocabulary is not None:
            self.language_backbone.register_buffer("vocabulary", encoded_words(vocabulary))
        self.rpn = nn.ModuleDict({"head": Head(size)})

    @property
    def vocabulary(self) -> tuple[str, ...] | None:
        """The words that travel with the weights, if any do."""
        stored = getattr(self.language_backbone, "vocabulary", None)
        return None if stored is None else decoded_words(stored)

    @property
    def tuned(self) -> TunedPrompt | None:
        """The class prompt that was tuned, if one was."""
        return self.language_backbone.tuned

    def pyramid(self, inputs: Float[Tensor, "B 3 _ _"]) -> Levels:
        """Return a picture's levels, which know no words yet."""
        return self.backbone["fpn"](self.backbone["body"](inputs))

    def forward(self, maps: Levels, ids: Int[Tensor, "B T"], mask: Int[Tensor, "B T"]) -> Scores:
        """Compare a picture's levels with a prompt."""
        return self.rpn["head"](maps, self.language_backbone(ids, mask), mask)

    def set_ways(self, *, exchange: bool, flat_offsets: bool) -> None:
        """Choose whether places and tokens exchange anything, and how offsets are handed to the coarser level.

        Weights know only one way of each: the others are for measuring what they are worth.
        """
        for module in self.rpn["head"].dyhead_tower:
            if isinstance(module, DyConv):
                module.flat_offsets = flat_offsets
            elif isinstance(module, Fusion):
                module.exchange = exchange

    def set_sampling(self, by_sampling: bool) -> None:
        """Choose the way in which deformable convolutions are computed; the numbers are the same."""
        for module in self.modules():
            if isinstance(module, DyConv):
                for each in module.DyConv:
                    each.by_sampling = by_sampling


def encoded_words(words: tuple[str, ...]) -> UInt8[Tensor, " n"]:
    """Return words as bytes, so that they can lie among the tensors of a file."""
    return torch.tensor(list("\n".join(words).encode()), dtype=torch.uint8)


def decoded_words(stored: UInt8[Tensor, " n"]) -> tuple[str, ...]:
    """Return the words that `encoded_words` stored."""
    return tuple(bytes(stored.tolist()).decode().split("\n"))


def glip_size_of(tensors: Mapping[str, Tensor]) -> GlipSize:
    """Read a GLIP's sizes off its tensors; ValueError where a part is missing.

    The numbers of heads leave no trace: 8 fusion heads of the joint width, BERT's of 64, or 32 where it is narrow.
    """
    try:
        return _size(tensors)
    except KeyError as missing:
        raise ValueError(f"wanted a GLIP in the published key layout, got a file without {missing}") from None


def text_heads(width: int) -> int:
    """Return how many heads a text encoder of this width has: of 64 as BERT's, of 32 where it is narrow."""
    return width // 64 if width >= 512 else max(1, width // 32)


def _size(tensors: Mapping[str, Tensor]) -> GlipSize:
    width = tensors[f"{HEAD}dot_product_projection_text.weight"].shape[1]
    tower = {int(key.removeprefix(f"{HEAD}dyhead_tower.").split(".")[0]) for key in tensors if ".dyhead_tower." in key}
    fused = f"{HEAD}dyhead_tower.0.b_attn.gamma_v" in tensors
    text = f"{TEXT}encoder.layer."
    return GlipSize(
        swin=swin_size_of(tensors, BODY),
        channels=len(tensors[f"{HEAD}centerness.weight"][0]),
        layers=len(tower) // (3 if fused else 1),
        levels=len({key for key in tensors if key.startswith(f"{HEAD}scales.")}),
        fused=fused,
        joint=len(tensors[f"{HEAD}dyhead_tower.0.b_attn.attn.v_proj.weight"]) if fused else GlipSize.joint,
        text_width=width,
        text_layers=len({key.removeprefix(text).split(".")[0] for key in tensors if key.startswith(text)}),
        text_heads=text_heads(width),
        text_intermediate=len(tensors[f"{text}0.intermediate.dense.weight"]),
        vocabulary=len(tensors[f"{TEXT}embeddings.word_embeddings.weight"]),
        positions=len(tensors[f"{TEXT}embeddings.position_embeddings.weight"]),
    )
