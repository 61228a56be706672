"""Toybox scenes with their regions, and prompts drawn on them as SAM's Sec. 3 and App. A describe.

Ground and sky are regions too, so that a click on them has an answer. Scenes are drawn once and kept; what a step sees
of them follows from its generator alone.

Legend: B pictures, P prompts of each, N = B x P, S side of a picture.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from core.world.captions import shown
from core.world.render import render
from core.world.scene import HELD_OUT_PAIRS, SEEN_PAIRS, sample

log = logging.getLogger(__name__)
GROUND, SKY, PADDING = -1, -2, -3
UNKNOWN = -4  # what nobody outlined in somebody's photograph: never asked for, unless nothing else is there
MOST_THINGS = 6
LEAST_PIXELS = 12  # of a region that is asked for
BACKGROUND_SHARE = 0.12  # of the prompts fall on the ground or in the sky
PADDED_SHARE = 0.25  # of the pictures are cut to a rectangle, as a user's are
BOX_NOISE, MOST_BOX_NOISE = 0.1, 20 / 1024  # App. A: of the box's side, but at most this share of the picture's


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """Pictures with the region of each pixel: a thing's index, GROUND or SKY."""

    pictures: UInt8[np.ndarray, "B S S 3"]
    regions: Int[np.ndarray, "B S S"]  # int8

    def __len__(self) -> int:
        return len(self.pictures)


def toybox_scenes(seed: int, count: int, *, size: int, cache: Path) -> Scenes:
    """Draw `count` scenes of one to six things; a second call reads them back from `cache`."""
    name = hashlib.sha256(repr((seed, count, size, MOST_THINGS)).encode()).hexdigest()[:12]
    path = cache / f"sam-{name}.npz"
    if not path.exists():
        log.info("drawing %d Toybox scenes", count)
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, **_draw(seed, count, size))
        part.replace(path)
    with np.load(path) as stored:
        return Scenes(**{key: stored[key] for key in stored.files})


def _draw(seed: int, count: int, size: int) -> dict[str, np.ndarray]:
    pictures, regions = np.empty((count, size, size, 3), np.uint8), np.empty((count, size, size), np.int8)
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        while True:
            things = int(rng.integers(1, MOST_THINGS + 1))
            view = render(sample(rng, count=things, pairs=SEEN_PAIRS + HELD_OUT_PAIRS), (size, size), samples=2)
            if shown(view):
                break
        pictures[index] = view.rgb
        regions[index] = np.where(np.isinf(view.depth.metres), SKY, view.instances.ids)
    return {"pictures": pictures, "regions": regions}


def crops(
    pictures: UInt8[Tensor, "B S S 3"], regions: Int[Tensor, "B S S"], generator: torch.Generator
) -> tuple[Float[Tensor, "B 3 S S"], Int[Tensor, "B S S"]]:
    """Crop, mirror, change the light and cut to a rectangle at random; pictures come as 0 to 255, unnormalised."""
    count, side = len(pictures), pictures.shape[1]

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    zoom, stretch = uniform(0.55, 1.1), uniform(0.9, 1.1)
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    room = (1 - zoom).clamp(min=0.05)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * stretch * flip, zoom / stretch
    theta[:, 0, 2], theta[:, 1, 2] = room * uniform(-1, 1), room * uniform(-1, 1)
    grid = F.affine_grid(theta, [count, 3, side, side], align_corners=False)
    images = F.grid_sample(pictures.permute(0, 3, 1, 2).float(), grid, "bilinear", "reflection", align_corners=False)
    found = F.grid_sample(regions[:, None].float(), grid, "nearest", "reflection", align_corners=False)[:, 0].long()
    contrast, light = (uniform(0.75, 1.25)[:, None, None, None] for _ in range(2))
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (((images - mean) * contrast + mean) * light).clamp(0, 255)
    ends = (side * torch.where(uniform(0, 1) < PADDED_SHARE, uniform(0.55, 1.0), torch.ones(count))).long()
    places = torch.arange(side).expand(count, side, side)
    tall = (uniform(0, 1) < 0.5)[:, None, None]
    beyond = torch.where(tall, places, places.transpose(1, 2)) >= ends[:, None, None]
    return images, found.masked_fill(beyond, PADDING)


def targets(regions: Int[Tensor, "B S S"], prompts: int, generator: torch.Generator) -> Bool[Tensor, "N S S"]:
    """Draw regions to ask for, `prompts` of each picture; a picture without any asks for its ground or sky."""
    masks = []
    for picture in regions:
        names, areas = picture.unique(return_counts=True)
        large = (areas >= LEAST_PIXELS) & (names != PADDING)
        wanted = names[large & (names != UNKNOWN)]
        names = wanted if len(wanted) else names[large] if large.any() else names
        things, background = names[names >= 0], names[names < 0]
        for _ in range(prompts):
            behind = float(torch.rand((), generator=generator)) < BACKGROUND_SHARE
            choice = background if len(background) and (behind or not len(things)) else things
            masks.append(picture == choice[int(torch.randint(len(choice), (), generator=generator))])
    return torch.stack(masks)


def random_points(masks: Bool[Tensor, "N S S"], generator: torch.Generator) -> Float[Tensor, "N 2"]:
    """Draw a pixel inside each mask, x and y; anywhere where a mask is empty."""
    chances = torch.rand(masks.shape, generator=generator) + masks
    places = chances.flatten(1).argmax(1)
    return torch.stack([places % masks.shape[-1], places // masks.shape[-1]], 1).float()


def noisy_boxes(
    masks: Bool[Tensor, "N S S"], generator: torch.Generator, *, noise: float = BOX_NOISE
) -> Float[Tensor, "N 4"]:
    """Return the box around each mask, moved a little, xyxy, end exclusive; masks must not be empty."""
    side = masks.shape[-1]
    ends = []
    for covered in (masks.any(1), masks.any(2)):  # columns, rows
        first = covered.float().argmax(1)
        last = side - covered.flip(1).float().argmax(1)
        ends.append((first, last))
    (x0, x1), (y0, y1) = ends
    boxes = torch.stack([x0, y0, x1, y1], 1).float()
    sides = torch.stack([x1 - x0, y1 - y0, x1 - x0, y1 - y0], 1)
    most = MOST_BOX_NOISE * side
    shifts = torch.randn(boxes.shape, generator=generator) * noise * sides
    return (boxes + shifts.clamp(-most, most)).clamp(0, side)
