"""The answers that models, ground truth, metrics and pictures share.

Every type is frozen and checks itself when it is made, so that a wrong shape is found where it was born and not
in a picture three calls later. Arrays are NumPy, on the host, in the user's own pixels: x right, y down, (0, 0) the
corner of the first pixel, boxes xyxy with the end exclusive. Two answers are equal only when they are the same object,
because arrays have no single truth value. The Toybox hands out its truth in the same types.
"""

from core.results.depth import DepthAnswer, DepthMap, check_bins, stretch
from core.results.films import Film, Moment, Moments, VideoMoments
from core.results.places import Boxes, Cloud, HeatMap, LabelMap, Strokes
from core.results.scores import Cost, PairMatrix, Ranking, ScoreKind, ViewScores, unique_labels

__all__ = (
    "Boxes",
    "Cloud",
    "Cost",
    "DepthAnswer",
    "DepthMap",
    "Film",
    "HeatMap",
    "LabelMap",
    "Moment",
    "Moments",
    "PairMatrix",
    "Ranking",
    "ScoreKind",
    "Strokes",
    "VideoMoments",
    "ViewScores",
    "check_bins",
    "stretch",
    "unique_labels",
)
