"""The clouds that PointCLIP is measured on, and how a measurement reads them.

Every cloud is one thing, upright. Legend: B clouds, V views, K categories.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from core.media3d import unit_cloud
from core.point_cloud.pointclip import PointClip
from core.point_cloud.projection import ViewSettings
from core.results import Cloud
from core.world.clouds import sample_cloud
from core.world.shapes import CATEGORIES

AXES = {"x": (1, 2), "y": (2, 0)}  # the plane in which a turn about an axis moves points


def draw(seed: int, size: int, *, count: int = 1024, facing: bool = False) -> tuple[list[Cloud], Int[np.ndarray, " B"]]:
    """Return `size` fresh clouds, the categories in turn, with the index of each one's category.

    They are turned at random about the vertical axis, or all face the same way.
    """
    truth = np.arange(size) % len(CATEGORIES)
    clouds = []
    for i, place in enumerate(truth):
        rng = np.random.default_rng((seed, i))
        points = sample_cloud(rng, CATEGORIES[place], facing=facing, count=max(count, 1024))[0].points
        clouds.append(unit_cloud(points, up="z", count=count, rng=rng))
    return clouds, truth


def top1(scores: Float[np.ndarray, "B K"], truth: Int[np.ndarray, " B"]) -> float:
    """Return the share of clouds whose best category is the true one."""
    return float((scores.argmax(1) == truth).mean())


def view_cosines(model: PointClip, clouds: Sequence[Cloud], settings: ViewSettings) -> Float[np.ndarray, "B V K"]:
    """Return the cosine of each view of each cloud with each category."""
    features = model.view_features(clouds, settings)
    return np.stack([each.cosines for each in model.score(features, CATEGORIES)])


def turned(cloud: Cloud, axis: str, degrees: float) -> Cloud:
    """Turn a cloud about the x axis (it leans over) or the y axis (it turns upright)."""
    i, j = AXES[axis]
    matrix = np.eye(3, dtype=np.float32)
    matrix[i, i] = matrix[j, j] = np.cos(np.radians(degrees))
    matrix[j, i] = np.sin(np.radians(degrees))
    matrix[i, j] = -matrix[j, i]
    return Cloud(points=cloud.points @ matrix.T)
