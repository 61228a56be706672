"""A linear probe: one layer on the features of a CLIP that is not changed.

Paper: Radford et al. 2021, Sec. 3.2 and App. A.3. Different from it: the features after the projection are used, and
the layer learns by AdamW on standardised features, not by L-BFGS with a search for the strength of the penalty.

Legend: N pictures, D size of a feature, C classes.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core.train import validation
from core.train.finetune import input_size, labelled, opened
from core.train.run import adam_w


@dataclass(frozen=True, kw_only=True)
class ProbeRecipe:
    """One layer on a frozen CLIP."""

    checkpoint: str = "probe"
    start: str = "toybox-resnet"
    batch: int = 256
    epochs: float | None = None
    steps: int = 800
    learning_rate: float = 0.01
    weight_decay: float = 0.05
    warmup: float = 0.0
    validate_steps: int = 100
    seed: int = 0


class Probe(nn.Module):
    """Standardises features and names their class."""

    def __init__(self, features: Float[Tensor, "N D"], classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", features.mean(0))
        self.register_buffer("deviation", features.std(0).clamp(min=1e-6))
        self.layer = nn.Linear(features.shape[1], classes)
        nn.init.zeros_(self.layer.weight)

    def forward(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N C"]:
        """Return a logit for each class."""
        return self.layer((features - self.mean) / self.deviation)


class ProbeLesson:
    """One probe by a recipe."""

    def __init__(self, recipe: ProbeRecipe, cache: Path, data: str | None) -> None:
        """Have the CLIP look at every photograph once; ValueError where they have no classes."""
        clip = opened(recipe.start).eval()
        size, context = input_size(clip), clip.context_length
        self.photos = labelled(data, size=size, context_length=context, cache=cache)
        train, test = self.photos.train, self.photos.test
        if not train.names or (train.classes < 0).any():
            raise ValueError("A linear probe needs a class for every picture: give a folder of class folders.")
        if recipe.epochs is not None:
            recipe = replace(recipe, steps=max(1, round(recipe.epochs * len(train) / recipe.batch)))
        if Path(recipe.start).is_file():  # the card need not say in which folder of this machine
            recipe = replace(recipe, start=Path(recipe.start).name)
        self.recipe, self.batch, self.names = recipe, recipe.batch, train.names
        self.before = validation.photo_accuracy(clip, test, size, context)
        self.features, self.classes = validation.features(clip, train.pictures, size), torch.from_numpy(train.classes)
        self.held, self.truth = validation.features(clip, test.pictures, size), torch.from_numpy(test.classes)
        torch.manual_seed(recipe.seed)
        self.model = Probe(self.features, len(train.names))

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW."""
        return adam_w(self.model, self.recipe.learning_rate, self.recipe.weight_decay)

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the cross entropy of a few photographs."""
        rng = np.random.default_rng((self.recipe.seed, 10, step))
        picks = torch.from_numpy(rng.integers(len(self.features), size=self.batch))
        return F.cross_entropy(self.model(self.features[picks]), self.classes[picks])

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return the accuracy on photographs that were held back, and what the CLIP reaches without a probe."""
        right = float((self.model(self.held).argmax(1) == self.truth).float().mean())
        return {"photo_top1": right, "photo_top1_before": self.before}

    def facts(self) -> dict[str, Any]:
        """Return what was read and the order of the classes."""
        return {
            "data": self.photos.report.card(),
            "photographs": len(self.features),
            "photograph_classes": list(self.names),
            "before": {"photo_top1": self.before},
        }
