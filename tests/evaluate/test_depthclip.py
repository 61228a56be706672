"""The figures of DepthCLIP, on a tiny CLIP: chance for the words, more for the row of the picture."""

import argparse

import pytest

from core.checkpoints import Weights
from core.depth.depthclip import TOYBOX, DepthClip
from core.evaluate import depthclip
from core.world.captions import distance_word
from tests.tiny import RESNET, tiny_backbone


@pytest.fixture(scope="module")
def found():
    model = DepthClip(tiny_backbone(RESNET), Weights(name="tiny", system="clip"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depthclip.registry, "load", lambda system, weights: model)
        patch.setattr(depthclip, "FITTED_SCENES", 10)
        patch.setattr(depthclip, "PIXELS", 32)
        return depthclip.evaluate_depthclip(argparse.Namespace(weights=None, seed=0, size=6))


def test_every_variant_and_baseline_is_measured(found):
    rows = found["by_answer"]
    assert {"released", "attention_pooled", "constant", "mean depth", "vertical position"} <= set(rows)
    assert found["rank_accuracy"] == max(rows[name]["rank_accuracy"] for name in ("released", "attention_pooled"))


def test_a_constant_ranks_like_chance_and_the_row_of_the_picture_does_not(found):
    assert found["by_answer"]["constant"]["rank_accuracy"] == 0.5
    assert found["by_answer"]["vertical position"]["rank_accuracy"] > 0.7


def test_the_baselines_are_also_measured_having_learned_only_the_scored_depths(found):
    rows = found["by_answer"]
    assert rows["constant, below 20 m"]["abs_rel"] != rows["constant"]["abs_rel"]
    assert {"mean depth, below 20 m", "vertical position, below 20 m"} <= set(rows)


def test_the_toybox_calls_the_embedded_bins_by_their_words():
    assert tuple(distance_word(metres) for metres in TOYBOX.bins_metres) == TOYBOX.words
