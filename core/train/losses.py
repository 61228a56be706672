"""The losses of the papers.

Legend: B pairs, C classes, D embedding size.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor


def contrastive_loss(
    image_features: Float[Tensor, "B D"],
    text_features: Float[Tensor, "B D"],
    logit_scale: Float[Tensor, ""],
    groups: Int[Tensor, " B"] | None = None,
) -> Float[Tensor, ""]:
    """Return CLIP's symmetric cross entropy over the batch's similarities (Radford et al. 2021, Fig. 3).

    `logit_scale` is the factor itself, not its logarithm. Pairs with the same number in `groups` say the same thing
    ('a photo of a dog' twice): the target is then shared evenly among them. All different, as in the paper, gives the
    paper's loss exactly.
    """
    images = F.normalize(image_features, dim=-1)
    texts = F.normalize(text_features, dim=-1)
    logits = logit_scale * images @ texts.T  # (B, B)
    if groups is None:
        targets = torch.eye(len(logits), device=logits.device)
    else:
        same = (groups[:, None] == groups[None, :]).float()
        targets = same / same.sum(1, keepdim=True)
    rows, columns = pair_losses(logits, targets)
    return (rows + columns) / 2


def pair_losses(
    logits: Float[Tensor, "B B"], targets: Float[Tensor, "B B"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the cross entropy over texts for each image (rows), and over images for each text (columns)."""
    return F.cross_entropy(logits, targets), F.cross_entropy(logits.T, targets)


def class_prompt_loss(
    image_features: Float[Tensor, "B D"],
    prompt_features: Float[Tensor, "C D"],
    logit_scale: Float[Tensor, ""],
    classes: Int[Tensor, " B"],
) -> Float[Tensor, ""]:
    """Return the cross entropy of CLIP's own zero-shot classifier over C class prompts; class -1 does not count.

    At least one picture must have a class. With labels at hand this teaches names faster than captions alone;
    learning from captions and labels together is the idea of UniCL (Yang et al. 2022).
    """
    logits = logit_scale * F.normalize(image_features, dim=-1) @ F.normalize(prompt_features, dim=-1).T
    return F.cross_entropy(logits, classes, ignore_index=-1)


def distillation_loss(student_logits: Float[Tensor, "B C"], teacher_logits: Float[Tensor, "B C"]) -> Float[Tensor, ""]:
    """Return the cross entropy of the student's distribution under the teacher's (Hinton et al. 2015, Eq. 2, T = 1)."""
    return F.cross_entropy(student_logits, teacher_logits.softmax(-1))
