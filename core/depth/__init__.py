"""Depth without training: how far away each pixel is, from nothing but words about distance."""

from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import UInt8

from core.results import DepthAnswer

if TYPE_CHECKING:  # the baselines of this package need no torch
    from core.depth.depthclip import DepthSettings


class DepthFromWords(Protocol):
    """What every depth estimator that is asked in words can do."""

    def estimate(self, image: UInt8[np.ndarray, "H W 3"], settings: "DepthSettings") -> DepthAnswer:
        """Estimate the depth of each pixel of a picture."""
        ...
