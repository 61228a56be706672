"""Average precision that is known by hand."""

import numpy as np
import pytest

from core.metrics.detection import average_precision, average_recall, mean_of
from core.results import Boxes

HERE, THERE, NOWHERE = (0, 0, 10, 10), (20, 20, 40, 40), (60, 60, 70, 70)


def boxes(*found: tuple[tuple[float, ...], str, float]) -> Boxes:
    return Boxes(
        boxes_xyxy=np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
        labels=tuple(label for _, label, _ in found),
        scores=np.array([score for _, _, score in found], np.float32),
        size_hw=(80, 80),
    )


def truth(*found: tuple[tuple[float, ...], str]) -> Boxes:
    return boxes(*((box, label, 1.0) for box, label in found))


def test_the_truth_itself_has_average_precision_one():
    true = truth((HERE, "cat"), (THERE, "dog"))
    found = average_precision([true], [true], ["cat", "dog"])
    assert [found[name] for name in ("ap", "ap50", "ap75", "recall50")] == pytest.approx([1, 1, 1, 1])
    assert found["ap50_by_label"] == pytest.approx({"cat": 1, "dog": 1})


def test_a_wrong_box_before_the_right_one_halves_it_and_one_after_it_does_not():
    true = [truth((HERE, "cat"))]
    before = average_precision([boxes((NOWHERE, "cat", 0.9), (HERE, "cat", 0.8))], true, ["cat"])
    after = average_precision([boxes((NOWHERE, "cat", 0.7), (HERE, "cat", 0.8))], true, ["cat"])
    assert before["ap50"] == pytest.approx(0.5)
    assert after["ap50"] == pytest.approx(1)


def test_a_second_box_on_the_same_thing_is_wrong():
    true = [truth((HERE, "cat"), (THERE, "cat"))]
    twice = boxes((HERE, "cat", 0.9), (HERE, "cat", 0.8), (THERE, "cat", 0.7))
    want = (51 * 1 + 50 * 2 / 3) / 101  # recalls up to a half at precision one, the others at two thirds
    assert average_precision([twice], true, ["cat"])["ap50"] == pytest.approx(want)


def test_an_overlap_of_sixty_percent_counts_at_a_half_and_not_at_three_quarters():
    found = average_precision([boxes(((0, 0, 10, 6), "cat", 1.0))], [truth((HERE, "cat"))], ["cat"])
    assert (found["ap50"], found["ap75"]) == pytest.approx((1, 0))
    assert found["ap"] == pytest.approx(0.3)  # 0.50, 0.55 and 0.60 of the ten overlaps


def test_the_right_place_under_the_wrong_name_counts_for_nothing():
    found = average_precision([boxes((HERE, "dog", 1.0))], [truth((HERE, "cat"))], ["cat", "dog"])
    assert found["ap50_by_label"] == {"cat": 0}


def test_scores_are_compared_over_all_pictures():
    true = [truth((HERE, "cat")), truth()]
    low, high = ([boxes((HERE, "cat", 0.5)), boxes((HERE, "cat", score))] for score in (0.4, 0.6))
    assert average_precision(low, true, ["cat"])["ap50"] == pytest.approx(1)
    assert average_precision(high, true, ["cat"])["ap50"] == pytest.approx(0.5)


def test_labels_that_nobody_asked_for_are_not_looked_at():
    true = [truth((HERE, "cat"), (THERE, "dog"))]
    assert average_precision([boxes((HERE, "cat", 1.0), (HERE, "cow", 2.0))], true, ["cat"])["ap50"] == pytest.approx(1)


def test_no_box_at_all_is_nought_and_no_truth_is_no_number():
    assert average_precision([boxes()], [truth((HERE, "cat"))], ["cat"])["ap50"] == 0
    found = average_precision([boxes((HERE, "cat", 1.0))], [truth()], ["cat"])
    assert np.isnan(found["ap50"])
    assert found["ap50_by_label"] == {}


def test_means_can_be_of_some_labels():
    assert mean_of({"cat": 1.0, "dog": 0.5, "cow": 0.0}, ["cat", "dog", "hen"]) == 0.75
    assert np.isnan(mean_of({"cat": 1.0}, ["dog"]))


def test_recall_does_not_read_names_and_counts_the_best_boxes_only():
    true = [truth((HERE, "cat"), (THERE, "dog"))]
    found = [boxes((THERE, "", 0.9), (NOWHERE, "", 0.8), (HERE, "", 0.7))]
    assert average_recall(found, true) == {"recall": 1, "recall50": 1}
    assert average_recall(found, true, most=2)["recall50"] == 0.5
    assert average_recall(found, true, most=2, labels=["dog"])["recall50"] == 1
    assert np.isnan(average_recall(found, true, labels=["cow"])["recall"])


def test_nothing_is_printed(capsys):
    average_precision([truth((HERE, "cat"))], [truth((HERE, "cat"))], ["cat"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("predictions", "truths", "labels"), [(0, 0, ["cat"]), (1, 0, ["cat"]), (1, 1, [])])
def test_nothing_to_measure_is_refused(predictions, truths, labels):
    with pytest.raises(ValueError, match="of the same pictures"):
        average_precision([boxes()] * predictions, [boxes()] * truths, labels)
