"""Visual prompts behind the image tower: the heads that make one feature of a clip out of its frames'.

Paper: Wang et al. 2021, ActionCLIP, Sec. 3.3, https://arxiv.org/abs/2109.08472. Layers, names and quirks are those of
sallymmx/ActionCLIP at 31c34df, modules/Visual_Prompt.py: frames are not normalised before the mean, and every head but
Transf_cls adds its output to its input and averages over the frames. Different from it: positions that a head holds
without using them are not kept; and beside the released Conv_1D, which reads the memory of (T, D) as if it were (D, T)
and so scrambles time and channels, there is Conv_1D_fixed, which turns the axes.

Legend: B clips, T frames, D embedding size.
"""

from collections.abc import Mapping
from functools import partial

import torch
from jaxtyping import Float
from open_clip.transformer import QuickGELU, ResidualAttentionBlock
from torch import Tensor, nn

POSITIONS = 77  # rows of the release's table of positions: CLIP's context length
LAYERS = 6
NORM_EPS = 1e-12  # of Transf; mmaction2's copy has 1e-5, which features of CLIP's size cannot tell from it
CLS_HEADS, CLS_FEED_FORWARD = 8, 2048
POSITION_STD = 0.02
SHIFTED = 4  # the release's Conv_1D starts as a shift: a quarter of the channels looks back, a quarter ahead


class MeanPool(nn.Module):
    """The mean of the frames: exactly blind to their order.

    Summed in double precision, in which eight or a few hundred float32 numbers of like size lose nothing, so that the
    order of summing cannot show either.
    """

    def per_frame(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Return the frames as they are."""
        return frames

    def forward(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """Average over the frames."""
        return frames.double().mean(1).to(frames.dtype)


class Conv1d(nn.Module):
    """A convolution over time, each channel on its own."""

    def __init__(self, width: int, *, as_released: bool = True) -> None:
        """Start as a shift of half of the channels; `as_released` scrambles time and channels first."""
        super().__init__()
        self.as_released = as_released
        self.shift = nn.Conv1d(width, width, 3, padding=1, groups=width, bias=False)
        fold = width // SHIFTED
        with torch.no_grad():
            self.shift.weight.zero_()
            self.shift.weight[:fold, 0, 0] = 1
            self.shift.weight[fold : width - fold, 0, 1] = 1
            self.shift.weight[width - fold :, 0, 2] = 1

    def columns(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B D T"]:
        """Return what the convolution is given."""
        return frames.reshape(len(frames), frames.shape[2], -1) if self.as_released else frames.transpose(1, 2)

    def per_frame(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Add the convolution's output to the frames."""
        return self.shift(self.columns(frames)).transpose(1, 2) + frames

    def forward(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """Average over the frames."""
        return self.per_frame(frames).mean(1)


class Lstm(nn.Module):
    """One recurrent layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm_visual = nn.LSTM(width, width, batch_first=True)

    def per_frame(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Add the layer's output to the frames."""
        return self.lstm_visual(frames)[0] + frames

    def forward(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """Average over the frames."""
        return self.per_frame(frames).mean(1)


class Blocks(nn.Module):
    """A stack of CLIP's own blocks, without a mask."""

    def __init__(self, width: int, layers: int, heads: int) -> None:
        super().__init__()
        norm = partial(nn.LayerNorm, eps=NORM_EPS)
        self.resblocks = nn.ModuleList(
            ResidualAttentionBlock(width, heads, act_layer=QuickGELU, norm_layer=norm) for _ in range(layers)
        )

    def forward(self, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Run every block."""
        for block in self.resblocks:
            tokens = block(tokens)
        return tokens


class Transf(nn.Module):
    """A transformer over the frames with a learnt vector for each place in time: the paper's choice."""

    def __init__(self, width: int, heads: int, *, layers: int = LAYERS, positions: int = POSITIONS) -> None:
        """Start as the release does, `heads` being a 64th of the text tower's width."""
        super().__init__()
        self.frame_position_embeddings = nn.Embedding(positions, width)
        self.transformer = Blocks(width, layers, heads)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=POSITION_STD)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def placed(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Add the vector of each place in time; ValueError for more frames than there are places."""
        places = self.frame_position_embeddings.weight
        if frames.shape[1] > len(places):
            raise ValueError(f"This head has places for {len(places)} frames; these are {frames.shape[1]}.")
        return frames + places[: frames.shape[1]]

    def per_frame(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Add the transformer's output to the frames; the places in time are not part of what it is added to."""
        return self.transformer(self.placed(frames)) + frames

    def forward(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """Average over the frames."""
        return self.per_frame(frames).mean(1)


class Encoder(nn.Module):
    """Torch's own encoder behind a token for the whole clip."""

    def __init__(self, width: int, frames: int, *, layers: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * POSITION_STD)
        self.pos_embed = nn.Parameter(torch.randn(1, frames + 1, width) * POSITION_STD)
        layer = nn.TransformerEncoderLayer(width, heads, feed_forward, batch_first=True)
        norm = nn.LayerNorm(width)
        self.transformer_enc = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)

    def tokens(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B T1 D"]:
        """Put the clip's token before the frames and add the places in time."""
        return torch.cat([self.cls_token.expand(len(frames), -1, -1), frames], dim=1) + self.pos_embed


class TransfCls(nn.Module):
    """A transformer whose first token speaks for the clip; for one number of frames only."""

    def __init__(
        self,
        width: int,
        frames: int,
        *,
        layers: int = LAYERS,
        heads: int = CLS_HEADS,
        feed_forward: int = CLS_FEED_FORWARD,
    ) -> None:
        super().__init__()
        self.transformer = Encoder(width, frames, layers=layers, heads=heads, feed_forward=feed_forward)

    def forward(self, frames: Float[Tensor, "B T D"]) -> Float[Tensor, "B D"]:
        """Return the clip's token; ValueError for another number of frames than it learnt."""
        wanted = self.transformer.pos_embed.shape[1] - 1
        if frames.shape[1] != wanted:
            raise ValueError(f"This head takes exactly {wanted} frames; these are {frames.shape[1]}.")
        return self.transformer.transformer_enc(self.transformer.tokens(frames))[:, 0]


HEADS = ("meanP", "Conv_1D", "Conv_1D_fixed", "LSTM", "Transf", "Transf_cls")  # the release's names, and the repair


def head_from_tensors(name: str, tensors: Mapping[str, Tensor], *, heads: int) -> nn.Module:
    """Return a head in evaluation mode with these weights, its sizes read off them; ValueError where they do not fit.

    `heads` is a 64th of the text tower's width; Transf_cls has 8 whatever the width.
    """
    kept = {key: value.float() for key, value in tensors.items()}
    if name != "Transf":
        kept.pop("frame_position_embeddings.weight", None)
    try:
        head = _empty(name, kept, heads)
        head.load_state_dict(kept)
    except (KeyError, RuntimeError, IndexError):
        raise ValueError(f"These tensors are not a head of the kind {name}.") from None
    return head.eval()


def _empty(name: str, tensors: Mapping[str, Tensor], heads: int) -> nn.Module:
    """Return a head of the size of these tensors."""
    if name == "meanP":
        return MeanPool()
    if name in ("Conv_1D", "Conv_1D_fixed"):
        return Conv1d(len(tensors["shift.weight"]), as_released=name == "Conv_1D")
    if name == "LSTM":
        return Lstm(tensors["lstm_visual.weight_ih_l0"].shape[1])
    if name == "Transf":
        positions, width = tensors["frame_position_embeddings.weight"].shape
        return Transf(width, heads, layers=_count(tensors, "transformer.resblocks."), positions=positions)
    if name == "Transf_cls":
        _, tokens, width = tensors["transformer.pos_embed"].shape
        first = tensors["transformer.transformer_enc.layers.0.linear1.weight"]
        layers = _count(tensors, "transformer.transformer_enc.layers.")
        return TransfCls(width, tokens - 1, layers=layers, feed_forward=len(first))
    raise ValueError(f"wanted one of {', '.join(HEADS)}, got {name!r}")


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return len({key[len(prefix) :].split(".")[0] for key in tensors if key.startswith(prefix)})
