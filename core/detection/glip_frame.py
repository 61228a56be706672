"""A picture's way into GLIP's network, and the way of its boxes back into the picture.

As microsoft/GLIP at 9dda955 prepares pictures (data/transforms, structures/image_list.py): blue first, 0 to 255 less a
mean, padded with zeros to whole strides at the right and bottom. The network's boxes hold their last pixel and lie in
the resized picture; this project's end after it and lie in the user's own.

Legend: P places, R boxes, T tokens, H W the picture, h w a level's sides.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor
from torchvision.ops import nms

from core.detection.glip_anchors import decode, level_anchors
from core.detection.glip_model import Levels, Scores
from core.detection.glip_postprocess import clipped

MEAN_BGR, STD_BGR = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)  # INPUT.PIXEL_MEAN and PIXEL_STD
LONGEST_SHARE = 1333 / 800  # INPUT.MAX_SIZE_TEST over MIN_SIZE_TEST
DIVISOR = 32  # DATALOADER.SIZE_DIVISIBILITY
APART = 0.5  # overlap from which the lower of two boxes is not listed beside the better


@dataclass(frozen=True, eq=False)
class Looked:
    """A picture's pyramid, and the frame that its boxes are in."""

    maps: Levels
    resized_hw: tuple[int, int]  # what the network saw of the picture, without padding
    size_hw: tuple[int, int]  # the picture


def network_input(
    image: UInt8[np.ndarray, "H W 3"], short_side: int, longest_share: float = LONGEST_SHARE
) -> tuple[Float[Tensor, "1 3 _ _"], tuple[int, int]]:
    """Return a picture as the network wants it, and its height and width before padding.

    The short side is brought to `short_side`, unless the long one would pass its limit, given in short sides, which
    evaluation has and the demo has not; BGR, normalised, padded with zeros at the right and bottom.
    """
    height, width = resized_size(image.shape[:2], short_side, longest_share)
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    pixels = torch.from_numpy(resized[..., ::-1].copy()).permute(2, 0, 1).float()
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN_BGR, STD_BGR))
    return F.pad((pixels - mean) / std, (0, -width % DIVISOR, 0, -height % DIVISOR))[None], (height, width)


def resized_size(size_hw: tuple[int, int], short_side: int, longest_share: float = LONGEST_SHARE) -> tuple[int, int]:
    """Return the height and width that a picture is brought to, at least one pixel each."""
    short, long = min(size_hw), max(size_hw)
    side, longest = short_side, longest_share * short_side
    if long / short * side > longest:
        side = max(1, round(longest * short / long))
    other = max(1, int(min(side * long / short, longest)))
    return (side, other) if size_hw[0] <= size_hw[1] else (other, side)


def placed(scores: Scores, look: Looked, anchor_scale: float) -> tuple[Float[Tensor, "P 4"], Float[Tensor, " P"]]:
    """Return the box at each place, cut to what the network saw, and the probability of its centerness."""
    boxes, centerness = [], []
    for number, (codes, middle) in enumerate(zip(scores.boxes, scores.centerness, strict=True)):
        anchors = level_anchors(codes.shape[2:], 8 * 2**number, anchor_scale).to(codes.device)
        boxes.append(decode(codes[0].flatten(1).T, anchors))
        centerness.append(middle[0, 0].flatten().sigmoid())
    return clipped(torch.cat(boxes), look.resized_hw), torch.cat(centerness)


def token_maps(scores: Scores) -> Float[Tensor, "T h w"]:
    """Return each token's probability at each place of the finest level, the largest of all levels."""
    grid_hw = scores.maps[0].shape[2:]
    levels = [
        F.interpolate(tokens.sigmoid().transpose(1, 2).unflatten(2, level.shape[2:]), size=grid_hw, mode="nearest")[0]
        for tokens, level in zip(scores.tokens, scores.maps, strict=True)
    ]
    return torch.stack(levels).amax(0)


def own_frame(boxes: Float[Tensor, "R 4"], look: Looked) -> Float[np.ndarray, "R 4"]:
    """Return boxes in the picture's pixels, end exclusive; the network's hold their last pixel."""
    ends = boxes + torch.tensor([0.0, 0.0, 1.0, 1.0], device=boxes.device)
    (rows, columns), (height, width) = look.resized_hw, look.size_hw
    scale = torch.tensor([width / columns, height / rows] * 2, device=boxes.device)
    found = (ends * scale).cpu().numpy().astype(np.float32)
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2])
    return np.clip(found, 0, np.array([width, height] * 2, np.float32))


def apart(boxes: Float[Tensor, "P 4"], scores: Float[Tensor, " P"], most: int) -> Int[Tensor, " R"]:
    """Return the best boxes that overlap none better by much, best first."""
    return nms(boxes, scores, APART)[:most]
