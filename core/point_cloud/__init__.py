"""Point cloud recognition: which of these words fits a cloud of points best, by looking at it from several sides."""

from collections.abc import Sequence
from typing import Protocol

from core.results import Cloud, ViewScores


class PointCloudClassifier(Protocol):
    """What every classifier of point clouds can do."""

    def classify(self, cloud: Cloud, labels: Sequence[str], *, templates: Sequence[str]) -> ViewScores:
        """Score each label against each side of a cloud."""
        ...
