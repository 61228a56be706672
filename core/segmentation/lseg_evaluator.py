"""The released evaluator: several scales, windows that slide over each, the mirror image too, everything added up.

isl-org/lang-seg at bb00b21, additional_utils/models.py (after PyTorch-Encoding's). For a picture of 3:4 it runs the
network 36 times; a single look at the whole picture is this project's default.

Legend: B pictures, N words, H W the picture, h w a window.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # the released app's
BASE, CROP = 520, 480  # pixels: the longer side at scale 1, the side of a window
STRIDE = 2 / 3  # of a window's side
BLACK = -1.0  # what a black pixel is after normalising with mean and deviation 0.5
MOST_SCALE = 2.0

Network = Callable[[Float[Tensor, "B 3 h w"]], Float[Tensor, "B N h w"]]


@dataclass(frozen=True, kw_only=True)
class EvaluatorSettings:
    """How often the network looks; the defaults are the released app's."""

    scales: tuple[float, ...] = SCALES
    flip: bool = True
    base: int = BASE
    crop: int = CROP
    padding: float = BLACK

    def __post_init__(self) -> None:
        if not self.scales or not all(0 < scale <= MOST_SCALE for scale in self.scales):
            raise ValueError(f"wanted scales above 0 and up to {MOST_SCALE}, got {self.scales}")

    @property
    def stride(self) -> int:
        """Pixels between two windows."""
        return int(self.crop * STRIDE)


def window_scores(
    network: Network, image: Float[Tensor, "1 3 H W"], settings: EvaluatorSettings
) -> Float[Tensor, "1 N H W"]:
    """Return the sum of the scores over scales and, with `flip`, over both directions, at the picture's size."""
    size_hw = (image.shape[2], image.shape[3])
    scores = [_stretch(_one_scale(network, image, scale, settings), size_hw) for scale in settings.scales]
    return torch.stack(scores).sum(0)


def count_windows(size_hw: tuple[int, int], settings: EvaluatorSettings) -> int:
    """Return how many times the network runs for a picture of this size."""
    windows = 0
    for scale in settings.scales:
        height, width = (max(side, settings.crop) for side in scaled_size(size_hw, ceil(settings.base * scale)))
        windows += len(_starts(height, settings)) * len(_starts(width, settings))
    return windows * (2 if settings.flip else 1)


def scaled_size(size_hw: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return a picture's sides at this longer side, the other rounded half up."""
    height, width = size_hw
    if height > width:
        return longest, int(width * longest / height + 0.5)
    return int(height * longest / width + 0.5), longest


def pad(image: Float[Tensor, "B 3 h w"], size_hw: tuple[int, int], value: float) -> Float[Tensor, "B 3 h2 w2"]:
    """Put a border to the right and below until a picture has at least this size."""
    right, below = (max(0, want - have) for want, have in zip(size_hw[::-1], image.shape[:1:-1], strict=True))
    return F.pad(image, (0, right, 0, below), value=value)


def _one_scale(network: Network, image: Tensor, scale: float, settings: EvaluatorSettings) -> Tensor:
    height, width = scaled_size((image.shape[2], image.shape[3]), ceil(settings.base * scale))
    window = (settings.crop, settings.crop)
    padded = pad(_stretch(image, (height, width)), window, settings.padding)
    total, count = None, torch.zeros(padded.shape[2:])
    for top, left in _places(padded, settings):
        view = padded[:, :, top : top + settings.crop, left : left + settings.crop]
        rows, columns = view.shape[2:]
        scores = _both_directions(network, pad(view, window, settings.padding), flip=settings.flip)
        total = scores.new_zeros(*scores.shape[:2], *padded.shape[2:]) if total is None else total
        total[:, :, top : top + rows, left : left + columns] += scores[:, :, :rows, :columns]
        count[top : top + rows, left : left + columns] += 1
    return (total / count.to(total.device))[:, :, :height, :width]


def _both_directions(network: Network, window: Tensor, *, flip: bool) -> Tensor:
    return network(window) + network(window.flip(-1)).flip(-1) if flip else network(window)


def _places(padded: Tensor, settings: EvaluatorSettings) -> Iterator[tuple[int, int]]:
    for top in _starts(padded.shape[2], settings):
        for left in _starts(padded.shape[3], settings):
            yield top, left


def _starts(side: int, settings: EvaluatorSettings) -> list[int]:
    """Return where windows start along one side; the last may reach over the end."""
    return [number * settings.stride for number in range(ceil((side - settings.crop) / settings.stride) + 1)]


def _stretch(maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size_hw, mode="bilinear", align_corners=True)
