"""Depth errors as NYU Depth v2 and KITTI define them, and how often the nearer of two pixels is found.

Definitions: Eigen et al. 2014, Sec. 4.3, https://arxiv.org/abs/1406.2283, as DepthCLIP's calculate_error.py has them
(Adonis-galaxy/DepthCLIP at e247c87). All are for one picture: the papers' tables are means over pictures of these,
RMSE too. Depths are metres; a truth of 0, infinity or NaN is a pixel that was not measured.

Legend: H height, W width, N pixels that count.
"""

import numpy as np
from jaxtyping import Bool, Float

Crop = tuple[int, int, int, int]  # xyxy, pixels, end exclusive

EIGEN_CROP: Crop = (46, 45, 601, 471)  # calculate_error.py, of an NYU picture of 480 x 640
GARG_ROWS, GARG_COLUMNS = (0.40810811, 0.99189189), (0.03594771, 0.96405229)  # the same file; Garg et al. 2016
RATIO = 1.25  # Eigen et al. 2014, Sec. 4.3: d1, d2, d3 count ratios below this, its square and its cube
PAIRS = 20_000  # ours


def garg_crop(size_hw: tuple[int, int]) -> Crop:
    """Return the part of a KITTI picture that is scored."""
    height, width = size_hw
    (top, bottom), (left, right) = GARG_ROWS, GARG_COLUMNS
    return int(left * width), int(top * height), int(right * width), int(bottom * height)


def nyu_errors(
    prediction: Float[np.ndarray, "H W"],
    truth: Float[np.ndarray, "H W"],
    *,
    crop: Crop | None = None,
    min: float = 1e-3,
    max: float = 10.0,
) -> dict[str, float]:
    """Return abs_diff, d1, d2, d3, abs_rel, log10 and rmse, in this order, where both depths were given.

    Raises ValueError where no pixel counts.
    """
    _check(prediction, truth)
    guess, true = _pixels(prediction, truth, prediction > min, crop, (min, max))
    found = _shared(guess, true) | {"log10": float(np.abs(np.log10(true) - np.log10(guess)).mean())}
    return {name: found[name] for name in ("abs_diff", "d1", "d2", "d3", "abs_rel", "log10", "rmse")}


def kitti_errors(
    prediction: Float[np.ndarray, "H W"],
    truth: Float[np.ndarray, "H W"],
    *,
    crop: Crop | None = None,
    min: float = 1e-3,
    max: float = 80.0,
) -> dict[str, float]:
    """Return abs_diff, abs_rel, sq_rel, d1, d2, d3, rmse and rmse_log, in this order, where the truth was measured.

    Predictions outside the range are moved to its ends, negative ones too. Raises ValueError where no pixel counts.
    """
    _check(prediction, truth)
    guess, true = _pixels(prediction, truth, np.ones_like(truth, bool), crop, (min, max))
    found = _shared(guess, true) | {
        "sq_rel": float(((true - guess) ** 2 / true).mean()),
        "rmse_log": float(np.sqrt(((np.log(true) - np.log(guess)) ** 2).mean())),
    }
    names = ("abs_diff", "abs_rel", "sq_rel", "d1", "d2", "d3", "rmse", "rmse_log")
    return {name: found[name] for name in names}


def rank_accuracy(
    prediction: Float[np.ndarray, "H W"],
    truth: Float[np.ndarray, "H W"],
    rng: np.random.Generator,
    *,
    pairs: int = PAIRS,
    min_ratio: float = 1.05,
) -> float:
    """Return the share of pixel pairs whose nearer pixel is nearer in the prediction too; a tie is half right.

    Of `pairs` pairs drawn at random, those count whose true depths differ by more than `min_ratio`. Chance is 0.5
    whatever the scene, and so is a constant answer. Raises ValueError where no pair counts.
    """
    _check(prediction, truth)
    measured = np.isfinite(truth) & (truth > 0)
    guess, true = prediction[measured], truth[measured].astype(np.float64)
    if not true.size:
        raise ValueError("wanted a pixel with a true depth, got none")
    first, second = rng.integers(0, true.size, (2, pairs))
    apart = np.maximum(true[first], true[second]) > min_ratio * np.minimum(true[first], true[second])
    if not apart.any():
        raise ValueError(f"wanted depths that differ by more than a factor of {min_ratio}, got none in {pairs} pairs")
    first, second = first[apart], second[apart]
    steps = _direction(guess[first], guess[second]) * _direction(true[first], true[second])
    return float((1 + steps).mean() / 2)


def _direction(first: Float[np.ndarray, " N"], second: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Return 1, 0 or -1; unlike the sign of a difference, equal infinities are a tie."""
    return (first > second).astype(np.float64) - (first < second)


def _pixels(
    prediction: Float[np.ndarray, "H W"],
    truth: Float[np.ndarray, "H W"],
    given: Bool[np.ndarray, "H W"],
    crop: Crop | None,
    limits: tuple[float, float],
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    left, top, right, bottom = crop or (0, 0, truth.shape[1], truth.shape[0])
    inside = (slice(top, bottom), slice(left, right))
    chosen = (given & (truth > limits[0]) & (truth < limits[1]))[inside]
    if not chosen.any():
        raise ValueError(f"wanted a pixel with a true depth between {limits[0]} and {limits[1]} m, got none")
    guess, true = (depth[inside][chosen].astype(np.float64).clip(*limits) for depth in (prediction, truth))
    return guess, true


def _check(prediction: np.ndarray, truth: np.ndarray) -> None:
    if prediction.shape != truth.shape:
        raise ValueError(f"wanted a prediction of the truth's shape {truth.shape}, got {prediction.shape}")
    if np.isnan(prediction).any():
        raise ValueError("wanted a prediction without NaN")


def _shared(guess: Float[np.ndarray, " N"], true: Float[np.ndarray, " N"]) -> dict[str, float]:
    ratios = np.maximum(true / guess, guess / true)
    within = {f"d{power}": float((ratios < RATIO**power).mean()) for power in (1, 2, 3)}
    return within | {
        "abs_diff": float(np.abs(true - guess).mean()),
        "abs_rel": float((np.abs(true - guess) / true).mean()),
        "rmse": float(np.sqrt(((true - guess) ** 2).mean())),
    }
