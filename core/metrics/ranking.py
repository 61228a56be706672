"""Numbers from answers and truth.

Legend: N pictures.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from core.results import Ranking

Z95 = 1.959964  # two-sided 95 % of the normal distribution


def top1_accuracy(rankings: Sequence[Ranking], truths: Sequence[str], *, among: Sequence[Sequence[str]] = ()) -> float:
    """Return the share of N pictures whose best label is the true one.

    `among` restricts picture i to the labels among[i]. Raises ValueError for no pictures or unequal lengths.
    """
    if not rankings or len(rankings) != len(truths) or (among and len(among) != len(truths)):
        raise ValueError(f"wanted as many truths as rankings, got {len(truths)} and {len(rankings)}")
    found = [_best(ranking, among[i] if among else ranking.labels) for i, ranking in enumerate(rankings)]
    return float(np.mean([best == truth for best, truth in zip(found, truths, strict=True)]))


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share measured on `count` pictures (Wilson 1927)."""
    if count < 1 or not 0 <= share <= 1:
        raise ValueError(f"wanted a share from 0 to 1 of at least one picture, got {share} of {count}")
    middle = (share + Z95**2 / (2 * count)) / (1 + Z95**2 / count)
    reach = Z95 * sqrt(share * (1 - share) / count + Z95**2 / (4 * count**2)) / (1 + Z95**2 / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _best(ranking: Ranking, labels: Sequence[str]) -> str:
    places = [ranking.labels.index(label) for label in labels]
    return labels[int(np.argmax(ranking.cosines[places]))]
