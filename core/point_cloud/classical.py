"""A classifier of clouds without any network: what PointCLIP's logits are added to, and what it must beat.

Features: the D2 shape distribution of Osada et al. 2002, Shape Distributions, ACM TOG 21(4) (a histogram of distances
between random pairs of points), and histograms of height and of the distance from the vertical axis. A Gaussian for
each class with one shared diagonal variance turns them into logits.

Legend: B clouds, K classes, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.results import Cloud

PAIRS = 2048  # of points a cloud
BINS = 16  # of each histogram
LEAST_VARIANCE = 1e-3  # of a feature, so that one that never changes does not decide


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapeDistribution:
    """The means and the shared variance of a few clouds of each class."""

    means: np.ndarray  # (K, F)
    variance: np.ndarray  # (F,)

    @classmethod
    def fit(cls, clouds: Sequence[Cloud], labels: Int[np.ndarray, " B"]) -> "ShapeDistribution":
        """Learn from clouds in the unit sphere, +Y up; every class from 0 up needs one."""
        features = np.stack([describe(cloud) for cloud in clouds])
        means = np.stack([features[labels == k].mean(0) for k in range(labels.max() + 1)])
        variance = ((features - means[labels]) ** 2).mean(0)
        return cls(means=means, variance=variance + LEAST_VARIANCE)

    def logits(self, clouds: Sequence[Cloud]) -> Float[np.ndarray, "B K"]:
        """Return the logarithm of each class's Gaussian at each cloud, up to a constant."""
        features = np.stack([describe(cloud) for cloud in clouds])
        return (-0.5 * ((features[:, None] - self.means) ** 2 / self.variance).sum(2)).astype(np.float32)


def describe(cloud: Cloud) -> Float[np.ndarray, " F"]:
    """Return the three histograms of a cloud, the same for the same points."""
    points = cloud.points
    first, second = np.random.default_rng(0).integers(0, len(points), (2, PAIRS))
    distances = np.linalg.norm(points[first] - points[second], axis=1)
    around = np.hypot(points[:, 0], points[:, 2])
    spans = ((distances, (0, 2)), (points[:, 1], (-1, 1)), (around, (0, 1)))
    histograms = [np.histogram(values, BINS, span)[0] / len(values) for values, span in spans]
    return np.concatenate(histograms)
