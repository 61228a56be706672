"""What CLIP is shown of a proposal: its box and one 1.5 times as large, whose embeddings are added up.

Paper: Gu et al. 2022, https://arxiv.org/abs/2104.13921, Sec. 3.2 ('CLIP on cropped regions') and 3.3 (the teacher).
The authors' own cropping was not released; windows are rounded as dyabel/detpro at 9a14699 does it (img2pil2feat).
There the clamp to the picture has no effect, because it works on a copy, so that windows leave the picture and are
black outside; `clipped` is what was evidently meant. Different from it, where `square` is asked for: the window is the
square around the box, so that CLIP, which reads the middle square of what it is given, sees all of a long thing.

Legend: R boxes, D embedding size.
"""

from math import ceil, floor

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from core.backbones.clip import ClipBackbone
from core.backbones.regions import CONTEXT_SCALE, Window, cut

SCALES = (1.0, CONTEXT_SCALE)
SLACK = 1e-3  # img2pil2feat: windows take the next pixel when an edge is this near to it
BLACK = (0, 0, 0)


def enlarged(boxes: Float[np.ndarray, "R 4"], scale: float = CONTEXT_SCALE) -> Float[np.ndarray, "R 4"]:
    """Return boxes `scale` times as large about the same middle; they may leave the picture."""
    more = (scale - 1) / 2
    starts, ends = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([(1 + more) * starts - more * ends, (1 + more) * ends - more * starts], 1)


def squared(boxes: Float[np.ndarray, "R 4"]) -> Float[np.ndarray, "R 4"]:
    """Return the squares about the same middles that hold the boxes."""
    middles, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.concatenate([middles - half, middles + half], 1)


def whole_pixels(boxes: Float[np.ndarray, "R 4"], clip_hw: tuple[int, int] | None = None) -> list[Window]:
    """Return the windows of whole pixels around boxes, moved into a picture of `clip_hw` where that is given."""
    windows = []
    for x0, y0, x1, y1 in boxes.tolist():
        left, top, right, bottom = floor(x0 - SLACK), floor(y0 - SLACK), ceil(x1 + SLACK), ceil(y1 + SLACK)
        if clip_hw is not None:
            left, top = max(left, 0), max(top, 0)
            right, bottom = min(right, clip_hw[1]), min(bottom, clip_hw[0])
        windows.append((left, top, right, bottom))
    return windows


def crops(
    picture: UInt8[np.ndarray, "H W 3"],
    boxes: Float[np.ndarray, "R 4"],
    scale: float,
    *,
    square: bool = False,
    outside: tuple[int, int, int] = BLACK,
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Cut boxes made `scale` times as large out of a picture; beyond its border everything is `outside`."""
    around = squared(boxes) if square else boxes
    return [cut(picture, window, outside) for window in whole_pixels(enlarged(around, scale))]


def added(embeddings: Float[Tensor, "S R D"]) -> Float[Tensor, "R D"]:
    """Return the unit vectors of the sums over scales."""
    return normalize(embeddings.sum(0), dim=-1)


def encode_crops(
    backbone: ClipBackbone,
    picture: UInt8[np.ndarray, "H W 3"],
    boxes: Float[np.ndarray, "R 4"],
    *,
    scales: tuple[float, ...] = SCALES,
    square: bool = False,
) -> Float[Tensor, "R D"]:
    """Return a unit vector for each box, all crops of all scales in one call."""
    if not len(boxes):
        return torch.zeros(0, backbone.encode_texts([""]).shape[1])
    outside = tuple(round(255 * value) for value in backbone.preprocess.mean) if square else BLACK
    shown = [crop for scale in scales for crop in crops(picture, boxes, scale, square=square, outside=outside)]
    return added(backbone.encode_images(shown).unflatten(0, (len(scales), -1)))
