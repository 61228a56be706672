"""Regions in a CLIP's space: what each mode shows, and that a batch says what one at a time says."""

import numpy as np
import pytest
import torch

from core.backbones.regions import MODES, RegionScorer, RegionSettings, check_regions, cut, region_crops, window_of
from tests.tiny import RESNET, VIT, tiny_backbone

GREY = (120, 121, 122)


@pytest.fixture(scope="module")
def scorer():
    return RegionScorer(tiny_backbone())


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)


@pytest.fixture(scope="module")
def masks():
    found = np.zeros((3, 50, 70), bool)
    found[0, 10:20, 5:45] = True
    found[1, 0:50, 0:70] = True
    found[2, 49, 69] = True
    return found


def crop_of(picture, masks, mode, **more):
    boxes = np.array([[5, 10, 45, 20]], np.float32)
    return region_crops(
        picture, boxes, masks[:1], RegionSettings(**{"mode": mode, "square": False, "margin": 0.0} | more), GREY
    )


@pytest.mark.parametrize("size", [VIT, RESNET], ids=["vit", "resnet"])
@pytest.mark.parametrize("mode", MODES)
def test_all_regions_at_once_say_what_each_says_alone(picture, masks, mode, size):
    scorer, settings = RegionScorer(tiny_backbone(size)), RegionSettings(mode=mode, dense_scale=2)
    together = scorer.encode(picture, masks=masks, settings=settings)
    alone = torch.cat([scorer.encode(picture, masks=mask[None], settings=settings) for mask in masks])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(3))


def test_the_modes_differ(scorer, picture, masks):
    found = [scorer.encode(picture, masks=masks[:1], settings=RegionSettings(mode=mode)) for mode in MODES]
    for i, first in enumerate(found):
        for second in found[i + 1 :]:
            assert not torch.allclose(first, second, atol=1e-4)


def test_black_and_mean_hide_what_is_outside_and_keep_what_is_inside(picture, masks):
    ring = masks.copy()
    ring[0, 12:14, 10:20] = False
    for mode, colour in (("black", (0, 0, 0)), ("mean", GREY)):
        (crop,) = crop_of(picture, ring, mode)
        assert crop.shape == (10, 40, 3)
        hidden = ~ring[0, 10:20, 5:45]
        assert (crop[hidden] == colour).all()
        assert (crop[~hidden] == picture[10:20, 5:45][~hidden]).all()


def test_blur_changes_only_what_is_outside(picture, masks):
    half = masks.copy()
    half[0, :, 25:] = False
    (crop,) = crop_of(picture, half, "blur", blur_share=0.2)
    assert (crop[:, :20] == picture[10:20, 5:25]).all()
    assert crop[:, 20:].std() < 0.5 * picture[10:20, 25:45].std()


def test_context_adds_the_vectors_of_two_windows(scorer, picture):
    boxes = np.array([[20, 20, 40, 30]], np.float32)
    found = scorer.encode(picture, boxes_xyxy=boxes, settings=RegionSettings(mode="context", square=False))
    crops = [picture[20:30, 20:40], picture[17:33, 15:45]]  # 10 x 20, and 15 x 30 to whole pixels
    wanted = torch.nn.functional.normalize(scorer.backbone.encode_images(crops).sum(0), dim=-1)
    torch.testing.assert_close(found[0], wanted, atol=1e-5, rtol=1e-4)


def test_a_square_window_has_the_boxs_centre_and_longer_side():
    assert window_of(np.array([10.0, 20, 30, 26]), square=True) == (10, 13, 30, 33)
    assert window_of(np.array([10.2, 20, 30, 26])) == (10, 20, 30, 26)
    left, top, right, bottom = window_of(np.array([0.5, 1, 4, 8.25]), square=True)
    assert right - left == bottom - top


def test_beyond_the_picture_there_is_the_colour_asked_for(picture):
    found = cut(picture, (-2, 48, 3, 52), GREY)
    assert found.shape == (4, 5, 3)
    assert (found[:, :2] == GREY).all()
    assert (found[2:] == GREY).all()
    assert (found[:2, 2:] == picture[48:, :3]).all()


def test_a_margin_widens_the_window(picture, masks):
    (crop,) = crop_of(picture, masks, "bbox", margin=0.5)
    assert crop.shape == (20, 80, 3)


def test_dense_follows_the_region(scorer):
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    masks = np.zeros((3, 64, 64), bool)
    masks[0, :, :24], masks[1, :, 40:], masks[2, :10, :24] = True, True, True
    dark, bright, corner = scorer.encode(picture, masks=masks, settings=RegionSettings(mode="dense"))
    assert corner @ dark > corner @ bright


def test_dense_takes_boxes_as_it_takes_masks(scorer, picture):
    masks = np.zeros((1, 50, 70), bool)
    masks[0, 10:30, 14:42] = True
    boxes = np.array([[14, 10, 42, 30]], np.float32)
    settings = RegionSettings(mode="dense", dense_scale=50 / 32)  # one pixel of the network is one of the picture
    one, other = (
        scorer.encode(picture, masks=masks, settings=settings),
        scorer.encode(picture, boxes_xyxy=boxes, settings=settings),
    )
    assert float((one * other).sum()) > 0.999


def test_scores_are_cosines_of_the_words_each_once(scorer, picture, masks):
    found = scorer.score(picture, ["dog", " cat ", "dog"], masks=masks)
    assert [ranking.labels for ranking in found] == [("dog", "cat")] * 3
    texts = scorer.backbone.encode_texts(["dog", "cat"])
    wanted = (scorer.encode(picture, masks=masks) @ texts.T).numpy()
    np.testing.assert_allclose(np.stack([ranking.cosines for ranking in found]), wanted, atol=1e-6)
    assert found[0].logit_scale == scorer.backbone.logit_scale


def test_templates_are_averaged(scorer):
    one, other, both = (
        scorer.classifier(["dog"], templates) for templates in (("a {}",), ("the {}",), ("a {}", "the {}"))
    )
    torch.testing.assert_close(both, torch.nn.functional.normalize(one + other, dim=-1))


def test_no_region_has_no_ranking(scorer, picture, masks):
    assert scorer.score(picture, ["dog"], masks=masks[:0]) == ()


@pytest.mark.parametrize("mode", MODES)
def test_an_empty_mask_is_named(scorer, picture, masks, mode):
    wrong = masks.copy()
    wrong[1] = False
    with pytest.raises(ValueError, match="Mask 2 is empty"):
        scorer.score(picture, ["dog"], masks=wrong, settings=RegionSettings(mode=mode))


def test_bad_regions_are_one_sentence(scorer, picture, masks):
    with pytest.raises(ValueError, match="neither"):
        scorer.score(picture, ["dog"])
    with pytest.raises(ValueError, match="at least one label"):
        scorer.score(picture, [" "], masks=masks)
    with pytest.raises(ValueError, match="needs masks"):
        scorer.score(picture, ["dog"], boxes_xyxy=np.array([[0, 0, 5, 5]], np.float32))
    boxes = np.array([[0, 0, 5, 5], [80, 0, 99, 9]], np.float32)
    with pytest.raises(ValueError, match="Box 2 has no area"):
        scorer.score(picture, ["dog"], boxes_xyxy=boxes, settings=RegionSettings(mode="bbox"))
    with pytest.raises(ValueError, match="picture's size"):
        check_regions((60, 70), masks, None, "mean")


@pytest.mark.parametrize("wrong", [{"mode": "white"}, {"margin": -1}, {"blur_share": 0}, {"dense_scale": 0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="wanted"):
        RegionSettings(**wrong)


def test_nothing_is_written_into_the_picture(scorer, picture, masks):
    before = picture.copy()
    for mode in MODES:
        scorer.encode(picture, masks=masks, settings=RegionSettings(mode=mode))
    assert (picture == before).all()
