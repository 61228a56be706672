"""What the frozen CLIP says of a GroupViT's own regions, given the sentence: which of its nouns each of them is.

Not from the paper. The idea is that of ViLD (Gu et al. 2022, Sec. 3.3), with the groups' regions for proposals: the
square around a region is cut out and shown to the CLIP, which chooses among the things that the sentence names and the
names of grounds and skies. A region along the picture's border is ground or sky (the boundary prior of Wei et al. 2012,
Geodesic Saliency Using Background Priors, ECCV). Sentences and a network that learned from sentences are all it needs.

Legend: B pictures, S their side, h places along a side of the map, R regions, K nouns, D embedding size, G groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.backbones.clip import ClipBackbone
from core.train.lseg import separate, square

BORDER_SHARE = 0.12  # of the picture's border in one region, from which it is no thing
LEAST_PLACES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """Connected places of one group in one picture."""

    picture: int
    places: Bool[np.ndarray, "h h"]

    @property
    def along_the_border(self) -> bool:
        """Whether so much of the picture's border belongs to it that it is ground or sky."""
        edge = np.ones_like(self.places)
        edge[1:-1, 1:-1] = False
        return bool(self.places[edge].mean() >= BORDER_SHARE)


class RegionTeacher:
    """A frozen CLIP with the nouns that it may say; things come before grounds and skies."""

    def __init__(self, clip: ClipBackbone, prompts: Sequence[Sequence[str]], things: int) -> None:
        """Read the prompts of each noun; the first `things` of these are things."""
        self.clip, self.things = clip, things
        texts = clip.encode_texts([prompt for each in prompts for prompt in each])
        self.nouns = F.normalize(texts.unflatten(0, (len(prompts), -1)).mean(1), dim=-1)  # (K, D)

    @torch.no_grad()
    def targets(
        self, images: Float[Tensor, "B 3 S S"], regions: Sequence[Region], named: Bool[Tensor, "B K"]
    ) -> Float[Tensor, "R K"]:
        """Return the probability of each noun for each region, of pictures that are normalised for CLIP."""
        owners = torch.tensor([region.picture for region in regions])
        theta = torch.stack([square(region.places) for region in regions])
        side = self.clip.preprocess.size
        grid = F.affine_grid(theta, [len(theta), 3, side, side], align_corners=False)
        crops = F.grid_sample(images[owners], grid, "bilinear", "reflection", align_corners=False)
        seen = F.normalize(self.clip.model.encode_image(crops), dim=-1)
        may_be = named[owners].clone()
        may_be[torch.tensor([region.along_the_border for region in regions])] = False
        may_be[:, self.things :] = True
        logits = self.clip.logit_scale * seen @ self.nouns.T
        return logits.masked_fill(~may_be, -torch.inf).softmax(-1)


def regions_of(groups: Int[Tensor, "B L"], most: int, rng: np.random.Generator) -> list[Region]:
    """Return connected regions of single groups on square maps, at most so many, chosen at random."""
    side = round(groups.shape[1] ** 0.5)
    maps = groups.unflatten(1, (side, side)).numpy()
    found = [
        Region(picture=index, places=places)
        for group in np.unique(maps)
        for index, places in separate(maps == group, LEAST_PLACES)
    ]
    return [found[i] for i in sorted(rng.permutation(len(found))[:most])]


def region_loss(
    logits: Float[Tensor, "B L K"], regions: Sequence[Region], targets: Float[Tensor, "R K"]
) -> Float[Tensor, ""]:
    """Return the mean over regions of how far what their places say is from what the teacher says."""
    rows = logits.log_softmax(-1)
    losses = []
    for region, target in zip(regions, targets, strict=True):
        places = rows[region.picture][torch.from_numpy(region.places.ravel())]
        losses.append(F.kl_div(places, target.expand_as(places), reduction="batchmean"))
    return torch.stack(losses).mean()
