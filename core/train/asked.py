"""From a command line to a recipe: what was asked for is checked before anything is drawn or read."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from core.train.machines import PRECISIONS

MOST_RATE = 1.0  # no recipe here learns anything at a rate above
MOST_MINUTES = 14 * 24 * 60
DATA = (
    "photographs: a folder or zip of CLASS/picture or train/CLASS/picture and test/CLASS/picture, a CSV with a path "
    "and a caption a line, a COCO JSON, a parquet file, hf:OWNER/DATASET, or 'cifar10', which is downloaded; for "
    "glip-prompt, glip-finetune and sam-decoder a COCO JSON with boxes or outlines, or a folder with one"
)


def parser(names: list[str]) -> argparse.ArgumentParser:
    """Return the command line's parser."""
    found = argparse.ArgumentParser(
        prog="python -m core.train",
        description="Train weights. With `accelerate launch -m core.train ...` over several processes or machines.",
    )
    found.add_argument("recipe", choices=names)
    found.add_argument("--out", type=Path, help="folder of the run (default: runs/RECIPE)")
    found.add_argument("--minutes", type=float, help="stop after this much training time")
    length = found.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="stop after this many steps")
    length.add_argument("--epochs", type=float, help="stop after this many times through the photographs")
    found.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    found.add_argument("--data", metavar="SOURCE", help=DATA)
    found.add_argument("--weights", metavar="START", help="the CLIP, GLIP or SAM to begin with, a name or a file")
    found.add_argument("--learning-rate", type=float)
    found.add_argument("--batch", type=int, help="pictures a step")
    found.add_argument("--seed", type=int)
    found.add_argument(
        "--wise-ft", type=float, metavar="SHARE", help="fine-tuning: share of the tuned weights in what is exported"
    )
    found.add_argument("--save-steps", type=int, default=100, metavar="N", help="a checkpoint every N steps (100)")
    found.add_argument("--accumulate", type=int, default=1, metavar="N", help="a step is the mean of N batches")
    found.add_argument("--grad-cache", type=int, default=0, metavar="N", help="encode a batch N pairs at a time")
    found.add_argument("--mixed-precision", choices=PRECISIONS, default="no")
    return found


def recipe_of(arguments: argparse.Namespace, recipe: Any) -> Any:
    """Return the recipe with what was asked for put in; ValueError in one sentence for what makes no sense."""
    _within("--minutes", arguments.minutes, 0, MOST_MINUTES)
    _within("--learning-rate", arguments.learning_rate, 0, MOST_RATE)
    _within("--epochs", arguments.epochs, 0, 1_000_000)
    _at_least("--steps", arguments.steps, 1)
    _at_least("--batch", arguments.batch, 2)
    _at_least("--accumulate", arguments.accumulate, 1)
    _at_least("--save-steps", arguments.save_steps, 1)
    _at_least("--grad-cache", arguments.grad_cache, 0)
    _at_least("--seed", arguments.seed, 0)
    if arguments.wise_ft is not None and not 0 <= arguments.wise_ft <= 1:
        raise ValueError(f"Wanted a --wise-ft from 0 (the start) to 1 (the tuned weights), got {arguments.wise_ft:g}.")
    asked = {
        "steps": arguments.steps,
        "learning_rate": arguments.learning_rate,
        "seed": arguments.seed,
        "start": arguments.weights,
        "wise_ft": arguments.wise_ft,
        "epochs": arguments.epochs,
    }
    asked = {key: value for key, value in asked.items() if value is not None}
    has = {field.name for field in dataclasses.fields(recipe)}
    if strange := sorted(set(asked) - has):
        option = {"start": "weights", "wise_ft": "wise-ft"}.get(strange[0], strange[0].replace("_", "-"))
        raise ValueError(f"The recipe {arguments.recipe} has no --{option}.")
    if arguments.steps is not None and "minutes" in has and arguments.minutes is None:
        asked["minutes"] = None  # so many steps, however long they take
    return dataclasses.replace(recipe, **asked, **_batch(recipe, arguments))


def command(arguments: argparse.Namespace) -> str:
    """Return the command as another machine would give it: what was asked, without folders of this one."""
    words = ["python -m core.train", arguments.recipe]
    for name in ("minutes", "steps", "epochs", "learning_rate", "batch", "seed", "wise_ft"):
        value = getattr(arguments, name)
        words += [f"--{name.replace('_', '-')} {value:g}"] if value is not None else []
    words += [f"--accumulate {arguments.accumulate}"] if arguments.accumulate > 1 else []
    words += [f"--grad-cache {arguments.grad_cache}"] if arguments.grad_cache else []
    words += [f"--mixed-precision {arguments.mixed_precision}"] if arguments.mixed_precision != "no" else []
    words += ["--resume"] if arguments.resume else []
    words += [f"--weights {Path(arguments.weights).name}"] if arguments.weights else []
    words += [f"--data {Path(arguments.data).name}"] if arguments.data else []
    return " ".join(words)


def _batch(recipe: Any, arguments: argparse.Namespace) -> dict[str, int]:
    """Return the recipe's own names for its batch; one of toys and photographs keeps its proportion."""
    if arguments.batch is None:
        return {}
    has = {field.name for field in dataclasses.fields(recipe)}
    if "batch" in has:
        return {"batch": arguments.batch}
    if not {"batch_toys", "batch_photos"} <= has:
        raise ValueError(f"The recipe {arguments.recipe} has no --batch.")
    if arguments.data is None:
        return {"batch_toys": arguments.batch}
    toys = max(1, round(arguments.batch * recipe.batch_toys / (recipe.batch_toys + recipe.batch_photos)))
    return {"batch_toys": toys, "batch_photos": arguments.batch - toys}


def _within(name: str, value: float | None, least: float, most: float) -> None:
    if value is not None and not least < value <= most:  # not a number is neither
        raise ValueError(f"Wanted a {name} above {least:g} and at most {most:g}, got {value:g}.")


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise ValueError(f"Wanted a {name} of at least {least}, got {value}.")
