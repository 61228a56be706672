"""The figure of a preset: how much of the Toybox a CLIP knows that has learnt from nothing for so many minutes.

Everything counts against the minutes: drawing the pictures, measuring on the way, and what the engine keeps for the
end. The things are those of the preset's own vocabulary, drawn as those of `core.evaluate clip` are, from fresh seeds.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.backbones.clip_model import from_tensors
from core.checkpoints import read_tensors
from core.metrics.ranking import wilson_interval
from core.train import presets, validation
from core.train.loop import ClipLesson
from core.train.recipes import RECIPES, ClipRecipe
from core.train.run import Run
from core.world.captions import with_article

FIRST_SEED = 13_000_000  # far from training's and validation's
SHORT, LONG = "clip-3-minutes", "clip-30-minutes"
SHORT_MINUTES = 10  # up to these the short preset is the one to take
PICTURE_PIXELS = 128


def evaluate_train_preset(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train a preset from nothing for --minutes, or open the file that --weights names, and measure it."""
    minutes = getattr(arguments, "minutes", None) or RECIPES[SHORT].minutes
    name = SHORT if minutes <= SHORT_MINUTES else LONG
    found: dict[str, Any] = {"system": "train_preset", "recipe": name, "minutes": minutes, "seed": arguments.seed}
    with tempfile.TemporaryDirectory() as folder:
        path, found["training"] = (
            (Path(arguments.weights), None) if arguments.weights else trained(RECIPES[name], minutes, Path(folder))
        )
        model = from_tensors(read_tensors(path))
    categories = RECIPES[name].categories
    first = FIRST_SEED + 10_000 * arguments.seed
    pictures, kinds = presets.watched(categories, PICTURE_PIXELS, first, arguments.size)
    size, context = RECIPES[name].image_size, model.context_length
    prompts = [with_article(each) for each in categories]
    right = validation.classify(model, pictures, prompts, size, context) == kinds
    found |= {
        "size": arguments.size,
        "categories": len(categories),
        "toy_top1": float(right.mean()),
        "toy_top1_interval": [round(end, 4) for end in wilson_interval(float(right.mean()), arguments.size)],
        "toy_top1_by_category": {
            each: round(float(right[kinds == i].mean()), 3) if (kinds == i).any() else None
            for i, each in enumerate(categories)
        },
        "diagonal_top1": _diagonal(model, categories, size, context),
        "chance": 1 / len(categories),
        "threads": torch.get_num_threads(),
    }
    return found


def trained(recipe: ClipRecipe, minutes: float | None, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Train a preset in a folder, for its steps where no minutes are given; return its weights and what it took."""
    started = time.perf_counter()
    lesson = ClipLesson(recipe, folder / "cache", None)
    run = Run(lesson, folder / "run", resume=False)
    run.train(minutes)
    return folder / "run" / f"{recipe.checkpoint}.safetensors", {
        "wall_minutes": round((time.perf_counter() - started) / 60, 2),
        "drawing_minutes": round(lesson.preparation / 60, 2),
        "steps": run.step,
        "samples": run.samples,
        "curve": [line for line in run.folder.lines() if "toy_top1" in line],
    }


def _diagonal(model: Any, categories: tuple[str, ...], size: int, context: int) -> float:
    """Return the share of the exhibited pictures that are nearest to their own caption."""
    pictures, captions, _ = presets.exhibits(categories, size)
    cosines = validation.cosines(model, pictures, captions, size, context)
    return float((cosines.argmax(1) == np.arange(len(captions))).mean())
