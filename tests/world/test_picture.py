"""A seed is a picture: the same everywhere, from the pairs that were asked for."""

import hashlib

import numpy as np
import pytest

from core.world.captions import shown
from core.world.picture import PAIRS, picture, two_of
from core.world.scene import NOVEL, is_held_out

DIGEST = """
import hashlib
from core.world.captions import sentences
from core.world.picture import picture
view = picture(11, 48)
print(hashlib.sha256(view.rgb.tobytes() + view.depth.metres.tobytes() + repr(sentences(view)).encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_every_process(python):
    runs = [python("-c", DIGEST, PYTHONHASHSEED=str(seed)) for seed in (1, 2)]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.strip()) == 64


def test_another_seed_gives_another_picture():
    digests = {hashlib.sha256(picture(seed, 32).rgb.tobytes()).digest() for seed in range(8)}
    assert len(digests) == 8


def test_a_picture_may_be_drawn_at_any_size():
    small, large = picture(3, 32), picture(3, 64)
    assert small.scene == large.scene
    assert large.rgb.shape == (64, 64, 3)
    assert large.boxes.boxes_xyxy / 2 == pytest.approx(small.boxes.boxes_xyxy, abs=1.01)


@pytest.mark.parametrize("seed", range(20))
def test_every_picture_shows_something(seed):
    assert shown(picture(seed, 32, samples=1))


def test_pairs_are_what_was_asked_for():
    held_out = [picture(seed, 24, count=1, pairs="held-out", samples=1).scene.things[0] for seed in range(15)]
    assert all(is_held_out(thing.color, thing.category) for thing in held_out)
    seen = [thing for seed in range(15) for thing in picture(seed, 24, samples=1).scene.things]
    assert not [thing for thing in seen if is_held_out(thing.color, thing.category)]


def test_there_are_pairs_to_learn_boxes_from_without_novel_categories():
    names = {name for _, name in PAIRS["base"]}
    assert not names & set(NOVEL)
    assert not [pair for pair in PAIRS["base"] if is_held_out(*pair)]
    views = [picture(seed, 24, pairs="base", samples=1) for seed in range(15)]
    assert {label for view in views for label in view.boxes.labels} <= names


def test_the_picture_is_not_black_white_or_flat():
    levels = np.array([picture(seed, 48).rgb.mean() for seed in range(6)])
    assert ((levels > 30) & (levels < 235)).all()
    assert all(picture(seed, 48).rgb.std() > 8 for seed in range(6))


def test_a_seed_or_pairs_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="at least 0"):
        picture(-1)
    with pytest.raises(ValueError, match="held-out"):
        picture(0, pairs="forbidden")


@pytest.mark.parametrize("names", [("ball",), ("chair", "dog")])
def test_two_things_of_one_category_or_of_two_are_drawn(names):
    view = two_of(np.random.default_rng(0), names, 64)
    assert {thing.category for thing in view.scene.things} == set(names)
    assert len(shown(view)) == 2
