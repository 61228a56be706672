"""What shows in a scene and where, from its pixels and its sentences alone: outlines, and the noun of each.

Not from the paper, whose groups take days to find outlines. Here pixels propose them (regions.py). The square around
each is shown to a frozen CLIP, which chooses among the things that the sentences name and the names of grounds and
skies (the idea of ViLD, Gu et al. 2022, Sec. 3.3). No true mask is asked for; things that touch have one name.

Legend: N pictures, H W their sides, S that of a crop, h places along a side of the map, K nouns, C things among them,
D embedding size.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from core.backbones.clip import ClipBackbone
from core.train.groupvit_data import Captioned
from core.train.regions import LEAST_PIXELS, foreground, separate, spoken_for

VERSION = 1  # raise it when what is found changes, so that kept labels are found again
NOTHING = 0.4  # what a place of nothing weighs, of which there are several times as many
DIFFUSE = 0.3  # of the loss that asks a place of nothing to be like no thing more than like another


class OutlineTeacher:
    """A frozen CLIP with the nouns that it may say; things come before grounds and skies."""

    def __init__(self, clip: ClipBackbone, prompts: Sequence[Sequence[str]], things: int) -> None:
        """Read the prompts of each noun; the first `things` of these are things."""
        self.clip, self.things = clip, things
        texts = clip.encode_texts([prompt for each in prompts for prompt in each])
        self.nouns = F.normalize(texts.unflatten(0, (len(prompts), -1)).mean(1), dim=-1)  # (K, D)

    def labels(self, scenes: Captioned, path: Path) -> UInt8[Tensor, "N H W"]:
        """Return the noun of each pixel, `things` where there is none; found once and kept in `path`'s folder."""
        digest = hashlib.sha256(repr((VERSION, len(scenes), scenes.pictures.shape)).encode())
        for part in (scenes.pictures[::97].numpy(), scenes.nouns.numpy(), self.nouns.numpy()):
            digest.update(np.ascontiguousarray(part).tobytes())
        kept = path / f"groupvit-outlines-{digest.hexdigest()[:12]}.npz"
        if not kept.exists():
            found = np.stack([self._labels(*each) for each in zip(scenes.pictures, scenes.nouns, strict=True)])
            path.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(".part.npz")
            np.savez_compressed(part, labels=found)
            part.replace(kept)
        with np.load(kept) as stored:
            return torch.from_numpy(stored["labels"])

    def _labels(self, picture: UInt8[Tensor, "H W 3"], named: Bool[Tensor, " K"]) -> UInt8[np.ndarray, "H W"]:
        inside = foreground(picture.numpy())
        found = np.full(inside.shape, self.things, np.uint8)
        regions = separate(inside[None], LEAST_PIXELS)
        if not regions:
            return found
        seen = spoken_for(self.clip, regions, picture[None])
        may_be = named.clone()
        may_be[self.things :] = True
        best = (seen @ self.nouns.T).masked_fill(~may_be, -torch.inf).argmax(1)
        for (_, mask), noun in zip(regions, best.tolist(), strict=True):
            found[mask] = min(noun, self.things)
        return found


def shares(labels: UInt8[Tensor, "B H W"], theta: Float[Tensor, "B 2 3"], places: int, kinds: int) -> Tensor:
    """Return which share of each place of a crop each label has, (B, h*h, kinds); 4 x 4 samples a place."""
    fine = 4 * places
    grid = F.affine_grid(theta, [len(theta), 1, fine, fine], align_corners=False)
    found = F.grid_sample(labels[:, None].float(), grid, "nearest", "reflection", align_corners=False)
    counted = F.one_hot(found[:, 0].round().long(), kinds).float().permute(0, 3, 1, 2)
    return F.avg_pool2d(counted, 4).flatten(2).transpose(1, 2)


def outline_loss(logits: Float[Tensor, "B L K"], wanted: Float[Tensor, "B L _"]) -> Float[Tensor, ""]:
    """Return the cross entropy of places with the nouns of their outlines, the last of `wanted` being none.

    Where there is none, some ground or sky is to win over all nouns, and among things alone none over another.
    """
    things = wanted.shape[-1] - 1
    chances = logits.log_softmax(-1)
    nothing = chances[..., things:].logsumexp(-1, keepdim=True)
    weights = torch.ones(things + 1)
    weights[-1] = NOTHING
    weighted = wanted * weights
    named = -(weighted * torch.cat([chances[..., :things], nothing], -1)).sum() / weighted.sum()
    among = -logits[..., :things].log_softmax(-1).mean(-1)  # cross entropy with all things alike
    return named + DIFFUSE * (wanted[..., -1] * among).sum() / wanted[..., -1].sum().clamp(min=1)
