"""ActionCLIP's loss: the Kullback-Leibler divergence between similarities and who shares a class, in both directions.

Paper: Wang et al. 2021, Sec. 3.2, https://arxiv.org/abs/2109.08472. As in sallymmx/ActionCLIP at 31c34df,
utils/KLLoss.py and utils/tools.py, the target of a row is softmax(10 * G), where G is 1 between samples of one class
and 0 elsewhere; it is not G divided by its row's sum. When it matters: cross entropy with each clip's own text as the
only right answer (what mmaction2 trains with) calls the other clips of the class wrong, so its loss cannot fall below
log k with k clips of each class in a batch. With Kinetics' 400 classes a batch hardly holds two of one class, and the
two losses end level (77.6 and 77.5 per cent, mmaction2 projects/actionclip/README.md); with a dozen classes they do
not see the same batch.

Legend: B samples, D embedding size.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

SHARPNESS = 10.0  # utils/KLLoss.py


def label_matrix(classes: Int[Tensor, " B"]) -> Float[Tensor, "B B"]:
    """Return 1 where two samples have the same class, else 0."""
    return (classes[:, None] == classes[None, :]).float()


def soft_target(matrix: Float[Tensor, "B B"]) -> Float[Tensor, "B B"]:
    """Return the distribution that each row of similarities should have."""
    return (SHARPNESS * matrix).softmax(1)


def similarity_logits(
    videos: Float[Tensor, "B D"], texts: Float[Tensor, "B D"], scale: Float[Tensor, ""] | float
) -> tuple[Float[Tensor, "B B"], Float[Tensor, "B B"]]:
    """Return scaled cosines of videos with texts, and of texts with videos."""
    logits = scale * F.normalize(videos, dim=-1) @ F.normalize(texts, dim=-1).T
    return logits, logits.T


def kl_loss(logits: Float[Tensor, "B B"], target: Float[Tensor, "B B"]) -> Float[Tensor, ""]:
    """Return KL(target || softmax(logits)), summed over the columns and averaged over the rows."""
    return F.kl_div(logits.log_softmax(1), target, reduction="batchmean")


def matching_loss(
    videos: Float[Tensor, "B D"],
    texts: Float[Tensor, "B D"],
    classes: Int[Tensor, " B"],
    scale: Float[Tensor, ""] | float,
) -> Float[Tensor, ""]:
    """Return the mean of both directions' divergences; texts[i] is a sentence about the class of videos[i]."""
    target = soft_target(label_matrix(classes))
    by_video, by_text = similarity_logits(videos, texts, scale)
    return (kl_loss(by_video, target) + kl_loss(by_text, target)) / 2


def own_text_loss(
    videos: Float[Tensor, "B D"], texts: Float[Tensor, "B D"], scale: Float[Tensor, ""] | float
) -> Float[Tensor, ""]:
    """Return the cross entropy in which a video's own text is the only right one, as mmaction2 trains."""
    by_video, by_text = similarity_logits(videos, texts, scale)
    own = torch.arange(len(videos), device=videos.device)
    return (F.cross_entropy(by_video, own) + F.cross_entropy(by_text, own)) / 2
