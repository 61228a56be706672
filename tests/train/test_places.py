"""A CLIP goes on learning from places that are captioned with their distance."""

import dataclasses

import numpy as np
import pytest
import torch

from core.train import places
from core.train.recipes import RECIPES
from core.world.captions import DISTANCE_METRES

TINY = dataclasses.replace(RECIPES["depthclip"], pictures=2, toybox_pictures=24, batch_toys=8, steps=2)


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "INPUT_PIXELS", 2 * 128**2)
        patch.setattr(places, "INPUTS", (64, 128))
        yield places.PlacesLesson(TINY, tmp_path_factory.mktemp("cache"), None)


def test_a_place_has_the_word_of_the_distance_in_its_middle(lesson):
    metres = np.full((1, 64, 64), 1.0, np.float32)
    metres[0, :32, 32:] = 6.0  # the upper right one of the four places
    metres[0, 32:, 32:] = np.inf  # the sky, for once below
    features, words = lesson.places(np.zeros((1, 64, 64, 3), np.uint8), metres, 64)
    names = list(DISTANCE_METRES)
    assert [names[word] for word in words] == ["giant", "a little remote", "giant", "unseen"]
    assert features.shape == (4, 128)


def test_a_mirrored_picture_has_its_words_mirrored(lesson):
    metres = np.tile(np.repeat([1.0, 100.0], 32).astype(np.float32), (1, 64, 1))
    _, words = lesson.places(np.zeros((1, 64, 64, 3), np.uint8), metres, 64, mirror=True)
    assert words.tolist() == [6, 0, 6, 0]


def test_a_step_is_the_same_each_time(lesson):
    lesson.model.eval()
    assert torch.equal(lesson.loss(1), lesson.loss(1))


def test_photographs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="leave --data out"):
        places.PlacesLesson(TINY, tmp_path, "cifar10")
