"""Places that may hold a thing, whatever it is called, from torchvision's region proposal network; boxes and frames.

Papers: Ren et al. 2015 (Faster R-CNN), https://arxiv.org/abs/1506.01497; Gu et al. 2022 (ViLD), Sec. 3.1,
https://arxiv.org/abs/2104.13921. Objectness and box regression know no category, so that things nobody named in
training are proposed too.

The release's boxes (tensorflow/tpu at 7dc921f, utils/box_utils.py) are y first, their ends belong to them and widths
get + 1; here boxes are xyxy with the end exclusive, in which widths need none. `from_released` and `to_released` are
the change of frame; codes are dx, dy, dw, dh.

Legend: R boxes.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

STRIDE = 32  # of the coarsest level: sides of the network's input are its multiples
CODE_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # the release's and torchvision's; codes are clamped at ln(1000 / 16) in both
CODER = BoxCoder(CODE_WEIGHTS)
RATIOS = (0.5, 1.0, 2.0)  # Sec. 3.1 of ViLD
OVERLAP = 0.7  # of proposals, from which the lower goes: ViLD's, torchvision's
FOREGROUND, BACKGROUND = 0.7, 0.3  # of an anchor with a thing: Faster R-CNN, Sec. 3.1.2
SAMPLED, POSITIVE = 64, 0.5  # anchors of a picture that carry the loss: a quarter of the paper's 256


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A picture made so large that its longer side is the network's, with a border up to the next stride."""

    size_hw: tuple[int, int]  # of the picture
    inner_hw: tuple[int, int]  # of the resized one
    padded_hw: tuple[int, int]  # of the network's input

    @classmethod
    def of(cls, size_hw: tuple[int, int], pixels: int) -> "Frame":
        """Return the frame of a picture of this size."""
        scale = pixels / max(size_hw)
        inner = tuple(max(1, round(side * scale)) for side in size_hw)
        padded = tuple(-(-side // STRIDE) * STRIDE for side in inner)
        return cls(size_hw=tuple(size_hw), inner_hw=inner, padded_hw=padded)

    @property
    def scales(self) -> Float[Tensor, "4"]:
        """How much larger the resized picture's x, y, x, y are."""
        (height, width), (inner_height, inner_width) = self.size_hw, self.inner_hw
        return torch.tensor([inner_width / width, inner_height / height] * 2)

    def inputs(self, picture: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "1 3 _ _"]:
        """Return the network's input, 0 to 1; the border repeats the last row and column."""
        height, width = self.inner_hw
        resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() / 255
        return F.pad(pixels, (0, self.padded_hw[1] - width, 0, self.padded_hw[0] - height), mode="replicate")

    def inside(self, boxes: Float[Tensor, "R 4"]) -> Float[Tensor, "R 4"]:
        """Bring boxes of the picture into the frame."""
        return boxes * self.scales

    def outside(self, boxes: Float[Tensor, "R 4"]) -> Float[Tensor, "R 4"]:
        """Bring boxes of the frame into the picture; the inverse of `inside`."""
        return boxes / self.scales


def build_rpn(
    channels: int, sizes: tuple[tuple[int, ...], ...], *, proposals: int, training_proposals: int
) -> RegionProposalNetwork:
    """Return an untrained network; `sizes` are the sides of each level's square anchors, pixels."""
    anchors = AnchorGenerator(sizes, (RATIOS,) * len(sizes))
    head = RPNHead(channels, anchors.num_anchors_per_location()[0])
    first = {"training": 4 * training_proposals, "testing": 4 * proposals}
    last = {"training": training_proposals, "testing": proposals}
    return RegionProposalNetwork(anchors, head, FOREGROUND, BACKGROUND, SAMPLED, POSITIVE, first, last, OVERLAP)


def encode(boxes: Float[Tensor, "R 4"], about: Float[Tensor, "R 4"]) -> Float[Tensor, "R 4"]:
    """Return the codes that turn the boxes `about` into `boxes`."""
    return CODER.encode_single(boxes, about)


def decode(codes: Float[Tensor, "R 4"], about: Float[Tensor, "R 4"]) -> Float[Tensor, "R 4"]:
    """Return the boxes that codes make of the boxes `about`."""
    return CODER.decode_single(codes, about)


def clip_boxes(boxes: Float[Tensor, "R 4"], size_hw: tuple[float, float]) -> Float[Tensor, "R 4"]:
    """Move boxes into a picture so that at least its outermost pixel is left of each, as the release does."""
    height, width = size_hw
    starts = torch.minimum(boxes[:, :2].clamp(min=0), boxes.new_tensor([width - 1, height - 1]))
    ends = torch.minimum(boxes[:, 2:].clamp(min=1), boxes.new_tensor([width, height]))
    return torch.cat([starts, ends], 1)


def from_released(boxes_yxyx: Float[Tensor, "R 4"]) -> Float[Tensor, "R 4"]:
    """Turn y1, x1, y2, x2 whose ends belong to the box into xyxy with the end exclusive."""
    return boxes_yxyx[:, [1, 0, 3, 2]] + boxes_yxyx.new_tensor([0, 0, 1, 1])


def to_released(boxes_xyxy: Float[Tensor, "R 4"]) -> Float[Tensor, "R 4"]:
    """Turn xyxy with the end exclusive into the release's boxes; the inverse of `from_released`."""
    return (boxes_xyxy - boxes_xyxy.new_tensor([0, 0, 1, 1]))[:, [1, 0, 3, 2]]
