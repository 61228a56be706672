"""The engine of every training run: steps, schedule, log, checkpoints and the export at the end.

What is learnt is a Lesson; a run knows nothing about it but what the protocol says.
"""

import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.train.folder import RunFolder

LOG_STEPS = 20
SAVE_STEPS = 100
VALIDATE_STEPS = 400
MAX_GRADIENT_NORM = 1.0  # where the recipe says nothing else


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

    def __init__(self, lesson: Lesson, out: Path, *, resume: bool, command: str = "") -> None:
        """Take a lesson up; `command` is what the card will say started the run."""
        self.lesson, self.recipe, self.command = lesson, lesson.recipe, command
        self.folder = RunFolder(out)
        self.optimizer = lesson.optimizer()
        self.step, self.seconds = self.folder.restore(lesson.model, self.optimizer) if resume else (0, 0.0)

    @property
    def samples(self) -> int:
        """How many pictures, clips or clouds were seen so far."""
        return self.step * self.lesson.batch

    def train(self, minutes: float | None = None) -> None:
        """Go on until the recipe's steps are done, or for this many minutes altogether; then export."""
        while (progress := self._progress(minutes)) < 1:
            started = time.perf_counter()
            loss = self.advance(progress)
            self.seconds += time.perf_counter() - started
            if self.step % LOG_STEPS == 0:
                self._log(loss=loss, progress=round(progress, 4))
            if self.step % VALIDATE_STEPS == 0:
                self._validate()
            if self.step % SAVE_STEPS == 0:
                self.save()
        if self.step % VALIDATE_STEPS:
            self._validate()
        self.save()
        self.export()

    def advance(self, progress: float) -> float:
        """Take one step at this share of the schedule and return its loss; one that is not finite stops the run."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * group.get("share", 1.0) * schedule(progress, self.recipe.warmup)
        self.lesson.model.train()
        loss = self.lesson.loss(self.step)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss.item()} at step {self.step}; {self.folder.state} is the last good one"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        most = getattr(self.recipe, "max_gradient_norm", MAX_GRADIENT_NORM)
        torch.nn.utils.clip_grad_norm_(self.lesson.model.parameters(), most)
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def save(self) -> None:
        """Replace the folder's checkpoint."""
        self.folder.save(self.lesson.model, self.optimizer, step=self.step, seconds=self.seconds)

    def export(self) -> Path:
        """Write the weights as fp16 safetensors, with a card."""
        return self.folder.export(
            self.lesson.model,
            self.recipe,
            command=self.command,
            samples=self.samples,
            seconds=self.seconds,
            curve=[line for line in self.folder.lines() if "loss" not in line],
            **self.lesson.facts(),
        )

    def _validate(self) -> None:
        self.lesson.model.eval()
        self._log(**self.lesson.validate())

    def _progress(self, minutes: float | None) -> float:
        return self.step / self.recipe.steps if minutes is None else self.seconds / (60 * minutes)

    def _log(self, **values: Any) -> None:
        self.folder.log(step=self.step, samples=self.samples, seconds=round(self.seconds, 1), **values)


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
