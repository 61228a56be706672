"""From groups to labelled pixels, as GroupViT's authors measure it; no network runs here.

Paper: Xu et al., CVPR 2022, Sec. 3.3, https://arxiv.org/abs/2202.11094. What the paper leaves open is as in
NVlabs/GroupViT 13b7861, segmentation/evaluation/group_vit_seg.py: the soft assignments of both groupings are
multiplied, only the picture's five likeliest words compete, and a group's score is the product of its softmax over
these five and over all words.

Legend: G1 and G2 groups of the first and second grouping, L patches on an h x w grid, N words, D embedding size,
H and W the picture's height and width.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

MOST_WORDS = 5  # of a picture; group_vit_seg.py: limited to the top-5 classes


def attention_map(
    soft: Float[Tensor, "G L"], grid_hw: tuple[int, int], size_hw: tuple[int, int]
) -> Float[Tensor, "G H W"]:
    """Return how much each pixel belongs to each group: the patches' assignment, stretched bilinearly."""
    places = soft.unflatten(1, grid_hw)[None]  # (1, G, h, w)
    return F.interpolate(places, size=size_hw, mode="bilinear", align_corners=False)[0]


def joined(first: Float[Tensor, "G1 L"], second: Float[Tensor, "G2 G1"]) -> Float[Tensor, "G2 L"]:
    """Return each patch's soft assignment to the second groups, through the first ones."""
    return second @ first


def group_logits(
    groups: Float[Tensor, "G2 D"], texts: Float[Tensor, "N D"], scale: float | Tensor
) -> Float[Tensor, "G2 N"]:
    """Return the scaled cosine of each projected group with each word."""
    return scale * F.normalize(groups, dim=-1) @ F.normalize(texts, dim=-1).T


def kept_words(image_logits: Float[Tensor, " N"], most: int = MOST_WORDS) -> Bool[Tensor, " N"]:
    """Mark the words that the picture as a whole speaks for most; all of them where there are few."""
    kept = torch.zeros(len(image_logits), dtype=torch.bool, device=image_logits.device)
    kept[image_logits.topk(min(most, len(image_logits))).indices] = True
    return kept


def group_scores(logits: Float[Tensor, "G2 N"], kept: Bool[Tensor, " N"]) -> Float[Tensor, "G2 N"]:
    """Return each group's softmax over the kept words times its softmax over all; 0 for words that are not kept."""
    return logits.masked_fill(~kept, float("-inf")).softmax(-1) * logits.softmax(-1)


def background_limit(scores: Float[Tensor, "G2 N"], threshold: float) -> float:
    """Return the score below which a pixel is background: the threshold, but never above the best group's score."""
    return min(threshold, float(scores.max()))


def class_scores(
    scores: Float[Tensor, "G2 N"], group_of: Int[Tensor, "H W"], threshold: float | None
) -> Float[Tensor, "K H W"]:
    """Return each pixel's score for each word, its group's; with a threshold, background comes first, 0 or 1."""
    pixels = scores[group_of].permute(2, 0, 1)  # (N, H, W)
    if threshold is None:
        return pixels
    background = pixels.amax(0, keepdim=True) < background_limit(scores, threshold)
    return torch.cat([background.to(pixels.dtype), pixels])
