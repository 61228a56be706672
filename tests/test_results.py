"""The shared answers refuse what cannot be true."""

import numpy as np
import pytest

from core.results import Boxes, Cloud, DepthMap, Film, LabelMap, Ranking, unique_labels


def test_softmax_is_over_the_given_labels_and_temperature_flattens_it():
    ranking = Ranking(labels=("a", "b"), cosines=np.array([0.3, 0.2], np.float32), logit_scale=10.0)
    assert ranking.probabilities() == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))], abs=1e-6)
    assert ranking.probabilities(temperature=1e6) == pytest.approx([0.5, 0.5], abs=1e-4)


def test_sigmoid_scores_do_not_depend_on_the_other_labels():
    both = Ranking(
        labels=("a", "b"),
        cosines=np.array([0.1, 0.0], np.float32),
        logit_scale=10.0,
        logit_bias=-1.0,
        kind="sigmoid",
    )
    assert both.probabilities() == pytest.approx([0.5, 1 / (1 + np.e)], abs=1e-6)


def test_equal_scores_keep_their_order():
    ranking = Ranking(labels=("a", "b", "c"), cosines=np.array([0.1, 0.3, 0.3], np.float32), logit_scale=1.0)
    assert ranking.order().tolist() == [1, 2, 0]
    assert ranking.best == "b"


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_must_be_above_zero(temperature):
    ranking = Ranking(labels=("a",), cosines=np.zeros(1, np.float32), logit_scale=1.0)
    with pytest.raises(ValueError, match="above 0"):
        ranking.logits(temperature)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ranking(labels=(), cosines=np.zeros(0, np.float32), logit_scale=1.0),
        lambda: Ranking(labels=("a",), cosines=np.array([np.nan], np.float32), logit_scale=1.0),
        lambda: Ranking(labels=("a",), cosines=np.zeros(2, np.float32), logit_scale=1.0),
        lambda: LabelMap(ids=np.full((2, 2), 1, np.int32), labels=("a",)),
        lambda: DepthMap(metres=np.zeros((2, 2), np.float32)),
        lambda: Cloud(points=np.array([[0, 0, np.inf]], np.float32)),
        lambda: Film(frames=np.zeros((2, 4, 4, 3), np.uint8), seconds=np.zeros(2, np.float32)),
        lambda: Boxes(
            boxes_xyxy=np.array([[3, 0, 1, 1]], np.float32),
            labels=("a",),
            scores=np.ones(1, np.float32),
            size_hw=(4, 4),
        ),
    ],
)
def test_impossible_answers_are_refused(make):
    with pytest.raises(ValueError, match="wanted"):
        make()


def test_labels_are_stripped_and_kept_once_in_order():
    assert unique_labels([" a  cat", "dog", "", "a cat", "dog "]) == ("a cat", "dog")
