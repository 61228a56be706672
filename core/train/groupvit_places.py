"""Where in a picture a noun of its sentence is looked for: losses that no place of anything was told to.

Not from the paper, whose two losses see a picture as a whole: with as few pictures as minutes allow, they put all the
things of a scene into one group. Here patches are asked for the nouns of the picture, or of the quarter of a collage,
that they lie in, the best few speaking for it (multiple-instance learning, as in Pinheiro and Collobert 2015, From
Image-level to Pixel-level Labeling with Convolutional Networks, CVPR); and what the groups say of a patch is drawn to
what the patch says.

Legend: B pictures, R regions of them (pictures or quarters), L patches, G groups, K prompts, D embedding size.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BEST_SHARE = 0.06  # of a region's patches speak for it; at least two


def group_opinions(
    first: Float[Tensor, "B G1 L"], second: Float[Tensor, "B G G1"], cosines: Float[Tensor, "B G K"]
) -> Float[Tensor, "B L K"]:
    """Return what its groups say of each patch: their cosines, weighted by its soft assignment."""
    return (second @ first).transpose(1, 2) @ cosines


def region_scores(opinions: Float[Tensor, "B L K"], tiles: int) -> Float[Tensor, "R K"]:
    """Return the mean of the best patches of each region of square pictures; `tiles` regions lie along a side."""
    grid = round(opinions.shape[1] ** 0.5)
    cut = opinions.unflatten(1, (tiles, grid // tiles, tiles, grid // tiles))
    regions = cut.transpose(2, 3).flatten(3, 4).flatten(0, 2)  # (R, patches of a region, K)
    most = max(2, round(BEST_SHARE * regions.shape[1]))
    return regions.topk(most, dim=1).values.mean(1)


def agreement_loss(
    groups: Float[Tensor, "B L K"], patches: Float[Tensor, "B L K"], scale: float, sharper: float = 1.5
) -> Float[Tensor, ""]:
    """Return the divergence of what groups say from what patches say, made a little surer; patches do not learn."""
    wanted = (sharper * scale * patches.detach()).softmax(-1).flatten(0, 1)
    return F.kl_div((scale * groups).log_softmax(-1).flatten(0, 1), wanted, reduction="batchmean")
