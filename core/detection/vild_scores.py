"""From ViLD's logits to scores: probabilities of two heads and their geometric mean.

Paper: Gu et al. 2022, https://arxiv.org/abs/2104.13921, Sec. 3.4 (Eq. 5) and, for crops, Sec. 3.2. As released
(tensorflow/tpu at 7dc921f, projects/vild/ops/postprocess_ops.py): the text head's softmax is over the words and the
background, whose column is dropped afterwards, or before where the background is discarded; the image head's is over
the words. Different from it: the weight can be any, not 2/3 alone.

Legend: R regions, N words.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

WEIGHT = 2 / 3  # Sec. 3.4, lambda: the text head's share for base words, the image head's for novel ones


def text_probabilities(
    logits: Float[Tensor, "*batch _"], *, discard_background: bool = False
) -> Float[Tensor, "*batch N"]:
    """Return each word's probability; the first column of the logits is the background's."""
    if discard_background:
        return logits[..., 1:].softmax(-1)
    return logits.softmax(-1)[..., 1:]


def image_probabilities(logits: Float[Tensor, "*batch N"]) -> Float[Tensor, "*batch N"]:
    """Return each word's probability among the words."""
    return logits.softmax(-1)


def ensemble(
    text: Float[Tensor, "*batch N"],
    image: Float[Tensor, "*batch N"],
    base: Bool[Tensor, " N"],
    weight: float = WEIGHT,
) -> Float[Tensor, "*batch N"]:
    """Return the geometric mean in which the text head has `weight` for base words and the rest for all others."""
    if not 0 <= weight <= 1:
        raise ValueError(f"wanted a weight from 0 to 1, got {weight}")
    shares = torch.where(base, weight, 1 - weight).to(text.dtype)
    return text**shares * image ** (1 - shares)


def crop_scores(probabilities: Float[Tensor, "R N"], objectness: Float[Tensor, " R"] | None) -> Float[Tensor, "R N"]:
    """Return the geometric mean of what CLIP says of a crop and of how much the proposal looks like any thing."""
    return probabilities if objectness is None else (probabilities * objectness[:, None]).sqrt()
