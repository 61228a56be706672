"""What LSeg learns from pictures without annotation: regions that pixels propose, and what a frozen CLIP says of them.

CLIP's vectors of pictures lie apart from those of words: the step between the two, and how near to its word a thing
then lies, are measured on annotated pictures, which show base things only.

Legend: B pictures, M without annotation, H W their sides, R regions, N words (the last is 'other'), D embedding size.
"""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from core.backbones.clip import ClipBackbone
from core.train.lseg_data import CHUNK, NAMES, Scenes, in_pieces
from core.train.regions import LEAST_PIXELS, foreground, separate, spoken_for

log = logging.getLogger(__name__)
VERSION = 1  # raise it when what is proposed changes, so that kept regions are found again
NO_REGION = -1
SHARPNESS = 1.5  # how far a region's vector goes from the mean, in its own distances: parts the words better
BRIDGED = 600  # annotated pictures that the step from pictures to words is measured on
UNLIKE = 0.2  # of a word's own things are less like it than what is taken for it


class RegionTeacher:
    """Proposed regions of all plain pictures, and where each is to be drawn to.

    `places` (M, H, W) numbers each pixel's region, `taught` (R, D) holds unit vectors, and `alike` (R) the base word
    that a region is taken for, or the number of words.
    """

    def __init__(
        self,
        clip: ClipBackbone,
        words: Float[Tensor, "N D"],
        scenes: Scenes,
        hashes: Mapping[str, str],
        cache: Path,
    ) -> None:
        """Propose regions and ask CLIP, or read that from `cache`; `hashes` are those of CLIP's weights."""
        self.clip, self.words, self.scenes, self.hashes = clip, words, scenes, hashes
        self._bridge()
        self.places, spoken = self._spoken(cache)
        self.taught, self.alike = self._taught(spoken)

    def _spoken(self, cache: Path) -> tuple[Int[np.ndarray, "M H W"], Float[Tensor, "R D"]]:
        """Propose regions of the plain pictures: return the number of each pixel's, and what CLIP says of each.

        What takes minutes is found once and kept in `cache`.
        """
        plain = self.scenes.plain
        digest = hashlib.sha256(repr((VERSION, plain.shape, self.hashes)).encode() + plain[::97].tobytes())
        path = cache / f"lseg-regions-{digest.hexdigest()[:12]}.npz"
        if not path.exists():
            log.info("proposing regions of %d pictures", len(plain))
            pieces = [plain[start : start + CHUNK] for start in range(0, len(plain), CHUNK)]
            inside = np.concatenate(in_pieces(_foregrounds, pieces))
            regions = separate(inside, LEAST_PIXELS)
            numbers = np.full(inside.shape, NO_REGION, np.int32)
            for number, (index, mask) in enumerate(regions):
                numbers[index][mask] = number
            pieces = [regions[start : start + CHUNK] for start in range(0, len(regions), CHUNK)]
            spoken = torch.cat([spoken_for(self.clip, piece, torch.from_numpy(plain)) for piece in pieces])
            part = path.with_suffix(".part.npz")
            np.savez_compressed(part, numbers=numbers, spoken=spoken.numpy())
            part.replace(path)
        with np.load(path) as stored:
            return stored["numbers"], torch.from_numpy(stored["spoken"])

    def _bridge(self) -> None:
        """Measure on annotated pictures how what CLIP says of base things lies to their words.

        That is the mean of both, and from which cosine with its word on most of a word's own things are.
        """
        labels, kinds, regions = self.scenes.labels[:BRIDGED], [], []
        for name in range(len(NAMES)):
            found = separate(labels == name, LEAST_PIXELS)
            kinds += [name] * len(found)
            regions += found
        spoken = spoken_for(self.clip, regions, torch.from_numpy(self.scenes.pictures[:BRIDGED]))
        self.pictures_mean, self.words_mean = spoken.mean(0), self.words[:-1].mean(0)
        cosines, names = self._moved(spoken) @ self.words[:-1].T, torch.tensor(kinds)
        own = [cosines[names == name, name] for name in range(len(NAMES))]
        self.least_alike = torch.stack([torch.quantile(each, UNLIKE) if len(each) else torch.ones(()) for each in own])

    def _moved(self, spoken: Float[Tensor, "R D"]) -> Float[Tensor, "R D"]:
        """Return what CLIP says of regions, moved to where words are."""
        return F.normalize(SHARPNESS * (spoken - self.pictures_mean) + self.words_mean, dim=-1)

    def _taught(self, spoken: Float[Tensor, "R D"]) -> tuple[Float[Tensor, "R D"], Int[Tensor, " R"]]:
        """Return where each region is drawn to, and the base word that it is like, or the number of words."""
        moved = self._moved(spoken)
        over = moved @ self.words[:-1].T - self.least_alike
        best, word = over.max(1)
        alike = torch.where(best >= 0, word, len(self.words))
        return torch.where(best[:, None] >= 0, self.words[word], moved), alike


def _foregrounds(pictures: UInt8[np.ndarray, "B H W 3"]) -> Bool[np.ndarray, "B H W"]:
    return np.stack([foreground(each) for each in pictures])
