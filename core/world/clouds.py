"""A thing of the Toybox as points on its surface, standing somewhere at random."""

import numpy as np

from core.results import Cloud
from core.world.render import CLOUD_POINTS, surface_cloud
from core.world.scene import COLORS, Thing
from core.world.shapes import CATEGORIES


def sample_cloud(
    rng: np.random.Generator, category: str | None = None, *, count: int = CLOUD_POINTS, facing: bool = False
) -> tuple[Cloud, str]:
    """Draw a thing, upright, as points in metres with z up; returns its category too.

    It is turned at random, or faces the way that all things of its category face.
    """
    name = category if category is not None else str(rng.choice(CATEGORIES))
    thing = Thing(
        category=name, color=str(rng.choice(list(COLORS))), yaw_degrees=0.0 if facing else float(rng.uniform(0, 360))
    )
    return surface_cloud(thing, count, rng), name
