"""Labels and how well they fit: one picture, several views, many pairs; and what an answer cost.

Legend: N labels, V views of one thing, L labels, M captions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.results.checks import require

ScoreKind = Literal["softmax", "sigmoid"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """How well each of N labels fits one picture; probabilities are derived, never stored.

    Keeping the cosines is what lets a temperature slider move without another forward pass.
    Softmax probabilities are over these labels only; sigmoid ones (SigLIP) are independent of each other.
    """

    labels: tuple[str, ...]
    cosines: np.ndarray  # (N,) float32
    logit_scale: float
    logit_bias: float = 0.0
    kind: ScoreKind = "softmax"

    def __post_init__(self) -> None:
        require(self.cosines, "cosines", np.float32, (len(self.labels),))
        if not self.labels:
            raise ValueError("wanted at least one label, got none")
        if not np.isfinite(self.cosines).all():
            raise ValueError("wanted finite cosines, got NaN or infinity")

    def logits(self, temperature: float = 1.0) -> np.ndarray:
        """Return (scale * cosine + bias) / temperature, (N,) float32."""
        if temperature <= 0:
            raise ValueError(f"wanted a temperature above 0, got {temperature}")
        return ((self.logit_scale * self.cosines + self.logit_bias) / temperature).astype(np.float32)

    def probabilities(self, temperature: float = 1.0) -> np.ndarray:
        """Return softmax or sigmoid of the logits, (N,) float32."""
        logits = self.logits(temperature).astype(np.float64)
        if self.kind == "sigmoid":
            return (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
        weights = np.exp(logits - logits.max())
        return (weights / weights.sum()).astype(np.float32)

    def order(self) -> np.ndarray:
        """Return label indices from best to worst, (N,) int; equal scores keep their order."""
        return np.argsort(-self.cosines, kind="stable")

    @property
    def best(self) -> str:
        """The label with the highest cosine."""
        return self.labels[int(self.order()[0])]


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewScores:
    """How well each of L labels fits each of V views; weights can change without another forward pass.

    After an adapter the entries are not cosines but each view's part in one: their mean over the views is it.
    """

    labels: tuple[str, ...]
    cosines: np.ndarray  # (V, L) float32
    logit_scale: float

    def __post_init__(self) -> None:
        require(self.cosines, "cosines", np.float32, (None, len(self.labels)))
        if not self.cosines.size:
            raise ValueError("wanted at least one view and one label, got none")
        if not np.isfinite(self.cosines).all():
            raise ValueError("wanted finite cosines, got NaN or infinity")

    def ranking(self, view_weights: Sequence[float] | np.ndarray | None = None) -> Ranking:
        """Add the views up: the ranking's cosines are weighted means, its logits the released score."""
        views = len(self.cosines)
        weights = np.ones(views) if view_weights is None else np.asarray(view_weights, np.float64)
        if weights.shape != (views,) or not np.isfinite(weights).all() or weights.min() < 0 or not weights.any():
            raise ValueError(f"wanted {views} view weights of at least 0, not all 0, got {weights.tolist()}")
        return Ranking(
            labels=self.labels,
            cosines=(weights @ self.cosines / weights.sum()).astype(np.float32),
            logit_scale=float(self.logit_scale * weights.sum() / np.sqrt(views)),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PairMatrix:
    """N pictures against M captions, as in Figure 1 of the CLIP paper."""

    cosines: np.ndarray  # (N, M) float32
    captions: tuple[str, ...]
    logit_scale: float
    logit_bias: float = 0.0
    loss: float | None = None  # symmetric contrastive loss of the batch; None unless N == M

    def __post_init__(self) -> None:
        require(self.cosines, "cosines", np.float32, (None, len(self.captions)))

    def logits(self) -> np.ndarray:
        """Return scale * cosine + bias, (N, M) float32."""
        return (self.logit_scale * self.cosines + self.logit_bias).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cost:
    """What one answer cost, and who may use it."""

    milliseconds: float
    device: str
    model: str
    licence: str


def unique_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels stripped, without empty ones, each once, in first-seen order."""
    return tuple(dict.fromkeys(text for label in labels if (text := " ".join(label.split()))))
