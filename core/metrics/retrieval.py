"""Ranks of the right answer among many: the official figures of CLIP4Clip, ties included, and honest ones.

Different from it: ArrowLuo/CLIP4Clip (metrics.py at 508ffa3) counts every score that ties with the right one as a rank
of its own, so that a query with ties counts several times; `ranks` gives each query one rank, the middle of its tie.

Legend: M queries, N answers, K ranks, C captions of a clip.
"""

import numpy as np
from jaxtyping import Float, Int


def ranks(scores: Float[np.ndarray, "N N"]) -> Float[np.ndarray, " N"]:
    """Return the rank of each row's right answer, which is on the diagonal, from 1; a tie counts half."""
    right = scores.diagonal()[:, None]
    return ((scores > right).sum(1) + (scores == right).sum(1) / 2 + 0.5).astype(np.float64)


def official_ranks(scores: Float[np.ndarray, "N N"]) -> Int[np.ndarray, " K"]:
    """Return the ranks from 0 that metrics.py counts: one more for every score that ties with the right one."""
    ordered = -np.sort(-scores, axis=1)
    return np.where(ordered == scores.diagonal()[:, None])[1]


def summary(ranks_from_1: Float[np.ndarray, " K"] | Int[np.ndarray, " K"]) -> dict[str, float]:
    """Return recall at 1, 5 and 10 as shares, and the median and mean rank."""
    found = {f"r{most}": float((ranks_from_1 <= most).mean()) for most in (1, 5, 10)}
    return found | {"median_rank": float(np.median(ranks_from_1)), "mean_rank": float(ranks_from_1.mean())}


def ties(scores: Float[np.ndarray, "N N"]) -> int:
    """Return how many rows have a score that ties with the right one."""
    return int(((scores == scores.diagonal()[:, None]).sum(1) > 1).sum())


def caption_ranks(scores: Float[np.ndarray, "V C V"]) -> Int[np.ndarray, " K"]:
    """Return the rank from 1 of each caption's clip; captions that are not there score -infinity everywhere.

    Scores are [clip of the caption, caption, clip]; a tie counts as the place that a stable sort gives.
    """
    queries = scores.reshape(-1, scores.shape[2])
    there = np.isfinite(queries).any(1)
    truth = np.repeat(np.arange(len(scores)), scores.shape[1])[there]
    order = np.argsort(-queries[there], axis=1, kind="stable")
    return np.where(order == truth[:, None])[1] + 1


def best_caption(scores: Float[np.ndarray, "V C V"]) -> Float[np.ndarray, "V V"]:
    """Return clips against clips' captions, each the best of its captions, for looking a text up by a clip."""
    return np.where(np.isnan(scores), -np.inf, scores).max(1).T


def preferred(right: Float[np.ndarray, " M"], wrong: Float[np.ndarray, " M"]) -> float:
    """Return how often the right one scores higher; a tie counts half."""
    return float(((right > wrong) + (right == wrong) / 2).mean())
