"""The figures of GLIP, on a tiny one with random weights, and on one that knows the truth."""

import argparse
import json

import numpy as np
import pytest

from core.detection.answer import Candidates
from core.detection.glip import Glip
from core.detection.glip_chunker import noun_phrases
from core.detection.grounding import Grounding
from core.evaluate import glip, glip_claims, glip_measure
from core.train.glip_data import spoken
from core.train.glip_watch import shown_boxes
from core.world.shapes import CATEGORIES
from tests.detection.tiny_glip import tiny_glip


class Knowing(Glip):
    """Answers with the true boxes of scenes that it has seen."""

    weights = "knowing"

    def __init__(self, views, sentences):
        self.truths = {
            view.rgb.tobytes(): (shown_boxes(view), phrases) for view, phrases in zip(views, sentences, strict=True)
        }

    def detect(self, image, words, settings=None):
        truth, _ = self.truths[image.tobytes()]
        scores = np.array([[float(label == word) for word in words] for label in truth.labels], np.float32)
        return Candidates(labels=tuple(words), boxes_xyxy=truth.boxes_xyxy, scores=scores, size_hw=image.shape[:2])

    def ground(self, image, sentence):
        truth, phrases = self.truths[image.tobytes()]
        found = noun_phrases(sentence)
        meant = dict(phrases)
        scores = np.array([[float(i in meant[p.span]) for p in found] for i in range(len(truth.labels))], np.float32)
        labels = tuple(phrase.text for phrase in found)
        return Grounding(
            sentence=sentence,
            spans=tuple(phrase.span for phrase in found),
            candidates=Candidates(labels=labels, boxes_xyxy=truth.boxes_xyxy, scores=scores, size_hw=image.shape[:2]),
            tokens=(),
            phrase_tokens=((),) * len(found),
        )


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(glip_measure, "PIXELS", 64)
    monkeypatch.setattr(glip, "LESSON_SCENES", 2)
    monkeypatch.setattr(glip_claims, "ORDERS", 1)
    monkeypatch.setattr(glip_claims, "CHUNKS", (24, 6))
    glip_measure.scenes.cache_clear()
    yield
    glip_measure.scenes.cache_clear()  # they are small ones


def test_every_figure_of_the_issue_is_there(small, monkeypatch):
    monkeypatch.setattr(glip.registry, "load", lambda system, weights=None: tiny_glip())
    found = glip.evaluate_glip(argparse.Namespace(weights=None, seed=0, size=4))
    json.dumps(found)
    for name in ("ap50_base", "ap50", "ap", "phrase_r1"):
        assert 0 <= found[name] <= 1
    assert found["ap50_novel"] is not None
    assert set(found["fusion"]) == {"on", "off"}
    assert found["fusion"]["on"]["logit_shift"] > 0
    assert set(found["flat_offsets"]) == {"flat", "stretched"}
    assert found["chunked"]["6 labels"]["prompts"] == 4
    assert 0 <= found["absent"]["present_above_absent"] <= 1
    assert set(found["absent"]["shown_on_blank"]) == {"black", "grey", "white"}
    assert -1 <= found["same_box"]["mean_iou"] <= 1
    assert set(found["order"]) == {"as it is", "shuffled 1"}
    assert found["phrases_that_the_chunker_missed"] == 0


def test_who_knows_the_truth_has_every_figure_at_one(small):
    views = glip_measure.scenes(3, 6)
    sentences = [spoken(glip_measure.told(view, 3, number))[1] for number, view in enumerate(views)]
    model = Knowing(views, sentences)
    figures = glip_measure.precision(model, views, by_word=True)
    assert figures["ap50_base"] == figures["ap"] == 1
    assert set(figures["ap50_by_word"]) <= set(CATEGORIES)
    found = glip.phrase_recall(model, views, 3)
    assert found["phrase_r1"] == 1
    assert found["phrases"] == sum(len(phrases) for phrases in sentences if len(phrases) > 1)


def test_a_share_of_nothing_is_none():
    assert glip_measure.share([]) is None
    assert glip_measure.share([True, False]) == 0.5
