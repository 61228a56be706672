"""The loss over a batch's similarities, against numbers known by hand."""

import math

import pytest
import torch

from core.action.matching import (
    kl_loss,
    label_matrix,
    matching_loss,
    own_text_loss,
    similarity_logits,
    soft_target,
)

PAIR = torch.tensor([3, 3])


def test_samples_of_one_class_share_a_one():
    assert label_matrix(torch.tensor([3, 1, 3])).tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]


def test_the_target_is_a_softmax_of_ten_and_not_a_share_of_the_row():
    row = soft_target(label_matrix(torch.tensor([0, 1, 2])))[0]
    assert row.tolist() == pytest.approx([1 / (1 + 2 * math.exp(-10)), *[math.exp(-10) / (1 + 2 * math.exp(-10))] * 2])
    assert soft_target(label_matrix(PAIR)).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_similarities_are_scaled_cosines_both_ways():
    videos, texts = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[1.0, 0.0], [0.0, 5.0]])
    by_video, by_text = similarity_logits(videos, texts, 10.0)
    assert by_video.flatten().tolist() == pytest.approx([6, 8, 0, 10])
    assert torch.equal(by_text, by_video.T)


def test_the_divergence_is_nothing_where_the_softmax_is_the_target():
    target = torch.tensor([[0.8, 0.2], [0.5, 0.5]])
    assert kl_loss(target.log() + 3, target).item() == pytest.approx(0, abs=1e-6)


def test_the_divergence_is_summed_over_a_row_and_averaged_over_rows():
    logits, target = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert kl_loss(logits, target).item() == pytest.approx(math.log(2) / 2)


def test_two_clips_of_a_class_cost_nothing_by_divergence_and_log_two_by_cross_entropy():
    same = torch.ones(2, 3)
    assert matching_loss(same, same, PAIR, 100.0).item() == pytest.approx(0, abs=1e-6)
    assert own_text_loss(same, same, 100.0).item() == pytest.approx(math.log(2))


def test_cross_entropy_drives_clips_of_a_class_apart_and_the_divergence_draws_them_together():
    videos, texts = torch.eye(2), torch.eye(2)  # each clip fits its own sentence and not that of the other
    slopes = []
    for loss in (matching_loss(v := videos.clone().requires_grad_(), texts, PAIR, 1.0), own_text_loss(v, texts, 1.0)):
        slopes.append(torch.autograd.grad(loss, v)[0][0, 1].item())  # towards the other's sentence
    assert slopes[0] < 0 < slopes[1]
