"""The embedded heads name the Toybox's motions; without knowing the order of frames nobody can."""

import numpy as np
import pytest

from core.action.actionclip import ActionClip, open_actionclip
from core.action.fusion import HEADS
from core.checkpoints import ASSETS, WEIGHTS_FILE, Weights
from core.device import choose
from core.world.motion import ACTIONS, MOTIONS, clip

SEED = 31_000_000  # far from every seed that training or evaluation draws
EACH = 3


@pytest.fixture(scope="module")
def model() -> ActionClip:
    path = ASSETS / "toybox-actionclip.safetensors"
    weights = Weights(name="toybox-actionclip", system="actionclip", path=path)
    return open_actionclip(weights, choose("cpu"), {WEIGHTS_FILE: path})


@pytest.fixture(scope="module")
def clips(model) -> np.ndarray:
    """Return films of every motion, played forwards and backwards in turn: the actions in their order."""
    films = [clip(SEED + i, motion.forwards).film.frames for i in range(EACH) for motion in MOTIONS]
    features = [model.clip_features(film).frames for film in films]
    return np.stack([each for film in features for each in (film, film[::-1])])


def top1(model: ActionClip, clips: np.ndarray, head: str) -> float:
    scored = model.score_many(clips, ACTIONS, head=head)
    return float(np.mean([each.ranking().best == ACTIONS[i % len(ACTIONS)] for i, each in enumerate(scored)]))


def test_every_head_is_there_and_every_word_of_every_action_is_known(model):
    assert (model.heads, model.default_head, model.frames) == (HEADS, "Transf", 8)
    assert model.unseen_words(ACTIONS) == ()


@pytest.mark.parametrize("head", ["Transf", "Transf_cls"])
def test_a_head_that_sees_order_names_the_motion(model, clips, head):
    assert top1(model, clips, head) >= 0.85


def test_the_mean_names_at_most_one_of_two_directions(model, clips):
    assert top1(model, clips, "meanP") <= 0.5


def test_a_frozen_clip_is_not_named(model, clips):
    assert top1(model, clips[:, [0] * 8], "Transf") <= 0.5
