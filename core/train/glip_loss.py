"""GLIP's loss: a focal loss for every token at every place, boxes and centerness where an anchor answers for a thing.

Paper: Li et al. 2022, https://arxiv.org/abs/2112.03857, Sec. 3.1; constants as microsoft/GLIP at 9dda955
(modeling/rpn/loss.py, ATSSLossComputation; configs/pretrain/glip_Swin_T_*.yaml). Targets are 0 or 1 for each token, as
the released code makes them, not shared among a phrase's tokens. Different from it: tokens can be left out of the
loss, for phrases of which nobody knows where they belong; and an anchor that answers for a thing can be asked which of
the prompt's tokens mean it, one against the others, which a focal loss of as many misses as places hardly asks.

Legend: B pictures, G things of a picture, T tokens, P places of all levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from core.detection.glip_anchors import atss, centerness_targets, decode
from core.detection.glip_model import Scores

ALPHA, GAMMA = 0.25, 2.0  # MODEL.FOCAL.LOSS_ALPHA and LOSS_GAMMA
BOX_WEIGHT = 2.0  # MODEL.ATSS.REG_LOSS_WEIGHT


@dataclass(frozen=True)
class Truth:
    """What is known about one picture and its prompt."""

    boxes: Float[Tensor, "G 4"]  # end exclusive, pixels of the network's input
    tokens: Bool[Tensor, "G T"]  # those that mean each box
    counted: Bool[Tensor, " T"]  # those that are in the loss


def glip_loss(
    scores: Scores,
    anchors: Sequence[Float[Tensor, "_ 4"]],
    truths: Sequence[Truth],
    mask: Int[Tensor, "B T"],
    token_weight: float = 1.0,
    naming_weight: float = 0.0,
) -> Float[Tensor, ""]:
    """Return the sum of the losses over a batch; released training weighs tokens with 1 and naming with 0."""
    logits = torch.cat(scores.tokens, 1)  # (B, P, T)
    codes = torch.cat([level.flatten(2).transpose(1, 2) for level in scores.boxes], 1)  # (B, P, 4)
    centerness = torch.cat([level.flatten(1) for level in scores.centerness], 1)  # (B, P)
    owners = torch.stack([atss(anchors, held(truth.boxes)) for truth in truths])  # (B, P)
    positive = owners >= 0
    targets = torch.zeros_like(logits)
    wanted = torch.zeros_like(codes)
    for row, truth in enumerate(truths):
        if len(truth.boxes):
            targets[row, positive[row]] = truth.tokens[owners[row, positive[row]]].to(logits.dtype)
            wanted[row, positive[row]] = held(truth.boxes)[owners[row, positive[row]]]
    counted = (torch.stack([truth.counted for truth in truths]) & mask.bool())[:, None]
    count = max(1, int(positive.sum()))
    loss = token_weight * (focal(logits, targets) * counted).sum() / count
    if not positive.any():
        return loss + 0 * (codes.sum() + centerness.sum())
    if naming_weight:
        loss = loss + naming_weight * naming(logits[positive], targets[positive], counted.expand_as(logits)[positive])
    joined = torch.cat(list(anchors)).expand(len(truths), -1, -1)[positive]
    centres = centerness_targets(joined, wanted[positive])
    last = torch.tensor([0.0, 0.0, 1.0, 1.0])
    distances = generalized_box_iou_loss(decode(codes[positive], joined) + last, wanted[positive] + last)
    loss = loss + BOX_WEIGHT * (distances * centres).sum() / centres.sum().clamp(min=1e-6)
    return loss + F.binary_cross_entropy_with_logits(centerness[positive], centres, reduction="sum") / count


def focal(logits: Float[Tensor, "*B"], targets: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
    """Return the focal loss of each logit (Lin et al. 2017, Eq. 5)."""
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    missed = torch.exp(-entropy)
    return (ALPHA * targets + (1 - ALPHA) * (1 - targets)) * (1 - missed) ** GAMMA * entropy


def naming(
    logits: Float[Tensor, "P T"], targets: Float[Tensor, "P T"], counted: Bool[Tensor, "P T"]
) -> Float[Tensor, ""]:
    """Return the cross entropy of the counted tokens at places of things that some of these tokens mean."""
    wanted = targets * counted
    told = wanted.sum(1) > 0
    if not told.any():
        return 0 * logits.sum()
    shares = wanted[told] / wanted[told].sum(1, keepdim=True)
    return F.cross_entropy(logits[told].masked_fill(~counted[told], -1e4), shares)


def held(boxes: Float[Tensor, "G 4"]) -> Float[Tensor, "G 4"]:
    """Return boxes whose end is exclusive as boxes that hold their last pixel."""
    return boxes - torch.tensor([0.0, 0.0, 1.0, 1.0])
