"""The figures of ActionCLIP, on a tiny CLIP whose answers are those of chance."""

import argparse

import numpy as np
import pytest
import torch

from core.action.actionclip import ActionClip
from core.action.fusion import HEADS, MeanPool, Transf
from core.checkpoints import Weights
from core.evaluate import actionclip
from core.world.motion import ACTIONS
from tests.tiny import VIT, tiny_backbone

FRAMES = 4


def make_model() -> ActionClip:
    torch.manual_seed(0)
    heads = {"meanP": MeanPool(), "Transf": Transf(VIT.embed_dim, 1, layers=1, positions=FRAMES)}
    torch.nn.init.normal_(heads["Transf"].frame_position_embeddings.weight)
    return ActionClip(tiny_backbone(VIT), heads, Weights(name="tiny", system="actionclip"), frames=FRAMES)


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(actionclip.registry, "load", lambda system, weights: make_model())
        for name, value in {"LESSON_FILMS": 2, "SAME": (1, 2), "STEPS": 2, "FRAMES": (1, 4)}.items():
            patch.setattr(actionclip, name, value)
        return actionclip.evaluate_actionclip(argparse.Namespace(weights=None, seed=0, size=24))


def test_every_head_that_is_there_is_reported_and_the_others_as_missing(found):
    assert found["size"] == 24
    for name in HEADS:
        there = name in ("meanP", "Transf")
        assert (found[f"top1_{name}"] is not None) == there
        assert (f"direction_{name}" in found) == there


def test_the_mean_names_one_of_each_pair_at_most(found):
    assert found["largest_change_reversed_meanP"] == 0
    assert found["direction_meanP"] == 0.5
    assert found["top1_meanP"] <= 0.5
    assert found["largest_change_reversed_Transf"] > 0


def test_all_frames_are_the_whole_clip(found):
    assert found["top1_by_frames"]["Transf"]["4"] == found["top1_Transf"]
    assert found["top1_by_templates"]["16 templates"] == found["top1_Transf"]
    assert set(found["top1_by_action"]) == set(ACTIONS)


def test_cross_entropy_cannot_fall_below_the_logarithm_of_the_clips_of_a_class(found):
    by_count = found["loss_by_clips_of_a_class"]
    assert by_count["2"]["own_text_floor"] == pytest.approx(np.log(2))
    assert by_count["1"]["own_text_push_apart"] == 0
    assert by_count["2"]["kl_push_apart"] < by_count["2"]["own_text_push_apart"]
    assert "400 classes" in found["loss_note"]


def test_in_one_frame_both_directions_look_alike(found):
    assert found["top1_by_frames"]["Transf"]["1"] <= 0.5


def test_fewer_frames_are_the_middles_of_equal_parts_repeated():
    features = np.arange(8.0)[None, :, None].astype(np.float32)
    drawn = actionclip.Drawn(features=features, motions=np.array([0]))
    assert actionclip._fewer(drawn, 2).features[0, :, 0].tolist() == [1, 1, 1, 1, 5, 5, 5, 5]
    assert actionclip._fewer(drawn, 8).features[0, :, 0].tolist() == list(range(8))
