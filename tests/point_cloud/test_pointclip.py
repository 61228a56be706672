"""PointCLIP: the views vote, and a weight moves without another look."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import choose
from core.point_cloud import pointclip
from core.point_cloud.adapter import InterViewAdapter
from core.point_cloud.pointclip import (
    ADAPTER_ENDING,
    FEW_SHOT_TEMPLATES,
    PointClip,
    ensemble_logits,
    open_pointclip,
)
from core.point_cloud.projection import BRIGHT, PRESETS, RELEASED_FEW_SHOT, RELEASED_ZERO_SHOT, V2
from core.results import Cloud, ViewScores
from tests.tiny import RESNET, VIT, tiny_backbone

WEIGHTS = Weights(name="tiny", system="pointclip", licence="none")
SCORES = ViewScores(labels=("cup", "bed"), cosines=np.array([[0.2, 0.4], [0.6, 0.0]], np.float32), logit_scale=10.0)


def some_cloud(count: int = 60, seed: int = 0) -> Cloud:
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (count, 3))
    return Cloud(points=points.astype(np.float32))


@pytest.fixture(scope="module")
def model() -> PointClip:
    return PointClip(tiny_backbone(VIT), WEIGHTS, InterViewAdapter(10, VIT.embed_dim).eval())


def test_the_views_are_weighted_and_the_logits_are_the_released_score():
    equal, first = SCORES.ranking(), SCORES.ranking([1, 0])
    assert equal.cosines == pytest.approx([0.4, 0.2])
    assert equal.logits() == pytest.approx([10 * 0.8 / math.sqrt(2), 10 * 0.4 / math.sqrt(2)])
    assert first.best == "bed"
    assert first.logits() == pytest.approx([10 * 0.2 / math.sqrt(2), 10 * 0.4 / math.sqrt(2)])


@pytest.mark.parametrize("weights", [[1], [0, 0], [1, -1], [1, math.nan]])
def test_weights_that_weigh_nothing_are_refused(weights):
    with pytest.raises(ValueError, match="wanted 2 view weights"):
        SCORES.ranking(weights)


@pytest.mark.parametrize(
    ("cosines", "labels"),
    [
        (np.zeros((2, 3), np.float32), ("a", "b")),
        (np.zeros((2, 2)), ("a", "b")),
        (np.zeros((0, 2), np.float32), ("a", "b")),
        (np.full((1, 1), np.nan, np.float32), ("a",)),
    ],
)
def test_scores_check_themselves(cosines, labels):
    with pytest.raises(ValueError, match="wanted"):
        ViewScores(labels=labels, cosines=cosines, logit_scale=1.0)


@pytest.mark.parametrize("size", [RESNET, VIT], ids=["resnet", "vit"])
@pytest.mark.parametrize("settings", PRESETS.values(), ids=PRESETS)
def test_every_preset_is_shown_and_classified(size, settings):
    model = PointClip(tiny_backbone(size), WEIGHTS)
    shown = model.views(some_cloud(), settings)
    scores = model.classify(some_cloud(), ["cup", "bed"], settings=settings)
    assert shown.shape == (settings.views, size.image_size, size.image_size)
    assert shown.dtype == np.uint8
    assert shown.max() > 200
    assert scores.cosines.shape == (settings.views, 2)
    assert scores.labels == ("cup", "bed")


def test_the_scores_are_cosines_of_each_view_with_each_prompt(model):
    features = model.view_features([some_cloud()])[0]
    text = model.backbone.encode_texts(["point cloud depth map of a coffee cup.", "point cloud depth map of a bed."])
    wanted = normalize(torch.from_numpy(features), dim=-1) @ text.T
    assert model.classify(some_cloud(), ["coffee_cup", "bed"]).cosines == pytest.approx(wanted.numpy(), abs=1e-6)


def test_clouds_of_different_sizes_score_the_same_alone_and_together(model):
    clouds = [some_cloud(20 + 10 * i, i) for i in range(8)]
    together = model.score(model.view_features(clouds), ["cup", "bed"])
    for cloud, scores in zip(clouds, together, strict=True):
        assert scores.cosines == pytest.approx(model.classify(cloud, ["cup", "bed"]).cosines, abs=1e-5)


@pytest.mark.parametrize(("clouds", "calls"), [(1, 1), (5, 1), (6, 2)])
def test_all_views_of_a_batch_are_seen_in_one_call_of_the_encoder(model, monkeypatch, clouds, calls):
    seen = []
    monkeypatch.setattr(pointclip, "encode_image", lambda net, inputs: seen.append(len(inputs)) or inputs[:, 0, 0, :4])
    features = model.view_features([some_cloud(20, i) for i in range(clouds)])
    assert len(seen) == calls
    assert sum(seen) == clouds * RELEASED_ZERO_SHOT.views
    assert features.shape == (clouds, RELEASED_ZERO_SHOT.views, 4)


def test_bright_is_normalised_as_photographs_are(model):
    shown = model.views(some_cloud(), BRIGHT)
    wanted = model.backbone.encode_images([np.repeat(view[..., None], 3, 2) for view in shown])
    found = normalize(torch.from_numpy(model.view_features([some_cloud()], BRIGHT)[0]), dim=-1)
    assert (wanted * found).sum(-1).min() > 0.9999


def test_released_depths_are_fed_raw(model):
    shown = model.views(some_cloud(), RELEASED_ZERO_SHOT)
    as_photographs = model.backbone.encode_images([np.repeat(view[..., None], 3, 2) for view in shown])
    found = normalize(torch.from_numpy(model.view_features([some_cloud()])[0]), dim=-1)
    assert (as_photographs * found).sum(-1).max() < 0.999


def test_v2_is_shown_on_white(model):
    assert (model.views(some_cloud(), V2)[:, 0, 0] == 255).all()


def test_an_adapters_ranking_is_the_cosine_of_all_views_at_the_models_scale(model):
    features = model.view_features([some_cloud()], RELEASED_FEW_SHOT)
    scores = model.score(features, ["cup", "bed"], templates=FEW_SHOT_TEMPLATES, adapted=True)[0]
    text = model.text_features(["cup", "bed"], FEW_SHOT_TEMPLATES)
    with torch.no_grad():
        flat = normalize(model.adapter(torch.from_numpy(features)).flatten(1), dim=-1)
    wanted = (flat @ normalize(text.repeat(1, 10), dim=-1).T)[0].numpy()
    assert scores.ranking().cosines == pytest.approx(wanted, abs=1e-6)
    assert scores.ranking().logit_scale == pytest.approx(model.backbone.logit_scale)


def test_an_adapter_that_is_not_there_or_learned_other_views_is_named(model):
    with pytest.raises(ValueError, match="wanted the 10 views"):
        model.classify(some_cloud(), ["cup"], settings=RELEASED_ZERO_SHOT, adapted=True)
    with pytest.raises(ValueError, match="no few-shot adapter"):
        PointClip(model.backbone, WEIGHTS).classify(some_cloud(), ["cup"], adapted=True)


def test_it_opens_from_files_with_and_without_an_adapter(tmp_path):
    files = {WEIGHTS_FILE: tmp_path / "mine.safetensors"}
    save_file({k: v.contiguous() for k, v in tiny_backbone(VIT).model.state_dict().items()}, files[WEIGHTS_FILE])
    assert open_pointclip(WEIGHTS, choose("cpu"), files).adapter is None
    save_file(InterViewAdapter(10, VIT.embed_dim).state_dict(), tmp_path / f"mine{ADAPTER_ENDING}")
    assert open_pointclip(WEIGHTS, choose("cpu"), files).adapter.views == 10


def test_nothing_to_see_and_nothing_to_say_are_named(model):
    with pytest.raises(ValueError, match="no points"):
        model.views(Cloud(points=np.empty((0, 3), np.float32)))
    with pytest.raises(ValueError, match="at least one label"):
        model.classify(some_cloud(), [])
    with pytest.raises(ValueError, match="at least one cloud"):
        model.view_features([])


def test_an_ensemble_mixes_two_classifiers_by_their_shares():
    ours, classical = np.array([4.0, 0.0], np.float32), np.array([0.0, 8.0], np.float32)
    assert ensemble_logits(ours, classical, 0.0).tolist() == [4, 0]
    assert ensemble_logits(ours, classical, 0.25).tolist() == [3, 2]
    with pytest.raises(ValueError, match="share from 0 to 1"):
        ensemble_logits(ours, classical, 1.5)
