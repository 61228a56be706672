"""ViLD's losses on words and on stored embeddings.

Paper: Gu et al. 2022, https://arxiv.org/abs/2104.13921, Eq. 2 and 3; as released in tensorflow/tpu at 7dc921f,
projects/vild/modeling/vild_losses.py and vild_model.py. There novel words stay in the training's list, their logits
multiplied by 0, which leaves them a share of the probability; a list without them is the paper's.

Legend: R regions, N words and the background, M regions with a stored embedding, D embedding size.
"""

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def class_loss(
    logits: Float[Tensor, "*batch N"], targets: Int[Tensor, "*batch"], kept: Float[Tensor, " N"] | None = None
) -> Float[Tensor, ""]:
    """Return the mean cross entropy of regions; target 0 is the background, `kept` is 0 for novel words."""
    masked = logits if kept is None else logits * kept
    return F.cross_entropy(masked.flatten(0, -2), targets.flatten().long())


def distillation_loss(
    predicted: Float[Tensor, "*batch D"],
    stored: Float[Tensor, "*batch D"],
    valid: Bool[Tensor, "*batch"],
    *,
    normalise_stored: bool = True,
) -> Float[Tensor, ""]:
    """Return the mean L1 distance, summed over D, of unit predictions to stored embeddings of the valid regions."""
    wanted = F.normalize(stored, dim=-1) if normalise_stored else stored
    distances = (predicted - wanted).abs().sum(-1)
    return (distances * valid).sum() / valid.sum().clamp(min=1)


def valid_regions(boxes: Float[Tensor, "*batch 4"]) -> Bool[Tensor, "*batch"]:
    """Say which boxes are none of the -1 that pad a picture's proposals."""
    return boxes.amax(-1) > 0
