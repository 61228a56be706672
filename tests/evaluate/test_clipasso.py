"""The figures of CLIPasso, on tiny CLIPs: every claim has its figure."""

import argparse

import numpy as np
import pytest

from core.checkpoints import Weights
from core.evaluate import clipasso
from core.sketch.clipasso import Clipasso
from tests.tiny import RESNET, VIT, tiny_backbone, tiny_clip

CARD = Weights(name="tiny", system="clip", licence="none")


@pytest.fixture(scope="module")
def found():
    models = {"clipasso": Clipasso(tiny_backbone(RESNET), CARD, tiny_backbone(VIT)), "clip": tiny_clip(VIT)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clipasso.registry, "load", lambda system, weights: models[system])
        patch.setattr(clipasso, "ITERATIONS", 1)
        patch.setattr(clipasso, "LESSON_PICTURES", 1)
        patch.setattr(clipasso, "LESSON_SEEDS", 2)
        return clipasso.evaluate_clipasso(argparse.Namespace(weights=None, seed=0, size=1))


def test_recognition_is_a_share_for_every_number_of_strokes(found):
    names = [f"recognised_{count}" for count in (4, 8, 16, 32)]
    assert all(0 <= found[name] <= 1 for name in (*names, "random_16", "random_16_anywhere", "picture_top1"))
    assert isinstance(found["curve_rises"], bool)


def test_every_claim_is_measured(found):
    assert set(found["by_loss"]) == {"semantic only", "geometric only", "both"}
    assert set(found["without_augmentation"]) == {"semantic only", "both"}
    assert set(found["by_background"]) == {"white", "background", "cut out"}
    assert set(found["by_start"]) == {"saliency", "random"}
    assert 0 <= found["by_background"]["cut out"]["mask_iou"] <= 1
    assert found["by_start"]["random"]["loss_spread"] >= 0


def test_things_take_the_categories_in_turn_and_are_large_enough():
    view = clipasso.thing_alone(5, 25)
    assert view.scene.things[0].category == clipasso.CATEGORIES[1]
    assert clipasso.thing_mask(view).mean() >= clipasso.LEAST_SHARE


def test_the_judge_never_drew():
    assert clipasso.JUDGES.get("toybox-vit", "toybox-vit") == "toybox-resnet"
    assert clipasso.JUDGES.get("toybox-resnet", "toybox-vit") == "toybox-vit"
    assert np.isclose(1 / len(clipasso.CATEGORIES), 1 / 24)
