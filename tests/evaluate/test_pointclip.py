"""The figures of PointCLIP, on a tiny CLIP whose answers are those of chance."""

import argparse

import numpy as np
import pytest

from core.checkpoints import Weights
from core.evaluate import pointclip, pointclip_claims, pointclip_data
from core.point_cloud.adapter import InterViewAdapter
from core.point_cloud.pointclip import PointClip
from core.results import Cloud
from tests.tiny import VIT, tiny_backbone


@pytest.fixture(scope="module")
def found():
    model = PointClip(
        tiny_backbone(VIT), Weights(name="tiny", system="clip"), InterViewAdapter(10, VIT.embed_dim).eval()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pointclip.registry, "load", lambda system, weights: model)
        patch.setattr(pointclip, "LESSON_CLOUDS", 48)
        patch.setattr(pointclip_claims, "COUNTS", (64,))
        patch.setattr(pointclip_claims, "TURNS_DEGREES", (0, 90))
        patch.setattr(pointclip, "CLASSICAL_SHOTS", 2)
        return pointclip.evaluate_pointclip(argparse.Namespace(weights=None, seed=0, size=24))


def test_every_figure_is_a_share(found):
    names = ("zero_shot_top1", "v2_zero_shot_top1", "adapter16_top1", "ensemble16_top1", "searched_top1")
    assert all(0 <= found[name] <= 1 for name in names)
    assert len(found["top1_by_view"]) == 6


def test_searching_on_the_test_clouds_flatters(found):
    assert found["searched_on_test_top1"] >= max(found["searched_top1"], found["zero_shot_top1"])


def test_every_claim_is_measured(found):
    assert set(found["top1_by_views"]) == {"1", "4", "6", "10"}
    assert found["weights_fitted"]["fitted on the test clouds"] >= found["weights_fitted"]["equal"]
    assert all(1 <= row["view"] <= 6 for row in found["best_view_by_turn"].values())
    assert "adapter_top1_by_shots" not in found  # only the embedded CLIP has a recipe to train one by


def test_a_turn_about_the_upright_axis_keeps_the_height():
    cloud = Cloud(points=np.array([[1, 2, 0], [0, 0, 1]], np.float32))
    assert pointclip_data.turned(cloud, "y", 90).points == pytest.approx(np.array([[0, 2, -1], [1, 0, 0]]), abs=1e-6)
    assert pointclip_data.turned(cloud, "x", 90).points == pytest.approx(np.array([[1, 0, 2], [0, -1, 0]]), abs=1e-6)


def test_a_classifier_without_a_network_is_above_chance(found):
    assert found["classical16_top1"] > 2 * found["chance"]


def test_fresh_clouds_take_the_categories_in_turn():
    clouds, truth = pointclip_data.draw(1, 30, count=64)
    assert truth.tolist() == [i % 24 for i in range(30)]
    assert all(np.linalg.norm(cloud.points, axis=1).max() <= 1 + 1e-6 for cloud in clouds)
