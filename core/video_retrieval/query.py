"""What is looked for: texts and pictures, each with a weight, added up to one unit vector.

A text and a picture of the same thing lie apart in CLIP's space (the modality gap), so a picture pulls harder than a
text of equal weight; the weights are there to set that right.

Legend: D embedding size.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch.nn.functional import normalize

from core.backbones.clip import ClipBackbone

SMALLEST_NORM = 1e-3  # of a sum whose parts have not cancelled each other out
SIGN = re.compile(r"\s([+-])\s")
WEIGHT = re.compile(r"(\d+(?:\.\d+)?)\s*\*\s*(.+)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryPart:
    """A text or a picture, and how much of it is wanted; below 0 it is not."""

    text: str = ""
    picture: np.ndarray | None = None  # (H, W, 3) uint8
    weight: float = 1.0

    def __post_init__(self) -> None:
        if bool(self.text.strip()) == (self.picture is not None):
            raise ValueError("wanted a text or a picture, got both or neither")
        if not np.isfinite(self.weight):
            raise ValueError(f"wanted a finite weight, got {self.weight}")

    def __str__(self) -> str:
        what = self.text.strip() if self.picture is None else "[picture]"
        return what if self.weight == 1 else f"{self.weight:g} * {what}"


def parse_query(text: str) -> tuple[QueryPart, ...]:
    """Return the parts of "a dog + snow - 0.5 * people"; signs stand between spaces, weights before a star."""
    pieces = SIGN.split(f" {text} ")
    signs = ["+", *pieces[1::2]]
    parts = []
    for sign, piece in zip(signs, pieces[::2], strict=True):
        if not piece.strip():
            continue
        found = WEIGHT.fullmatch(piece.strip())
        amount, words = (float(found[1]), found[2]) if found else (1.0, piece.strip())
        parts.append(QueryPart(text=words.strip(), weight=amount if sign == "+" else -amount))
    if not parts:
        raise ValueError("Write what to look for, or give a picture.")
    return tuple(parts)


def query_vector(backbone: ClipBackbone, parts: Sequence[QueryPart]) -> Float[np.ndarray, " D"]:
    """Return the weighted sum of the parts' unit vectors, normalised."""
    if not parts:
        raise ValueError("Write what to look for, or give a picture.")
    texts = [part for part in parts if part.picture is None]
    pictures = [part for part in parts if part.picture is not None]
    total = 0
    if texts:
        vectors = backbone.encode_texts([part.text.strip() for part in texts])
        total = total + sum(part.weight * vector for part, vector in zip(texts, vectors, strict=True))
    if pictures:
        vectors = backbone.encode_images([part.picture for part in pictures])
        total = total + sum(part.weight * vector for part, vector in zip(pictures, vectors, strict=True))
    if float(total.norm()) < SMALLEST_NORM:
        raise ValueError("The parts of this query cancel each other out; change a weight.")
    return normalize(total, dim=-1).numpy().astype(np.float32)
