"""SAM's prompt encoder and mask decoder go on learning; the image encoder, nearly all of the weights, stays.

Paper: Kirillov et al., Segment Anything, ICCV 2023, https://arxiv.org/abs/2304.02643, Sec. 3 and App. A: the loss and
the prompts are those of sam.py. Begins with any SAM, the embedded one or a published file, and learns from Toybox
scenes or from the outlines of a COCO file, whose classes it does not ask about. Different from the paper: what nobody
outlined in such a picture is never asked for.

Legend: B pictures, S side of the network's picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core import checkpoints
from core.segmentation.sam_model import from_tensors
from core.train.coco import Annotated, annotated
from core.train.photos import Report
from core.train.sam import WATCHED, WATCHED_SEED, SamLesson
from core.train.sam_data import PADDING, UNKNOWN, Scenes, toybox_scenes
from core.train.starting import licence_of
from core.world.captions import MIN_SHARE

PARTS = ("prompt_encoder", "mask_decoder")


@dataclass(frozen=True, kw_only=True)
class SamDecoderRecipe:
    """Some more steps for the decoder of a SAM that is here already."""

    checkpoint: str = "sam-decoder"
    start: str = "toybox-sam"  # any SAM, by name or file
    scenes: int = 1_000  # of the Toybox, where no pictures are given
    batch: int = 4
    prompts: int = 4
    steps: int = 600
    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    warmup: float = 0.05
    validate_steps: int = 100
    autocast_dtype: str | None = "bfloat16"
    seed: int = 0


class SamDecoderLesson(SamLesson):
    """Masks from prompts, by a decoder that looks through eyes which do not change."""

    def __init__(self, recipe: SamDecoderRecipe, cache: Path, data: str | None) -> None:
        """Open the SAM and read or draw the scenes; ValueError in one sentence where there is nothing to learn from."""
        card = checkpoints.resolve("sam", recipe.start)
        self.model = from_tensors(checkpoints.read_tensors(checkpoints.fetch(card)))
        self.model.requires_grad_(False)
        for part in PARTS:
            getattr(self.model, part).requires_grad_(True)
        self.side = self.model.image_encoder.img_size
        self.licence = licence_of("sam", recipe.start)
        if Path(recipe.start).is_file():  # the card need not say in which folder of this machine
            recipe = replace(recipe, start=Path(recipe.start).name)
        self.recipe, self.cache, self.batch = recipe, cache, recipe.batch
        self.report: Report | None = None
        if data is None:
            self.scenes = toybox_scenes(recipe.seed, recipe.scenes, size=self.side, cache=cache)
            self.held = self.watched
        else:
            found = annotated(data, longest=self.side, outlines=True)
            self.scenes, self.held = scenes_of(found.train, self.side), scenes_of(found.test, self.side)
            self.report = found.report
        torch.manual_seed(recipe.seed)
        self.before = self._figures()

    def validate(self) -> dict[str, float]:
        """Return the mean IoU of a click and of a box now and before, on pictures held back and on unrelated scenes."""
        now = self._figures()
        return {key: value for name in now for key, value in ((name, now[name]), (f"{name}_before", self.before[name]))}

    def facts(self) -> dict[str, Any]:
        """Return what was read, the figures before, and how little of the network learnt."""
        read = {} if self.report is None else {"data": self.report.card()}
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        return {
            **read,
            "licence": self.licence,
            "scenes": len(self.scenes),
            "before": self.before,
            "trained_parameters": trained,
        }

    @cached_property
    def watched(self) -> Scenes:
        """Toybox scenes: what is held back, or, where somebody's own pictures were given, unrelated ones."""
        return toybox_scenes(WATCHED_SEED, WATCHED, size=self.side, cache=self.cache)

    def _figures(self) -> dict[str, float]:
        found = self.measured(self.held)
        if self.report is not None:
            found |= {f"toy_{name}": value for name, value in self.measured(self.watched).items()}
        return {name: round(value, 4) for name, value in found.items()}


def scenes_of(pictures: Sequence[Annotated], side: int) -> Scenes:
    """Return pictures at the top left of squares, with each pixel's thing; small things lie on large ones.

    Raises ValueError where no thing is large enough to be pointed at.
    """
    kept = [found for each in pictures if (found := _scene(each, side)) is not None]
    if not kept:
        raise ValueError("No outline is large enough to be pointed at: give pictures with larger things.")
    return Scenes(pictures=np.stack([rgb for rgb, _ in kept]), regions=np.stack([regions for _, regions in kept]))


def _scene(one: Annotated, side: int) -> tuple[np.ndarray, np.ndarray] | None:
    height, width = one.rgb.shape[:2]
    rgb, regions = np.zeros((side, side, 3), np.uint8), np.full((side, side), PADDING, np.int8)
    rgb[:height, :width], regions[:height, :width] = one.rgb, UNKNOWN
    assert one.masks is not None
    for number, mask in enumerate(one.masks):  # the largest came first
        regions[:height, :width][mask] = number
    shares = [(regions == number).mean() for number in range(len(one.masks))]
    return (rgb, regions) if max(shares, default=0.0) >= MIN_SHARE else None
