"""ViLD's head: region features become embeddings in CLIP's space, one for the text loss and one that imitates CLIP.

Paper: Gu et al. 2022, Open-vocabulary Object Detection via Vision and Language Knowledge Distillation, ICLR 2022,
https://arxiv.org/abs/2104.13921. Layers, their order and constants: tensorflow/tpu at 7dc921f,
models/official/detection/projects/vild/modeling/vild_head.py. With `separate` branches it is its 'double_branch', the
ViLD-ensemble; with one it is 'vanilla', ViLD, in which both losses share the embedding. Different from it: features
are channels first.

Legend: R regions, M regions that carry a stored embedding, C channels, h side of a region's grid, D embedding size,
F width of the last hidden layer, N words.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

TEMPERATURE = 0.01  # Sec. 3.2; vild_head.py multiplies by 100
NORM_EPSILON, NORM_MOMENTUM = 1e-4, 1 - 0.997  # the release's configuration; torch counts momentum the other way
BACKGROUND_STD = 0.01  # vild_head.py: of the background embedding's first values
BOX_STD = 0.001  # vild_head.py


@dataclass(frozen=True, kw_only=True)
class HeadSize:
    """The numbers that fix a head; the defaults are the released ones."""

    channels: int = 256  # of a region's features
    grid: int = 7  # places along its side
    convs: int = 4
    filters: int = 256
    fcs: int = 2
    fc_width: int = 1024
    embed_dim: int = 512


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadOutput:
    """What a head makes of regions; `image` is of the M regions with a stored embedding, or of all R without any."""

    text: Float[Tensor, "R D"]  # not normalised
    image: Float[Tensor, "M D"]  # not normalised
    codes: Float[Tensor, "R 4"] | None  # class-agnostic, dx dy dw dh


class Branch(nn.Module):
    """Convolutions, hidden layers and the projection into CLIP's space."""

    def __init__(self, size: HeadSize) -> None:
        """Build one branch."""
        super().__init__()
        ends = [size.channels] + [size.filters] * size.convs
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(ends))
        self.conv_norms = nn.ModuleList(nn.BatchNorm2d(b, NORM_EPSILON, NORM_MOMENTUM) for b in ends[1:])
        widths = [ends[-1] * size.grid**2] + [size.fc_width] * size.fcs
        self.fcs = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.fc_norms = nn.ModuleList(nn.BatchNorm1d(b, NORM_EPSILON, NORM_MOMENTUM) for b in widths[1:])
        self.project = nn.Linear(widths[-1], size.embed_dim)
        self.width = widths[-1]

    def hidden(self, regions: Float[Tensor, "R C h h"]) -> Float[Tensor, "R F"]:
        """Return the last hidden layer."""
        x = regions
        for conv, norm in zip(self.convs, self.conv_norms, strict=True):
            x = F.relu(norm(conv(x)))
        x = x.flatten(1)
        for linear, norm in zip(self.fcs, self.fc_norms, strict=True):
            x = F.relu(norm(linear(x)))
        return x


class VildHead(nn.Module):
    """One or two branches, the learned background and, where wanted, the class-agnostic box regression."""

    def __init__(self, size: HeadSize, *, separate: bool, boxes: bool = True) -> None:
        """Build a head; `separate` gives the imitation of CLIP a branch of its own."""
        super().__init__()
        self.text = Branch(size)
        self.image = Branch(size) if separate else None
        self.background = nn.Parameter(torch.randn(size.embed_dim) * BACKGROUND_STD)
        self.box = nn.Linear(self.text.width, 4) if boxes else None
        if self.box is not None:
            nn.init.normal_(self.box.weight, std=BOX_STD)
            nn.init.zeros_(self.box.bias)

    def forward(
        self, regions: Float[Tensor, "R C h h"], distilled: Float[Tensor, "M C h h"] | None = None
    ) -> HeadOutput:
        """Embed regions; in training `distilled` are the M whose CLIP embedding is stored, which get no box and word.

        A single branch sees all of them in one batch, so that its normalisation is over all, as released.
        """
        if self.image is None:
            together = regions if distilled is None else torch.cat([regions, distilled])
            hidden = self.text.hidden(together)
            embedded = self.text.project(hidden)
            text, hidden = embedded[: len(regions)], hidden[: len(regions)]
            image = embedded if distilled is None else embedded[len(regions) :]
        else:
            hidden = self.text.hidden(regions)
            text = self.text.project(hidden)
            image = self.image.project(self.image.hidden(regions if distilled is None else distilled))
        return HeadOutput(text=text, image=image, codes=None if self.box is None else self.box(hidden))


def word_logits(
    embeddings: Float[Tensor, "R D"],
    texts: Float[Tensor, "N D"],
    background: Float[Tensor, " D"] | None = None,
    temperature: float = TEMPERATURE,
) -> Float[Tensor, "R _"]:
    """Return cosines over the temperature, (R, N), or (R, 1 + N) with the background first; nothing need be unit.

    An embedding of zeros gets zeros.
    """
    rows = texts if background is None else torch.cat([background[None], texts])
    return F.normalize(embeddings, dim=-1) @ F.normalize(rows, dim=-1).T / temperature
