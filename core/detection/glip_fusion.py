"""Deep fusion: pictures and words look at each other before they are compared (GLIP, Sec. 3.2, Eq. 4 to 6).

Paper: Li et al. 2022, Grounded Language-Image Pre-training, CVPR 2022, https://arxiv.org/abs/2112.03857. Keys and
constants from microsoft/GLIP at 9dda955 (maskrcnn_benchmark/utils/fuse_helper.py, modeling/rpn/modeling_bert.py). What
is worth knowing: the attended values are added to the layer-normed inputs, not to the inputs; padding is masked when
places look at tokens only. Padding tokens thus reach nobody else, so that a prompt need not be padded to 256.

Legend: B pictures, P places of all levels together, T tokens, C channels, L text width, J joint width, A heads.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

LARGEST = 50_000.0  # scores are cut there, as released
PADDING = -9e15  # a padded token's score
START_GAIN = 1 / 6  # of the layer scale: one over the number of fusion layers of GLIP-T
EPSILON = 1e-12  # of BERT's normalisations
MASKED = -10_000.0  # transformers 4's score of what is masked in a BERT layer


class Fusion(nn.Module):
    """One exchange between all places and all tokens."""

    def __init__(self, channels: int, text_width: int, joint: int, heads: int) -> None:
        super().__init__()
        self.exchange = True  # False: both sides are normed alone, as if nothing had been said
        self.b_attn = nn.Module()
        self.b_attn.layer_norm_v = nn.LayerNorm(channels)
        self.b_attn.layer_norm_l = nn.LayerNorm(text_width)
        self.b_attn.attn = BiAttention(channels, text_width, joint, heads)
        self.b_attn.gamma_v = nn.Parameter(torch.full((channels,), START_GAIN))
        self.b_attn.gamma_l = nn.Parameter(torch.full((text_width,), START_GAIN))

    def forward(
        self, maps: list[Float[Tensor, "B C _ _"]], hidden: Float[Tensor, "B T L"], mask: Int[Tensor, "B T"]
    ) -> tuple[list[Float[Tensor, "B C _ _"]], Float[Tensor, "B T L"]]:
        """Return the levels and the tokens after the exchange."""
        part = self.b_attn
        places = part.layer_norm_v(torch.cat([level.flatten(2).transpose(1, 2) for level in maps], 1))  # (B, P, C)
        hidden = part.layer_norm_l(hidden)
        if self.exchange:
            seen, heard = part.attn(places, hidden, mask)
            places, hidden = places + part.gamma_v * seen, hidden + part.gamma_l * heard
        places = places.transpose(1, 2)
        split = places.split([level.shape[2] * level.shape[3] for level in maps], 2)
        fused = [piece.unflatten(2, level.shape[2:]) for piece, level in zip(split, maps, strict=True)]
        return [piece.contiguous() for piece in fused], hidden


class BiAttention(nn.Module):
    """Multi-head attention in both directions from one matrix of scores (Eq. 4 and 5)."""

    def __init__(self, channels: int, text_width: int, joint: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (joint // heads) ** -0.5
        self.v_proj, self.l_proj = nn.Linear(channels, joint), nn.Linear(text_width, joint)
        self.values_v_proj, self.values_l_proj = nn.Linear(channels, joint), nn.Linear(text_width, joint)
        self.out_v_proj, self.out_l_proj = nn.Linear(joint, channels), nn.Linear(joint, text_width)
        for linear in self.children():
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self, places: Float[Tensor, "B P C"], hidden: Float[Tensor, "B T L"], mask: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B P C"], Float[Tensor, "B T L"]]:
        """Return what each place takes from the tokens and each token from the places."""
        if hidden.shape[1] * self.heads < self.v_proj.out_features:
            return self._few_tokens(places, hidden, mask)
        query, key = self._heads(self.v_proj(places) * self.scale), self._heads(self.l_proj(hidden))
        to_tokens, to_places = _shares(query @ key.transpose(2, 3), mask)
        seen = to_tokens @ self._heads(self.values_l_proj(hidden))
        heard = to_places @ self._heads(self.values_v_proj(places))
        return self.out_v_proj(_joined(seen)), self.out_l_proj(_joined(heard))

    def _few_tokens(
        self, places: Float[Tensor, "B P C"], hidden: Float[Tensor, "B T L"], mask: Int[Tensor, "B T"]
    ) -> tuple[Float[Tensor, "B P C"], Float[Tensor, "B T L"]]:
        """Return the same, no place being brought to the joint width: with few tokens it is they that are folded.

        Products are associative: (v W) k = v (W k), and a weighted mean of projected places is the projected mean.
        """
        key = self._heads(self.l_proj(hidden)) * self.scale  # (B, A, T, d)
        folded = key @ self._of_heads(self.v_proj.weight)  # (B, A, T, C)
        scores = places[:, None] @ folded.transpose(2, 3)
        scores = scores + (key @ self.v_proj.bias.view(self.heads, -1, 1)).transpose(2, 3)
        to_tokens, to_places = _shares(scores, mask)
        values = self._heads(self.values_l_proj(hidden)) @ self._of_heads(self.out_v_proj.weight.T)  # (B, A, T, C)
        seen = _joined(to_tokens) @ values.flatten(1, 2) + self.out_v_proj.bias
        heard = (to_places @ places[:, None]) @ self._of_heads(self.values_v_proj.weight).transpose(1, 2)
        return seen, self.out_l_proj(_joined(heard) + self.values_v_proj.bias)

    def _of_heads(self, weight: Float[Tensor, "J C"]) -> Float[Tensor, "A d C"]:
        return weight.unflatten(0, (self.heads, -1))

    def _heads(self, x: Float[Tensor, "B X J"]) -> Float[Tensor, "B A X _"]:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class BertLayer(nn.Module):
    """A block of BERT between two exchanges: attention among the tokens and an MLP, normed after each sum."""

    def __init__(self, width: int, heads: int, intermediate: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.Module()
        self.attention.self = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.attention.output = _output(width, width)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, intermediate)})
        self.output = _output(intermediate, width)

    def forward(self, hidden: Float[Tensor, "B T L"], mask: Int[Tensor, "B T"]) -> Float[Tensor, "B T L"]:
        """Let the tokens that are no padding look at each other."""
        project = self.attention.self
        query, key, value = (
            project[name](hidden).unflatten(2, (self.heads, -1)).transpose(1, 2) for name in ("query", "key", "value")
        )
        scores = (query @ key.transpose(2, 3)) * query.shape[-1] ** -0.5
        scores = scores.clamp(-LARGEST, LARGEST) + (1 - mask[:, None, None].to(scores.dtype)) * MASKED
        hidden = _added(self.attention.output, _joined(scores.softmax(-1) @ value), hidden)
        return _added(self.output, F.gelu(self.intermediate["dense"](hidden)), hidden)


def _shares(
    scores: Float[Tensor, "B A P T"], mask: Int[Tensor, "B T"]
) -> tuple[Float[Tensor, "B A P T"], Float[Tensor, "B A T P"]]:
    """Return how each place divides itself over the tokens, and each token over the places."""
    scores = scores.clamp(-LARGEST, LARGEST)
    to_places = scores.transpose(2, 3)
    to_places = (to_places - to_places.amax(-1, keepdim=True)).clamp(-LARGEST, LARGEST).softmax(-1)
    return scores.masked_fill((mask == 0)[:, None, None], PADDING).softmax(-1), to_places


def _output(width: int, out: int) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(width, out), "LayerNorm": nn.LayerNorm(out, eps=EPSILON)})


def _added(parts: nn.ModuleDict, x: Tensor, residual: Tensor) -> Tensor:
    return parts["LayerNorm"](parts["dense"](x) + residual)


def _joined(x: Float[Tensor, "B A X _"]) -> Float[Tensor, "B X J"]:
    return x.transpose(1, 2).flatten(2)
