"""ViLD's network on torchvision's detection parts, with the image tower of a CLIP's ResNet underneath.

Paper: Gu et al. 2022, https://arxiv.org/abs/2104.13921, Sec. 3: Mask R-CNN with class-agnostic boxes and masks, whose
classifier is ViLD's head (vild_head.py). One network holds both of the paper's heads, so that they can be compared on
the same proposals: `ensemble`, with a branch each for text and image, and `vild`, with one branch for both. Different
from it: the trunk is a CLIP's own ResNet, whose normalisations keep CLIP's statistics; the pyramid begins at stride 8;
boxes for all heads come from the text branch.

Legend: B pictures, H W their sides, C channels of the pyramid, R regions, D embedding size.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from jaxtyping import Float
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

from core.backbones.clip import OPENAI_MEAN, OPENAI_STD
from core.backbones.clip_model import load_tensors
from core.detection.proposals import build_rpn, clip_boxes, decode
from core.detection.vild_head import HeadSize, VildHead

LEVELS = ("layer2", "layer3", "layer4")  # strides 8, 16 and 32
EXPANSION = 4  # openai/CLIP clip/model.py: of a bottleneck
STAGE_WIDTHS = {"layer2": 2, "layer3": 4, "layer4": 8}  # against the trunk's width
BOX_GRID, MASK_GRID = 7, 14  # places of a region: Sec. 3.1; Mask R-CNN, He et al. 2017, Fig. 4
SAMPLES = 2  # a place and side: torchvision's
CANONICAL = 64  # side of a box that is read at stride 16, pixels: half of the picture's, as 224 is near a half of 512
MASK_SIDE = 2 * MASK_GRID
Pyramid = OrderedDict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class VildSize:
    """The numbers that fix a network; the defaults are the embedded one's."""

    trunk_width: int = 20
    trunk_layers: tuple[int, int, int, int] = (1, 2, 2, 2)
    channels: int = 64
    anchors: tuple[tuple[int, ...], ...] = ((16, 28), (44, 64), (88, 120))  # sides a level, pixels of the input
    head: HeadSize = field(
        default_factory=lambda: HeadSize(channels=64, convs=2, filters=48, fcs=2, fc_width=160, embed_dim=128)
    )
    mask_convs: int = 2
    mask_filters: int = 48
    proposals: int = 100
    training_proposals: int = 64


class MaskHead(nn.Module):
    """A mask of a region, whatever it shows: convolutions, twice the grid, one channel."""

    def __init__(self, channels: int, filters: int, convs: int) -> None:
        """Build the head."""
        super().__init__()
        ends = [channels] + [filters] * convs
        layers: list[nn.Module] = []
        for before, after in pairwise(ends):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        self.convs = nn.Sequential(*layers)
        self.upsample = nn.ConvTranspose2d(ends[-1], filters, 2, stride=2)
        self.logits = nn.Conv2d(filters, 1, 1)

    def forward(self, regions: Float[Tensor, "R C 14 14"]) -> Float[Tensor, "R 28 28"]:
        """Return mask logits."""
        return self.logits(self.upsample(self.convs(regions)).relu())[:, 0]


class VildNetwork(nn.Module):
    """Trunk, pyramid, proposals, heads and masks."""

    def __init__(self, size: VildSize) -> None:
        """Build an untrained network."""
        super().__init__()
        self.size = size
        width = size.trunk_width
        self.trunk = ModifiedResNet(list(size.trunk_layers), 1, 1, image_size=32, width=width)
        self.trunk.attnpool = None
        inputs = [STAGE_WIDTHS[level] * EXPANSION * width for level in LEVELS]
        self.fpn = FeaturePyramidNetwork(inputs, size.channels, norm_layer=nn.BatchNorm2d)
        self.rpn = build_rpn(
            size.channels, size.anchors, proposals=size.proposals, training_proposals=size.training_proposals
        )
        names = [str(number) for number in range(len(LEVELS))]
        self.box_pool, self.mask_pool = (
            MultiScaleRoIAlign(names, grid, SAMPLES, canonical_scale=CANONICAL) for grid in (BOX_GRID, MASK_GRID)
        )
        self.ensemble = VildHead(size.head, separate=True)
        self.vild = VildHead(size.head, separate=False, boxes=False)
        self.mask = MaskHead(size.channels, size.mask_filters, size.mask_convs)
        self.register_buffer("mean", torch.tensor(OPENAI_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(OPENAI_STD)[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> "VildNetwork":
        """Switch all but the trunk's normalisations, which keep CLIP's statistics."""
        super().train(mode)
        self.trunk.eval()
        return self

    def pyramid(self, images: Float[Tensor, "B 3 H W"]) -> Pyramid:
        """Return the features of pictures, 0 to 1, at three strides."""
        x = self.trunk.layer1(self.trunk.stem((images - self.mean) / self.std))
        stages: Pyramid = OrderedDict()
        for number, level in enumerate(LEVELS):
            x = stages[str(number)] = getattr(self.trunk, level)(x)
        return OrderedDict((name, each.float()) for name, each in self.fpn(stages).items())

    def propose(
        self, pyramid: Pyramid, inner_hw: tuple[int, int], padded_hw: tuple[int, int]
    ) -> tuple[Float[Tensor, "R 4"], Float[Tensor, " R"]]:
        """Return the boxes of one picture that may hold a thing, best first, and their objectness, 0 to 1."""
        levels = list(pyramid.values())
        logits, codes = self.rpn.head(levels)
        anchors = self.rpn.anchor_generator(ImageList(levels[0].new_empty(1, 1, *padded_hw), [inner_hw]), levels)
        counts = [each[0].numel() for each in logits]
        objectness, flat = concat_box_prediction_layers(logits, codes)
        boxes = self.rpn.box_coder.decode(flat, anchors).view(1, -1, 4)
        found, scores = self.rpn.filter_proposals(boxes, objectness, [inner_hw], counts)
        return found[0], scores[0]

    def regions(
        self,
        pyramid: Pyramid,
        boxes: Sequence[Float[Tensor, "_ 4"]],
        padded_hw: tuple[int, int],
        *,
        masks: bool = False,
    ) -> Float[Tensor, "R C _ _"]:
        """Return the features of each picture's boxes, one picture's after another's."""
        pool = self.mask_pool if masks else self.box_pool
        return pool(pyramid, list(boxes), [padded_hw] * len(boxes))

    def refine(
        self, codes: Float[Tensor, "R 4"], boxes: Float[Tensor, "R 4"], inner_hw: tuple[int, int]
    ) -> Float[Tensor, "R 4"]:
        """Return the boxes that the head makes of proposals, inside the picture."""
        return clip_boxes(decode(codes, boxes), inner_hw)


def size_of(tensors: Mapping[str, Tensor]) -> VildSize:
    """Read a network's sizes off its tensors; ValueError where they are not a ViLD of this project."""
    try:
        width = len(tensors["trunk.layer1.0.conv1.weight"])
        branch, channels = "ensemble.text.", len(tensors["fpn.layer_blocks.0.0.weight"])
        embed_dim, fc_width = tensors[f"{branch}project.weight"].shape
        filters = len(tensors[f"{branch}convs.0.weight"])
        mask_filters = len(tensors["mask.upsample.bias"])
    except KeyError as missing:
        raise ValueError(f"This file is not a ViLD of this project: it has no {missing}.") from None
    head = HeadSize(
        channels=channels,
        grid=BOX_GRID,
        convs=_count(tensors, f"{branch}convs."),
        filters=filters,
        fcs=_count(tensors, f"{branch}fcs."),
        fc_width=fc_width,
        embed_dim=embed_dim,
    )
    first, second, third, fourth = (_count(tensors, f"trunk.layer{stage}.") for stage in (1, 2, 3, 4))
    return VildSize(
        trunk_width=width,
        trunk_layers=(first, second, third, fourth),
        channels=channels,
        head=head,
        mask_convs=_count(tensors, "mask.convs."),
        mask_filters=mask_filters,
    )


def from_tensors(tensors: Mapping[str, Tensor]) -> VildNetwork:
    """Return a network in evaluation mode with these weights; ValueError where they do not fit."""
    network = VildNetwork(size_of(tensors))
    load_tensors(network, tensors)
    return network.eval()


def trunk_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the trunk's tensors out of a CLIP's in OpenAI's key layout."""
    prefix = "visual."
    return {
        key.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for key, value in tensors.items()
        if key.startswith(prefix) and "attnpool" not in key
    }


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Count the numbered children that hold tensors."""
    return len({key[len(prefix) :].split(".")[0] for key in tensors if key.startswith(prefix)})
