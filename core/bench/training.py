"""How fast the engine trains, against a plain PyTorch loop on the same network, pictures and sentences."""

import dataclasses
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from core.bench.measure import paired, report

STEPS = 4  # a turn
PICTURES = 384
BATCH = 64
FEW_CLIPS = 60


def training() -> dict[str, Any]:
    """Take some steps of the preset, against open_clip's own forward pass and the loss as the paper has it.

    The plain loop draws the same batches itself, one after the other; ours are drawn while the network learns.
    """
    import torch
    import torch.nn.functional as F

    from core.train.loop import ClipLesson
    from core.train.recipes import RECIPES
    from core.train.run import Run, adam_w

    preset = RECIPES["clip-3-minutes"]
    recipe = dataclasses.replace(preset, toybox_pictures=PICTURES, batch_toys=BATCH, class_weight=0.0)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(ClipLesson(recipe, Path(folder) / "cache", None), Path(folder) / "run", resume=False)
        other = ClipLesson(recipe, Path(folder) / "cache", None)
        model, optimizer = other.model, adam_w(other.model, recipe.learning_rate, recipe.weight_decay)
        at = [0]

        def ours() -> None:
            for _ in range(STEPS):
                run.advance(0.5)

        def plain() -> None:
            model.train()
            for _ in range(STEPS):
                batch = other.draw(at[0])
                at[0] += 1
                images = F.normalize(model.encode_image(batch.images), dim=-1)
                texts = F.normalize(model.encode_text(batch.tokens), dim=-1)
                logits = model.logit_scale.exp() * images @ texts.T
                target = torch.arange(len(logits))
                loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()

        mine, theirs = paired(ours, plain, repeats=7)
        drawing = _seconds_of_drawing(other)
    found = report(mine, theirs, "a plain PyTorch loop with open_clip's forward pass and the same batches")
    return found | {
        "samples_a_second": STEPS * BATCH / statistics.median(mine),
        "drawing_share_if_not_hidden": STEPS * drawing / statistics.median(theirs),
        "threads": torch.get_num_threads(),
    }


def adapter() -> dict[str, Any]:
    """Train PointCLIP's adapter on features that are there already, against the minute it may take."""
    from core.train.adapter import AdapterLesson
    from core.train.recipes import RECIPES
    from core.train.run import Run

    with tempfile.TemporaryDirectory() as folder:
        run = Run(AdapterLesson(RECIPES["pointclip"], Path(folder), None), Path(folder) / "run", resume=False)
        run.train()
        top1 = run.folder.lines()[-1]["adapter_top1"]
    return {"ratio": 60 / run.seconds, "alternative": "one minute", "seconds": run.seconds, "adapter_top1": top1}


def heads() -> dict[str, Any]:
    """Train CLIP4Clip's and ActionCLIP's heads on features that are there already, against the minute each may take.

    How many clips there are changes nothing but how well they learn, so a few are drawn.
    """
    from core.train.actionclip import ActionLesson
    from core.train.clip4clip import Clip4ClipLesson
    from core.train.recipes import RECIPES
    from core.train.run import Run

    taken = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, lesson, few in (
            ("clip4clip-heads", Clip4ClipLesson, {"clips": FEW_CLIPS}),
            ("actionclip-heads", ActionLesson, {"films": FEW_CLIPS}),
        ):
            recipe = dataclasses.replace(RECIPES[name], **few)
            run = Run(lesson(recipe, Path(folder) / "cache", None), Path(folder) / name, resume=False)
            run.train()
            taken[f"{name} seconds"] = run.seconds
    return {"ratio": 60 / max(taken.values()), "alternative": "one minute", **taken}


def _seconds_of_drawing(lesson: Any) -> float:
    """Return the seconds that a batch takes to draw."""
    times = []
    for step in range(5):
        started = time.perf_counter()
        lesson.draw(step)
        times.append(time.perf_counter() - started)
    return float(np.median(times))
