"""The figures of GroupViT: an answer that is the truth, one that is nothing, and a network that knows nothing."""

import argparse

import numpy as np
import pytest

from core.checkpoints import Weights
from core.evaluate import groupvit, groupvit_claims
from core.evaluate.groupvit import BACKGROUND, counts, plain_figures, scenes
from core.segmentation.plain_clip import PlainClip
from tests.segmentation.tiny_groupvit import tiny_groupvit
from tests.tiny import VIT, tiny_backbone

MODELS = {
    "groupvit": lambda: tiny_groupvit(),
    "plain_clip": lambda: PlainClip(tiny_backbone(VIT), Weights(name="tiny", system="clip")),
}


@pytest.fixture(scope="module")
def views():
    return scenes(7, 4)


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groupvit.registry, "load", lambda system, weights=None: MODELS[system]())
        patch.setattr(groupvit, "CLAIM_SIZE", 4)
        patch.setattr(groupvit_claims, "THINGS", (1, 3))
        return groupvit.evaluate_groupvit(argparse.Namespace(weights=None, seed=0, size=4))


def test_every_figure_is_a_share(found):
    names = ("miou", "oracle_miou", "oracle_miou_first_stage", "miou_plain_clip", "miou_told_words", "pixel_accuracy")
    assert all(0 <= found[name] <= 1 for name in names)


def test_an_oracle_knows_more_than_words(found):
    assert found["oracle_miou"] >= found["miou"]


def test_every_claim_is_measured(found):
    assert found["cap"]["groups"] == 3
    rows = found["cap"]["by_things"]
    assert set(rows) == {"1", "3"}
    assert all(row["most_segments"] <= 3 for row in rows.values())
    assert set(found["merged"]) == {"same_category", "two_categories"}
    assert found["miou_by_threshold"]["0"]["iou_background"] == 0
    assert set(found["grouping_and_recognition"]) == {"1", "2", "3", "4"}


def test_the_truth_scores_one_and_nothing_scores_the_background_alone(views):
    assert counts(views, (view.categories.ids for view in views)).mean_iou() == 1
    nothing = counts(views, (np.full_like(view.categories.ids, -1) for view in views))
    present = {int(i) for view in views for i in np.unique(view.categories.ids) if i >= 0}
    behind = np.mean([(view.categories.ids < 0).mean() for view in views])
    assert nothing.iou()[BACKGROUND] == pytest.approx(behind)
    assert nothing.mean_iou() == pytest.approx(behind / (len(present) + 1))


def test_scenes_have_one_to_four_things_in_turn(views):
    assert [len(view.scene.things) for view in views] == [1, 2, 3, 4]


def test_plain_clip_is_given_the_background_that_serves_it_better(views):
    figures = plain_figures(MODELS["plain_clip"](), views)
    both = (figures["miou_plain_clip_by_threshold"], figures["miou_plain_clip_by_names"])
    assert figures["miou_plain_clip"] == max(both)
