"""The contrastive loss against values worked out by hand."""

import pytest
import torch

from core.train.losses import contrastive_loss, distillation_loss


def test_two_orthogonal_pairs_cost_the_log_of_one_plus_e_to_minus_scale():
    eye = torch.eye(2)
    scale = torch.tensor(3.0)
    assert contrastive_loss(eye, eye, scale).item() == pytest.approx(torch.log1p(torch.exp(-scale)).item())


def test_the_loss_does_not_depend_on_the_length_of_the_features():
    images, texts = torch.randn(4, 8), torch.randn(4, 8)
    scale = torch.tensor(10.0)
    assert contrastive_loss(images, texts, scale).item() == pytest.approx(
        contrastive_loss(3 * images, 0.1 * texts, scale).item(), rel=1e-5
    )


def test_groups_that_all_differ_change_nothing():
    images, texts, scale = torch.randn(4, 8), torch.randn(4, 8), torch.tensor(10.0)
    plain = contrastive_loss(images, texts, scale)
    assert contrastive_loss(images, texts, scale, torch.arange(4)).item() == pytest.approx(plain.item())


def test_two_equal_sentences_share_their_target():
    features = torch.ones(2, 4)
    loss = contrastive_loss(features, features, torch.tensor(5.0), torch.tensor([7, 7]))
    assert loss.item() == pytest.approx(torch.log(torch.tensor(2.0)).item())


def test_imitation_is_cheapest_when_student_and_teacher_agree():
    teacher = torch.tensor([[3.0, 0.0, 0.0]])
    agree = distillation_loss(teacher, teacher)
    assert agree < distillation_loss(torch.tensor([[0.0, 3.0, 0.0]]), teacher)
