"""The engine of every training run: steps, schedule, log, checkpoints and the export at the end.

What is learnt is a Lesson; a run knows nothing about it but what the protocol says, and what a lesson may have besides:
`seen()` (arrays that a class watches), `backward(step)` with `chunk` (a batch encoded in pieces), `exported()` (the
network whose weights are written, where it is not the one that is trained) and `preparation` (seconds of drawing).
"""

import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from open_clip.model import CLIP
from torch import Tensor, nn

from core.train.ending import PoliteStop, Stopped
from core.train.export import model_card, open_clip_folder
from core.train.folder import RunFolder
from core.train.machines import ALONE, Machines
from core.train.status import Status

LOG_STEPS = 20
WARN_STEPS = 5  # after these it is known how long the others will take
SAVE_STEPS = 100
VALIDATE_STEPS = 400  # where the recipe says nothing else
MAX_GRADIENT_NORM = 1.0  # likewise
LEAST_SHARE = 1 / 3  # of a preset's minutes are for learning, however long a busy machine took to draw
ENDS_SECONDS = 12.0  # kept for starting the interpreter, the last measuring and writing the weights
SEEDS = 1_000_003  # a prime: no two runs' steps share a seed


@runtime_checkable
class Lesson(Protocol):
    """A network, the loss of a step, and how far it has come."""

    recipe: Any  # frozen; has checkpoint, steps, learning_rate, warmup (share of the run) and seed
    model: nn.Module  # what is trained, saved and exported; frozen parameters ask for no gradient
    batch: int  # pictures, clips or clouds a step

    def optimizer(self) -> torch.optim.Optimizer:
        """Return the optimiser of what is trained."""

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the loss of a step, whose batch depends on the recipe's seed and the step only."""

    def validate(self) -> dict[str, float]:
        """Return figures on data that nobody trained on."""

    def facts(self) -> dict[str, Any]:
        """Return what the card records besides."""


class Run:
    """One run in a folder, from the start or from where the folder's checkpoint stands."""

    def __init__(
        self,
        lesson: Lesson,
        out: Path,
        *,
        resume: bool,
        command: str = "",
        machines: Machines = ALONE,
        accumulate: int = 1,
        save_steps: int = SAVE_STEPS,
        stop: PoliteStop | None = None,
        status: Status | None = None,
    ) -> None:
        """Take a lesson up; `command` is what the card will say started the run.

        A step is the mean of `accumulate` batches, and every `save_steps` steps leave a checkpoint. `stop` is how the
        run is asked to end, `status` how it is watched.
        """
        self.lesson, self.recipe, self.command = lesson, lesson.recipe, command
        self.machines, self.accumulate, self.save_steps = machines, accumulate, save_steps
        self.stop, self.status = stop or PoliteStop(), status
        self.folder = RunFolder(out)
        self.optimizer = lesson.optimizer()
        self.step, self.seconds = 0, 0.0
        if resume:
            self.step, self.seconds = self.folder.restore(lesson.model, self.optimizer, machines.scaler)
        if machines.is_first:
            self.folder.keep_lines(self.step) if self.step else self.folder.clear()
        self.aside = self.folder.aside  # seconds of measuring and saving
        self.drawing = self.folder.drawing if self.step else getattr(lesson, "preparation", 0.0)
        self.minutes: float | None = None
        self.whichever_first = False
        self.best: dict[str, float] = {}

    @property
    def samples(self) -> int:
        """How many pictures, clips or clouds were seen so far."""
        return self.step * self.lesson.batch * self.accumulate

    def train(self, minutes: float | None = None, *, whichever_first: bool = False) -> None:
        """Go on until the recipe's steps are done, or for this many minutes altogether; then export.

        `whichever_first` lets the steps end a run before its minutes do. Raises Stopped when somebody asked for it.
        """
        self.minutes = minutes if minutes is not None else getattr(self.recipe, "minutes", None)
        self.whichever_first = whichever_first
        self.stop.between_steps = True
        if self.step == 0 and hasattr(self.lesson, "seen"):
            self._validate()
            self._see()
        while (progress := self._progress()) < 1:
            started = time.perf_counter()
            loss = self.advance(progress)
            self.seconds += time.perf_counter() - started
            self._after(loss)
            if self.machines.any(self.stop.asked):
                self.save()
                raise Stopped(f"Stopped after step {self.step}; the checkpoint is kept, and --resume goes on from it.")
        if self.step % self._every("validate_steps"):
            self._validate()
            self._see()
        self.save()
        self.export()

    def advance(self, progress: float) -> float:
        """Take one step at this share of the schedule and return its loss; one that is not finite stops the run."""
        rate = self._rate(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        self.lesson.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        torch.manual_seed(self.recipe.seed * SEEDS + self.step)
        loss = sum(self._learn(self.step * self.accumulate + part) for part in range(self.accumulate))
        self.machines.average(self.lesson.model)
        if self.machines.scaler is not None:
            self.machines.scaler.unscale_(self.optimizer)
        most = getattr(self.recipe, "max_gradient_norm", MAX_GRADIENT_NORM)
        norm = torch.nn.utils.clip_grad_norm_(self.lesson.model.parameters(), most)
        if self.machines.scaler is None and not torch.isfinite(norm):
            self._give_up("gradient", float(norm))
        self.machines.step(self.optimizer)
        self.step += 1
        return loss

    def save(self) -> None:
        """Replace the folder's checkpoint; weights that are not finite stop the run instead."""
        if not self.machines.is_first:
            return
        if not all(bool(torch.isfinite(p).all()) for p in self.lesson.model.parameters()):
            self._give_up("network", float("nan"))
        scaler = self.machines.scaler
        self.folder.save(
            self.lesson.model,
            self.optimizer,
            step=self.step,
            seconds=self.seconds,
            aside=self.aside,
            drawing=self.drawing,
            scaler=scaler.state_dict() if scaler is not None else None,
        )

    def export(self) -> Path | None:
        """Write the weights as fp16 safetensors with their cards, and a CLIP for open_clip too."""
        if not self.machines.is_first:
            return None
        model = self.lesson.exported() if hasattr(self.lesson, "exported") else self.lesson.model
        facts = self.lesson.facts()
        path = self.folder.export(
            model,
            self.recipe,
            command=self.command,
            samples=self.samples,
            seconds=self.seconds,
            curve=[line for line in self.folder.lines() if "loss" not in line],
            **facts,
        )
        if isinstance(model, CLIP):
            open_clip_folder(model, self.folder.path / "open_clip")
        model_card(path)
        if self.status:
            self.status.change(weights=path.name, use=facts.get("use", ""), step=self.step, progress=1.0)
        return path

    def _learn(self, step: int) -> float:
        """Add the gradients of one batch and return its share of the loss."""
        if getattr(self.lesson, "chunk", 0):
            loss = self.lesson.backward(step, self.accumulate)
        else:
            loss = self.lesson.loss(step)
            if torch.isfinite(loss):
                self.machines.backward(loss / self.accumulate)
        if not torch.isfinite(loss):
            self._give_up("loss", loss.item())
        return loss.item() / self.accumulate

    def _give_up(self, what: str, value: float) -> None:
        kept = "state.pt is the last good one" if self.folder.state.exists() else "there was no checkpoint yet"
        raise FloatingPointError(
            f"The {what} became {value} at step {self.step}: take a smaller learning rate; {kept}."
        )

    def _after(self, loss: float) -> None:
        """Log, look, measure and save where it is time for it."""
        started = time.perf_counter()
        if self.step % LOG_STEPS == 0:
            self._log(loss=loss, **self._position())
        if self.step == WARN_STEPS:
            self._warn()
        if self.step % self._every("validate_steps") == 0:
            self._validate()
        if self.step % self._every("seen_steps") == 0:
            self._see()
        if self.step % self.save_steps == 0:
            self.save()
        self.aside += time.perf_counter() - started

    def _warn(self) -> None:
        """Say so where the minutes will be over before the steps are."""
        needed = self.seconds / self.step * self.recipe.steps / 60
        if self.whichever_first and self.minutes is not None and needed > self.minutes:
            self._log(
                note=f"All {self.recipe.steps} steps would take about {needed:.0f} minutes; the run ends after "
                f"{self.minutes:g}, and its schedule with it."
            )

    def _every(self, name: str) -> int:
        return getattr(self.recipe, name, VALIDATE_STEPS)

    def _validate(self) -> None:
        if not self.machines.is_first:
            return
        self.lesson.model.eval()
        found = self.lesson.validate()
        self.best |= {key: max(value, self.best.get(key, value)) for key, value in found.items()}
        self._log(**found)

    def _see(self) -> None:
        """Write what a class watches, where the lesson has something to show."""
        if self.machines.is_first and hasattr(self.lesson, "seen"):
            self.lesson.model.eval()
            self.folder.see(self.lesson.seen() | {"step": np.array(self.step)})

    def _rate(self, progress: float) -> float:
        return self.recipe.learning_rate * schedule(progress, self.recipe.warmup)

    @property
    def _all_counts(self) -> bool:
        """Whether drawing and measuring count against the minutes too, as in a recipe that is made for so many."""
        return getattr(self.recipe, "minutes", None) is not None

    def _clock(self) -> float:
        return self.seconds + (self.aside if self._all_counts else 0.0)

    def _seconds_allowed(self) -> float:
        """Return the seconds that the schedule is spread over, of those that were given in all."""
        assert self.minutes is not None
        if not self._all_counts:
            return 60 * self.minutes
        left = 60 * self.minutes - min(ENDS_SECONDS, 15 * self.minutes) - self.drawing
        return max(LEAST_SHARE * 60 * self.minutes, left)

    def _progress(self) -> float:
        by_steps = self.step / self.recipe.steps
        if self.minutes is None:
            return by_steps
        by_clock = self.machines.first(self._clock() / self._seconds_allowed())
        return max(by_clock, by_steps) if self.whichever_first else by_clock

    def _position(self) -> dict[str, float]:
        """Return how far the run is: learning rate, share of the schedule and the seconds that it may still take."""
        progress = min(1.0, self._progress())
        left = self.seconds / self.step * max(0, self.recipe.steps - self.step)
        if self.minutes is not None:
            by_clock = max(0.0, self._seconds_allowed() - self._clock())
            left = min(left, by_clock) if self.whichever_first else by_clock
        rate = max(group["lr"] for group in self.optimizer.param_groups)
        return {"learning_rate": rate, "progress": round(progress, 4), "eta": round(left, 1)}

    def _log(self, **values: Any) -> None:
        if not self.machines.is_first:
            return
        self.folder.log(step=self.step, samples=self.samples, seconds=round(self.seconds, 1), **values)
        if self.status:
            place = {key: values[key] for key in ("progress", "eta") if key in values}
            steps = self.recipe.steps if self.minutes is None or self.whichever_first else None
            self.status.change(step=self.step, steps=steps, best=self.best, **place)


def schedule(progress: float, warmup: float) -> float:
    """Return the share of the learning rate: a linear rise, then a cosine down to nothing."""
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + float(np.cos(np.pi * (progress - warmup) / (1 - warmup))))


def adam_w(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW that decays matrices only, not gains, biases and the temperature (Radford et al. 2021, Sec. 2.5)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=learning_rate,
        betas=(0.9, 0.98),
    )
