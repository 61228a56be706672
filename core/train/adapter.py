"""PointCLIP's adapter from a few clouds a category: the CLIP is frozen, so its features are computed once.

Paper: Zhang et al., CVPR 2022, Sec. 3.2, https://arxiv.org/abs/2112.02413. Different from the released training: clouds
are stretched and moved a fixed number of times beforehand instead of anew each epoch, and the best checkpoint is not
chosen by the test set: the last one counts.

Legend: B clouds, V views, C size of a feature, K classes.
"""

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
from core.train.recipes import AdapterRecipe
from core.world.clouds import sample_cloud
from core.world.shapes import CATEGORIES

SEED = 6_000_000  # of the clouds that a run is watched on, far from those it learns from
WATCHED = 5  # of each category
MOMENTUM = 0.9


class AdapterLesson:
    """One adapter by a recipe."""

    def __init__(self, recipe: AdapterRecipe, cache: Path, data: str | None) -> None:
        """Draw the clouds and have the CLIP look at them; ValueError when photographs are given."""
        if data is not None:
            raise ValueError("This recipe learns from Toybox clouds alone: leave --data out.")
        self.recipe, self.batch = recipe, recipe.batch
        self.clip = registry.load("pointclip", recipe.backbone)
        self.text = self.clip.text_features(CATEGORIES, FEW_SHOT_TEMPLATES)  # (K, C)
        self.labels = torch.arange(len(CATEGORIES)).repeat(recipe.shots)
        self.features = self._features(recipe.seed, recipe.shots, copies=recipe.copies)  # (copies, B, V, C)
        self.watched = self._features(SEED, WATCHED, copies=0)[0]
        torch.manual_seed(recipe.seed)
        self.model = InterViewAdapter(*self.features.shape[2:])

    def optimizer(self) -> torch.optim.Optimizer:
        """Return SGD, as PointCLIP's training has it."""
        return torch.optim.SGD(
            self.model.parameters(),
            lr=self.recipe.learning_rate,
            momentum=MOMENTUM,
            weight_decay=self.recipe.weight_decay,
        )

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the smoothed cross entropy of a few clouds."""
        rng = np.random.default_rng((self.recipe.seed, step))
        chosen = torch.from_numpy(rng.choice(len(self.labels), self.recipe.batch, replace=False))
        copies = torch.from_numpy(rng.integers(len(self.features), size=self.recipe.batch))
        torch.manual_seed(int(rng.integers(2**62)))  # of the dropout, so that a resumed run goes on the same
        adapted = self.model(self.features[copies, chosen])
        return smooth_loss(adapted_logits(adapted, self.text, self.clip.backbone.logit_scale), self.labels[chosen])

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return the share of watched clouds that the adapter names rightly."""
        logits = adapted_logits(self.model(self.watched), self.text, 1.0)
        truth = torch.arange(len(CATEGORIES)).repeat(WATCHED)
        return {"adapter_top1": float((logits.argmax(1) == truth).float().mean())}

    def facts(self) -> dict[str, Any]:
        """Return nothing more than the recipe says."""
        return {}

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
