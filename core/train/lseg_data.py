"""Toybox pictures for LSeg: some with a label at every pixel, which show base things only, and some with none at all.

A novel thing is in no annotated picture, so that no pixel of one was ever labelled, not even as something else.

Legend: N pictures, B of them in a batch, H W their sides, S side of a crop, h places along a side of the network's map.
"""

import hashlib
import logging
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Integer, UInt8
from torch import Tensor

from core.world.picture import picture
from core.world.render import View
from core.world.scene import BASE
from core.world.shapes import CATEGORIES

log = logging.getLogger(__name__)
NAMES = BASE  # what a pixel of an annotated picture can be, besides nothing of them
MOST_THINGS, MOST_PLAIN = 4, 2  # in a picture; where pixels alone propose regions, things that touch are one
FIRST_ANNOTATED, FIRST_PLAIN = 21_000_000, 22_000_000  # seeds; a recipe's seed moves both
SEED_STEP = 100_000
DRAWING = 2  # raise it when the Toybox itself changes, so that cached pictures are drawn again
CHUNK = 200  # pictures a worker draws at a time
SAMPLES = 2


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """N pictures with the index into NAMES of each pixel (or their number: none), and M without any annotation."""

    pictures: UInt8[np.ndarray, "N H W 3"]
    labels: UInt8[np.ndarray, "N H W"]
    plain: UInt8[np.ndarray, "M H W 3"]


def toybox_scenes(seed: int, annotated: int, plain: int, *, size: int, cache: Path) -> Scenes:
    """Draw scenes of one to four things, or two, on all cores; a second call reads them back from `cache`."""
    name = hashlib.sha256(
        repr((seed, annotated, plain, size, MOST_THINGS, MOST_PLAIN, SAMPLES, DRAWING)).encode()
    ).hexdigest()
    path = cache / f"lseg-{name[:12]}.npz"
    if not path.exists():
        log.info("drawing %d Toybox scenes", annotated + plain)
        with_labels = _drawn(FIRST_ANNOTATED + SEED_STEP * seed, annotated, size, "base", MOST_THINGS)
        without = _drawn(FIRST_PLAIN + SEED_STEP * seed, plain, size, "seen", MOST_PLAIN)
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, pictures=with_labels[0], labels=with_labels[1], plain=without[0])
        part.replace(path)
    with np.load(path) as stored:
        return Scenes(**{key: stored[key] for key in stored.files})


def pixel_names(view: View) -> UInt8[np.ndarray, "H W"]:
    """Return the index into NAMES of each pixel; the number of NAMES where it shows none of them."""
    kinds = [NAMES.index(name) if name in NAMES else len(NAMES) for name in CATEGORIES]
    return np.array([*kinds, len(NAMES)], np.uint8)[view.categories.ids]


def random_crops(
    count: int, *, least_zoom: float, most_zoom: float, generator: torch.Generator
) -> Float[Tensor, "B 2 3"]:
    """Return affine maps from a crop's frame (-1 to 1) to its picture's: zoom, slight stretch, shift, mirror."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    zoom, stretch = uniform(least_zoom, most_zoom), uniform(0.92, 1.08)
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    room = (1 - zoom).clamp(min=0.06)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * stretch * flip, zoom / stretch
    theta[:, 0, 2], theta[:, 1, 2] = room * uniform(-1, 1), room * uniform(-1, 1)
    return theta


def cut(pictures: UInt8[Tensor, "B H W 3"], theta: Float[Tensor, "B 2 3"], size: int) -> Float[Tensor, "B 3 S S"]:
    """Return the crops, 0 to 1; what lies outside a picture is its mirror image."""
    images = pictures.permute(0, 3, 1, 2).float() / 255
    grid = F.affine_grid(theta, [len(theta), 3, size, size], align_corners=False)
    return F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False).clamp(0, 1)


def cut_labels(labels: Integer[Tensor, "B H W"], theta: Float[Tensor, "B 2 3"], size: int) -> Int[Tensor, "B h h"]:
    """Return the label at each place of the network's map, half as many along a side as the crop has pixels.

    The map's outer places lie on the outer pixels, because the network doubles it with align_corners.
    """
    places = size // 2
    pixels = torch.linspace(0, size - 1, places)
    along = (2 * pixels + 1) / size - 1
    y, x = torch.meshgrid(along, along, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1).flatten(0, 1)  # (h h, 3)
    grid = (points @ theta.transpose(1, 2)).unflatten(1, (places, places))
    found = F.grid_sample(labels[:, None].float(), grid, "nearest", "reflection", align_corners=False)
    return found[:, 0].round().long()


def relight(images: Float[Tensor, "B 3 S S"], generator: torch.Generator) -> Float[Tensor, "B 3 S S"]:
    """Change contrast, light and the balance of colours a little, blur or sharpen half of the pictures; 0 to 1."""
    count = len(images)

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(count, channels, 1, 1, generator=generator)

    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, 1)
    sharpness = torch.where(uniform(0, 1) < 0.5, uniform(-0.9, 1.0), torch.zeros(()))
    images = images + sharpness * (images - blurred)
    mean = images.mean((1, 2, 3), keepdim=True)
    contrast, light, balance = uniform(0.8, 1.2), uniform(0.8, 1.2), uniform(0.95, 1.05, 3)
    return (((images - mean) * contrast + mean) * light * balance).clamp(0, 1)


def in_pieces(work: Callable[[Any], Any], pieces: Sequence[Any]) -> list[Any]:
    """Do the same work to every piece, on all cores that this process may use."""
    if min(_cores(), len(pieces)) == 1:
        return [work(piece) for piece in pieces]
    with ProcessPoolExecutor(_cores(), mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(work, pieces))


def _drawn(first: int, count: int, size: int, pairs: str, most: int) -> list[np.ndarray]:
    pieces = [range(first + start, first + min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    parts = in_pieces(partial(_draw_chunk, size=size, pairs=pairs, most=most), pieces)
    return [np.concatenate(each) for each in zip(*parts, strict=True)]


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _draw_chunk(seeds: range, *, size: int, pairs: str, most: int) -> tuple[np.ndarray, np.ndarray]:
    views = [picture(seed, size, count=1 + seed % most, pairs=pairs, samples=SAMPLES) for seed in seeds]
    return np.stack([view.rgb for view in views]), np.stack([pixel_names(view) for view in views])
