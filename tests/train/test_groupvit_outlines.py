"""Outlines that pixels propose and sentences name: found on the Toybox, kept, and a loss whose least is the truth."""

import numpy as np
import pytest
import torch

from core.train.data import tokenise
from core.train.groupvit_data import NOUNS, captioned, noun_prompt
from core.train.groupvit_outlines import OutlineTeacher, outline_loss, shares
from core.world.picture import picture
from core.world.shapes import CATEGORIES
from tests.tiny import VIT, tiny_clip

THINGS = len(CATEGORIES)
SENTENCE = "a red chair and a ball on grass"


@pytest.fixture(scope="module")
def teacher() -> OutlineTeacher:
    prompts = [[noun_prompt("a photo of {}.", noun)] for noun in NOUNS]
    words = [SENTENCE, *(prompt for each in prompts for prompt in each)]
    clip = tiny_clip(VIT, known=np.unique(tokenise(words, VIT.context_length)).tolist())
    return OutlineTeacher(clip.backbone, prompts, THINGS)


def scenes(count: int = 3):
    pictures = np.stack([picture(seed, 64, count=1, samples=1).rgb for seed in range(count)])
    return captioned(pictures, np.repeat(tokenise([SENTENCE], VIT.context_length)[None], count, 0))


def test_only_what_the_sentences_name_is_found(teacher, tmp_path):
    found = teacher.labels(scenes(), tmp_path)
    assert found.shape == (3, 64, 64)
    allowed = {CATEGORIES.index("chair"), CATEGORIES.index("ball"), THINGS}
    assert set(found.unique().tolist()) <= allowed


def test_outlines_are_found_once(teacher, tmp_path, monkeypatch):
    first = teacher.labels(scenes(), tmp_path)
    monkeypatch.setattr(OutlineTeacher, "_labels", lambda *_: pytest.fail("found again"))
    assert teacher.labels(scenes(), tmp_path).equal(first)


def test_other_pictures_have_outlines_of_their_own(teacher, tmp_path):
    teacher.labels(scenes(2), tmp_path)
    assert len(teacher.labels(scenes(3), tmp_path)) == 3


def test_a_place_has_each_label_by_its_share():
    labels = torch.full((1, 16, 16), 2, dtype=torch.uint8)
    labels[0, :, :2] = 0  # half of the left column of 4 x 4 places
    found = shares(labels, torch.eye(2, 3)[None], 4, 3)
    assert found.shape == (1, 16, 3)
    assert found[0, 0].tolist() == [0.5, 0.0, 0.5]
    assert found[0, 1].tolist() == [0.0, 0.0, 1.0]


def test_saying_what_is_there_costs_less_than_saying_something_else():
    wanted = torch.zeros(1, 4, THINGS + 1)
    wanted[0, :2, 5], wanted[0, 2:, THINGS] = 1, 1
    right = torch.zeros(1, 4, len(NOUNS))
    right[0, :2, 5] = right[0, 2:, THINGS:] = 12.0
    wrong = right.flip(1)
    unsure = right.clone()
    unsure[0, 2:, 3] = 9.0  # a place of nothing that prefers one thing to the others
    best, worst, between = (float(outline_loss(each, wanted)) for each in (right, wrong, unsure))
    assert best < between < worst


def test_a_scene_without_any_outline_has_a_loss_too():
    wanted = torch.zeros(1, 4, THINGS + 1)
    wanted[..., THINGS] = 1
    assert torch.isfinite(outline_loss(torch.randn(1, 4, len(NOUNS)), wanted))
