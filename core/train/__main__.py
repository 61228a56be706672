"""`python -m core.train RECIPE [--out FOLDER] [--minutes M | --steps N] [--resume] [--data FOLDER_OR_ZIP]`."""

import argparse
import dataclasses
import logging
from pathlib import Path

from core.train.loop import ClipRun
from core.train.recipes import RECIPES


def main() -> None:
    """Run one recipe."""
    parser = argparse.ArgumentParser(prog="python -m core.train", description="Train weights that the app ships.")
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/RECIPE)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="stop after this much training time")
    length.add_argument("--steps", type=int, help="stop after this many steps")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    parser.add_argument(
        "--data", type=Path, help="photographs as train/CLASS/*.jpg and test/CLASS/*.jpg, folder or zip"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    recipe = RECIPES[arguments.recipe]
    if arguments.steps is not None:
        recipe = dataclasses.replace(recipe, steps=arguments.steps)
    out = arguments.out or Path("runs") / arguments.recipe
    ClipRun(recipe, out, arguments.data, resume=arguments.resume).train(arguments.minutes)


if __name__ == "__main__":
    main()
