"""From the head's numbers to boxes: the released rules, and the same up to the point where thresholds come in.

As in microsoft/GLIP at 9dda955 (modeling/rpn/inference.py, csrc/cuda/ml_nms.cu, layers/nms.py): the probability of a
phrase is the mean of its tokens' (or the largest, or the geometric mean), a box's score is the geometric mean of that
and its centerness. Two rules of suppression are there: the released GPU kernel counts the last pixel of a box and
drops what overlaps more than the threshold; on the CPU torchvision's rule runs.

Legend: B pictures, P places, T tokens, N phrases, R boxes, C classes of the released 80 columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import batched_nms

Aggregation = Literal["mean", "max", "power"]
Rule = Literal["gpu", "cpu"]
AGGREGATIONS: tuple[Aggregation, ...] = ("mean", "max", "power")


@dataclass(frozen=True, kw_only=True)
class PostSettings:
    """The released thresholds (configs/pretrain/glip_Swin_T_*.yaml)."""

    least: float = 0.05  # probability of a phrase, before centerness
    top_places: int = 1000  # a level
    overlap: float = 0.6
    most: int = 100
    aggregation: Aggregation = "mean"
    rule: Rule = "gpu"


@dataclass(frozen=True)
class Found:
    """Boxes of one picture with one label each, both ends of a side inside the box."""

    boxes: Float[Tensor, "R 4"]
    scores: Float[Tensor, " R"]
    labels: Int[Tensor, " R"]


def phrase_probabilities(
    token_logits: Float[Tensor, "*B T"], phrases: Sequence[Sequence[int]], aggregation: Aggregation = "mean"
) -> Float[Tensor, "*B N"]:
    """Return each phrase's probability from its tokens'; a phrase without a token has 0."""
    probabilities = token_logits.sigmoid()
    columns = []
    for tokens in phrases:
        if not tokens:
            columns.append(torch.zeros_like(probabilities[..., 0]))
            continue
        own = probabilities[..., list(tokens)]
        if aggregation == "mean":
            columns.append(own.mean(-1))
        elif aggregation == "max":
            columns.append(own.amax(-1))
        else:
            columns.append(own.prod(-1) ** (1 / len(tokens)))
    return torch.stack(columns, -1)


def clipped(boxes: Float[Tensor, "*B 4"], size_hw: tuple[int, int]) -> Float[Tensor, "*B 4"]:
    """Return boxes cut to a picture, whose last pixel is still inside."""
    height, width = size_hw
    return torch.stack([boxes[..., i].clamp(0, (width, height)[i % 2] - 1) for i in range(4)], -1)


def level_candidates(
    boxes: Float[Tensor, "P 4"],
    probabilities: Float[Tensor, "P N"],
    centerness: Float[Tensor, " P"],
    labels: Int[Tensor, " N"],
    settings: PostSettings,
) -> Found:
    """Return a level's boxes and labels above the threshold, the best `top_places` of them."""
    scores = (probabilities * centerness.sigmoid()[:, None]).flatten()
    there = torch.nonzero(probabilities.flatten() > settings.least)[:, 0]
    kept = there[scores[there].topk(min(settings.top_places, len(there))).indices]
    columns = probabilities.shape[1]
    return Found(boxes[kept // columns], scores[kept].sqrt(), labels[kept % columns])


def suppressed(found: Found, settings: PostSettings) -> Found:
    """Return the boxes that overlap no better one of their label, best first, at most `most` (more at a tie)."""
    if settings.rule == "cpu":
        kept = batched_nms(found.boxes, found.scores, found.labels, settings.overlap)
    else:
        kept = _gpu_rule(found, settings.overlap)
    kept = kept[found.scores[kept].argsort(descending=True, stable=True)]
    scores = found.scores[kept]
    if len(kept) > settings.most > 0:
        kept = kept[scores >= scores[settings.most - 1]]
    return Found(found.boxes[kept], found.scores[kept], found.labels[kept])


def overlaps_of(boxes: Float[Tensor, "R 4"], others: Float[Tensor, "S 4"]) -> Float[Tensor, "R S"]:
    """Return intersection over union where a side's last pixel is inside the box (the released kernel's)."""
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    both = (high - low + 1).clamp(min=0).prod(-1)
    areas, other_areas = ((each[:, 2:] - each[:, :2] + 1).prod(-1) for each in (boxes, others))
    return both / (areas[:, None] + other_areas[None] - both)


def joined(parts: Sequence[Found]) -> Found:
    """Return the boxes of several levels or prompts as one list."""
    return Found(*(torch.cat([getattr(part, name) for part in parts]) for name in ("boxes", "scores", "labels")))


def label_columns(tokens_of_label: Mapping[int, Sequence[int]], columns: int) -> list[Sequence[int]]:
    """Return the tokens of each of the released columns: label k in column k - 1, nothing in the others."""
    return [tokens_of_label.get(column + 1, ()) for column in range(columns)]


def _gpu_rule(found: Found, overlap: float) -> Int[Tensor, " R"]:
    order = found.scores.argsort(descending=True, stable=True)
    boxes, labels = found.boxes[order], found.labels[order]
    hits = (overlaps_of(boxes, boxes) > overlap) & (labels[:, None] == labels[None])
    alive = torch.ones(len(order), dtype=torch.bool)
    for place in range(len(order)):
        if alive[place]:
            alive[place + 1 :] &= ~hits[place, place + 1 :]
    return order[alive]
