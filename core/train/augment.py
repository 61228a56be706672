"""Random crops and tones, for whole batches of tensors at once.

Legend: B pictures, S the side they come out with.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

MEAN = (0.48145466, 0.4578275, 0.40821073)  # openai/CLIP clip/clip.py
STD = (0.26862954, 0.26130258, 0.27577711)


def augment(
    pictures: UInt8[Tensor, "B H W 3"],
    mirror: Bool[Tensor, " B"],
    *,
    size: int,
    least_zoom: float,
    generator: torch.Generator,
) -> Float[Tensor, "B 3 S S"]:
    """Crop at random, mirror where allowed, blur or sharpen and change the light; normalised as CLIP wants it.

    `least_zoom` is the smallest share of the side that a crop keeps. Blurring and sharpening keep the network from
    telling photographs and rendered pictures apart by their sharpness.
    """
    count = len(pictures)
    images = pictures.permute(0, 3, 1, 2).float() / 255

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    zoom = uniform(least_zoom, 1.04)
    stretch = uniform(0.92, 1.08)
    flip = torch.where(mirror & (uniform(0, 1) < 0.5), -1.0, 1.0)
    room = (1 - zoom).clamp(min=0.06)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * stretch * flip, zoom / stretch
    theta[:, 0, 2], theta[:, 1, 2] = room * uniform(-1, 1), room * uniform(-1, 1)
    grid = F.affine_grid(theta, [count, 3, size, size], align_corners=False)
    images = F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, 1)
    sharpness = torch.where(uniform(0, 1) < 0.5, uniform(-0.9, 1.3), torch.zeros(count))
    images = images + sharpness[:, None, None, None] * (images - blurred)
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast, light = (uniform(0.8, 1.2)[:, None, None, None] for _ in range(2))
    images = (((images - mean) * contrast + mean) * light).clamp(0, 1)
    return normalise(images)


def normalise(images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
    """Subtract CLIP's mean and divide by its standard deviation."""
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
