"""DepthCLIP: numbers known by hand, both kinds of tower, pictures of any size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from core.backbones.clip_model import encode_image
from core.backbones.dense import pool_each_place, project_patches, resize_positions
from core.checkpoints import Weights
from core.depth.depthclip import (
    DepthClip,
    DepthSettings,
    network_size,
    thin_channels,
    variants_of,
)
from core.results import DepthAnswer, DepthMap, stretch
from tests.tiny import RESNET, VIT, tiny_backbone

PICTURE = np.random.default_rng(3).integers(0, 256, (50, 90, 3), np.uint8)
SMALL = {"words": ("near", "far"), "bins_metres": (1.0, 3.0), "pixels": 96}
VARIANTS = [(RESNET, "released"), (RESNET, "attention_pooled"), (VIT, "patches")]


def tiny_depthclip(size=RESNET):
    return DepthClip(tiny_backbone(size), Weights(name="tiny", system="depthclip", licence="none"))


def two_words(*logits: list[list[float]]) -> DepthAnswer:
    """Return the answer of one view, in which the word 'near' has 0 everywhere and 'far' these logits."""
    far = np.array(logits, np.float32)
    return DepthAnswer.from_logits(
        np.stack([np.zeros_like(far), far], axis=1), ("near", "far"), (1.0, 3.0), 1.0, far.shape[1:]
    )


def test_words_bins_and_template_are_the_released_ones():
    settings = DepthSettings()
    assert settings.prompts[1] == "This object is extremely close"
    assert dict(zip(settings.words, settings.bins_metres, strict=True))["not in distance"] == 2.25
    assert settings.temperature == 0.1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"words": ("near",)}, "a bin for each, got 1 and 7"),
        ({"words": ("near",), "bins_metres": (1.0,)}, "at least 2 words"),
        ({"words": ("near", " "), "bins_metres": (1.0, 2.0)}, "empty one"),
        ({"words": ("near", "far"), "bins_metres": (1.0, 0.0)}, "above 0 metres"),
        ({"words": ("near", "far"), "bins_metres": (1.0, float("inf"))}, "above 0 metres"),
        ({"temperature": 0.0}, "temperature above 0"),
        ({"variant": "magic"}, "wanted one of released, attention_pooled, patches"),
        ({"template": "nothing to fill"}, "exactly once"),
        ({"pixels": 100_000}, "pixels, got 100000"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        DepthSettings(**change)


def test_equally_likely_words_give_the_mean_of_their_bins():
    answer = two_words([[0.0]])
    assert answer.depth.metres.tolist() == [[2.0]]
    assert answer.bin_distribution(0, 0).tolist() == [0.5, 0.5]


def test_the_depth_of_a_logit_is_known():
    assert two_words([[np.log(3)]]).depth.metres[0, 0] == pytest.approx(0.25 * 1 + 0.75 * 3)


def test_two_views_are_averaged_as_depths_and_not_as_logits():
    both = two_words([[np.log(3)]], [[0.0]])
    assert both.depth.metres[0, 0] == pytest.approx((2.5 + 2.0) / 2)


def test_other_bins_and_temperature_need_only_the_stored_logits():
    answer = two_words([[np.log(3)]])
    assert answer.with_bins((2.0, 10.0), 1.0).depth.metres[0, 0] == pytest.approx(8.0)
    assert answer.with_bins((1.0, 3.0), 0.5).depth.metres[0, 0] == pytest.approx(0.1 + 0.9 * 3)
    assert answer.with_bins((1.0, 3.0), 1e6).depth.metres[0, 0] == pytest.approx(2.0, abs=1e-5)
    with pytest.raises(ValueError, match="a bin for each"):
        answer.with_bins((1.0, 2.0, 3.0), 1.0)
    with pytest.raises(ValueError, match="temperature above 0"):
        answer.with_bins((1.0, 3.0), -1.0)


def test_a_grid_is_stretched_with_its_corners_on_the_corners():
    stretched = stretch(np.array([[0.0, 2.0], [4.0, 6.0]]), (3, 5))
    assert stretched[0].tolist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert stretched[:, 0].tolist() == [0.0, 2.0, 4.0]
    assert stretch(np.array([[5.0]]), (2, 3)).tolist() == [[5.0] * 3] * 2
    assert stretch(np.array([[1.0, 9.0]]), (1, 1)).tolist() == [[1.0]]


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, 1), (89, 49), (44, 20)])
def test_the_depth_of_a_pixel_is_the_mean_of_its_bins(x, y):
    answer = tiny_depthclip().estimate(PICTURE, DepthSettings(pixels=96, temperature=1.0))
    chances = answer.bin_distribution(x, y)
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    assert chances @ np.array(answer.bins_metres) == pytest.approx(answer.depth.metres[y, x], abs=1e-5)


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (90, 0), (0, 50)])
def test_a_pixel_outside_the_picture_is_refused(x, y):
    with pytest.raises(ValueError, match="inside 90 x 50"):
        tiny_depthclip().estimate(PICTURE, DepthSettings(**SMALL)).bin_distribution(x, y)


def test_an_answer_whose_parts_do_not_fit_is_refused():
    answer = two_words([[0.0]])
    with pytest.raises(ValueError, match="sum to 1"):
        replace(answer, responses=np.ones((2, 1, 1), np.float32))
    with pytest.raises(ValueError, match="wanted responses"):
        replace(answer, responses=np.ones((2, 2, 1), np.float32))
    with pytest.raises(ValueError, match="a bin for each"):
        replace(answer, words=("near",))


def test_channels_are_thinned_after_they_are_made_a_unit_vector():
    layer4 = torch.tensor([3.0, 4.0, 0.0, 0.0]).reshape(1, 4, 1, 1)
    assert thin_channels(layer4, 4)[0, 0, 0].tolist() == pytest.approx([0.6, 0.8, 0, 0])
    assert thin_channels(layer4, 2)[0, 0, 0].tolist() == pytest.approx([0.6, 0])
    assert thin_channels(layer4, 1)[0, 0, 0].tolist() == pytest.approx([0.6])


def test_positions_keep_the_class_token_and_the_corners():
    table = torch.tensor([9.0, 0.0, 2.0, 4.0, 6.0])[:, None]
    assert resize_positions(table, (2, 2)).equal(table)
    assert resize_positions(table, (2, 3))[:, 0].tolist() == [9, 0, 1, 2, 4, 5, 6]


def test_one_place_alone_is_pooled_to_clips_own_feature():
    pool = tiny_backbone(RESNET).model.visual.attnpool
    layer4 = torch.rand(2, 128, 1, 1)
    pool.positional_embedding.data[:] = pool.positional_embedding[0]  # so the place and the mean are the same token
    wanted = pool(layer4.expand(-1, -1, 2, 2))
    assert torch.allclose(pool_each_place(pool, layer4)[:, 0, 0], wanted, atol=1e-5)


def test_patches_are_clips_own_feature_where_every_token_is_the_same():
    visual = tiny_backbone(VIT).model.visual
    visual.positional_embedding.data[:] = 0
    visual.conv1.weight.data[:] = 0
    visual.class_embedding.data[:] = 0
    inputs = torch.rand(1, 3, 32, 32)
    model = torch.nn.Module()
    model.visual = visual
    patches = project_patches(visual, inputs)
    assert patches.shape == (1, 4, 4, 16)
    assert torch.allclose(patches, encode_image(model, inputs).expand_as(patches), atol=1e-5)


def test_a_towers_kind_says_which_variants_it_has():
    assert variants_of(tiny_backbone(RESNET)) == ("released", "attention_pooled")
    assert variants_of(tiny_backbone(VIT)) == ("patches",)
    assert tiny_depthclip(VIT).defaults.variant == "patches"


def test_a_variant_that_the_tower_has_not_is_refused():
    with pytest.raises(ValueError, match=r"\(patches\), got 'released'"):
        tiny_depthclip(VIT).estimate(PICTURE)


@pytest.mark.parametrize(
    ("size_hw", "longest", "stride", "wanted"),
    [
        ((416, 544), 544, 32, (416, 544)),  # what the official code sees
        ((480, 640), 544, 32, (416, 544)),
        ((64, 64), 64, 32, (64, 64)),
        ((100, 300), 100, 32, (32, 96)),
        ((1, 1000), 224, 32, (32, 224)),
        ((1, 1), 32, 8, (32, 32)),
    ],
)
def test_the_network_sees_whole_strides_and_no_more_than_asked(size_hw, longest, stride, wanted):
    assert network_size(size_hw, longest, stride) == wanted


@pytest.mark.parametrize(("size", "variant"), VARIANTS)
@pytest.mark.parametrize("shape", [(50, 90, 3), (1, 1, 3), (3, 200, 3)], ids=["picture", "pixel", "strip"])
def test_a_picture_of_any_size_gets_a_depth_for_each_pixel(size, variant, shape):
    image = np.random.default_rng(4).integers(0, 256, shape, np.uint8)
    answer = tiny_depthclip(size).estimate(image, DepthSettings(**SMALL, variant=variant))
    assert isinstance(answer.depth, DepthMap)
    assert answer.depth.metres.shape == shape[:2]
    assert 1 <= answer.depth.metres.min() <= answer.depth.metres.max() <= 3
    assert answer.responses.shape[0] == 2


@pytest.mark.parametrize(("size", "variant"), VARIANTS)
def test_a_mirrored_picture_gets_the_mirrored_answer(size, variant):
    model, settings = tiny_depthclip(size), DepthSettings(**SMALL, variant=variant)
    there = model.estimate(PICTURE[:, :64], settings).depth.metres
    back = model.estimate(PICTURE[:, 63::-1].copy(), settings).depth.metres
    assert back[:, ::-1] == pytest.approx(there, abs=1e-4)


def test_without_the_mirror_image_there_is_one_view():
    answer = tiny_depthclip().estimate(PICTURE, DepthSettings(**SMALL, flip=False))
    assert answer.logits.shape == (1, 2, 2, 3)


def test_exchanged_bins_turn_the_depth_round():
    answer = tiny_depthclip().estimate(PICTURE, DepthSettings(**SMALL))
    turned = answer.with_bins((3.0, 1.0), answer.temperature)
    assert turned.depth.metres == pytest.approx(4 - answer.depth.metres, abs=1e-5)


def test_a_network_of_another_size_sees_at_least_its_own_input():
    answer = tiny_depthclip().estimate(PICTURE[:50, :50], DepthSettings(**{**SMALL, "pixels": 1}))
    assert answer.logits.shape[2:] == (2, 2)  # 64 pixels, stride 32


@pytest.mark.parametrize("variant", ["released", "attention_pooled"])
def test_each_variant_sees_colours_as_it_should(variant):
    """A picture of the mean colour is all zeros: ImageNet's mean for the released code, CLIP's own otherwise."""
    model = tiny_depthclip()
    mean = {"released": (0.485, 0.456, 0.406), "attention_pooled": model.backbone.preprocess.mean}[variant]
    image = np.tile((np.array(mean) * 255).round().astype(np.uint8), (64, 64, 1))
    assert model._inputs(image, DepthSettings(**SMALL, variant=variant)).abs().max() < 0.01


def test_logits_are_a_hundred_times_the_cosine_in_the_joint_space():
    model = tiny_depthclip()
    settings = DepthSettings(**SMALL, variant="attention_pooled", flip=False)
    visual, inputs = model.backbone.model.visual, model._inputs(PICTURE, settings)
    layer4 = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(inputs)))))
    place = normalize(pool_each_place(visual.attnpool, layer4)[0, 1, 2], dim=0)
    text = model.backbone.encode_texts(["This object is far"])[0]
    assert model.estimate(PICTURE, settings).logits[0, 1, 1, 2] == pytest.approx(100 * float(place @ text), abs=1e-3)
