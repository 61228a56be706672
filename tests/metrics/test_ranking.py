"""Numbers whose value is known by hand."""

import numpy as np
import pytest

from core.metrics.ranking import top1_accuracy, wilson_interval
from core.results import Ranking


def ranking(*cosines: float) -> Ranking:
    return Ranking(labels=("cat", "dog", "cup"), cosines=np.array(cosines, np.float32), logit_scale=100.0)


def test_accuracy_counts_the_pictures_whose_best_label_is_true():
    answers = [ranking(0.3, 0.2, 0.1), ranking(0.1, 0.3, 0.2), ranking(0.1, 0.2, 0.3), ranking(0.3, 0.2, 0.1)]
    assert top1_accuracy(answers, ["cat", "dog", "cup", "dog"]) == 0.75


def test_a_restriction_leaves_only_its_labels_in_the_race():
    assert top1_accuracy([ranking(0.3, 0.2, 0.1)], ["dog"], among=[("dog", "cup")]) == 1.0


def test_no_pictures_are_refused():
    with pytest.raises(ValueError, match="wanted as many truths"):
        top1_accuracy([], [])


def test_the_interval_of_half_of_a_hundred_is_known():
    low, high = wilson_interval(0.5, 100)
    assert low == pytest.approx(0.4038, abs=1e-4)
    assert high == pytest.approx(0.5962, abs=1e-4)


def test_the_interval_of_everything_stays_below_one():
    low, high = wilson_interval(1.0, 20)
    assert 0.8 < low < high <= 1.0
