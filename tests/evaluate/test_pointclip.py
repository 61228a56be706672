"""The figures of PointCLIP, on a tiny CLIP whose answers are those of chance."""

import argparse

import numpy as np
import pytest

from core.checkpoints import Weights
from core.evaluate import pointclip
from core.point_cloud.adapter import InterViewAdapter
from core.point_cloud.pointclip import PointClip
from tests.tiny import VIT, tiny_backbone


@pytest.fixture(scope="module")
def found():
    model = PointClip(
        tiny_backbone(VIT), Weights(name="tiny", system="clip"), InterViewAdapter(10, VIT.embed_dim).eval()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pointclip.registry, "load", lambda system, weights: model)
        patch.setattr(pointclip, "LESSON_CLOUDS", 24)
        patch.setattr(pointclip, "CLASSICAL_SHOTS", 2)
        return pointclip.evaluate_pointclip(argparse.Namespace(weights=None, seed=0, size=24))


def test_every_figure_is_a_share(found):
    names = ("zero_shot_top1", "v2_zero_shot_top1", "adapter16_top1", "ensemble16_top1", "searched_top1")
    assert all(0 <= found[name] <= 1 for name in names)
    assert len(found["top1_by_view"]) == 6


def test_searching_on_the_test_clouds_flatters(found):
    assert found["searched_on_test_top1"] >= max(found["searched_top1"], found["zero_shot_top1"])


def test_a_classifier_without_a_network_is_above_chance(found):
    assert found["classical16_top1"] > 2 * found["chance"]


def test_fresh_clouds_take_the_categories_in_turn():
    clouds, truth = pointclip.draw(1, 30, count=64)
    assert truth.tolist() == [i % 24 for i in range(30)]
    assert all(np.linalg.norm(cloud.points, axis=1).max() <= 1 + 1e-6 for cloud in clouds)
