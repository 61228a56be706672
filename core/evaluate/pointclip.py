"""The figures of PointCLIP: fresh Toybox clouds, each look, view weights found honestly and not, the adapter.

Legend: B clouds, V views, K categories.
"""

import argparse
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from core import registry
from core.evaluate.pointclip_claims import claims
from core.evaluate.pointclip_data import draw, top1, view_cosines
from core.metrics.ranking import wilson_interval
from core.point_cloud.adapter import search_view_weights
from core.point_cloud.classical import ShapeDistribution
from core.point_cloud.pointclip import FEW_SHOT_TEMPLATES, PointClip, ensemble_logits
from core.point_cloud.projection import BRIGHT, BRIGHT_FEW_SHOT, PRESETS, V2
from core.results import Cloud
from core.world.shapes import CATEGORIES

FIRST_SEED = 11_000_000  # far from training's and validation's
CLASSICAL_SHOTS = 16
LESSON_CLOUDS = 240  # of the figures beside the main ones


def evaluate_pointclip(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure zero-shot and few-shot accuracy over all categories, and what each choice is worth."""
    model: PointClip = registry.load("pointclip", arguments.weights)
    size, seed = arguments.size, FIRST_SEED + 10_000 * arguments.seed
    clouds, truth = draw(seed, size)
    found: dict[str, Any] = {"system": "pointclip", "weights": model.weights, "seed": arguments.seed, "size": size}
    bright = view_cosines(model, clouds, BRIGHT)
    found["zero_shot_top1"] = top1(bright.mean(1), truth)
    found["zero_shot_top1_interval"] = [round(end, 4) for end in wilson_interval(found["zero_shot_top1"], size)]
    found["v2_zero_shot_top1"] = top1(view_cosines(model, clouds, V2).mean(1), truth)
    found["zero_shot_top1_by_look"] = {
        name: top1(view_cosines(model, clouds, settings).mean(1), truth) for name, settings in PRESETS.items()
    }
    found["top1_by_view"] = [top1(bright[:, view], truth) for view in range(BRIGHT.views)]
    found |= _searched(model, bright, truth, seed)
    found |= _few_shot(model, clouds, truth)
    found |= claims(model, seed + 7_000, LESSON_CLOUDS)
    found["chance"] = 1 / len(CATEGORIES)
    return found


def _searched(
    model: PointClip, cosines: Float[np.ndarray, "B V K"], truth: Int[np.ndarray, " B"], seed: int
) -> dict[str, Any]:
    """Search view weights on other clouds, as one should, and on the test clouds themselves, as released."""
    others, labels = draw(seed + 5_000, LESSON_CLOUDS)
    weights, _ = search_view_weights(view_cosines(model, others, BRIGHT), labels)
    return {
        "searched_top1": top1(np.einsum("bvk,v->bk", cosines, weights), truth),
        "searched_on_test_top1": search_view_weights(cosines, truth)[1],
        "searched_weights": [float(weight) for weight in weights],
    }


def _few_shot(model: PointClip, clouds: list[Cloud], truth: Int[np.ndarray, " B"]) -> dict[str, Any]:
    """Measure the adapter, a classical classifier of the same few clouds, and the two together."""
    others, labels = draw(FIRST_SEED - 10_000, CLASSICAL_SHOTS * len(CATEGORIES))
    classical = ShapeDistribution.fit(others, labels).logits(clouds)
    found: dict[str, Any] = {"adapter16_top1": None, "classical16_top1": top1(classical, truth)}
    if model.adapter is None:
        return found | {"ensemble16_top1": None}
    features = model.view_features(clouds, BRIGHT_FEW_SHOT)
    scored = model.score(features, CATEGORIES, templates=FEW_SHOT_TEMPLATES, adapted=True)
    ours = np.stack([each.ranking().logits() for each in scored])
    plain = model.score(features, CATEGORIES, templates=FEW_SHOT_TEMPLATES)
    return found | {
        "adapter16_top1": top1(ours, truth),
        "without_adapter_top1": top1(np.stack([each.cosines.mean(0) for each in plain]), truth),
        "ensemble16_top1": top1(ensemble_logits(ours, classical, 0.5), truth),
    }
