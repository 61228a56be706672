"""IoU known by hand: pooled over pictures, with ignored pixels, with nothing predicted, with an oracle."""

import numpy as np
import pytest

from core.metrics.segmentation import Confusion, apart, label_ious, main_groups, oracle_labels, pooled_iou
from core.results import LabelMap


def ids(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int32)


def test_iou_is_the_shared_part_of_what_either_holds():
    counts = Confusion(2)
    counts.add(ids([0, 0, 1, 1]), ids([0, 1, 1, 1]))
    assert counts.iou().tolist() == [1 / 2, 2 / 3]
    assert counts.mean_iou() == pytest.approx(7 / 12)
    assert counts.accuracy() == 0.75


def test_pixels_of_all_pictures_are_pooled_before_the_ratio():
    counts = Confusion(2)
    counts.add(ids([0]), ids([0]))
    counts.add(ids([1, 1, 1]), ids([0, 0, 0]))
    assert counts.iou()[0] == 1 / 4  # the mean of the two pictures' IoUs would be 1/2


def test_ignored_pixels_count_neither_for_nor_against():
    counts = Confusion(2)
    counts.add(ids([0, 1, 1]), ids([0, -1, 1]))
    assert counts.iou().tolist() == [1, 1]
    assert counts.counts.sum() == 2


def test_a_pixel_without_a_word_is_missed_but_given_to_nobody():
    counts = Confusion(2)
    counts.add(ids([-1, 0, 1]), ids([0, 0, 1]))
    assert counts.iou().tolist() == [1 / 2, 1]


def test_a_label_that_nobody_saw_or_said_does_not_count():
    counts = Confusion(3)
    counts.add(ids([0, 1]), ids([0, 0]))
    assert counts.iou()[:2].tolist() == [1 / 2, 0]
    assert np.isnan(counts.iou()[2])
    assert counts.mean_iou() == 1 / 4
    assert counts.mean_iou([0, 2]) == 1 / 2
    assert np.isnan(counts.mean_iou([2]))
    assert np.isnan(Confusion(2).accuracy())


@pytest.mark.parametrize(
    ("guess", "truth"), [(ids([0]), ids([0, 0])), (ids([2]), ids([0])), (ids([0]), ids([2])), (ids([-2]), ids([0]))]
)
def test_what_cannot_be_counted_is_refused(guess, truth):
    with pytest.raises(ValueError, match="wanted"):
        Confusion(2).add(guess, truth)


def test_no_labels_are_refused():
    with pytest.raises(ValueError, match="at least one label"):
        Confusion(0)


def test_words_pair_by_name_whatever_their_order():
    truth = LabelMap(ids=ids([0, 0, 1, -1]), labels=("dog", "cat"))
    guess = LabelMap(ids=ids([1, 0, 0, 2]), labels=("cat", "dog", "sky"))
    assert label_ious(guess, truth) == {"dog": 1 / 2, "cat": 1 / 2}


def test_a_word_twice_counts_once_and_a_missing_word_has_zero():
    truth = LabelMap(ids=ids([0, 0, 1]), labels=("dog", "cat", "bird"))
    guess = LabelMap(ids=ids([0, 1, 1]), labels=("dog", "dog"))
    assert label_ious(guess, truth) == {"dog": 2 / 3, "cat": 0.0}


def test_maps_of_different_pictures_are_refused():
    maps = [LabelMap(ids=np.zeros((1, side), np.int32), labels=("dog",)) for side in (2, 3)]
    with pytest.raises(ValueError, match="the truth's shape"):
        label_ious(*maps)


def test_the_oracle_names_each_group_after_most_of_its_pixels():
    found = oracle_labels(ids([5, 5, 5, 2, 2, -1]), ids([1, 1, 0, 0, -1, 3]))
    assert found.tolist() == [[1, 1, 1, 0, 0, -1]]
    assert found.dtype == np.int32


def test_a_group_of_ignored_pixels_gets_no_name():
    assert oracle_labels(ids([0, 0, 1]), ids([-1, -1, 0])).tolist() == [[-1, -1, 0]]


def test_groups_that_follow_the_truth_have_a_perfect_oracle():
    truth = np.random.default_rng(0).integers(0, 4, (9, 7)).astype(np.int32)
    counts = Confusion(4)
    counts.add(oracle_labels(truth + 10, truth), truth)
    assert counts.mean_iou() == 1


def test_one_group_for_everything_names_the_most_frequent():
    assert set(oracle_labels(np.zeros((2, 2), np.int32), ids([1, 1], [1, 0])).ravel()) == {1}


def test_masks_are_apart_where_each_has_a_group_that_nothing_else_has():
    instances = np.full((4, 6), -1)
    instances[1:3, 1], instances[1:3, 4] = 0, 1
    masks = [instances == 0, instances == 1]
    alone = np.where(instances < 0, 5, instances)
    assert apart(masks, alone) == 1
    assert apart(masks, np.zeros_like(instances)) == 0
    assert apart(masks, np.where(instances == 0, 1, 0)) == 0.5  # the other lies in the background's group
    assert apart([], alone) == 0
    assert main_groups(masks, alone) == [0, 1]


def test_pooled_iou_counts_pixels_of_all_pictures_that_show_anything():
    full, empty, half = np.ones((2, 2), bool), np.zeros((2, 2), bool), np.array([[True, True], [False, False]])
    assert pooled_iou([(half, full), (full, full)]) == 6 / 8
    assert pooled_iou([(half, full), (full, empty)]) == 0.5
    assert pooled_iou([(full, empty)]) is None
