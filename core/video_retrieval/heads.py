"""CLIP4Clip's four ways from frames to a score: meanP, seqLSTM, seqTransf, tightTransf.

Paper: Luo et al., CLIP4Clip, Neurocomputing 2022, Sec. 3.3, https://arxiv.org/abs/2104.08860. Parameters have the names
of ArrowLuo/CLIP4Clip at 508ffa3, modules/modeling.py, module_clip.py and module_cross.py, so one module holds whichever
heads a file has. Different from it: pairs of the tight head are scored in batches, whose last block runs for the text
token alone (the rest is thrown away) and whose first projects texts and frames before they are paired, which changes
nothing but the time; a frame of zeros counts as one and does not turn the score into NaN; the masked mean adds frames
in the order of their size, so that a reversed clip has the same mean to the last bit; and `input_norm` brings features
to one norm before a head, because at the norm that some CLIPs give (200 here) positions of norm 1 cannot be heard.

Legend: M texts, N clips, T frames, D embedding size, B sequences, L tokens of one, Q of them that ask, E three D.
"""

import re
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

HEADS = ("meanP", "seqLSTM", "seqTransf", "tightTransf")  # sim_header in modeling.py
LOOSE = HEADS[:3]
HEAD_WIDTH = 64  # modeling.py: heads = transformer width // 64
NORM_EPSILON = 1e-12  # until_module.py: LayerNorm in TensorFlow's manner; CLIP's towers use 1e-5
MASKED = -1e6  # modeling.py: added to the attention of padding
PAIR_TOKENS = {"cpu": 1_300, "gpu": 60_000}  # of the tight head in one batch: what the caches hold, or 1 GB


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), as in CLIP."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the activation; where nobody learns, in one new tensor instead of three."""
        if torch.is_grad_enabled():
            return x * torch.sigmoid(1.702 * x)
        return (1.702 * x).sigmoid_().mul_(x)


class Attention(nn.Module):
    """Attention of several heads with the parameter names of torch's own."""

    def __init__(self, width: int, heads: int) -> None:
        """Make projections for `heads` heads."""
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def project(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        """Return queries, keys and values of tokens, which depend on no other token."""
        return nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias)

    def forward(
        self, x: Float[Tensor, "B L D"], bias: Float[Tensor, "B 1 1 L"], queries: int | None = None
    ) -> Float[Tensor, "B Q D"]:
        """Attend from the first `queries` tokens (all where None) to all; `bias` is added to each key's product."""
        if queries is None:
            return self.attend(self.project(x), bias)
        width = x.shape[-1]
        weights, biases = self.in_proj_weight.split((width, 2 * width)), self.in_proj_bias.split((width, 2 * width))
        asked = nn.functional.linear(x[:, :queries], weights[0], biases[0])
        return self._mix(asked, *nn.functional.linear(x, weights[1], biases[1]).chunk(2, dim=-1), bias)

    def attend(self, projected: Float[Tensor, "B L E"], bias: Float[Tensor, "B 1 1 L"]) -> Float[Tensor, "B L D"]:
        """Attend from all tokens to all, given what `project` made of them."""
        return self._mix(*projected.chunk(3, dim=-1), bias)

    def _mix(self, asked: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Float[Tensor, "B Q D"]:
        q, k, v = (each.unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (asked, keys, values))
        return self.out_proj(scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """A pre-norm transformer block of CLIP4Clip (module_clip.py and module_cross.py: ResidualAttentionBlock)."""

    def __init__(self, width: int, heads: int) -> None:
        """Make one block."""
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))
        self.ln_2 = nn.LayerNorm(width, eps=NORM_EPSILON)

    def project(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        """Return what the block's attention makes of tokens before they see each other."""
        return self.attn.project(self.ln_1(x))

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        bias: Float[Tensor, "B 1 1 L"],
        queries: int | None = None,
        projected: Float[Tensor, "B L E"] | None = None,
    ) -> Float[Tensor, "B Q D"]:
        """Return the first `queries` tokens after this block, all where None; `projected` is of `project`."""
        seen = self.attn(self.ln_1(x), bias, queries) if projected is None else self.attn.attend(projected, bias)
        x = x[:, :queries] + (seen if projected is None else seen[:, :queries])
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Blocks in a row."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        """Make `layers` blocks."""
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads) for _ in range(layers))

    def forward(
        self,
        x: Float[Tensor, "B L D"],
        bias: Float[Tensor, "B 1 1 L"],
        queries: int | None = None,
        projected: Float[Tensor, "B L E"] | None = None,
    ) -> Float[Tensor, "B Q D"]:
        """Return the first `queries` tokens after the last block, all where None; `projected` is the first block's."""
        for block in self.resblocks[:-1]:
            x, projected = block(x, bias, projected=projected), None
        return self.resblocks[-1](x, bias, queries, projected)


class Pooler(nn.Module):
    """LayerNorm, the first token, a linear layer, QuickGELU (module_cross.py: CrossPooler)."""

    def __init__(self, width: int) -> None:
        """Make the pooler."""
        super().__init__()
        self.ln_pool = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.dense = nn.Linear(width, width)
        self.gelu = QuickGELU()

    def forward(self, x: Float[Tensor, "B L D"]) -> Float[Tensor, "B D"]:
        """Return one vector a sequence."""
        return self.gelu(self.dense(self.ln_pool(x)[:, 0]))


class Cross(nn.Module):
    """The tight head's transformer over a text and the frames of a clip (module_cross.py: CrossModel)."""

    def __init__(self, width: int, layers: int, heads: int, positions: int) -> None:
        """Make the transformer; its token types are commented out in the release."""
        super().__init__()
        self.embeddings = nn.Module()
        self.embeddings.position_embeddings = nn.Embedding(positions, width)
        self.transformer = Transformer(width, layers, heads)
        self.pooler = Pooler(width)

    def embed(self, texts: Float[Tensor, "M D"], frames: Float[Tensor, "N T D"]) -> tuple[Tensor, Tensor]:
        """Return the texts, (M, D), and the frames, (N, T, D), with the positions that they take in a sequence."""
        positions = self.embeddings.position_embeddings.weight
        return texts + positions[0], frames + positions[1 : 1 + frames.shape[1]]

    def forward(
        self, texts: Float[Tensor, "M D"], frames: Float[Tensor, "N T D"], mask: Int[Tensor, "N T"]
    ) -> Float[Tensor, "MN D"]:
        """Return one vector for each pair of a text and a clip; what does not depend on the pair is done once."""
        placed, first = self.embed(texts, frames), self.transformer.resblocks[0]
        projected = pair_up(*(first.project(each) for each in placed))
        seen = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1).repeat(len(texts), 1)
        return self.pooler(self.transformer(pair_up(*placed), key_bias(seen), 1, projected))


class VideoHeads(nn.Module):
    """The heads of one file; meanP has no parameters and is always there."""

    def __init__(
        self,
        width: int,
        *,
        layers: int = 4,
        heads: int | None = None,
        positions: int = 77,
        names: tuple[str, ...] = HEADS,
    ) -> None:
        """Make the named heads; ValueError for a name that is none of HEADS."""
        super().__init__()
        if unknown := [name for name in names if name not in HEADS]:
            raise ValueError(f"wanted heads of {', '.join(HEADS)}, got {unknown[0]!r}")
        self.names = tuple(name for name in HEADS if name == "meanP" or name in names)
        self.width, self.positions = width, positions
        heads = heads or max(1, width // HEAD_WIDTH)
        self.register_buffer("input_norm", torch.tensor(0.0))  # 0: frames as CLIP's projection gives them
        if "seqLSTM" in names or "seqTransf" in names:  # the LSTM's are in the release's files, but unused
            self.frame_position_embeddings = nn.Embedding(positions, width)
        if "seqLSTM" in names:
            self.lstm_visual = nn.LSTM(width, width, batch_first=True)
        if "seqTransf" in names:
            self.transformerClip = Transformer(width, layers, heads)
        if "tightTransf" in names:
            self.cross = Cross(width, layers, heads, positions)
            self.similarity_dense = nn.Linear(width, 1)

    def scaled(self, features: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """Return features at the norm that the heads were trained with; as they are where none is recorded."""
        return self.input_norm * normalize(features, dim=-1) if self.input_norm > 0 else features

    def temporal(self, head: str, frames: Float[Tensor, "N T D"], mask: Int[Tensor, "N T"]) -> Float[Tensor, "N T D"]:
        """Return the frames after a loose head has let them see each other."""
        self._check(head, mask)
        if head == "meanP":
            return frames
        if head == "seqLSTM":
            return self._recur(frames, mask) + frames
        placed = frames + self.frame_position_embeddings.weight[: frames.shape[1]]
        return self.transformerClip(placed, key_bias(mask)) + frames

    def clip_vectors(self, head: str, frames: Float[Tensor, "N T D"], mask: Int[Tensor, "N T"]) -> Float[Tensor, "N D"]:
        """Return one unit vector a clip for a loose head (Sec. 3.3, parameter-free and sequential types)."""
        seen = normalize(self.temporal(head, self.scaled(frames), mask), dim=-1)
        return normalize(masked_mean(seen, mask), dim=-1)

    def tight_scores(
        self, texts: Float[Tensor, "M D"], frames: Float[Tensor, "N T D"], mask: Int[Tensor, "N T"]
    ) -> Float[Tensor, "M N"]:
        """Return the tight head's score of every pair, some texts and clips at a time."""
        self._check("tightTransf", mask)
        texts, frames = self.scaled(texts), self.scaled(frames)
        tokens = PAIR_TOKENS["cpu" if frames.device.type == "cpu" else "gpu"] // (1 + frames.shape[1])
        columns = max(1, min(len(frames), tokens))
        clips = list(zip(frames.split(columns), mask.split(columns), strict=True))
        parts = texts.split(max(1, tokens // columns))
        return torch.cat([torch.cat([self._tight(part, *some) for some in clips], dim=1) for part in parts])

    def scores(
        self,
        head: str,
        texts: Float[Tensor, "M D"],
        frames: Float[Tensor, "N T D"],
        mask: Int[Tensor, "N T"],
        logit_scale: Float[Tensor, ""],
    ) -> Float[Tensor, "M N"]:
        """Return the logits of all texts against all clips; `logit_scale` is the factor, unused by the tight head."""
        if head == "tightTransf":
            return self.tight_scores(texts, frames, mask)
        return logit_scale * normalize(texts, dim=-1) @ self.clip_vectors(head, frames, mask).T

    def _tight(
        self, texts: Float[Tensor, "M D"], frames: Float[Tensor, "N T D"], mask: Int[Tensor, "N T"]
    ) -> Float[Tensor, "M N"]:
        return self.similarity_dense(self.cross(texts, frames, mask))[:, 0].view(len(texts), len(frames))

    def _recur(self, frames: Float[Tensor, "N T D"], mask: Int[Tensor, "N T"]) -> Float[Tensor, "N T D"]:
        """Return what the LSTM says of each frame; past the longest clip the release puts the frames themselves."""
        packed = pack_padded_sequence(frames, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        found = pad_packed_sequence(self.lstm_visual(packed)[0], batch_first=True)[0]
        return torch.cat([found, frames[:, found.shape[1] :]], dim=1)

    def _check(self, head: str, mask: Int[Tensor, "N T"]) -> None:
        if head not in self.names:
            raise ValueError(f"wanted one of the heads {', '.join(self.names)}, got {head!r}")
        if not bool(mask.any(1).all()):
            raise ValueError("wanted at least one frame in every clip, got a clip without frames")
        most = self.positions - (head == "tightTransf")
        if head != "meanP" and mask.shape[1] > most:
            raise ValueError(f"wanted at most {most} frames a clip for {head}, got {mask.shape[1]}")


def pair_up(texts: Float[Tensor, "M E"], frames: Float[Tensor, "N T E"]) -> Float[Tensor, "MN L E"]:
    """Return a sequence for each pair: the text, then the clip's frames."""
    count, clips = len(texts), len(frames)
    firsts = texts[:, None, None].expand(-1, clips, -1, -1)
    return torch.cat([firsts, frames[None].expand(count, -1, -1, -1)], dim=2).flatten(0, 1)


def key_bias(mask: Int[Tensor, "B L"]) -> Float[Tensor, "B 1 1 L"]:
    """Return what attention adds to each key: nothing for a frame, much less for padding."""
    return ((1.0 - mask.float()) * MASKED)[:, None, None]


def masked_mean(frames: Float[Tensor, "N T D"], mask: Int[Tensor, "N T"]) -> Float[Tensor, "N D"]:
    """Return the mean over the frames that are there, the same to the last bit whatever their order."""
    kept = frames * mask[..., None].to(frames.dtype)
    ordered = kept.sort(dim=1).values  # sums of floats depend on the order of their terms
    return ordered.sum(1) / mask.sum(1, keepdim=True).clamp(min=1).to(frames.dtype)


def symmetric_loss(scores: Float[Tensor, "N N"]) -> Float[Tensor, ""]:
    """Return the mean of the cross entropies along both directions (Sec. 3.4; modeling.py)."""
    right = torch.arange(len(scores), device=scores.device)
    return (nn.functional.cross_entropy(scores, right) + nn.functional.cross_entropy(scores.T, right)) / 2


def heads_from_tensors(tensors: Mapping[str, Tensor], *, width: int, heads: int | None = None) -> VideoHeads:
    """Return the heads that a file in the release's key layout holds, in evaluation mode, float32.

    ValueError where they do not fit. `heads` is the number of attention heads, one for 64 numbers where None.
    """
    own = {key: value.float() for key, value in tensors.items() if key.split(".")[0] in _PARTS}
    names = tuple(name for name, part in _PART_OF.items() if any(key.startswith(part) for key in own))
    tables = ("frame_position_embeddings.weight", "cross.embeddings.position_embeddings.weight")
    positions = max([len(own[table]) for table in tables if table in own], default=77)
    layers = len({found[1] for key in own if (found := re.search(r"resblocks\.(\d+)\.", key))})
    model = VideoHeads(width, layers=layers, heads=heads, positions=positions, names=names)
    own.setdefault("input_norm", torch.tensor(0.0))
    if not names:  # a position table that no head reads
        own.pop("frame_position_embeddings.weight", None)
    try:
        model.load_state_dict(own)
    except RuntimeError as error:
        raise ValueError(f"These heads do not fit: {str(error).splitlines()[1].strip()}") from None
    return model.eval()


_PART_OF = {"seqLSTM": "lstm_visual.", "seqTransf": "transformerClip.", "tightTransf": "cross."}
_PARTS = {"input_norm", "frame_position_embeddings", "lstm_visual", "transformerClip", "cross", "similarity_dense"}
