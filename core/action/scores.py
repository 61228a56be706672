"""What is kept of a clip that was looked at, and how well each label in each template fits it.

Legend: T frames, D embedding size, P patches, C channels, M templates, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from core.results import Ranking


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipFeatures:
    """The features of a clip's frames: enough to score it in any order, against any labels, by any head."""

    frames: np.ndarray  # (T, D) float32, not normalised
    surroundings: np.ndarray | None = None  # (P, C) float32, X-CLIP's patches, averaged over the frames

    def __post_init__(self) -> None:
        if self.frames.ndim != 2 or not len(self.frames) or not np.isfinite(self.frames).all():
            raise ValueError(f"wanted finite features of at least one frame as (T, D), got {self.frames.shape}")

    def ordered(self, places: Int[np.ndarray, " T"] | Sequence[int]) -> "ClipFeatures":
        """Return the clip with its frames in another order: reversed, shuffled, or one repeated.

        Raises ValueError where frames are left out or repeated that looked at each other when they were encoded.
        """
        chosen = np.asarray(places)
        if self.surroundings is not None and sorted(chosen.tolist()) != list(range(len(self.frames))):
            raise ValueError("The frames of X-CLIP look at each other: for a frozen clip it must look again.")
        return ClipFeatures(frames=self.frames[chosen], surroundings=self.surroundings)


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplateScores:
    """How well each of L labels, put into each of M templates, fits one clip."""

    labels: tuple[str, ...]
    templates: tuple[str, ...]
    cosines: np.ndarray  # (M, L) float32
    logit_scale: float

    def __post_init__(self) -> None:
        if self.cosines.shape != (len(self.templates), len(self.labels)) or not self.cosines.size:
            raise ValueError(f"wanted a cosine for each template and label, got {self.cosines.shape}")
        if not np.isfinite(self.cosines).all():
            raise ValueError("wanted finite cosines, got NaN or infinity")

    def probabilities(self) -> Float[np.ndarray, " L"]:
        """Return the mean over the templates of each one's softmax over the labels, as the release tests."""
        return np.exp(self._log_probabilities()).mean(0).astype(np.float32)

    def by_template(self) -> tuple[Ranking, ...]:
        """Return each template's own ranking."""
        return tuple(Ranking(labels=self.labels, cosines=row, logit_scale=self.logit_scale) for row in self.cosines)

    def ranking(self) -> Ranking:
        """Return one ranking whose softmax is `probabilities`.

        With one template its cosines are the true ones. With several there is no single cosine: what stands there has
        the mean of the true ones, and the differences that the mean of the probabilities asks for.
        """
        logs = self._log_probabilities()
        most = logs.max(0)
        shares = (np.log(np.exp(logs - most).mean(0)) + most) / self.logit_scale
        cosines = shares - shares.mean() + self.cosines.mean(dtype=np.float64)
        return Ranking(labels=self.labels, cosines=cosines.astype(np.float32), logit_scale=self.logit_scale)

    def _log_probabilities(self) -> Float[np.ndarray, "M L"]:
        logits = self.logit_scale * self.cosines.astype(np.float64)
        logits -= logits.max(1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(1, keepdims=True))
