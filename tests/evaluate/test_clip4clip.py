"""The figures of CLIP4Clip, on a tiny CLIP with random heads whose answers are those of chance."""

import argparse
import dataclasses

import numpy as np
import pytest
import torch

from core.checkpoints import Weights
from core.evaluate import clip4clip, clip4clip_claims, clip4clip_positions
from core.video_retrieval.clip4clip import Clip4Clip
from core.video_retrieval.heads import VideoHeads
from tests.tiny import VIT, tiny_backbone

CLIPS = 12


@pytest.fixture(scope="module")
def model():
    size = dataclasses.replace(VIT, context_length=16)
    torch.manual_seed(0)
    heads = VideoHeads(size.embed_dim, layers=1, heads=2, positions=16)
    for parameter in heads.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return Clip4Clip(tiny_backbone(size), Weights(name="tiny", system="clip4clip"), heads)


@pytest.fixture(scope="module")
def found(model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip4clip.registry, "load", lambda *_: model)
        patch.setattr(clip4clip, "SIZE", 16)
        patch.setattr(clip4clip_claims, "GALLERIES", (4, 12))
        patch.setattr(clip4clip_positions, "STEPS", 3)
        return clip4clip.evaluate_clip4clip(argparse.Namespace(weights=None, seed=0, size=CLIPS))


def test_every_head_has_every_figure_both_ways(found):
    for head in ("meanP", "seqLSTM", "seqTransf", "tightTransf"):
        assert 0 <= found[f"r1_{head}"] <= 1
        for way in ("text_to_video", "video_to_text", "text_to_video_official", "video_to_text_official"):
            assert {"r1", "r5", "r10", "median_rank"} <= set(found["retrieval"][head][way])


def test_the_mean_tells_no_direction_and_that_is_exact(found):
    assert found["direction_meanP"] == 0.5
    assert set(found["direction_by_motion"]["meanP"].values()) == {0.5}
    assert found["cosine_distance_when_reversed"]["meanP"] == 0.0
    assert found["cosine_distance_when_reversed"]["seqTransf"] > 1e-6


def test_captions_of_the_gallery_are_all_different(found):
    assert found["different_captions"] == CLIPS


def test_one_frame_has_no_direction(found):
    assert all(found["direction_by_frames"][head]["1"] == 0.5 for head in ("meanP", "seqLSTM", "seqTransf"))


def test_the_heads_cost_is_measured_as_the_gallery_grows(found):
    assert all(cost["tightTransf_seconds"] > 0 for cost in found["cost_by_gallery"].values())
    assert list(found["cost_by_gallery"]) == ["4", "12"]


def test_a_head_learns_directions_once_positions_can_be_heard(monkeypatch):
    monkeypatch.setattr(clip4clip_positions, "BATCH", 12)
    rng = np.random.default_rng(0)
    away = rng.normal(size=VIT.embed_dim)
    clips = [(100 + np.outer(np.linspace(-9, 9, 12), away)).astype(np.float32) for _ in range(60)]
    clips = [each + rng.normal(size=each.shape).astype(np.float32) for each in clips]
    found = clip4clip_positions.learned_directions(clips, ["rising"] * 60, clips, ["rising"] * 60)
    released, _, heard = found["direction_learned_by_scale"].values()
    assert heard > 0.9
    assert heard >= released


def test_a_clip_that_falls_is_turned_to_rise():
    clip = np.arange(24, dtype=np.float32).reshape(12, 2)
    turned, places = clip4clip_positions._forwards([clip, clip], ["rising", "falling"])
    assert turned[1].tolist() == clip[::-1].tolist()
    assert places[0] == places[1]


def test_sampling_from_the_head_misses_what_happens_at_the_end(model, monkeypatch):
    seen = []
    rng = np.random.default_rng(0)
    features = [rng.normal(size=(12, VIT.embed_dim)).astype(np.float32)]
    scores = model.scores
    monkeypatch.setattr(model, "scores", lambda some, *rest: (seen.append(some[0]), scores(some, *rest))[1])
    clip4clip_claims.event_at_the_end(model, features, ["a red ball rising"])
    uniform, head, tail = seen[0], seen[1], seen[2]
    assert (head == features[0][0]).all()
    assert np.array_equal(tail, features[0])
    assert 0 < (uniform != features[0][0]).any(1).sum() < 12
