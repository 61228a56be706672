"""What shows in a scene and where, from its pixels and its sentences alone: outlines, and the noun of each.

Not from the paper, whose groups take days to find outlines. Here pixels propose them: colours that the picture's border
does not lead to (the boundary prior of Wei et al. 2012, Geodesic Saliency Using Background Priors, ECCV), tidied by
GrabCut (Rother et al. 2004, ACM TOG 23(3)). The square around each is shown to a frozen CLIP, which chooses among the
things that the sentences name and the names of grounds and skies (the idea of ViLD, Gu et al. 2022, Sec. 3.3). No true
mask is asked for: about one place in eight of things is missed, and things that touch have one name.

Legend: N pictures, H W their sides, S that of a crop, h places along a side of the map, K nouns, C things among them,
D embedding size.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from core.backbones.clip import ClipBackbone
from core.train.augment import normalise
from core.train.groupvit_data import Captioned
from core.train.lseg import separate, square
from core.train.lseg_data import cut

VERSION = 1  # raise it when what is found changes, so that kept labels are found again
BORDER = 0.12  # of half a side: pixels that are ground or sky for all we know
FARTHER = 7.0  # from the border's colour than this, in units of a and b of Lab, is something else
ROUNDS = 6  # of fitting the border's colour
LEAST_PIXELS = 20
NOTHING = 0.4  # what a place of nothing weighs, of which there are several times as many
DIFFUSE = 0.3  # of the loss that asks a place of nothing to be like no thing more than like another


def foreground(rgb: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
    """Return the pixels that do not look like what the picture's border leads to; shadows do."""
    far = _from_border(rgb) > FARTHER
    if far.sum() < LEAST_PIXELS:
        return far
    marks = np.where(far, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[:2] = marks[-2:] = marks[:, :2] = marks[:, -2:] = cv2.GC_BGD
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    lab[..., 0] //= 2  # a shadow differs in this alone
    cv2.setRNGSeed(0)
    cv2.grabCut(lab, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 1, cv2.GC_INIT_WITH_MASK)
    return (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)


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

    @torch.no_grad()
    def _labels(self, picture: UInt8[Tensor, "H W 3"], named: Bool[Tensor, " K"]) -> UInt8[np.ndarray, "H W"]:
        inside = foreground(picture.numpy())
        found = np.full(inside.shape, self.things, np.uint8)
        regions = separate(inside[None], LEAST_PIXELS)
        if not regions:
            return found
        theta = torch.stack([square(mask) for _, mask in regions])
        crops = cut(picture[None].expand(len(theta), -1, -1, -1), theta, self.clip.preprocess.size)
        seen = F.normalize(self.clip.model.encode_image(normalise(crops)), dim=-1)
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


def _from_border(rgb: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
    """Return how far each pixel's a and b of Lab are from a smooth surface through the border's, fitted robustly."""
    height, width = rgb.shape[:2]
    smooth = cv2.GaussianBlur(rgb, (0, 0), 0.7).astype(np.float32) / 255
    colours = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)[..., 1:].reshape(-1, 2)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].reshape(2, -1)
    surface = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y, y**3], -1)
    prior = (np.minimum(1 - abs(x), 1 - abs(y)) < BORDER) + 0.05
    weights = prior
    for _ in range(ROUNDS):
        bent = np.linalg.lstsq(surface * weights[:, None], colours * weights[:, None], rcond=None)[0]
        distances = np.linalg.norm(colours - surface @ bent, axis=1)
        weights = prior / (1 + (distances / 3) ** 2)
    return distances.reshape(height, width)
