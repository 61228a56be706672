"""The evaluation's own arithmetic, on a ViLD that knows nothing and on one that is told everything."""

import argparse
import dataclasses

import numpy as np
import pytest

from core.detection.vild_parts import VildParts
from core.evaluate import vild, vild_claims
from core.world.picture import picture
from core.world.scene import BASE, NOVEL
from core.world.shapes import CATEGORIES
from tests.detection.tiny_vild import tiny_vild


@pytest.fixture(scope="module")
def few():
    return vild.scenes(0, 4)


def told(scene: vild.Scene, text: float, image: float) -> VildParts:
    """Return parts whose boxes are the truth and whose heads are this sure of the right word."""
    right = np.array([[word == label for word in CATEGORIES] for label in scene.truth.labels], np.float32)
    return VildParts(
        labels=CATEGORIES,
        base=np.isin(CATEGORIES, BASE),
        boxes_xyxy=scene.truth.boxes_xyxy,
        objectness=np.ones(len(right), np.float32),
        scores={head: right * np.float32(sure) for head, sure in (("text", text), ("image", image), ("vild", text))},
        size_hw=scene.truth.size_hw,
    )


def test_the_truth_is_what_is_large_enough_to_speak_of():
    view = picture(7, 64, count=2, samples=1)
    assert len(vild.truth(view).labels) == len(view.boxes.labels) == 2
    ids = np.where(view.instances.ids == 0, -1, view.instances.ids)
    ids[0, 0] = 0  # one pixel is left of the first thing
    smaller = dataclasses.replace(view, instances=dataclasses.replace(view.instances, ids=ids))
    assert vild.truth(smaller).labels == view.boxes.labels[1:]


def test_the_truth_itself_has_average_precision_one(few):
    parts, truths = [told(scene, 0.9, 0.9) for scene in few], [scene.truth for scene in few]
    found = vild.aps(parts, truths, lambda each: each.ensemble())
    kinds = {label for scene in few for label in scene.truth.labels}
    assert found["ap50_base"] == (1 if kinds & set(BASE) else None)
    assert found["ap50_novel"] == (1 if kinds & set(NOVEL) else None)


def test_the_text_s_share_goes_from_the_image_head_to_the_text_head(few):
    parts = told(few[0], 0.4, 0.9)
    assert vild_claims.mixture(parts, 0.0).max() == pytest.approx(0.9)
    assert vild_claims.mixture(parts, 1.0).max() == pytest.approx(0.4)
    assert vild_claims.SHARES[0] == 0
    assert vild_claims.SHARES[-1] == 1


def test_overlaps_of_a_box_with_itself_its_half_and_nothing():
    box = np.array([0, 0, 10, 10], np.float32)
    others = np.array([[0, 0, 10, 10], [0, 0, 5, 10], [20, 20, 30, 30]], np.float32)
    assert vild.overlaps(box, others).tolist() == pytest.approx([1, 0.5, 0])


def test_naming_and_absence_are_perfect_where_the_heads_are_told_the_truth(few):
    parts = [told(scene, 0.9, 0.2) for scene in few]
    names = vild_claims.named(few, parts)
    assert {value for head in ("text", "image", "ensemble") for value in names[head].values()} <= {1.0, None}
    found = vild_claims.absent(few, parts)
    assert {found["base there"], found["novel there"]} <= {1.0, None}
    assert found["base not there"] == found["novel not there"] == 0


def test_the_baseline_is_measured_alone_where_there_are_no_heads(monkeypatch):
    model = tiny_vild(path="crops")
    monkeypatch.setattr(vild.registry, "load", lambda *_: model)
    found = vild.evaluate_vild(argparse.Namespace(weights=None, seed=0, size=2))
    assert "baseline" in found["path"]
    assert set(found["crops"]) == {"1x and 1.5x", "1x", "without objectness"}


def test_every_claim_has_a_figure(few, monkeypatch):
    model = tiny_vild()
    monkeypatch.setattr(vild.registry, "load", lambda *_: model)
    monkeypatch.setattr(vild_claims, "teacher_times", lambda: {"ratio": 1.0})
    found = vild.evaluate_vild(argparse.Namespace(weights=None, seed=0, size=2))
    for head in ("ensemble", "vild", "text", "image"):
        assert {f"ap50_base_{head}", f"ap50_novel_{head}"} < set(found)
    assert list(found["by_text_share"]) == list(vild_claims.SHARES)
    assert set(found["background"]) == {"learned", "the word", "none", "the word is known"}
    assert set(found["crop_accuracy"]) == set(vild_claims.CROPS)
    assert set(found["prompts"]) == {"one", "scene", "paper"}
    assert set(found["named"]) == {"text", "image", "vild", "ensemble"}
    assert found["absent"]["threshold"] == 0.3
    assert found["teacher"] == {"ratio": 1.0}
