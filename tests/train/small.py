"""A CLIP so small that a run takes seconds; as a program, one run: `python -m tests.train.small RECIPE ...`."""

import dataclasses
import sys

from core.train import __main__ as command
from core.train.loop import ClipLesson
from core.train.recipes import RECIPES, ClipRecipe

RESNET: ClipRecipe = dataclasses.replace(
    RECIPES["clip-3-minutes"],
    vision_layers=(1, 1, 1, 1),
    vision_width=8,
    toybox_pictures=24,
    batch_toys=12,
    steps=60,
    image_size=32,
    text_layers=1,
    embed_dim=16,
    minutes=None,
    validate_steps=1_000,
    seen_steps=1_000,
    categories=("ball", "chair", "tree"),
)
VIT: ClipRecipe = dataclasses.replace(RESNET, vision_layers=1, vision_width=64, patch_size=8, steps=4)


def lesson(recipe: ClipRecipe, folder) -> ClipLesson:
    """Return the lesson of a recipe that keeps its pictures beside the run's folder."""
    return ClipLesson(recipe, folder / "cache", None)


if __name__ == "__main__":
    RECIPES |= {"small-resnet": RESNET, "small-vit": VIT}
    command.main(sys.argv[1:])
