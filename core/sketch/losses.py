"""What makes a sketch a sketch of something: CLIP's feature maps near by (geometry), its embedding alike (meaning).

Paper: Vinker et al. 2022, CLIPasso, SIGGRAPH, Sec. 3.3, Eq. 1 to 3, https://arxiv.org/abs/2202.05822. Numbers from
yael-vinker/CLIPasso at 92262f7, models/loss.py, class CLIPConvLoss, written anew from facts about it.

How layers are named: the code keeps [stem, layer1, layer2, layer3, layer4] and weighs them 0, 0, 1, 1, 0, that is, it
uses the ResNet stages `layer2` and `layer3`. The paper counts the stem as the first and calls the same two "layers 3
and 4". Here layers go by their ResNet names, 1 to 4, and 0 is the stem.

Different from it: every distance is kept for each sketch, so that many are drawn as one batch without touching.

Legend: B sketches, C channels, h w places, D embedding size, S side of the network's input.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from core.backbones.clip_model import encode_image

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
PAPER_WEIGHTS = (0.0, 0.0, 1.0, 1.0, 0.0)  # clip_conv_layer_weights
SEMANTIC_WEIGHT = 0.1  # clip_fc_loss_weight

Distance = Callable[[Tensor, Tensor], Float[Tensor, " B"]]
DISTANCES: dict[str, Distance] = {
    "L2": lambda a, b: (a - b).square().flatten(1).mean(1),
    "L1": lambda a, b: (a - b).abs().flatten(1).mean(1),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What a CLIP makes of B pictures on the way to its embedding."""

    maps: tuple[Tensor, ...]  # (B, C, h, w) after the stem and each stage; () where they are not asked for
    pooled: Tensor  # (B, D), not normalised

    def chosen(self, index: Int[Tensor, " n"]) -> "Features":
        """Return the features of these pictures, in this order."""
        return Features(maps=tuple(each[index] for each in self.maps), pooled=self.pooled[index])

    def followed_by(self, other: "Features") -> "Features":
        """Return the features of all pictures of both."""
        maps = tuple(torch.cat(pair) for pair in zip(self.maps, other.maps, strict=True))
        return Features(maps=maps, pooled=torch.cat([self.pooled, other.pooled]))


def features_of(model: nn.Module, inputs: Float[Tensor, "B 3 S S"], *, maps: bool = True) -> Features:
    """Run a CLIP's image tower and keep its stages; ValueError where stages are wanted and it is no ResNet."""
    if not maps:
        return Features(maps=(), pooled=encode_image(model, inputs).float())
    return resnet_features(model.visual, inputs)


def resnet_features(visual: nn.Module, inputs: Float[Tensor, "B 3 S S"]) -> Features:
    """Return the feature maps of a CLIP ResNet's stem and four stages, and its attention-pooled vectors."""
    if not isinstance(visual, ModifiedResNet):
        raise ValueError("wanted a CLIP ResNet for the geometric loss, got another architecture: switch that loss off")
    found = [visual.stem(inputs)]
    for stage in STAGES[1:]:
        found.append(getattr(visual, stage)(found[-1]))
    return Features(maps=tuple(each.float() for each in found), pooled=visual.attnpool(found[-1]).float())


def sketch_losses(
    sketch: Features,
    target: Features,
    *,
    layer_weights: tuple[float, ...] = PAPER_WEIGHTS,
    semantic_weight: float = SEMANTIC_WEIGHT,
    distance: str = "L2",
) -> dict[str, Float[Tensor, " B"]]:
    """Return each weighted term for each sketch, by its stage's name and 'semantic'; terms of weight 0 are left out.

    The geometric loss L_g (Eq. 2) is the sum of the stages' terms, the semantic loss L_s (Eq. 3) 1 - cosine.
    """
    terms = {
        name: weight * DISTANCES[distance](a, b)
        for name, weight, a, b in zip(STAGES, layer_weights, sketch.maps, target.maps, strict=False)
        if weight
    }
    if semantic_weight:
        terms["semantic"] = semantic_weight * (1 - F.cosine_similarity(sketch.pooled, target.pooled, dim=1))
    return terms


def total(terms: Mapping[str, Float[Tensor, " B"]]) -> Float[Tensor, " B"]:
    """Add the terms up for each sketch."""
    return torch.stack(list(terms.values())).sum(0)
