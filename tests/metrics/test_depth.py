"""Depth errors whose value is known by hand."""

import numpy as np
import pytest

from core.metrics.depth import EIGEN_CROP, garg_crop, kitti_errors, nyu_errors, rank_accuracy

RNG = np.random.default_rng


def row(*metres: float) -> np.ndarray:
    return np.array([metres], np.float32)


def test_the_errors_of_two_pixels_are_known():
    errors = nyu_errors(row(2.0, 4.0), row(1.0, 4.0))
    assert list(errors) == ["abs_diff", "d1", "d2", "d3", "abs_rel", "log10", "rmse"]
    assert errors["abs_diff"] == 0.5
    assert errors["abs_rel"] == 0.5
    assert errors["rmse"] == pytest.approx(0.5**0.5)
    assert errors["log10"] == pytest.approx(np.log10(2) / 2)
    assert errors["d1"] == errors["d2"] == errors["d3"] == 0.5  # 1.25 cubed is 1.953


def test_kitti_has_squared_and_logarithmic_errors_too():
    errors = kitti_errors(row(2.0, 4.0), row(1.0, 4.0))
    assert list(errors) == ["abs_diff", "abs_rel", "sq_rel", "d1", "d2", "d3", "rmse", "rmse_log"]
    assert errors["sq_rel"] == 0.5
    assert errors["rmse_log"] == pytest.approx(np.log(2) / 2**0.5)


@pytest.mark.parametrize(("ratio", "within"), [(1.2, 3), (1.5, 2), (1.9, 1), (2.0, 0)])
def test_the_three_thresholds_are_powers_of_five_quarters(ratio, within):
    for guess, true in ((ratio, 1.0), (1.0, ratio)):
        errors = nyu_errors(row(guess), row(true))
        assert errors["d1"] + errors["d2"] + errors["d3"] == within


def test_what_was_not_measured_does_not_count():
    truth = row(0.0, np.inf, np.nan, 10.0, 2.0)
    assert nyu_errors(row(1, 1, 1, 1, 2), truth)["abs_diff"] == 0
    assert kitti_errors(row(1, 1, 1, 10, 2), truth)["abs_diff"] == 0


def test_where_nyu_has_no_answer_is_left_out_and_kitti_has_the_least():
    assert nyu_errors(row(0.0, 2.0), row(2.0, 2.0))["abs_diff"] == 0
    assert kitti_errors(row(-5.0, 2.0), row(2.0, 2.0))["abs_diff"] == pytest.approx((2 - 1e-3) / 2)


def test_answers_too_far_away_are_moved_to_the_limit():
    assert nyu_errors(row(np.inf), row(9.0))["abs_diff"] == pytest.approx(1)
    assert nyu_errors(row(50.0), row(9.0), max=20)["abs_diff"] == pytest.approx(11)


def test_only_the_crop_counts_and_it_is_xyxy():
    truth = np.ones((2, 3), np.float32)
    prediction = np.array([[1, 1, 2], [3, 3, 3]], np.float32)
    assert nyu_errors(prediction, truth, crop=(2, 0, 3, 1))["abs_diff"] == 1
    assert kitti_errors(prediction, truth, crop=(0, 0, 2, 1))["abs_diff"] == 0


def test_the_papers_crops_are_theirs():
    left, top, right, bottom = EIGEN_CROP
    assert (bottom - top, right - left) == (426, 555)
    assert garg_crop((375, 1242)) == (44, 153, 1197, 371)


@pytest.mark.parametrize("errors", [nyu_errors, kitti_errors])
def test_nothing_to_score_and_no_number_are_refused(errors):
    with pytest.raises(ValueError, match="a true depth between"):
        errors(row(1.0), row(0.0))
    with pytest.raises(ValueError, match="without NaN"):
        errors(row(np.nan), row(1.0))


@pytest.mark.parametrize(
    ("prediction", "share"),
    [((1.0, 2.0, 3.0), 1.0), ((3.0, 2.0, 1.0), 0.0), ((7.0, 7.0, 7.0), 0.5), ((np.inf, np.inf, np.inf), 0.5)],
    ids=["right", "wrong", "constant", "infinite"],
)
def test_order_counts_and_scale_does_not_and_a_tie_is_half_right(prediction, share):
    assert rank_accuracy(row(*prediction), row(1.0, 5.0, 9.0), RNG(0)) == share


def test_pairs_that_hardly_differ_do_not_count():
    truth, wrong_where_close = row(1.0, 1.04, 2.0), row(1.04, 1.0, 2.0)
    assert rank_accuracy(wrong_where_close, truth, RNG(0)) == 1
    assert rank_accuracy(wrong_where_close, truth, RNG(0), min_ratio=1.01) < 1


def test_pixels_without_a_true_depth_are_not_ranked():
    assert rank_accuracy(row(9.0, 1.0, 2.0, 9.0), row(0.0, 1.0, 2.0, np.inf), RNG(0)) == 1


def test_the_same_generator_draws_the_same_pairs():
    truth, guess = RNG(1).random((2, 8, 8)).astype(np.float32) + 1
    assert rank_accuracy(guess, truth, RNG(5), pairs=50) == rank_accuracy(guess, truth, RNG(5), pairs=50)


def test_flat_and_empty_scenes_have_no_order():
    with pytest.raises(ValueError, match=r"factor of 1\.05"):
        rank_accuracy(row(1.0, 2.0), row(3.0, 3.0), RNG(0))
    with pytest.raises(ValueError, match="got none"):
        rank_accuracy(row(1.0, 2.0), row(0.0, 0.0), RNG(0))
