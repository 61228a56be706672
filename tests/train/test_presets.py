"""A preset's pictures show one of its own things each, and the next batch is ready when it is asked for."""

import argparse
import threading

import numpy as np

from core.train import asked
from core.train.ahead import Ahead
from core.train.presets import CATEGORIES, exhibits, preset_pairs, single, watched
from core.world.scene import is_held_out

FEW = ("ball", "chair", "tree")


def test_pictures_show_one_of_the_things_and_never_a_held_out_pair():
    views = [single(np.random.default_rng(i), 16, FEW) for i in range(40)]
    things = [view.scene.things[0] for view in views]
    assert all(len(view.scene.things) == 1 for view in views)
    assert {thing.category for thing in things} == set(FEW)
    assert not any(is_held_out(thing.color, thing.category) for thing in things)


def test_pictures_are_drawn_once_and_do_not_depend_on_how_many_there_are(tmp_path):
    first = preset_pairs(1, 5, FEW, size=16, context_length=20, cache=tmp_path)
    again = preset_pairs(1, 5, FEW, size=16, context_length=20, cache=tmp_path)
    more = preset_pairs(1, 7, FEW, size=16, context_length=20, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert np.array_equal(first.pictures, again.pictures)
    assert np.array_equal(first.pictures, more.pictures[:5])
    assert first.names == FEW
    assert set(first.classes) <= {0, 1, 2}


def test_what_is_watched_is_not_what_is_learnt_from(tmp_path):
    learnt = preset_pairs(0, 20, FEW, size=16, context_length=20, cache=tmp_path).pictures
    pictures, kinds = watched(FEW, 16, count=20)
    assert len(pictures) == len(kinds) == 20
    assert not any(np.array_equal(a, b) for a in learnt for b in pictures)


def test_the_exhibits_are_of_different_things_with_sentences_of_their_own():
    pictures, captions, names = exhibits(CATEGORIES, 16)
    assert len(pictures) == len(set(captions)) == len(set(names)) == 12
    assert all(caption.endswith(f" {name}") for caption, name in zip(captions, names, strict=True))


def test_the_next_batch_is_drawn_while_this_one_is_used():
    drawn, ready = [], threading.Event()

    def draw(step: int) -> int:
        drawn.append(step)
        if step == 5:
            ready.set()
        return step * step

    batches = Ahead(draw)
    assert batches(4) == 16
    assert ready.wait(10)
    assert sorted(drawn) == [4, 5]
    assert batches(5) == 25
    assert batches(0) == 0  # any other order is right too, only later


def test_the_command_on_a_card_names_no_folder_of_this_machine():
    words = ["clip-finetune", "--data", "/some/where/pets.zip", "--weights", "/else/start.safetensors", "--epochs", "3"]
    arguments: argparse.Namespace = asked.parser(["clip-finetune"]).parse_args(words)
    assert asked.command(arguments) == (
        "python -m core.train clip-finetune --epochs 3 --weights start.safetensors --data pets.zip"
    )
