"""A linear probe: one layer on the features of a CLIP that is not changed.

Paper: Radford et al. 2021, Sec. 3.2 and App. A.3. Different from it: the features after the projection are used, and
the layer learns by AdamW on standardised features, not by L-BFGS with a search for the strength of the penalty; its
constants go with the direction that all features share, so that the layer is a vector for each class and nothing
besides. These stand where a CLIP's sentences stand: the weights are the CLIP's with the classes in them, and whoever
asks for these classes, in the zero-shot tab for one, is answered by the probe.

Legend: N pictures, D size of a feature, C classes.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip.model import CLIP
from torch import Tensor, nn

from core.backbones.learnt_classes import LearntClasses
from core.train import validation
from core.train.finetune import input_size, labelled, opened
from core.train.run import adam_w
from core.train.starting import licence_of

MOST_NAMED = 12


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

    def vectors(self) -> Float[Tensor, "C D"]:
        """Return what a feature is multiplied with; a feature's share of their mean, about 1, carries the constants."""
        weight = self.layer.weight / self.deviation
        along = self.mean / self.mean.square().sum().clamp(min=1e-6)
        return weight + torch.outer(self.layer.bias - weight @ self.mean, along)

    def forward(self, features: Float[Tensor, "N D"]) -> Float[Tensor, "N C"]:
        """Return a logit for each class."""
        return features @ self.vectors().T


class ProbeLesson:
    """One probe by a recipe."""

    def __init__(self, recipe: ProbeRecipe, cache: Path, data: str | None) -> None:
        """Have the CLIP look at every photograph once; ValueError where they have no classes."""
        self.clip = opened(recipe.start).eval()
        size, context = input_size(self.clip), self.clip.context_length
        self.photos = labelled(data, size=size, context_length=context, cache=cache)
        train, test = self.photos.train, self.photos.test
        if not train.names or (train.classes < 0).any():
            raise ValueError("A linear probe needs a class for every picture: give a folder of class folders.")
        if recipe.epochs is not None:
            recipe = replace(recipe, steps=max(1, round(recipe.epochs * len(train) / recipe.batch)))
        self.licence = licence_of("clip", recipe.start)
        if Path(recipe.start).is_file():  # the card need not say in which folder of this machine
            recipe = replace(recipe, start=Path(recipe.start).name)
        self.recipe, self.batch, self.names = recipe, recipe.batch, train.names
        self.before = validation.photo_accuracy(self.clip, test, size, context)
        self.features = validation.features(self.clip, train.pictures, size)
        self.classes = torch.from_numpy(train.classes)
        self.held, self.truth = validation.features(self.clip, test.pictures, size), torch.from_numpy(test.classes)
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

    def exported(self) -> CLIP:
        """Return the CLIP as it was, with a vector for each class that the probe learnt."""
        found = copy.deepcopy(self.clip)
        with torch.no_grad():
            vectors, scale = unit_vectors(self.model.vectors())
        found.classes = LearntClasses(self.names, vectors, scale)
        return found

    def facts(self) -> dict[str, Any]:
        """Return what was read, the order of the classes, and what the weights are good for."""
        return {
            "licence": self.licence,
            "data": self.photos.report.card(),
            "photographs": len(self.features),
            "photograph_classes": list(self.names),
            "before": {"photo_top1": self.before},
            "trained_parameters": sum(p.numel() for p in self.model.parameters()),
            "use": f"a probe, which answers where all labels are its classes: {_named(self.names)}",
        }


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def unit_vectors(vectors: Float[Tensor, "C D"]) -> tuple[Float[Tensor, "C D"], float]:
    """Return unit vectors and a factor whose products with features differ from those given by the same for all.

    So the classes' softmax stays as it was: to every vector the same one is added, the shortest that makes all equally
    long. It exists where there are no more classes than dimensions; else the lengths are only nearly alike.
    """
    doubles = vectors.double()
    lengths = doubles.square().sum(1)
    shift = torch.linalg.lstsq(
        2 * (doubles[1:] - doubles[:1]), (lengths[:1] - lengths[1:])[:, None], driver="gelsd"
    ).solution[:, 0]
    moved = doubles + shift
    return F.normalize(moved, dim=-1).float(), float(moved.norm(dim=-1).mean())
