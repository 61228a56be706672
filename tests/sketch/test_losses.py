"""The two losses: numbers known by hand, the paper's layers, and sketches that do not touch each other."""

import pytest
import torch

from core.backbones.clip_model import encode_image
from core.sketch.losses import (
    PAPER_WEIGHTS,
    STAGES,
    Features,
    features_of,
    resnet_features,
    sketch_losses,
    total,
)
from tests.tiny import RESNET, VIT, tiny_backbone


def features(value: float, pooled: tuple[float, float]) -> Features:
    return Features(
        maps=tuple(torch.full((1, 2, 3, 3), value) for _ in STAGES),
        pooled=torch.tensor([pooled]),
    )


def test_a_difference_of_2_costs_4_a_layer_and_a_right_angle_a_tenth():
    terms = sketch_losses(features(2.0, (1.0, 0.0)), features(0.0, (0.0, 3.0)))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"layer2": 4.0, "layer3": 4.0, "semantic": 0.1}
    )
    assert total(terms).item() == pytest.approx(8.1)
    linear = sketch_losses(features(2.0, (1.0, 0.0)), features(0.0, (0.0, 3.0)), distance="L1")
    assert linear["layer3"].item() == pytest.approx(2.0)


def test_the_papers_layers_3_and_4_are_the_stages_layer2_and_layer3():
    assert [name for name, weight in zip(STAGES, PAPER_WEIGHTS, strict=True) if weight] == ["layer2", "layer3"]


def test_a_loss_of_weight_0_is_left_out():
    both = features(1.0, (1.0, 0.0)), features(0.0, (1.0, 0.0))
    assert set(sketch_losses(*both, layer_weights=(0.0,) * 5)) == {"semantic"}
    assert set(sketch_losses(*both, layer_weights=(1, 0, 0, 0, 0), semantic_weight=0)) == {"stem"}


def test_the_same_picture_costs_nothing():
    backbone, picture = tiny_backbone(RESNET), torch.rand(2, 3, 64, 64)
    found = resnet_features(backbone.model.visual, picture)
    assert total(sketch_losses(found, found)).abs().max() < 1e-6


def test_the_stages_end_in_the_networks_own_embedding():
    backbone, picture = tiny_backbone(RESNET), torch.rand(2, 3, 64, 64)
    found = features_of(backbone.model, picture)
    assert [each.shape[-1] for each in found.maps] == [16, 16, 8, 4, 2]
    assert torch.allclose(found.pooled, encode_image(backbone.model, picture), atol=1e-5)
    assert features_of(backbone.model, picture, maps=False).maps == ()


def test_only_a_resnet_has_stages():
    backbone = tiny_backbone(VIT)
    picture = torch.rand(1, 3, 32, 32)
    assert features_of(backbone.model, picture, maps=False).pooled.shape == (1, 16)
    with pytest.raises(ValueError, match="wanted a CLIP ResNet"):
        features_of(backbone.model, picture)


def test_the_loss_of_one_sketch_moves_no_other():
    backbone = tiny_backbone(RESNET)
    sketches = torch.rand(2, 3, 64, 64, requires_grad=True)
    target = features_of(backbone.model, torch.rand(2, 3, 64, 64))
    losses = total(sketch_losses(features_of(backbone.model, sketches), target))
    (gradient,) = torch.autograd.grad(losses[0], sketches)
    assert gradient[0].abs().max() > 0
    assert gradient[1].abs().max() == 0


def test_features_are_chosen_and_joined_picture_by_picture():
    many = Features(maps=(torch.arange(3.0).reshape(3, 1, 1, 1),), pooled=torch.arange(3.0)[:, None])
    picked = many.chosen(torch.tensor([2, 0])).followed_by(many)
    assert picked.pooled.flatten().tolist() == [2, 0, 0, 1, 2]
    assert picked.maps[0].flatten().tolist() == [2, 0, 0, 1, 2]
