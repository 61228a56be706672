"""Anchors, the code of a box against its anchor, and which anchors answer for a true box (ATSS).

Papers: Zhang et al. 2020, Bridging the Gap Between Anchor-based and Anchor-free Detection via Adaptive Training Sample
Selection, CVPR 2020, https://arxiv.org/abs/1912.02424; Ren et al. 2015 for the code. As in microsoft/GLIP at 9dda955
(modeling/rpn/anchor_generator.py, vldyhead.py, loss.py): one square anchor a place, and widths that count the last
pixel too (x2 - x1 + 1). In this file boxes have that convention; `glip.py` turns them into this project's frame.

Legend: B pictures, P places of all levels, R boxes, G true boxes, H W a level's sides.
"""

from collections.abc import Sequence
from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import box_iou

WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # of the code's four numbers
LARGEST_GROWTH = log(1000 / 16)  # of a side against its anchor's
SCALE = 8  # of an anchor's side over its level's stride
TOP_PLACES = 9  # a level, ATSS Sec. 3.3: k
LEAST_INSIDE = 0.01  # pixels between an anchor's centre and the true box's edge


def cell_anchor(stride: int, scale: float = SCALE) -> Float[Tensor, "1 4"]:
    """Return the anchor of a level's first place."""
    middle, half = (stride - 1) / 2, (scale * stride - 1) / 2
    return torch.tensor([[middle - half, middle - half, middle + half, middle + half]])


def level_anchors(size_hw: tuple[int, int], stride: int, scale: float = SCALE) -> Float[Tensor, "HW 4"]:
    """Return the anchors of a level, rows first."""
    height, width = size_hw
    y, x = torch.meshgrid(torch.arange(height) * stride, torch.arange(width) * stride, indexing="ij")
    return torch.stack([x, y, x, y], -1).reshape(-1, 4) + cell_anchor(stride, scale)


def decode(codes: Float[Tensor, "*B R 4"], anchors: Float[Tensor, "R 4"]) -> Float[Tensor, "*B R 4"]:
    """Return the boxes that codes against anchors mean."""
    sides = anchors[..., 2:] - anchors[..., :2] + 1
    middles = (anchors[..., 2:] + anchors[..., :2]) / 2
    scaled = codes / torch.tensor(WEIGHTS, device=codes.device)
    new_middles = scaled[..., :2] * sides + middles
    halves = (scaled[..., 2:].clamp(max=LARGEST_GROWTH).exp() * sides - 1) / 2
    return torch.cat([new_middles - halves, new_middles + halves], -1)


def atss(
    anchors: Sequence[Float[Tensor, "_ 4"]], truth: Float[Tensor, "G 4"], top_places: int = TOP_PLACES
) -> Int[Tensor, " P"]:
    """Return which true box each anchor answers for, -1 for none (ATSS Sec. 3.3, Algorithm 1)."""
    joined = torch.cat(list(anchors))
    if not len(truth):
        return torch.full((len(joined),), -1)
    overlaps = box_iou(joined, truth)  # (P, G)
    middles, true_middles = ((boxes[:, 2:] + boxes[:, :2]) / 2 for boxes in (joined, truth))
    distances = (middles[:, None] - true_middles[None]).norm(dim=-1)
    nearest, first = [], 0
    for level in anchors:
        part = distances[first : first + len(level)]
        nearest.append(part.topk(min(top_places, len(level)), 0, largest=False).indices + first)
        first += len(level)
    chosen = torch.cat(nearest)  # (k, G)
    values = overlaps.gather(0, chosen)
    least = values.mean(0) + (values.std(0) if len(values) > 1 else 0)
    inside = torch.cat([middles[chosen] - truth[:, :2], truth[:, 2:] - middles[chosen]], -1).amin(-1)
    good = (values >= least) & (inside > LEAST_INSIDE)
    claims = torch.full_like(overlaps, -1.0)
    claims.scatter_(0, chosen, torch.where(good, values, torch.tensor(-1.0)))
    best = claims.max(1)
    return torch.where(best.values >= 0, best.indices, torch.tensor(-1))


def centerness_targets(anchors: Float[Tensor, "R 4"], truth: Float[Tensor, "R 4"]) -> Float[Tensor, " R"]:
    """Return how near each anchor's centre is to the middle of its true box, 0 to 1 (FCOS, Eq. 3)."""
    middles = (anchors[:, 2:] + anchors[:, :2]) / 2
    before, after = middles - truth[:, :2], truth[:, 2:] - middles
    shares = torch.minimum(before, after) / torch.maximum(before, after).clamp(min=1e-6)
    return shares.clamp(min=0).prod(1).sqrt()
