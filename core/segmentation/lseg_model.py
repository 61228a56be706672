"""LSeg's network: a vector for every second pixel and for every word, their products, and blocks that tidy these up.

Paper: Li et al. 2022, Language-driven Semantic Segmentation, ICLR 2022, https://arxiv.org/abs/2201.03546. Parameters
are named as in isl-org/lang-seg at bb00b21 (modules/models/lseg_net.py). The scale on cosines is a constant: the
released code never trains it and never stores it. A regularisation block (Sec. 3.3 of the paper) is one 3 x 3 kernel
for all words alike, the same in every block, the last of which has no activation: 10 numbers in all, which do not
care in which order words stand.

Different from it: `blocks=0` is no block, as in the paper; the released code's block_depth 0 is one block. A file may
hold further kernels (`scratch.ablation`), each learned for another kind and number of blocks.

Legend: B pictures, H W pixels, h w half of them, N words, D embedding size.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.model import QuickGELU
from open_clip.transformer import TextTransformer
from torch import Tensor, nn

from core.backbones.clip_model import CompactEmbedding, load_tensors
from core.backbones.dpt import Decoder, DptSize, Encoder, double, size_of

LOGIT_SCALE = 1 / 0.07  # lseg_net.py: exp of a plain tensor, neither trained nor stored
LEAKY_SLOPE = 0.01  # torch's own
MOST_BLOCKS = 4  # Table 6 of the paper goes no further
KINDS = ("none", "bottleneck", "depthwise")
ACTIVATIONS = {"lrelu": lambda x: F.leaky_relu(x, LEAKY_SLOPE), "tanh": torch.tanh, "relu": F.relu}
TEXT, HEAD, ABLATION = "clip_pretrained.", "scratch.head_block.", "scratch.ablation."
TEXT_HEAD_WIDTH = 64  # openai/CLIP clip/model.py


@dataclass(frozen=True, kw_only=True)
class Regulariser:
    """Which regularisation blocks follow the products; the released default is two bottleneck blocks."""

    kind: str = "bottleneck"
    blocks: int = 2
    activation: str = "lrelu"

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.activation not in ACTIVATIONS:
            raise ValueError(f"wanted a kind in {KINDS} and an activation in {tuple(ACTIVATIONS)}, got {self}")
        if not 0 <= self.blocks <= MOST_BLOCKS or (self.kind == "none") != (self.blocks == 0):
            raise ValueError(f"wanted 1 to {MOST_BLOCKS} blocks, or the kind none with 0, got {self}")

    @property
    def name(self) -> str:
        """What a list calls it: 'bottleneck 2', or 'none'."""
        return f"{self.kind} {self.blocks}" if self.blocks else "none"


NO_BLOCKS = Regulariser(kind="none", blocks=0)


class Kernel(nn.Module):
    """The 3 x 3 kernel that all blocks of a regulariser share, named as in the released files."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.ModuleDict({"depthwise": nn.Conv2d(1, 1, 3, padding=1)})
        convolution = self.depthwise["depthwise"]
        nn.init.dirac_(convolution.weight)  # ours: begin as the identity, so that training can only improve on no block
        nn.init.zeros_(convolution.bias)

    def forward(self, logits: Float[Tensor, "B N h w"], regulariser: Regulariser) -> Float[Tensor, "B N h w"]:
        """Apply the blocks, the last without an activation."""
        activation = ACTIVATIONS[regulariser.activation]
        for number in range(regulariser.blocks):
            logits = self.block(logits, regulariser.kind)
            logits = activation(logits) if number < regulariser.blocks - 1 else logits
        return logits

    def block(self, logits: Float[Tensor, "B N h w"], kind: str) -> Float[Tensor, "B N h w"]:
        """Apply one block without its activation: each word's map is smoothed, a bottleneck adds the best word's."""
        maps = logits.flatten(0, 1).unsqueeze(1)  # (B N, 1, h, w)
        smooth = self.depthwise["depthwise"](maps).squeeze(1).unflatten(0, logits.shape[:2])
        return smooth + logits.amax(1, keepdim=True) if kind == "bottleneck" else smooth


class LsegNetwork(nn.Module):
    """Image tower, optional text tower, and the kernels of the regularisation blocks."""

    def __init__(
        self,
        size: DptSize,
        embed_dim: int,
        *,
        text: TextTransformer | None = None,
        regulariser: Regulariser | None = None,
        ablation: tuple[Regulariser, ...] = (),
    ) -> None:
        """Make an untrained network; `regulariser` is what head_block was or will be learned for."""
        super().__init__()
        self.pretrained, self.scratch = Encoder(size), Decoder(size)
        self.scratch.head1 = nn.Conv2d(size.features, embed_dim, 1)
        if text is not None:
            self.clip_pretrained = text.requires_grad_(False)
        self.regulariser = regulariser or NO_BLOCKS
        if regulariser is not None:
            self.scratch.head_block = Kernel()
        if ablation:
            self.scratch.ablation = nn.ModuleDict({_key(each): Kernel() for each in ablation})

    @property
    def regularisers(self) -> tuple[Regulariser, ...]:
        """The regularisers that this network has a kernel for, its own first, then none, then the others."""
        own = () if self.regulariser == NO_BLOCKS else (self.regulariser,)
        return (*own, NO_BLOCKS, *(_regulariser(key) for key in getattr(self.scratch, "ablation", ())))

    def features(self, inputs: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D h w"]:
        """Return a unit vector for every second pixel."""
        return F.normalize(self.scratch.head1(self.scratch(self.pretrained(inputs))).float(), dim=1)

    def regularise(self, logits: Float[Tensor, "B N h w"], regulariser: Regulariser) -> Float[Tensor, "B N h w"]:
        """Apply regularisation blocks; ValueError where this network has no kernel for them."""
        if regulariser == NO_BLOCKS:
            return logits
        if regulariser == self.regulariser:
            return self.scratch.head_block(logits, regulariser)
        if regulariser in self.regularisers:
            return self.scratch.ablation[_key(regulariser)](logits, regulariser)
        raise ValueError(
            f"These weights have no kernel for the blocks {regulariser.name!r}; they have: "
            f"{', '.join(each.name for each in self.regularisers)}."
        )

    def forward(
        self, inputs: Float[Tensor, "B 3 H W"], texts: Float[Tensor, "N D"], regulariser: Regulariser | None = None
    ) -> Float[Tensor, "B N H W"]:
        """Return the score of every word at every pixel, as the released network does."""
        logits = products(self.features(inputs), F.normalize(texts, dim=-1))
        return double(self.regularise(logits, self.regulariser if regulariser is None else regulariser))


def products(features: Float[Tensor, "B D h w"], texts: Float[Tensor, "N D"]) -> Float[Tensor, "B N h w"]:
    """Return the scaled cosine of every place's unit vector with every word's."""
    return LOGIT_SCALE * torch.einsum("bdhw,nd->bnhw", features, texts)


def text_tower(tensors: Mapping[str, Tensor]) -> TextTransformer:
    """Return the text tower of a CLIP in OpenAI's key layout, frozen, in evaluation mode."""
    try:
        width, embed_dim = tensors["text_projection"].shape
        rows, known = tensors["token_embedding.weight"], tensors.get("token_embedding.token_ids")
        length = len(tensors["positional_embedding"])
    except KeyError as missing:
        raise ValueError(f"wanted a text tower in OpenAI's key layout, got a file without {missing}") from None
    tower = TextTransformer(
        context_length=length,
        vocab_size=len(rows),
        width=width,
        heads=max(1, width // TEXT_HEAD_WIDTH),
        layers=len({key.split(".")[2] for key in tensors if key.startswith("transformer.resblocks.")}),
        output_dim=embed_dim,
        act_layer=QuickGELU,
    )
    if known is not None:
        tower.token_embedding = CompactEmbedding(known, width)
    wanted = tower.state_dict()
    return load_tensors(tower, {key: value for key, value in tensors.items() if key in wanted}).requires_grad_(False)


def from_tensors(tensors: Mapping[str, Tensor], regulariser: Regulariser | None = None) -> LsegNetwork:
    """Return an LSeg in evaluation mode with these weights; `regulariser` says what head_block was learned for.

    Raises ValueError where the tensors are not in LSeg's key layout.
    """
    size = size_of(tensors)
    if "scratch.head1.weight" not in tensors:
        raise ValueError("wanted an LSeg, got a file without 'scratch.head1.weight'")
    own = regulariser or Regulariser()
    network = LsegNetwork(
        size,
        len(tensors["scratch.head1.weight"]),
        text=text_tower({key.removeprefix(TEXT): value for key, value in tensors.items() if key.startswith(TEXT)}),
        regulariser=own if any(key.startswith(HEAD) for key in tensors) else None,
        ablation=tuple(_regulariser(key) for key in _ablation_keys(tensors)),
    )
    wanted = network.state_dict()
    return load_tensors(network, {key: value for key, value in tensors.items() if key in wanted})


def _ablation_keys(tensors: Mapping[str, Tensor]) -> list[str]:
    return sorted({key.removeprefix(ABLATION).split(".")[0] for key in tensors if key.startswith(ABLATION)})


def _key(regulariser: Regulariser) -> str:
    return f"{regulariser.kind}-{regulariser.blocks}"


def _regulariser(key: str) -> Regulariser:
    kind, _, blocks = key.partition("-")
    return Regulariser(kind=kind, blocks=int(blocks))
