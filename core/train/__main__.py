"""`python -m core.train RECIPE [--out FOLDER] [--minutes M] [--steps N] [--resume] [--data SOURCE] ...`.

A run ends with 0 when it is finished or was asked to stop, with 2 and a sentence when it cannot go on.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from core.train import asked, ending
from core.train import machines as processes
from core.train.actionclip import ActionLesson, ActionRecipe
from core.train.adapter import AdapterLesson
from core.train.clip4clip import Clip4ClipLesson, Clip4ClipRecipe
from core.train.finetune import FineTuneLesson, FineTuneRecipe
from core.train.glip import GlipLesson, GlipRecipe
from core.train.glip_tuning import GlipTuningLesson, GlipTuningRecipe
from core.train.groupvit import GroupVitLesson, GroupVitRecipe
from core.train.loop import ClipLesson
from core.train.lseg import LsegLesson, LsegRecipe
from core.train.machines import Machines
from core.train.places import PlacesLesson, PlacesRecipe
from core.train.probe import ProbeLesson, ProbeRecipe
from core.train.recipes import RECIPES, SYSTEM_OF, AdapterRecipe, ClipRecipe
from core.train.run import Run
from core.train.sam import SamLesson, SamRecipe
from core.train.sam_decoder import SamDecoderLesson, SamDecoderRecipe
from core.train.status import FAILED, FINISHED, STOPPED, Status
from core.train.vild import VildLesson, VildRecipe

LESSONS = {
    ClipRecipe: ClipLesson,
    FineTuneRecipe: FineTuneLesson,
    ProbeRecipe: ProbeLesson,
    Clip4ClipRecipe: Clip4ClipLesson,
    ActionRecipe: ActionLesson,
    LsegRecipe: LsegLesson,
    GroupVitRecipe: GroupVitLesson,
    SamRecipe: SamLesson,
    VildRecipe: VildLesson,
    SamDecoderRecipe: SamDecoderLesson,
    GlipRecipe: GlipLesson,
    GlipTuningRecipe: GlipTuningLesson,
    PlacesRecipe: PlacesLesson,
    AdapterRecipe: AdapterLesson,
}


def main(words: list[str] | None = None) -> None:
    """Run one recipe."""
    words = sys.argv[1:] if words is None else words
    arguments = asked.parser(list(RECIPES)).parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    out = arguments.out or Path("runs") / arguments.recipe
    system = SYSTEM_OF.get(arguments.recipe, arguments.recipe)
    status = None
    if processes.is_first():
        status = Status(out, recipe=arguments.recipe, arguments=words, system=system)
    with ending.PoliteStop() as stop:
        try:
            recipe = asked.recipe_of(arguments, RECIPES[arguments.recipe])
            machines = _machines(arguments, recipe)
            with machines.one_by_one():
                lesson = LESSONS[type(recipe)](recipe, out.parent / "cache", arguments.data)
            _spread(lesson, machines, arguments)
            run = Run(
                lesson,
                out,
                resume=arguments.resume,
                command=asked.command(arguments),
                machines=machines,
                accumulate=arguments.accumulate,
                save_steps=arguments.save_steps,
                stop=stop,
                status=status,
            )
            run.train(arguments.minutes, whichever_first=arguments.epochs is not None or arguments.steps is not None)
        except ending.Stopped as wish:
            _end(status, STOPPED, str(wish))
            print(wish, file=sys.stderr)
        except Exception as error:
            _fail(status, error)
        else:
            _end(status, FINISHED, f"Finished after step {run.step}.")


def _machines(arguments: argparse.Namespace, recipe: Any) -> Machines:
    """Return the processes: one on the CPU where the recipe can do nothing else; ValueError where more are asked."""
    if hasattr(LESSONS[type(recipe)], "spread"):
        return processes.machines(arguments.mixed_precision)
    if processes.launched() or arguments.mixed_precision != "no" or arguments.grad_cache:
        raise ValueError(
            f"The recipe {arguments.recipe} trains in one process, at its own precision and in one piece: "
            "several processes, --mixed-precision and --grad-cache are for contrastive recipes."
        )
    return processes.ALONE


def _spread(lesson: Any, machines: Machines, arguments: argparse.Namespace) -> None:
    if hasattr(lesson, "spread"):
        lesson.spread(machines, arguments.grad_cache)


def _end(status: Status | None, state: str, sentence: str) -> None:
    if status is not None:
        status.end(state, sentence)


def _fail(status: Status | None, error: Exception) -> None:
    """End with a sentence, or with the traceback where the mistake is the program's own."""
    told = ending.sentence(error)
    _end(status, FAILED, told or f"Something went wrong that should not have: {type(error).__name__}: {error}")
    if told is None:
        raise error
    print(told, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
