"""A rod and a ball are told apart without any network."""

import numpy as np

from core.point_cloud.classical import BINS, ShapeDistribution, describe
from core.results import Cloud


def ball(seed: int) -> Cloud:
    points = np.random.default_rng(seed).normal(size=(200, 3))
    return Cloud(points=(points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32))


def rod(seed: int) -> Cloud:
    height = np.random.default_rng(seed).uniform(-1, 1, 200)
    return Cloud(points=np.stack([0 * height, height, 0 * height], axis=1).astype(np.float32))


def test_each_histogram_shares_out_all_of_its_points():
    features = describe(ball(0)).reshape(3, BINS)
    assert np.allclose(features.sum(1), 1)


def test_a_rod_and_a_ball_are_told_apart():
    known = [make(seed) for make in (ball, rod) for seed in range(4)]
    model = ShapeDistribution.fit(known, np.array([0, 0, 0, 0, 1, 1, 1, 1]))
    assert model.logits([ball(9), rod(9)]).argmax(1).tolist() == [0, 1]
