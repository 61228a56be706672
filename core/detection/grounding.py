"""What grounding answers: phrases of a sentence tied to boxes, and how words and regions line up.

Legend: R boxes, N phrases, T tokens, h w a grid of places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float

from core.detection.answer import Candidates
from core.results import Boxes, HeatMap

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class Grounding:
    """The phrases of a sentence as the labels of candidates, with where each stands in the sentence."""

    sentence: str
    spans: tuple[Span, ...]  # first character and the one after the last, of each phrase
    candidates: Candidates  # labels are the phrases, in the sentence's order
    tokens: tuple[str, ...]  # of the sentence, special ones too
    phrase_tokens: tuple[tuple[int, ...], ...]  # which tokens each phrase has

    def __post_init__(self) -> None:
        if not len(self.spans) == len(self.candidates.labels) == len(self.phrase_tokens):
            raise ValueError(f"wanted a span and tokens for each of {self.candidates.labels}, got {self.spans}")

    def best(self) -> Boxes:
        """Return the best box of each phrase that has one with a score above 0, in the sentence's order."""
        scores = self.candidates.scores
        kept = [n for n in range(scores.shape[1]) if len(scores) and scores[:, n].max() > 0]
        places = [int(scores[:, n].argmax()) for n in kept]
        return Boxes(
            boxes_xyxy=self.candidates.boxes_xyxy[places].reshape(-1, 4),
            labels=tuple(self.candidates.labels[n] for n in kept),
            scores=scores[places, kept].astype(np.float32),
            size_hw=self.candidates.size_hw,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """Every token of a prompt against the best boxes, and against every place of the picture."""

    prompt: str
    tokens: tuple[str, ...]
    boxes_xyxy: Float[np.ndarray, "R 4"]  # best first
    probabilities: Float[np.ndarray, "R T"]  # a sigmoid each, not a softmax: rows do not sum to 1
    places: Float[np.ndarray, "T h w"]  # the largest probability of the levels at each place of the finest
    seen_hw: tuple[int, int]  # which rows and columns of `places` lie in the picture; the rest is padding
    size_hw: tuple[int, int]

    def heat_map(self, token: int | Sequence[int]) -> HeatMap:
        """Return where in the picture a token, or the mean of several, scores how high, 0 to 1."""
        own = [token] if isinstance(token, int) else list(token)
        if not own or not all(0 <= each < len(self.tokens) for each in own):
            raise ValueError(f"wanted tokens from 0 to {len(self.tokens) - 1}, got {own}")
        rows, columns = self.seen_hw
        places = torch.from_numpy(self.places[own, :rows, :columns].mean(0))[None, None]
        values = F.interpolate(places, size=self.size_hw, mode="bilinear", align_corners=False)[0, 0]
        return HeatMap(values=values.numpy().astype(np.float32), label=" ".join(self.tokens[each] for each in own))
