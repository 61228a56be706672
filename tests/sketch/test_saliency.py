"""Where strokes begin: XDoG, Otsu, the softmax over edges, and both kinds of CLIP as lookers."""

import numpy as np
import pytest
import torch

from core.backbones.clip_model import encode_image
from core.sketch.saliency import (
    attention_grid,
    class_attention,
    clip_saliency,
    otsu,
    sample_starts,
    spanned,
    start_chances,
    stretched,
    walk,
    xdog,
)
from tests.tiny import RESNET, VIT, tiny_backbone


def square_on_white() -> np.ndarray:
    picture = np.full((64, 64, 3), 255, np.uint8)
    picture[20:44, 16:40] = 30
    return picture


def test_otsu_returns_the_bin_centre_below_the_upper_of_two_levels():
    values = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)
    assert otsu(values) == pytest.approx(0.5 / 256)
    assert otsu(np.full((2, 2), 0.3, np.float32)) == pytest.approx(0.3)


def test_the_edges_of_a_dark_square_lie_in_it_and_not_around_it():
    edges = xdog(square_on_white()).edges
    assert edges[20:44, 16:40].mean() > 0.5
    assert not edges[:15].any()
    assert edges[21, 17]


def test_a_flat_picture_has_no_edges():
    assert not xdog(np.full((32, 32, 3), 120, np.uint8)).edges.any()


def test_the_best_pixel_is_28_times_as_likely_as_one_hardly_salient():
    chances = start_chances(np.array([[0.0, 1e-6, 1.0]], np.float32), None, 0.3)
    assert chances.sum() == pytest.approx(1)
    assert chances[0, 0] == 0
    assert chances[0, 2] / chances[0, 1] == pytest.approx(np.exp(1 / 0.3), rel=1e-4)


def test_strokes_begin_on_edges_where_there_are_any():
    saliency = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    edges = np.zeros((4, 4), bool)
    edges[2, 2:] = True
    assert (start_chances(saliency, edges) > 0).sum() == 2
    assert (start_chances(saliency, np.zeros((4, 4), bool)) > 0).sum() == 15


def test_a_lower_temperature_favours_the_salient():
    saliency = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert start_chances(saliency, None, 0.05)[0, 2] > start_chances(saliency, None, 2.0)[0, 2]
    with pytest.raises(ValueError, match="temperature above 0"):
        start_chances(saliency, None, 0.0)


def test_no_pixel_is_drawn_twice_while_there_are_enough():
    chances = np.full((4, 4), 1 / 16, np.float32)
    drawn = sample_starts(chances, 16, np.random.default_rng(0))
    assert len({tuple(place) for place in drawn.tolist()}) == 16
    few = np.zeros((4, 4), np.float32)
    few[1, 3] = 1
    assert sample_starts(few, 3, np.random.default_rng(0)).tolist() == [[1, 3]] * 3


def test_a_walk_of_middling_draws_stays_and_one_of_full_draws_steps_forty_thousandths():
    start = np.array([[0.5, 0.25]])
    still = walk(start, np.full((1, 3, 2), 0.5), 200)
    assert np.allclose(still, [[[100, 50]] * 4])
    moved = walk(start, np.full((1, 3, 2), 1.0), 200)
    assert np.allclose(moved[0, :, 0], [100, 105, 110, 115])


def test_uniform_attention_gives_a_flat_grid():
    grid = attention_grid(torch.full((2, 3, 10, 10), 0.1))
    assert grid.shape == (3, 3)
    assert torch.allclose(grid, torch.tensor(0.1))


def test_attention_is_that_of_the_network_itself():
    backbone = tiny_backbone(VIT)
    inputs = torch.randn(1, 3, 32, 32)
    attention = class_attention(backbone.model.visual, inputs)
    assert attention.shape == (2, 1, 17, 17)
    assert torch.allclose(attention.sum(-1), torch.tensor(1.0), atol=1e-5)
    before = encode_image(backbone.model, inputs)
    with torch.no_grad():
        backbone.model.visual.transformer.resblocks[0].attn.in_proj_weight[:64] *= 3
    assert not torch.allclose(class_attention(backbone.model.visual, inputs), attention)
    assert not torch.allclose(encode_image(backbone.model, inputs), before)


@pytest.mark.parametrize("size", [RESNET, VIT])
def test_saliency_spans_0_to_1_over_the_picture(size):
    picture = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    saliency = clip_saliency(tiny_backbone(size), picture)
    assert saliency.shape == (80, 80)
    assert saliency.min() == 0
    assert saliency.max() == 1


def test_another_architecture_is_refused():
    backbone = tiny_backbone(VIT)
    backbone.model.visual = torch.nn.Identity()
    with pytest.raises(ValueError, match="wanted a CLIP ResNet or ViT"):
        clip_saliency(backbone, square_on_white())


def test_stretching_keeps_the_place_of_the_highest_patch():
    grid = torch.zeros(4, 4)
    grid[1, 3] = 1
    large = stretched(grid, (40, 80))
    row, column = np.unravel_index(large.argmax(), large.shape)
    assert 10 <= row < 20
    assert column >= 60
    assert spanned(np.full((2, 2), 7.0)).tolist() == [[1, 1], [1, 1]]
