"""SAM x CLIP on a network with random weights: what clicks, boxes and words must give whatever was learned."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.backbones.regions import RegionSettings
from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import choose
from core.results import Ranking
from core.segmentation import sam as module
from core.segmentation.everything import EverythingSettings
from core.segmentation.masks import LabelledMasks, MaskSet
from core.segmentation.prompts import (
    box_from_clicks,
    check_box,
    deepest_point,
    mask_box,
    overlaps,
    paint_order,
)
from core.segmentation.sam import SegmentAnything, open_sam
from core.segmentation.sam_model import SamSize, build_sam, from_tensors, size_of
from tests.tiny import tiny_backbone

SIZE = SamSize(
    image_size=64,
    patch_size=16,
    width=32,
    depth=2,
    heads=2,
    window=2,
    global_blocks=(1,),
    mlp_width=64,
    channels=32,
    decoder_heads=1,
    decoder_mlp=32,
    iou_width=16,
)
ALL = EverythingSettings(points_per_side=4, least_predicted_iou=-100, least_stability=0)


@pytest.fixture(scope="module")
def system():
    torch.manual_seed(0)
    return SegmentAnything(build_sam(SIZE), Weights(name="tiny", system="sam"), choose("cpu"))


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture
def encoded(system):
    """Return a list that grows by one whenever a picture goes through the image encoder."""
    seen = []
    handle = system.model.image_encoder.register_forward_hook(lambda *_: seen.append(1))
    system._embeddings.clear()
    yield seen
    handle.remove()


@pytest.mark.parametrize(
    "size",
    [
        SIZE,
        dataclasses.replace(SIZE, image_size=48, patch_size=8, depth=3, window=3, global_blocks=(0, 2)),
        dataclasses.replace(SIZE, channels=64, decoder_heads=2, decoder_depth=1, iou_depth=2, masks=2, mask_channels=8),
    ],
)
def test_the_size_is_read_off_the_tensors(size):
    assert size_of(build_sam(size).state_dict()) == size


def test_the_published_sizes_are_read_off_their_tensors():
    from segment_anything import build_sam_vit_b, build_sam_vit_l

    with torch.device("meta"):
        sizes = [size_of(build().state_dict()) for build in (build_sam_vit_b, build_sam_vit_l)]
    assert [(s.width, s.depth, s.heads, s.window, s.global_blocks) for s in sizes] == [
        (768, 12, 12, 14, (2, 5, 8, 11)),
        (1024, 24, 16, 14, (5, 11, 17, 23)),
    ]
    assert {(s.image_size, s.patch_size, s.channels, s.decoder_heads, s.decoder_mlp) for s in sizes} == {
        (1024, 16, 256, 8, 2048)
    }


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_local_file_opens_and_gives_the_same_masks(system, picture, tmp_path, ending):
    path = tmp_path / f"own.{ending}"
    tensors = system.model.state_dict()
    save_file(tensors, path) if ending == "safetensors" else torch.save(tensors, path)
    weights = Weights(name=path.name, system="sam", path=path)
    opened = open_sam(weights, choose("cpu"), {WEIGHTS_FILE: path})
    again = opened.points(picture, [(30, 20)], [1])
    np.testing.assert_allclose(again.logits, system.points(picture, [(30, 20)], [1]).logits, atol=1e-5)


def test_a_file_that_is_no_sam_is_one_sentence():
    with pytest.raises(ValueError, match="segment-anything's key layout"):
        size_of({"visual.proj": torch.zeros(2, 2)})


def test_tensors_that_do_not_fit_together_are_one_sentence(system):
    tensors = dict(system.model.state_dict())
    tensors["mask_decoder.iou_token.weight"] = torch.zeros(1, 7)
    with pytest.raises(ValueError, match="do not fit together") as caught:
        from_tensors(tensors)
    assert "\n" not in str(caught.value)


def test_one_click_gives_three_masks_of_the_pictures_size_best_first(system, picture):
    found = system.points(picture, [(30, 20)], [1])
    assert found.masks.shape == (3, 40, 60)
    assert list(found.predicted_iou) == sorted(found.predicted_iou, reverse=True)
    assert found.logits.shape == (3, 16, 16)
    assert (found.best == found.masks[0]).all()


def test_a_box_gives_one_mask_and_three_when_asked(system, picture):
    assert len(system.box(picture, (5, 5, 30, 30))) == 1
    assert len(system.box(picture, (5, 5, 30, 30), three=True, points=[(10, 10)], labels=[0])) == 3


def test_two_clicks_in_any_order_are_a_box(system, picture):
    first, second = system.between(picture, (29, 4), (5, 29)), system.between(picture, (5, 29), (29, 4))
    assert (first.logits == second.logits).all()
    assert (first.logits == system.box(picture, (5, 4, 30, 30)).logits).all()


def test_what_clip_is_shown_can_be_seen(system, picture):
    crops = system.shown_to_clip(picture, halves(), tiny_backbone())
    assert len(crops) == 2
    assert all(crop.dtype == np.uint8 and crop.shape[2] == 3 for crop in crops)
    assert system.shown_to_clip(picture, halves(), tiny_backbone(), settings=RegionSettings(mode="dense")) == []


def test_what_was_said_changes_the_answer(system, picture):
    inside, outside, elsewhere = (
        system.points(picture, [place], [label]).logits for place, label in (((9, 9), 1), ((9, 9), 0), ((50, 30), 1))
    )
    assert not np.allclose(inside, outside)
    assert not np.allclose(inside, elsewhere)
    first = system.points(picture, [(9, 9)], [1], three=False)
    more = system.points(picture, [(9, 9)], [1], before=first.logits[0], three=False)
    assert not np.allclose(more.logits, first.logits)


def test_clicks_on_the_same_picture_encode_it_once(system, picture, encoded):
    system.set_image(picture)
    system.points(picture, [(1, 1)], [1])
    system.points(picture.copy(), [(9, 9), (3, 3)], [1, 0])
    system.box(picture, (0, 0, 20, 20))
    system.everything(picture, ALL)
    assert len(encoded) == 1
    system.set_image(picture[::-1].copy())
    assert len(encoded) == 2


def test_a_picture_of_the_same_bytes_but_another_shape_is_another_picture(system, encoded):
    flat = np.zeros((20, 30, 3), np.uint8)
    system.set_image(flat)
    system.set_image(flat.reshape(30, 20, 3))
    assert len(encoded) == 2


def test_no_more_pictures_are_remembered_than_said(system, encoded, monkeypatch):
    monkeypatch.setattr(module, "KEPT_PICTURES", 2)
    for shade in range(3):
        system.set_image(np.full((20, 20, 3), shade, np.uint8))
    assert len(system._embeddings) == 2


def test_the_threshold_moves_without_a_forward_pass(system, picture, encoded):
    found = system.points(picture, [(30, 20)], [1])
    assert (system.at_threshold(found, 0.0).masks == found.masks).all()
    middle = float(np.median(found.logits))
    low, high = (system.at_threshold(found, middle + shift).masks.sum() for shift in (-0.01, 0.01))
    assert low > high
    assert len(encoded) == 1
    with pytest.raises(ValueError, match="no logits"):
        system.at_threshold(dataclasses.replace(found, logits=None), 0.0)


@pytest.mark.parametrize("point", [(-1, 5), (60, 5), (5, 40), (float("nan"), 5)])
def test_a_click_outside_the_picture_is_refused(system, picture, point):
    with pytest.raises(ValueError, match="Click inside the picture"):
        system.points(picture, [point], [1])


@pytest.mark.parametrize(("points", "labels"), [([], []), ([(1, 1)], []), ([(1, 1)], [2])])
def test_clicks_without_a_meaning_are_refused(system, picture, points, labels):
    with pytest.raises(ValueError, match="wanted"):
        system.points(picture, points, labels)


@pytest.mark.parametrize("box", [(10, 10, 10, 20), (70, 0, 90, 20), (20, 20, 10, 10)])
def test_a_box_without_area_in_the_picture_is_refused(system, picture, box):
    with pytest.raises(ValueError, match="no area inside the picture"):
        system.box(picture, box)


def test_a_box_is_cut_to_the_picture_and_two_clicks_name_it_in_any_order():
    assert check_box((-5, 2, 99, 30), (40, 60)) == (0, 2, 60, 30)
    assert box_from_clicks((9, 4), (3, 8)) == box_from_clicks((3, 8), (9, 4)) == (3, 4, 10, 9)


def test_a_one_pixel_picture_is_answered(system):
    dot = np.zeros((1, 1, 3), np.uint8)
    assert system.points(dot, [(0, 0)], [1]).masks.shape == (3, 1, 1)
    assert system.everything(dot, ALL).masks.shape[1:] == (1, 1)


def test_everything_keeps_the_surest_and_nothing_where_none_is_sure(system, picture):
    found = system.everything(picture, ALL)
    assert len(found)
    assert list(found.predicted_iou) == sorted(found.predicted_iou, reverse=True)
    assert len(system.everything(picture, dataclasses.replace(ALL, most_masks=1))) == 1
    none = system.everything(picture, dataclasses.replace(ALL, least_predicted_iou=100))
    assert none.masks.shape == (0, 40, 60)
    with pytest.raises(ValueError, match="no mask"):
        none.best  # noqa: B018


@pytest.mark.parametrize(
    "wrong", [{"points_per_side": 0}, {"most_masks": 0}, {"crop_layers": -1}, {"stability_offset": -1}]
)
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="wanted"):
        EverythingSettings(**wrong)


def halves(height=40, width=60):
    left = np.zeros((height, width), bool)
    left[:, : width // 2] = True
    return MaskSet(
        masks=np.stack([left, ~left]), predicted_iou=np.ones(2, np.float32), stability=np.ones(2, np.float32)
    )


def test_masks_get_words_once_each_and_negatives_are_no_label(system, picture):
    clip = tiny_backbone()
    found = system.label(picture, halves(), ["dog", "cat", "dog"], clip, negatives=("sky", "cat"))
    assert found.labels == ("dog", "cat")
    assert [ranking.labels for ranking in found.rankings] == [("dog", "cat", "sky")] * 2


@pytest.mark.parametrize("words", [["dog"], [f"word {i}" for i in range(200)]])
def test_one_word_and_two_hundred_are_answered(system, picture, words):
    found = system.label(picture, halves(), words, tiny_backbone(), negatives=())
    winners, shares = found.winners()
    assert winners.shape == shares.shape == (2,)
    assert winners.max() < len(words)


def test_no_word_and_an_empty_mask_are_one_sentence(system, picture):
    with pytest.raises(ValueError, match="at least one word"):
        system.label(picture, halves(), ["  "], tiny_backbone())
    empty = dataclasses.replace(halves(), masks=np.zeros((2, 40, 60), bool))
    with pytest.raises(ValueError, match="Mask 1 is empty"):
        system.label(picture, empty, ["dog"], tiny_backbone(), settings=RegionSettings(mode="dense"))


def test_no_mask_is_an_empty_answer(system, picture):
    none = halves().chosen([])
    found = system.label(picture, none, ["dog"], tiny_backbone())
    assert (found.label_map().ids == -1).all()
    assert found.boxes().labels == ()


def ranking(*cosines):
    return Ranking(labels=("a", "b", "sky"), cosines=np.array(cosines, np.float32), logit_scale=10.0)


def test_smaller_masks_are_painted_over_larger_ones_and_weak_ones_left_out():
    whole, part = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    part[:2, :2] = True
    masks = MaskSet(
        masks=np.stack([part, whole]), predicted_iou=np.ones(2, np.float32), stability=np.ones(2, np.float32)
    )
    found = LabelledMasks(masks=masks, rankings=(ranking(0.0, 0.3, 0.0), ranking(1, 0, 0)), labels=("a", "b"))
    assert found.label_map().ids.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]
    assert (found.label_map(least=0.95).ids == 0).all()
    assert found.boxes().labels == ("a", "b")
    assert found.boxes().boxes_xyxy.tolist() == [[0, 0, 4, 4], [0, 0, 2, 2]]


def test_a_mask_that_a_negative_wins_has_no_label():
    found = LabelledMasks(masks=halves(), rankings=(ranking(0, 0, 1), ranking(1, 0, 0)), labels=("a", "b"))
    assert found.winners()[0].tolist() == [-1, 0]


@pytest.mark.parametrize(
    "wrong",
    [{"masks": np.zeros((2, 4, 4))}, {"stability": np.zeros(3, np.float32)}, {"logits": np.zeros((1, 4, 4))}],
)
def test_a_set_that_does_not_fit_together_is_refused(wrong):
    with pytest.raises(ValueError, match="wanted"):
        dataclasses.replace(halves(), **wrong)


def test_the_deepest_point_keeps_away_from_edges_and_from_the_pictures_border():
    mask = np.zeros((9, 20), bool)
    mask[2:7, 3:8] = True
    assert deepest_point(mask) == (5, 4)
    assert deepest_point(np.ones((5, 5), bool)) == (2, 2)
    with pytest.raises(ValueError, match="empty"):
        deepest_point(np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match="empty"):
        mask_box(np.zeros((3, 3), bool))


def test_overlaps_and_painting_order_are_known_by_hand():
    masks = halves(2, 4).masks
    quarter = np.zeros((1, 2, 4), bool)
    quarter[0, 0, :2] = True
    assert overlaps(quarter, masks).tolist() == [[0.5, 0.0]]
    assert paint_order(np.concatenate([quarter, masks])).tolist() == [1, 2, 0]


def test_masks_that_somebody_drew_are_named_like_any_others(system, picture):
    true = halves(40, 60).masks
    drawn = system.drawn(true)
    assert (drawn.masks == true).all()
    assert drawn.predicted_iou.tolist() == [1.0, 1.0]
    assert len(system.label(picture, drawn, ["dog"], tiny_backbone()).rankings) == 2
