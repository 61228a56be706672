"""Heat maps: where something can be known, they must show it."""

import numpy as np
import pytest
import torch

from core.zero_shot.attribution import LEAST_GRID, _attend, _lay_back, _layer_cam
from tests.tiny import RESNET, VIT, tiny_clip

PICTURE = np.random.default_rng(2).integers(0, 256, (48, 96, 3), np.uint8)


@pytest.mark.parametrize("size", [RESNET, VIT], ids=["resnet", "vit"])
@pytest.mark.parametrize("method", ["gradient", "occlusion"])
def test_a_map_has_the_pictures_size_and_is_empty_outside_the_crop(size, method):
    model = tiny_clip(size)
    maps = model.heat_maps(PICTURE, ["dog", "cat", "cup", "sea", "sky", "red"], method=method)
    x0, _, x1, _ = (round(edge) for edge in model.crop_box(PICTURE))
    for found in maps:
        assert found.values.shape == PICTURE.shape[:2]
        assert not found.values[:, : x0 - 1].any()
        assert not found.values[:, x1 + 1 :].any()
    assert any(found.values[:, x0:x1].any() for found in maps)  # LayerCAM may clamp single ones to nothing


def test_occlusion_finds_the_only_thing_there_is():
    model = tiny_clip(VIT)
    grey = (np.array(model.backbone.preprocess.mean) * 255).round().astype(np.uint8)
    picture = np.tile(grey, (32, 32, 1))
    picture[8:16, 16:24] = (255, 0, 0)
    label = "dog"
    values = model.heat_maps(picture, [label], method="occlusion")[0].values
    strength = np.abs(values)
    y, x = np.unravel_index(strength.argmax(), strength.shape)
    assert 4 <= y <= 20
    assert 12 <= x <= 28


def test_attention_computed_step_by_step_is_the_modules_own():
    attention = tiny_clip(VIT).backbone.model.visual.transformer.resblocks[0].attn
    x = torch.randn(1, 17, 64)
    joined, weights = _attend(attention, x)
    wanted, mean = attention(x, x, x, need_weights=True)
    assert torch.allclose(joined, wanted, atol=1e-5)
    assert torch.allclose(weights.mean(1), mean, atol=1e-5)


def test_a_map_leaves_the_model_as_it_was():
    model = tiny_clip(RESNET)
    before = model.rank(PICTURE, ["dog", "cat"]).cosines
    model.heat_maps(PICTURE, ["dog"], method="gradient")
    assert model.rank(PICTURE, ["dog", "cat"]).cosines == pytest.approx(before, abs=1e-6)


def test_the_corner_of_a_map_lands_in_the_corner_of_the_crop():
    model = tiny_clip(VIT)
    small = torch.zeros(1, 4, 4)
    small[0, 0, 0] = 1
    laid = _lay_back(model.backbone, PICTURE, small)[0]
    y, x = np.unravel_index(laid.argmax(), laid.shape)
    assert y < 12
    assert 24 <= x < 36  # the middle square of a 48 x 96 picture starts at x = 24


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="wanted one of gradient, occlusion"):
        tiny_clip().heat_maps(PICTURE, ["dog"], method="magic")


def test_a_resnets_map_comes_from_the_deepest_stage_with_enough_places():
    visual = tiny_clip(RESNET).backbone.model.visual
    inputs, texts = torch.randn(1, 3, visual.image_size, visual.image_size), torch.eye(2, RESNET.embed_dim)
    small = _layer_cam(visual, inputs, texts)
    sides = [visual.image_size // stride for stride in (4, 8, 16, 32)]  # stem and first stage, second, third, fourth
    assert small.shape[-1] == min(side for side in sides if side >= LEAST_GRID)
    assert (small >= 0).all()
