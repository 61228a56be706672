"""What PointCLIP's papers claim, each a function of fresh Toybox clouds: views, turns, weights, points, looks, shots.

The shots' adapters are trained here by the recipe of the embedded one.

Legend: B clouds, V views, K categories.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from core.evaluate.pointclip_data import draw, top1, turned, view_cosines
from core.point_cloud.adapter import adapted_logits, search_view_weights
from core.point_cloud.pointclip import FEW_SHOT_TEMPLATES, PointClip
from core.point_cloud.projection import BRIGHT, BRIGHT_FEW_SHOT, RELEASED_ZERO_SHOT, V2, ViewSettings
from core.train.adapter import AdapterLesson
from core.train.recipes import RECIPES
from core.train.run import Run
from core.world.shapes import CATEGORIES

COUNTS = (64, 128, 256, 512, 1024, 2048, 4096)  # points of a cloud
TURNS_DEGREES = (0, 45, 90, 135, 180, 225, 270, 315)
TILTS_DEGREES = (0, 30, 60, 90)
SHOTS = (1, 2, 4, 8, 16)


def claims(model: PointClip, seed: int, size: int) -> dict[str, Any]:
    """Measure every claim on `size` clouds; the few-shot curve for the embedded CLIP that has a recipe."""
    clouds, truth = draw(seed, size)
    cosines = view_cosines(model, clouds, BRIGHT)
    found: dict[str, Any] = {
        "top1_by_views": by_views(model, clouds, truth),
        "top1_by_look": by_look(model, clouds, truth),
        "weights_fitted": fitted_weights(cosines, truth),
        "top1_by_points": by_points(model, seed, size),
        "best_view_by_turn": by_turn(model, seed, size),
        "top1_by_tilt": by_tilt(model, clouds, truth),
    }
    recipe = RECIPES["pointclip"]
    if model.weights == recipe.backbone:
        found["adapter_top1_by_shots"] = by_shots(model, clouds, truth)
    return found | {"claims_size": size}


def by_views(model: PointClip, clouds: Sequence[Any], truth: Int[np.ndarray, " B"]) -> dict[str, float]:
    """Return accuracy with 1, 4, 6 and 10 views; one and four are the first of the six, seen from the sides."""
    six = view_cosines(model, clouds, BRIGHT)
    ten = view_cosines(model, clouds, dataclasses.replace(BRIGHT_FEW_SHOT, distance=BRIGHT.distance))
    return {str(n): top1(six[:, :n].mean(1), truth) for n in (1, 4, 6)} | {"10": top1(ten.mean(1), truth)}


def by_look(model: PointClip, clouds: Sequence[Any], truth: Int[np.ndarray, " B"]) -> dict[str, float]:
    """Return accuracy with raw dots, larger dots, dots turned bright on black, and V2's dense and inverted views."""
    looks: dict[str, ViewSettings] = {
        "raw dots, released": RELEASED_ZERO_SHOT,
        "raw dots, 3 pixels": dataclasses.replace(RELEASED_ZERO_SHOT, dot_pixels=3),
        "near bright, 1 pixel": BRIGHT,
        "near bright, 3 pixels": dataclasses.replace(BRIGHT, dot_pixels=3),
        "near bright, 5 pixels": dataclasses.replace(BRIGHT, dot_pixels=5),
        "V2, inverted as released": V2,
        "V2, near bright": dataclasses.replace(V2, look="bright"),
    }
    return {name: top1(view_cosines(model, clouds, look).mean(1), truth) for name, look in looks.items()}


def fitted_weights(cosines: Float[np.ndarray, "B V K"], truth: Int[np.ndarray, " B"]) -> dict[str, float]:
    """Return accuracy on half of the clouds with equal weights, with weights fitted on the other half, and on them."""
    clouds = np.arange(len(truth)) // len(CATEGORIES) % 2 == 0  # every category in both halves
    honest, _ = search_view_weights(cosines[clouds], truth[clouds])
    return {
        "equal": top1(cosines[~clouds].mean(1), truth[~clouds]),
        "fitted on the other half": top1(np.einsum("bvk,v->bk", cosines[~clouds], honest), truth[~clouds]),
        "fitted on the test clouds": search_view_weights(cosines[~clouds], truth[~clouds])[1],
    }


def by_points(model: PointClip, seed: int, size: int) -> dict[str, float]:
    """Return accuracy as clouds grow from 64 to 4,096 points."""
    found = {}
    for count in COUNTS:
        clouds, truth = draw(seed, size, count=count)
        found[str(count)] = top1(view_cosines(model, clouds, BRIGHT).mean(1), truth)
    return found


def by_turn(model: PointClip, seed: int, size: int) -> dict[str, dict[str, Any]]:
    """Return which view is right most often as things that face the same way turn about the vertical axis."""
    clouds, truth = draw(seed, size, facing=True)
    found = {}
    for degrees in TURNS_DEGREES:
        cosines = view_cosines(model, [turned(cloud, "y", degrees) for cloud in clouds], BRIGHT)
        right = [top1(cosines[:, view], truth) for view in range(BRIGHT.views)]
        best = int(np.argmax(right))
        found[str(degrees)] = {"view": best + 1, "top1_of_view": right[best], "top1": top1(cosines.mean(1), truth)}
    return found


def by_tilt(model: PointClip, clouds: Sequence[Any], truth: Int[np.ndarray, " B"]) -> dict[str, dict[str, Any]]:
    """Return accuracy and the best view as clouds lean over."""
    found = {}
    for degrees in TILTS_DEGREES:
        cosines = view_cosines(model, [turned(cloud, "x", degrees) for cloud in clouds], BRIGHT)
        right = [top1(cosines[:, view], truth) for view in range(BRIGHT.views)]
        found[str(degrees)] = {"view": int(np.argmax(right)) + 1, "top1": top1(cosines.mean(1), truth)}
    return found


def by_shots(model: PointClip, clouds: Sequence[Any], truth: Int[np.ndarray, " B"]) -> dict[str, float]:
    """Train an adapter on 1, 2, 4, 8 and 16 clouds a category and return each one's accuracy; 0 is without one."""
    features = torch.from_numpy(model.view_features(clouds, BRIGHT_FEW_SHOT))
    text = model.text_features(CATEGORIES, FEW_SHOT_TEMPLATES)
    found = {"0": top1(adapted_logits(features, text, 1.0).numpy(), truth)}
    for shots in SHOTS:
        batch = min(RECIPES["pointclip"].batch, shots * len(CATEGORIES))
        recipe = dataclasses.replace(RECIPES["pointclip"], shots=shots, batch=batch)
        with TemporaryDirectory() as folder:
            lesson = AdapterLesson(recipe, Path(folder), None)
            Run(lesson, Path(folder), resume=False).train()
        with torch.inference_mode():
            adapted = lesson.model.eval()(features)
        found[str(shots)] = top1(adapted_logits(adapted, text, 1.0).numpy(), truth)
    return found
