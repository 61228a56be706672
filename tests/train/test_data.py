"""What training sees of the Toybox: never a held-out pair."""

import numpy as np

from core.train.data import toybox_pairs, training_view, with_text
from core.world.scene import is_held_out


def test_training_never_shows_a_held_out_pair():
    rng = np.random.default_rng(3)
    things = [thing for _ in range(60) for thing in training_view(rng, 16)[0].scene.things]
    assert len(things) > 60
    assert not any(is_held_out(thing.color, thing.category) for thing in things)


def test_pairs_are_drawn_once_and_read_back_the_same(tmp_path):
    first = toybox_pairs(1, 6, size=16, context_length=20, cache=tmp_path)
    second = toybox_pairs(1, 6, size=16, context_length=20, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert np.array_equal(first.pictures, second.pictures)
    assert first.pictures.shape == (6, 16, 16, 3)
    assert first.tokens.shape[2] == 20


def test_a_word_is_painted_on_the_first_thing_only():
    view, _ = training_view(np.random.default_rng(0), 16)
    assert with_text(view.scene, "dog").things[0].text == "dog"
