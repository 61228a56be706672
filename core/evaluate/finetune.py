"""What fine-tuning is worth on classes that a CLIP has never seen: all of it, adapters, a probe, and a mixture.

The start knows nothing but the things of a preset, none of which is a class of CIFAR-10; without --weights it is
trained here for some hundred steps. Photographs under test/ are never learnt from. Forgetting is the accuracy on the
preset's own things before and after.
"""

import argparse
import dataclasses
import random
import tempfile
import time
import zipfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from core.evaluate.train_preset import SHORT, trained
from core.metrics.ranking import wilson_interval
from core.train.finetune import FineTuneLesson
from core.train.probe import ProbeLesson
from core.train.recipes import RECIPES
from core.train.run import Run
from core.train.sources import ENDINGS

START_STEPS = 400
SHOTS = 500  # photographs a class
MEASURED = 100  # test photographs a class
STEPS = {"clip-finetune": 400, "clip-lora": 400, "clip-probe": 600}


def evaluate_finetune(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune on --photos by every method; --size is the number of photographs a class."""
    if arguments.photos is None:
        raise ValueError("Give --photos a folder or zip of train/CLASS/picture and test/CLASS/picture.")
    found: dict[str, Any] = {"system": "finetune", "seed": arguments.seed, "shots": arguments.size}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = arguments.weights
        if start is None:
            recipe = dataclasses.replace(RECIPES[SHORT], steps=START_STEPS, minutes=None)
            path, found["start"] = trained(recipe, None, folder / "start")
            start = str(path)
        photos = _part(arguments.photos, folder / "photos.zip", arguments.size, arguments.seed)
        for recipe in STEPS:
            found |= _tuned(recipe, start, photos, folder, arguments.seed)
    return found


def _tuned(name: str, start: str, photos: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Fine-tune by one recipe and return its figures, their names beginning with the method's."""
    recipe = dataclasses.replace(RECIPES[name], start=start, steps=STEPS[name], validate_steps=10**9, seed=seed)
    lessons = {"clip-probe": ProbeLesson}
    lesson = lessons.get(name, FineTuneLesson)(recipe, folder, str(photos))
    started = time.perf_counter()
    run = Run(lesson, folder / name, resume=False)
    run.train()
    seconds = time.perf_counter() - started
    figures, method = lesson.validate(), name.removeprefix("clip-")
    measured = len(lesson.photos.test)
    found: dict[str, Any] = {
        "zero_shot_top1": figures["photo_top1_before"],
        "photographs": len(lesson.photos.train),
        "measured": measured,
        f"{method}_top1": figures["photo_top1"],
        f"{method}_top1_interval": [round(end, 4) for end in wilson_interval(figures["photo_top1"], measured)],
        f"{method}_gain": figures["photo_top1"] - figures["photo_top1_before"],
        f"{method}_seconds": round(seconds, 1),
    }
    if "toy_top1" in figures:
        found |= {"toy_top1_before": figures["toy_top1_before"], f"{method}_toy_top1": figures["toy_top1"]}
    if name == "clip-finetune":
        found["wise_ft"] = lesson.facts()["wise_ft"]
    return found


def _part(source: Path, target: Path, shots: int, seed: int) -> Path:
    """Write a zip of so many photographs a class, chosen by the seed, and some to measure on."""
    if not source.is_file():
        return source
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as chosen:
        folders: dict[str, list[str]] = defaultdict(list)
        for name in sorted(archive.namelist()):
            if name.lower().endswith(ENDINGS):
                folders[name.rpartition("/")[0]].append(name)
        for place, names in folders.items():
            most = MEASURED if "test" in Path(place).parts else shots
            for name in random.Random(seed).sample(names, min(most, len(names))):
                chosen.writestr(name, archive.read(name))
    return target
