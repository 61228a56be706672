"""`python -m core.train RECIPE [--out FOLDER] [--minutes M | --steps N] [--resume] [--data FOLDER_OR_CSV]`."""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

from core.train.actionclip import ActionLesson, ActionRecipe
from core.train.adapter import AdapterLesson
from core.train.clip4clip import Clip4ClipLesson, Clip4ClipRecipe
from core.train.groupvit import GroupVitLesson, GroupVitRecipe
from core.train.loop import ClipLesson
from core.train.lseg import LsegLesson, LsegRecipe
from core.train.places import PlacesLesson, PlacesRecipe
from core.train.recipes import RECIPES, AdapterRecipe, ClipRecipe
from core.train.run import Run
from core.train.sam import SamLesson, SamRecipe

LESSONS = {
    ClipRecipe: ClipLesson,
    Clip4ClipRecipe: Clip4ClipLesson,
    ActionRecipe: ActionLesson,
    LsegRecipe: LsegLesson,
    GroupVitRecipe: GroupVitLesson,
    SamRecipe: SamLesson,
    PlacesRecipe: PlacesLesson,
    AdapterRecipe: AdapterLesson,
}


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
        "--data",
        metavar="FOLDER_OR_CSV",
        help="photographs: a folder or zip of CLASS/picture or train/CLASS/picture and test/CLASS/picture, a CSV with "
        "the columns path and caption, or 'cifar10', which is downloaded",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    recipe = RECIPES[arguments.recipe]
    if arguments.steps is not None:
        recipe = dataclasses.replace(recipe, steps=arguments.steps)
    out = arguments.out or Path("runs") / arguments.recipe
    try:
        lesson = LESSONS[type(recipe)](recipe, out.parent / "cache", arguments.data)
        Run(lesson, out, resume=arguments.resume, command=_command(arguments)).train(arguments.minutes)
    except (ValueError, FloatingPointError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _command(arguments: argparse.Namespace) -> str:
    """Return the command as another machine would give it: what was asked, without folders of this one."""
    words = ["python -m core.train", arguments.recipe]
    words += [f"--minutes {arguments.minutes:g}"] if arguments.minutes is not None else []
    words += [f"--steps {arguments.steps}"] if arguments.steps is not None else []
    words += ["--resume"] if arguments.resume else []
    words += [f"--data {Path(arguments.data).name}"] if arguments.data else []
    return " ".join(words)


if __name__ == "__main__":
    main()
