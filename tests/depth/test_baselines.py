"""Answers without looking, whose values are known by hand."""

import numpy as np
import pytest

from core.depth.baselines import Constant, MeanDepth, VerticalPosition
from core.results import DepthMap


def depths(*pictures: list[list[float]]) -> list[DepthMap]:
    return [DepthMap(metres=np.array(picture, np.float32)) for picture in pictures]


SLOPE = depths([[4.0, 4.0], [1.0, 1.0]], [[16.0, 16.0], [1.0, 1.0]])


def test_a_constant_is_the_same_everywhere():
    assert Constant(metres=2.5).predict((2, 3)).metres.tolist() == [[2.5] * 3] * 2


def test_a_fitted_constant_is_the_mean_of_all_pixels():
    assert Constant.fit(SLOPE).metres == pytest.approx((4 + 16 + 1 + 1) / 4)


def test_the_mean_picture_is_the_mean_at_each_place():
    fitted = MeanDepth.fit(depths([[1.0, 2.0]], [[3.0, 6.0]]), rows=1, columns=2)
    assert fitted.predict((2, 4)).metres.tolist() == [[2.0, 2.0, 4.0, 4.0]] * 2


def test_a_place_that_was_never_measured_gets_the_mean_of_all():
    fitted = MeanDepth.fit(depths([[np.inf, 2.0], [4.0, 6.0]]), rows=2, columns=2)
    assert fitted.predict((2, 2)).metres.tolist() == [[4.0, 2.0], [4.0, 6.0]]


def test_a_row_gets_the_mean_logarithm_of_its_depths():
    metres = VerticalPosition.fit(SLOPE, rows=2).predict((2, 3)).metres
    assert metres == pytest.approx(np.array([[8.0] * 3, [1.0] * 3]))


def test_between_two_bands_the_logarithm_is_linear():
    metres = VerticalPosition.fit(SLOPE, rows=2).predict((4, 1)).metres[:, 0]
    assert metres == pytest.approx([8.0, 8 ** (3 / 4), 8 ** (1 / 4), 1.0])


def test_a_band_of_sky_is_filled_from_below():
    metres = VerticalPosition.fit(depths([[np.inf], [4.0], [1.0]]), rows=3).predict((3, 1)).metres[:, 0]
    assert metres == pytest.approx([4.0, 4.0, 1.0])


def test_pictures_of_different_sizes_are_laid_over_each_other():
    fitted = VerticalPosition.fit(depths([[2.0], [1.0]], [[8.0]] * 2 + [[1.0]] * 2), rows=2)
    assert fitted.predict((2, 1)).metres[0, 0] == pytest.approx(2 ** (7 / 3))  # log 2 once, log 8 twice


@pytest.mark.parametrize("kind", [Constant, MeanDepth, VerticalPosition])
def test_nothing_but_sky_and_nothing_at_all_are_refused(kind):
    for training in ([], depths([[np.inf]])):
        with pytest.raises(ValueError, match="finite depth"):
            kind.fit(training)


@pytest.mark.parametrize("metres", [0.0, -1.0, np.inf, np.nan])
def test_an_impossible_constant_is_refused(metres):
    with pytest.raises(ValueError, match="above 0 metres"):
        Constant(metres=metres)


def test_the_baselines_need_no_torch(python):
    finished = python("-c", "import core.depth.baselines, sys; sys.exit('torch' in sys.modules)")
    assert finished.returncode == 0
