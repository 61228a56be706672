"""Ranks by hand, with and without ties."""

import numpy as np
import pytest

from core.metrics.retrieval import best_caption, caption_ranks, official_ranks, preferred, ranks, summary, ties

SCORES = np.array([[3.0, 1.0, 2.0], [5.0, 5.0, 5.0], [9.0, 8.0, 7.0]])


def test_a_tie_takes_the_middle_of_its_places():
    assert ranks(SCORES).tolist() == [1.0, 2.0, 3.0]
    assert ties(SCORES) == 1


def test_the_release_counts_every_tied_score():
    assert official_ranks(SCORES).tolist() == [0, 0, 1, 2, 2]


def test_recall_is_a_share_and_ranks_are_from_one():
    found = summary(np.array([1, 2, 6, 11]))
    assert found == {"r1": 0.25, "r5": 0.5, "r10": 0.75, "median_rank": 4.0, "mean_rank": 5.0}


def test_each_caption_of_a_clip_is_a_query_and_a_clip_takes_its_best():
    none = [-np.inf, -np.inf]
    scores = np.array([[[2.0, 1.0], [0.0, 3.0]], [[4.0, 5.0], none]])  # clip 1 has one caption
    assert caption_ranks(scores).tolist() == [1, 2, 1]
    assert best_caption(scores).tolist() == [[2.0, 4.0], [3.0, 5.0]]


def test_a_tie_is_half_right():
    assert preferred(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0])) == pytest.approx(0.5)
