"""The inter-view adapter, its loss, and the search for view weights."""

import math

import numpy as np
import pytest
import torch

from core.point_cloud import adapter as module
from core.point_cloud.adapter import (
    InterViewAdapter,
    adapted_logits,
    adapter_from_tensors,
    count_right,
    search_view_weights,
    smooth_loss,
    stretch_and_shift,
    view_parts,
    weight_combinations,
)

# One cloud, two views, two classes: the first view is right, the second is wrong and louder.
TORN = np.array([[[1.0, 0.0], [0.0, 1.9]]], np.float32)
FIRST_CLASS = np.array([0])


def random_features(clouds: int, views: int, channels: int) -> torch.Tensor:
    return torch.randn((clouds, views, channels), generator=torch.Generator().manual_seed(0))


def test_an_adapter_of_share_nothing_changes_nothing():
    features = random_features(2, 3, 4)
    assert torch.equal(InterViewAdapter(3, 4, ratio=0.0).eval()(features), features)


def test_what_is_adapted_is_mixed_in_by_its_share():
    features = random_features(2, 3, 4)
    adapter = InterViewAdapter(3, 4, ratio=0.25).eval()
    torch.nn.init.zeros_(adapter.view_f[2].weight)
    torch.nn.init.ones_(adapter.view_f[2].bias)
    assert adapter(features).detach().numpy() == pytest.approx((0.25 + 0.75 * features).numpy(), abs=1e-6)


def test_one_views_feature_changes_what_the_others_become():
    adapter = InterViewAdapter(3, 4).eval()
    features = random_features(1, 3, 4)
    other = features.clone()
    other[0, 0] += 5
    assert not torch.allclose(adapter(features)[0, 1:], adapter(other)[0, 1:])


def test_an_adapter_comes_back_from_its_tensors():
    first = InterViewAdapter(3, 4).eval()
    again = adapter_from_tensors(first.state_dict())
    features = random_features(2, 3, 4)
    assert (again.views, again.channels) == (3, 4)
    assert torch.equal(first(features), again(features))


@pytest.mark.parametrize("wrong", [{}, {"fusion_ratio": torch.ones(2), "view_f.0.bias": torch.ones(3)}])
def test_tensors_of_something_else_are_refused(wrong):
    with pytest.raises(ValueError, match="not an inter-view adapter's"):
        adapter_from_tensors(wrong)


def test_the_mean_of_the_parts_is_the_cosine_of_all_views_with_the_repeated_text():
    features, text = torch.tensor([[[3.0], [4.0]]]), torch.tensor([[2.0]])
    assert view_parts(features, text).flatten().tolist() == pytest.approx([math.sqrt(2) * 0.6, math.sqrt(2) * 0.8])
    assert adapted_logits(features, text, 10.0).item() == pytest.approx(10 * 7 / (5 * math.sqrt(2)))


def test_the_smoothing_goes_to_the_other_classes():
    logits = torch.tensor([[0.0, math.log(2), math.log(5)]])  # probabilities 1/8, 2/8 and 5/8
    wanted = -0.8 * math.log(1 / 8) - 0.1 * math.log(2 / 8) - 0.1 * math.log(5 / 8)
    assert smooth_loss(logits, torch.tensor([0])).item() == pytest.approx(wanted)


def test_every_combination_of_weights_is_tried_the_last_view_changing_fastest():
    assert weight_combinations(2, (0.5, 1.0)).tolist() == [[0.5, 0.5], [0.5, 1], [1, 0.5], [1, 1]]
    assert weight_combinations(6).shape == (4096, 6)


def test_the_search_turns_down_a_view_that_is_wrong_and_takes_the_first_of_equals():
    weights, accuracy = search_view_weights(TORN, FIRST_CLASS)
    assert weights.tolist() == [0.5, 0.25]
    assert accuracy == 1


def test_a_search_in_small_pieces_finds_the_same(monkeypatch):
    rng = np.random.default_rng(0)
    cosines, labels = rng.random((7, 3, 4), np.float32), rng.integers(4, size=7)
    combinations = weight_combinations(3)
    whole = count_right(cosines, labels, combinations)
    monkeypatch.setattr(module, "SEARCH_ELEMENTS", 30)
    assert count_right(cosines, labels, combinations).tolist() == whole.tolist()


@pytest.mark.parametrize("labels", [np.array([], np.int64), np.array([2]), np.array([-1])])
def test_labels_that_name_no_class_are_refused(labels):
    with pytest.raises(ValueError, match="wanted a label from 0 to 1"):
        search_view_weights(TORN[: len(labels)], labels)


def test_training_clouds_are_stretched_and_moved_within_the_releases_limits():
    points = torch.ones(500, 2, 3)
    points[:, 1] = 0
    moved = stretch_and_shift(points, torch.Generator().manual_seed(0))
    shift, stretch = moved[:, 1], moved[:, 0] - moved[:, 1]
    assert -0.2 <= float(shift.min()) < -0.19
    assert 0.19 < float(shift.max()) <= 0.2
    assert 0.66 < float(stretch.min()) < 0.68
    assert 1.48 < float(stretch.max()) <= 1.5001
