"""Maps of words: labels, thresholds and shares without another forward pass."""

import numpy as np
import pytest

from core.results import stretch
from core.segmentation import answer
from core.segmentation.answer import WordMaps, clean_words

LOGITS = np.array([[[0, 0], [2, 2]], [[1, 1], [0, 0]]], np.float32)


def maps(logits: np.ndarray = LOGITS, size_hw: tuple[int, int] = (2, 2), **options: object) -> WordMaps:
    words = tuple("abcdefgh"[: len(logits)])
    return WordMaps(words=words, logits=logits, size_hw=size_hw, **options)


def test_each_pixel_gets_its_best_word():
    assert maps().label_map().ids.tolist() == [[1, 1], [0, 0]]
    assert maps().shares().tolist() == [0.5, 0.5]


def test_a_threshold_takes_pixels_that_are_not_sure_enough():
    sure = 1 / (1 + np.exp(-1))  # of the upper row; the lower one is surer
    assert maps().label_map(sure - 0.01).ids.tolist() == [[1, 1], [0, 0]]
    assert maps().label_map(sure + 0.01).ids.tolist() == [[-1, -1], [0, 0]]
    assert maps().shares(sure + 0.01).tolist() == [0.5, 0]
    assert (maps().label_map(1.0).ids == -1).all()


def test_maps_are_stretched_with_corners_on_corners():
    logits = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    found = maps(logits, (9, 13))
    whole = np.stack([stretch(grid, (9, 13)) for grid in logits])
    assert found.label_map().ids.tolist() == whole.argmax(0).tolist()
    assert found.word_map(1) == pytest.approx(whole[1], abs=1e-5)
    for x, y in ((0, 0), (12, 8), (5, 3), (12, 0)):
        assert found.logits_at(x, y) == pytest.approx(whole[:, y, x], abs=1e-5)
        assert found.probabilities_at(x, y) == pytest.approx(np.exp(whole[:, y, x]) / np.exp(whole[:, y, x]).sum())


def test_a_large_picture_in_bands_is_the_same_as_in_one(monkeypatch):
    logits = np.random.default_rng(1).normal(size=(4, 6, 6)).astype(np.float32)
    whole = maps(logits, (50, 40)).label_map(0.3).ids
    monkeypatch.setattr(answer, "BAND", 4 * 40 * 7)
    assert np.array_equal(maps(logits, (50, 40)).label_map(0.3).ids, whole)


def test_a_grid_of_one_place_fills_the_picture():
    found = maps(np.array([[[3.0]], [[1.0]]], np.float32), (4, 6))
    assert (found.label_map().ids == 0).all()
    assert found.logits_at(5, 3).tolist() == [3, 1]


def test_of_equal_words_the_first_gets_the_pixel():
    assert (maps(np.zeros((3, 2, 2), np.float32)).label_map().ids == 0).all()


def test_what_was_before_is_shown_where_it_was_kept():
    assert maps(before=LOGITS + 1).word_map(0, before=True)[1, 1] == 3
    with pytest.raises(ValueError, match="no maps from before"):
        maps().word_map(0, before=True)


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (2, 0), (0, 2)])
def test_a_pixel_outside_is_refused(x, y):
    with pytest.raises(ValueError, match="inside 2 x 2"):
        maps().logits_at(x, y)


@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(ValueError, match="from 0 to 1"):
        maps().label_map(threshold)


def test_maps_without_a_word_each_and_maps_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="a map for each"):
        WordMaps(words=("a",), logits=LOGITS, size_hw=(2, 2))
    with pytest.raises(ValueError, match="finite"):
        maps(LOGITS * np.float32("nan"))


def test_words_keep_their_order_and_their_doubles():
    assert clean_words(["b", " a", "", "b"]) == ("b", "a", "b")
