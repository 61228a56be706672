"""Example pictures with answers that were computed beforehand, so that a page answers before any model is loaded.

`python -m demos.build_examples` makes them; a test computes them again and compares.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from core.results import Ranking

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "examples"
ANSWERS = FOLDER / "answers.json"
TEMPLATE_SET = "one template"


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture, the labels asked about it, and the stored answer."""

    path: Path
    labels: str
    ranking: Ranking
    weights: str
    licence: str


@cache
def examples() -> tuple[Example, ...]:
    """Return the shipped examples with their stored answers."""
    stored = json.loads(ANSWERS.read_text())
    return tuple(
        Example(
            path=FOLDER / row["file"],
            labels=", ".join(row["labels"]),
            ranking=Ranking(
                labels=tuple(row["labels"]),
                cosines=np.array(row["cosines"], np.float32),
                logit_scale=row["logit_scale"],
            ),
            weights=stored["weights"],
            licence=stored["licence"],
        )
        for row in stored["answers"]
    )
