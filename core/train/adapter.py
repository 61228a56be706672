"""PointCLIP's adapter from a few clouds a category: the CLIP is frozen, so its features are computed once.

Paper: Zhang et al., CVPR 2022, Sec. 3.2, https://arxiv.org/abs/2112.02413. Different from the released training: clouds
are stretched and moved a fixed number of times beforehand instead of anew each epoch, and the best checkpoint is not
chosen by the test set: the last one counts.

Legend: B clouds, V views, C size of a feature, K classes.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core import registry
from core.media3d import unit_cloud
from core.point_cloud.adapter import InterViewAdapter, adapted_logits, smooth_loss, stretch_and_shift
from core.point_cloud.pointclip import FEW_SHOT_TEMPLATES
from core.point_cloud.projection import BRIGHT_FEW_SHOT
from core.results import Cloud
from core.train.folder import RunFolder
from core.train.recipes import AdapterRecipe
from core.world.clouds import sample_cloud
from core.world.shapes import CATEGORIES

SEED = 6_000_000  # of the clouds that a run is watched on, far from those it learns from
WATCHED = 5  # of each category
LOG_STEPS, SAVE_STEPS = 50, 200
MOMENTUM = 0.9


class AdapterRun:
    """Trains one adapter by a recipe in a folder."""

    def __init__(
        self, recipe: AdapterRecipe, out: Path, photos: str | None, *, resume: bool, command: str = ""
    ) -> None:
        """Draw the clouds and have the CLIP look at them; ValueError when photographs are given."""
        if photos is not None:
            raise ValueError("This recipe learns from Toybox clouds alone: leave --data out.")
        self.recipe, self.command = recipe, command
        self.folder = RunFolder(out)
        self.clip = registry.load("pointclip", recipe.backbone)
        self.text = self.clip.text_features(CATEGORIES, FEW_SHOT_TEMPLATES)  # (K, C)
        self.labels = torch.arange(len(CATEGORIES)).repeat(recipe.shots)
        self.features = self._features(recipe.seed, recipe.shots, copies=recipe.copies)  # (copies, B, V, C)
        self.watched = self._features(SEED, WATCHED, copies=0)[0]
        torch.manual_seed(recipe.seed)
        self.model = InterViewAdapter(*self.features.shape[2:])
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=recipe.learning_rate, momentum=MOMENTUM, weight_decay=recipe.weight_decay
        )
        self.step, self.seconds = self.folder.restore(self.model, self.optimizer) if resume else (0, 0.0)

    def train(self, minutes: float | None = None) -> None:
        """Go on until the recipe's steps are done, or for this many minutes altogether; then export."""
        while (progress := self._progress(minutes)) < 1:
            started = time.perf_counter()
            loss = self._step(progress)
            self.step += 1
            self.seconds += time.perf_counter() - started
            if self.step % LOG_STEPS == 0:
                self._log(loss=loss, adapter_top1=self.accuracy())
            if self.step % SAVE_STEPS == 0:
                self._save()
        self._save()
        self.export()

    @torch.inference_mode()
    def accuracy(self) -> float:
        """Return the share of watched clouds that the adapter names rightly."""
        logits = adapted_logits(self.model.eval()(self.watched), self.text, 1.0)
        truth = torch.arange(len(CATEGORIES)).repeat(WATCHED)
        return float((logits.argmax(1) == truth).float().mean())

    def export(self) -> Path:
        """Write the adapter with its card."""
        return self.folder.export(
            self.model,
            self.recipe,
            command=self.command,
            samples=self.step * self.recipe.batch,
            seconds=self.seconds,
            curve=self.folder.lines(),
        )

    def _step(self, progress: float) -> float:
        rate = self.recipe.learning_rate * 0.5 * (1 + float(np.cos(np.pi * progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        rng = np.random.default_rng((self.recipe.seed, self.step))
        chosen = torch.from_numpy(rng.choice(len(self.labels), self.recipe.batch, replace=False))
        copies = torch.from_numpy(rng.integers(len(self.features), size=self.recipe.batch))
        torch.manual_seed(int(rng.integers(2**62)))  # of the dropout, so that a resumed run goes on the same
        adapted = self.model.train()(self.features[copies, chosen])
        loss = smooth_loss(adapted_logits(adapted, self.text, self.clip.backbone.logit_scale), self.labels[chosen])
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss.item()} at step {self.step}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def _features(self, seed: int, shots: int, *, copies: int) -> Float[Tensor, "N B V C"]:
        """Return the features of `shots` clouds a category as they are, and of stretched and moved copies of them."""
        rng = np.random.default_rng((seed, 3))
        names = [name for _ in range(shots) for name in CATEGORIES]
        plain = [unit_cloud(sample_cloud(rng, name)[0].points, up="z", rng=rng) for name in names]
        generator = torch.Generator().manual_seed(seed)
        points = torch.from_numpy(np.stack([cloud.points for cloud in plain]))
        rounds = [points, *(stretch_and_shift(points, generator) for _ in range(copies))]
        return torch.stack([self._look(each) for each in rounds])

    def _look(self, points: Float[Tensor, "B P 3"]) -> Float[Tensor, "B V C"]:
        clouds = [Cloud(points=each) for each in points.numpy()]
        return torch.from_numpy(self.clip.view_features(clouds, BRIGHT_FEW_SHOT))

    def _progress(self, minutes: float | None) -> float:
        return self.step / self.recipe.steps if minutes is None else self.seconds / (60 * minutes)

    def _save(self) -> None:
        self.folder.save(self.model, self.optimizer, step=self.step, seconds=self.seconds)

    def _log(self, **values: Any) -> None:
        self.folder.log(step=self.step, seconds=round(self.seconds, 1), **values)
