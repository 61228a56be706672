"""SAM's lesson: prompts that ask for what they are meant to, a loss whose least is the truth, and steps that repeat."""

import dataclasses

import numpy as np
import pytest
import torch

from core.segmentation.sam_model import build_sam, from_tensors
from core.train import sam as module
from core.train.sam import SamLesson, SamRecipe, _first_loss, _mask_loss, overlap, start_decoder, start_encoder
from core.train.sam_data import (
    GROUND,
    PADDING,
    SKY,
    Scenes,
    crops,
    noisy_boxes,
    random_points,
    targets,
    toybox_scenes,
)

RECIPE = SamRecipe(
    encoder=None,
    image_size=32,
    width=16,
    heads=2,
    depth=1,
    window=2,
    global_blocks=(0,),
    channels=16,
    scenes=6,
    batch=2,
    prompts=2,
    autocast_dtype=None,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def lesson(cache):
    return SamLesson(RECIPE, cache, None)


def test_scenes_are_drawn_once_and_hold_things_ground_and_sky(cache, monkeypatch):
    first = toybox_scenes(3, 4, size=32, cache=cache)
    monkeypatch.setattr("core.train.sam_data._draw", lambda *_: pytest.fail("drawn again"))
    again = toybox_scenes(3, 4, size=32, cache=cache)
    assert (first.pictures == again.pictures).all()
    assert first.pictures.shape == (4, 32, 32, 3)
    for regions in first.regions:
        assert regions.min() >= SKY
        assert (regions >= 0).any()
        assert (regions == GROUND).any()


def test_pictures_and_regions_are_cropped_alike():
    regions = torch.zeros(8, 32, 32, dtype=torch.int8)
    regions[:, 8:24, 4:20] = 1
    pictures = (regions[..., None].repeat(1, 1, 1, 3) * 200).byte()
    images, moved = crops(pictures, regions, generator())
    assert images.shape == (8, 3, 32, 32)
    assert images.min() >= 0
    assert images.max() <= 255
    for image, found in zip(images, moved, strict=True):
        inside, outside = image[0][found == 1], image[0][found == 0]
        assert inside.median() > outside.median() + 100
    assert (moved == PADDING).any()


def test_targets_are_regions_of_their_own_picture_and_never_padding():
    regions = torch.full((2, 16, 16), PADDING)
    regions[0, :8], regions[0, 8:] = 4, GROUND
    regions[1, :, :4], regions[1, :2, 6:8] = SKY, 2  # the thing is too small to ask for
    masks = targets(regions, 40, generator())
    assert masks.shape == (80, 16, 16)
    assert {int(mask.sum()) for mask in masks[:40]} == {128}
    assert sum(bool(mask[0, 0]) for mask in masks[:40]) > 25  # things more often than ground
    assert (masks[40:] == (regions[1] == SKY)).all()


def test_points_lie_inside_and_boxes_around():
    masks = torch.zeros(50, 32, 32, dtype=torch.bool)
    masks[:, 10:14, 20:29] = True
    points = random_points(masks, generator()).long()
    assert masks[torch.arange(50), points[:, 1], points[:, 0]].all()
    assert len(points.unique(dim=0)) > 10
    assert (noisy_boxes(masks, generator(), noise=0) == torch.tensor([20.0, 10, 29, 14])).all()
    moved = noisy_boxes(masks, generator()) - torch.tensor([20.0, 10, 29, 14])
    assert 0 < moved.abs().max() <= 20 / 1024 * 32


def test_the_mask_loss_is_focal_and_dice_by_hand():
    logits = torch.tensor([[[2.0, -1.0], [0.0, -3.0]]])
    truth = torch.tensor([[[True, False], [True, False]]])
    chance, wanted = logits.sigmoid(), truth.float()
    right = torch.where(truth, chance, 1 - chance)
    weight = torch.where(truth, 0.25, 0.75)
    focal = (-weight * (1 - right) ** 2 * right.log()).mean()
    dice = 1 - (2 * (chance * wanted).sum() + 1) / (chance.sum() + wanted.sum() + 1)
    torch.testing.assert_close(_mask_loss(logits, truth), (20 * focal + dice)[None])


def test_the_first_loss_takes_the_best_of_three_and_ignores_the_others():
    truth = torch.zeros(1, 16, 16, dtype=torch.bool)
    truth[:, 4:12, 4:12] = True
    right = torch.where(truth[:, ::2, ::2], 9.0, -9.0)
    logits = torch.stack([right, right, -right, torch.zeros_like(right)], 1)
    good = _first_loss(logits, torch.tensor([[1.0, 1, 0, 0]]), truth)
    assert good < 0.2
    assert _first_loss(logits[:, [0, 2, 3, 1]], torch.tensor([[1.0, 0, 0, 1]]), truth) == pytest.approx(float(good))
    assert _first_loss(logits, torch.tensor([[0.0, 1, 0, 0]]), truth) > good + 0.1  # the predicted IoU is taught
    assert _first_loss(logits[:, [2, 1, 0, 3]], torch.tensor([[0.0, 1, 1, 0]]), truth) > good + 1  # the single mask


def test_overlap_is_known_by_hand():
    masks = torch.tensor([[[[True, True], [False, False]], [[False, False], [False, False]]]])
    assert overlap(masks, torch.tensor([[[True, False], [True, False]]])).tolist() == [[pytest.approx(1 / 3), 0.0]]


def test_a_step_depends_on_its_number_alone(lesson, cache):
    runs = ((lesson, 3), (SamLesson(RECIPE, cache, None), 3), (lesson, 4))
    first, second, other = (float(each.loss(step).detach()) for each, step in runs)
    assert first == pytest.approx(second, rel=1e-5)
    assert other != pytest.approx(first)


def test_every_part_of_the_network_is_taught(cache):
    fresh = SamLesson(RECIPE, cache, None)
    for step in range(3):
        fresh.loss(step).backward()
    idle = {name for name, value in fresh.model.named_parameters() if value.grad is None or not value.grad.any()}
    assert all("output_hypernetworks_mlps" in name or "point_embeddings" in name for name in idle), idle


def test_a_few_steps_lower_the_loss(cache):
    fresh = SamLesson(dataclasses.replace(RECIPE, learning_rate=3e-3), cache, None)
    optimizer = fresh.optimizer()
    before = float(fresh.loss(0).detach())
    for _ in range(15):
        optimizer.zero_grad()
        fresh.loss(0).backward()
        optimizer.step()
    assert float(fresh.loss(0).detach()) < 0.9 * before


def test_validation_gives_the_two_figures(lesson, monkeypatch, cache):
    monkeypatch.setattr(module, "WATCHED", 2)
    found = lesson.validate()
    assert set(found) == {"iou_point", "iou_box"}
    assert all(0 <= value <= 1 for value in found.values())
    assert lesson.facts() == {"scenes": 6}


def test_the_weights_come_back_from_half_precision(lesson):
    halves = {key: value.half() for key, value in lesson.model.state_dict().items()}
    again = from_tensors(halves)
    assert len(again.image_encoder.blocks) == 1


def test_a_prompt_attends_to_its_own_place_before_anything_is_learnt():
    torch.manual_seed(0)
    model = build_sam(SamRecipe().size())

    def share_near() -> float:
        codes = model.prompt_encoder.get_dense_pe()[0].flatten(1).T  # (256, C)
        attention = model.mask_decoder.transformer.layers[0].cross_attn_token_to_image
        query, key = (
            project(codes).unflatten(-1, (attention.num_heads, -1)).transpose(0, 1)
            for project in (attention.q_proj, attention.k_proj)
        )
        weights = (query @ key.transpose(1, 2) / query.shape[-1] ** 0.5).softmax(-1).mean(0)
        rows, columns = torch.arange(256) // 16, torch.arange(256) % 16
        near = ((rows[:, None] - rows).abs() <= 2) & ((columns[:, None] - columns).abs() <= 2)
        return float((weights * near).sum(1).mean().detach())

    before = share_near()
    start_decoder(model, place_scale=0.4, sharpness=1.7)
    assert before < 0.12
    assert share_near() > 2 * before


def test_the_encoder_starts_from_a_clips_image_tower():
    recipe = SamRecipe()
    torch.manual_seed(0)
    model = build_sam(recipe.size())
    before = model.image_encoder.blocks[1].mlp.lin1.weight.clone()
    start_encoder(model, "toybox-vit")
    from core.checkpoints import fetch, read_tensors, resolve

    tower = read_tensors(fetch(resolve("clip", "toybox-vit")))
    block = model.image_encoder.blocks[1]
    assert not torch.equal(block.mlp.lin1.weight, before)
    for ours, theirs in ((block.mlp.lin1.weight, "mlp.c_fc.weight"), (block.attn.qkv.bias, "attn.in_proj_bias")):
        torch.testing.assert_close(ours.detach(), tower[f"visual.transformer.resblocks.1.{theirs}"].float())
    torch.testing.assert_close(
        model.image_encoder.patch_embed.proj.weight.detach(), tower["visual.conv1.weight"].float()
    )


def test_photographs_are_refused(cache):
    with pytest.raises(ValueError, match="leave --data out"):
        SamLesson(RECIPE, cache, "somewhere")


def test_a_picture_without_things_asks_for_its_background():
    scenes = Scenes(pictures=np.zeros((1, 8, 8, 3), np.uint8), regions=np.full((1, 8, 8), GROUND, np.int8))
    assert targets(torch.from_numpy(scenes.regions).long(), 3, generator()).all()
