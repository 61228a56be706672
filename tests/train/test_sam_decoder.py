"""A SAM's decoder goes on learning, from the Toybox or from somebody's outlines, and its image encoder stays."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core import registry
from core.segmentation.sam_model import build_sam
from core.train.coco import Annotated
from core.train.run import Run
from core.train.sam import start_decoder
from core.train.sam_data import PADDING, UNKNOWN, targets
from core.train.sam_decoder import SamDecoderLesson, SamDecoderRecipe, scenes_of
from tests.train.annotated import coco_folder
from tests.train.test_sam import RECIPE as TINY

RECIPE = SamDecoderRecipe(
    scenes=4, batch=2, prompts=2, steps=12, learning_rate=3e-3, validate_steps=1_000, autocast_dtype=None
)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    torch.manual_seed(0)
    model = build_sam(TINY.size())
    start_decoder(model, 0.4, 1.7)
    path = tmp_path_factory.mktemp("sam") / "start.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return path


@pytest.fixture(autouse=True)
def _few_scenes(monkeypatch):
    monkeypatch.setattr("core.train.sam_decoder.WATCHED", 4)


def test_the_decoder_learns_outlines_and_the_encoder_stays(tmp_path, start):
    recipe = dataclasses.replace(RECIPE, start=str(start))
    (tmp_path / "own").mkdir()
    lesson = SamDecoderLesson(recipe, tmp_path, str(coco_folder(tmp_path / "own")))
    before = {key: value.clone() for key, value in lesson.model.state_dict().items()}
    first = np.mean([float(lesson.loss(step).detach()) for step in range(100, 106)])
    run = Run(lesson, tmp_path / "run", resume=False)
    run.train()
    assert np.mean([float(lesson.loss(step).detach()) for step in range(100, 106)]) < first
    moved = {key for key, value in lesson.model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    assert not any(key.startswith("image_encoder") for key in moved)
    last = run.folder.lines()[-1]
    names = {"iou_point", "iou_box", "toy_iou_point", "toy_iou_box"}
    assert names | {f"{name}_before" for name in names} <= set(last)
    model = registry.load("sam", str(tmp_path / "run" / "sam-decoder.safetensors"))
    assert len(model.points(np.zeros((40, 30, 3), np.uint8), [(10.0, 10.0)], [1]).masks) == 3


def test_without_pictures_it_learns_from_the_toybox_and_a_step_depends_on_its_number_alone(tmp_path, start):
    lesson = SamDecoderLesson(dataclasses.replace(RECIPE, start=str(start)), tmp_path, None)
    assert float(lesson.loss(3).detach()) == float(lesson.loss(3).detach())
    assert set(lesson.validate()) == {"iou_point", "iou_box", "iou_point_before", "iou_box_before"}
    assert lesson.facts()["trained_parameters"] < sum(p.numel() for p in lesson.model.parameters())
    assert lesson.recipe.start == "start.safetensors"


def test_a_picture_lies_at_the_top_left_and_small_things_on_large_ones():
    masks = np.zeros((2, 4, 8), bool)
    masks[0, :, :6], masks[1, 1:3, 1:3] = True, True
    one = Annotated(
        rgb=np.full((4, 8, 3), 9, np.uint8), boxes=np.zeros((2, 4), np.float32), kinds=("a", "b"), masks=masks
    )
    scenes = scenes_of([one], 8)
    regions = scenes.regions[0]
    assert (regions[4:] == PADDING).all()
    assert (regions[:4, 6:] == UNKNOWN).all()
    assert (regions[1:3, 1:3] == 1).all()
    assert regions[0, 0] == 0
    assert (scenes.pictures[0, :4] == 9).all()
    with pytest.raises(ValueError, match="No outline is large enough"):
        scenes_of([dataclasses.replace(one, kinds=(), boxes=one.boxes[:0], masks=masks[:0])], 8)


def test_what_nobody_outlined_is_not_asked_for_unless_nothing_else_is_there():
    regions = torch.full((2, 16, 16), UNKNOWN)
    regions[0, :4, :4] = 0
    masks = targets(regions, 10, torch.Generator().manual_seed(0))
    assert {int(mask.sum()) for mask in masks[:10]} == {16}
    assert masks[10:].all()
