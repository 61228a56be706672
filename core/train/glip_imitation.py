"""What the Swin learns before it sees a box: to make the maps of CLIP's ResNet (FitNets' hints).

Idea: Romero et al. 2015, FitNets: Hints for Thin Deep Nets, ICLR 2015, https://arxiv.org/abs/1412.6550. Different from
it: no regressor is trained. Each of the teacher's maps is projected once on as many of its principal directions as the
student has channels, turned at random so that every channel carries as much, and normed at each place.

Legend: B pictures, S side of a picture, C channels of the teacher's map, c of the student's, h w places.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from core.train.augment import normalise


class Imitation:
    """A frozen teacher and the projections of its maps of strides 8, 16 and 32."""

    def __init__(self, visual: nn.Module, channels: Sequence[int], pictures: UInt8[Tensor, "B S S 3"]) -> None:
        """Measure the teacher's directions on pictures; ValueError where it is no ResNet."""
        if not isinstance(visual, ModifiedResNet):
            raise ValueError("The teacher of a GLIP must be a CLIP with a ResNet: its maps are imitated.")
        self.visual = visual
        with torch.no_grad():
            maps = self._maps(pictures.permute(0, 3, 1, 2).float() / 255)
        self.projections = [directions(level, count) for level, count in zip(maps, channels, strict=True)]

    def loss(self, maps: Sequence[Float[Tensor, "B _ _ _"]], images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, ""]:
        """Return the mean squared distance to the teacher's maps, of pictures from 0 to 1.

        A place counts as much as the teacher sets it apart from the picture's mean: things more than ground and sky.
        """
        with torch.no_grad():
            wanted = [
                F.layer_norm((level.movedim(1, -1) - mean) @ turn, (turn.shape[1],))
                for level, (mean, turn) in zip(self._maps(images), self.projections, strict=True)
            ]
        parts = []
        for own, want in zip(maps, wanted, strict=True):
            apart = (want - want.mean((1, 2), keepdim=True)).square().mean(-1)  # (B, h, w)
            distances = (own.movedim(1, -1) - want).square().mean(-1)
            parts.append((distances * apart).sum() / apart.sum())
        return torch.stack(parts).mean()

    def _maps(self, images: Float[Tensor, "B 3 S S"]) -> list[Float[Tensor, "B C h w"]]:
        visual = self.visual
        second = visual.layer2(visual.layer1(visual.stem(normalise(images))))
        third = visual.layer3(second)
        return [second, third, visual.layer4(third)]


def directions(level: Float[Tensor, "B C h w"], count: int) -> tuple[Float[Tensor, " C"], Float[Tensor, "C c"]]:
    """Return a map's mean and its `count` main directions, turned at random among themselves."""
    rows = level.movedim(1, -1).flatten(0, 2)  # (B h w, C)
    mean = rows.mean(0)
    found = torch.linalg.eigh((rows - mean).T @ (rows - mean)).eigenvectors[:, -count:]
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(found.shape[1], found.shape[1], generator=generator)).Q
    return mean, found @ turn
