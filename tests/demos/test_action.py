"""What the action tab answers, without a browser."""

import csv
import json
from pathlib import Path

import gradio as gr
import numpy as np
import pytest

from core import media_video, registry
from core.world.motion import ACTIONS, partner
from demos import action, action_kept, action_lessons, action_show

WEIGHTS = "toybox-actionclip"
TEMPLATES = action_kept.TEMPLATE_SETS[0]
MOVING = "rising"


@pytest.fixture(scope="module")
def model():
    return registry.load("actionclip", WEIGHTS)


@pytest.fixture(scope="module")
def toy():
    return action_kept.draw_toy(MOVING, 3, "en")[0]


def ask(toy, path=None, labels=action_kept.ACTIONS_TEXT, head="Transf", order="forwards", language="en"):
    return action.answer(path, labels, TEMPLATES, head, order, WEIGHTS, language, toy)


@pytest.fixture(scope="module")
def answered(toy):
    return ask(toy)


@pytest.fixture
def blind(model, monkeypatch):
    """Let the network refuse to look at anything again."""

    def refuse(*_arguments, **_settings):
        raise AssertionError("a second look")

    monkeypatch.setattr(model, "clip_features", refuse)


def test_what_can_be_chosen_is_what_the_model_has(model):
    assert set(action.HEADS) == set(model.heads)
    assert action.HEADS[0] == model.default_head
    assert set(action_kept.TEMPLATE_SETS) == set(model.templates)
    assert tuple(action_kept.ACTIONS_TEXT.split(", ")) == ACTIONS
    for order in action_kept.ORDERS:
        assert len(media_video.reorder(8, order, np.random.default_rng(0))) == 8


def test_a_toybox_clip_is_named_and_its_truth_told(answered, toy):
    kept, bars, strip, said, cost = answered
    assert action_kept.ranking_of(kept).best == MOVING == kept.expected
    assert MOVING in bars
    assert MOVING in said
    assert strip.ndim == 3
    assert WEIGHTS in cost
    assert kept.truth == toy.action


def test_head_order_and_templates_need_no_second_look(answered, blind):
    for head in action.HEADS:
        for order in action_kept.ORDERS:
            again = action.answer_again(answered[0], action_kept.TEMPLATE_SETS[1], head, order, "en")[0]
            assert (again.head, again.order, again.templates) == (head, order, action_kept.TEMPLATE_SETS[1])
    assert all(value == gr.skip() for value in action.answer_again(None, TEMPLATES, "Transf", "forwards", "en"))


def test_backwards_the_partner_is_expected_and_no_order_has_no_truth(answered):
    backwards, shuffled = (
        action.answer_again(answered[0], TEMPLATES, "Transf", order, "en")[0] for order in ("reversed", "shuffled")
    )
    assert backwards.expected == partner(MOVING)
    assert action_kept.ranking_of(backwards).best == partner(MOVING)
    assert shuffled.expected is None
    assert action.turned(action.turned("reversed")) == "reversed"
    assert action.turned("shuffled") == "reversed"


def test_mean_pooling_does_not_hear_the_order(answered):
    forwards, backwards = (
        action_kept.ranking_of(answered[0], head="meanP", order=order).cosines for order in ("forwards", "reversed")
    )
    assert np.array_equal(forwards, backwards)
    rows = action_show.heads_table(answered[0], "en")
    assert "meanP" in rows
    assert "=" in rows


def test_a_head_that_these_weights_lack_stays_as_it_was(answered):
    assert action_kept.kept_again(answered[0], head="none", order="forwards", templates=TEMPLATES).head == "Transf"


def test_frames_and_templates_answer_on_their_own(answered, model):
    assert action_show.frames_table(answered[0], "en").count("<tr") == 1 + model.frames
    assert action_show.templates_table(answered[0], "en").count("<tr") == 2
    shares = action_kept.frame_shares(answered[0], 0)
    assert shares.shape == (model.frames,)
    assert ((shares >= 0) & (shares <= 1)).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"toy": None}, "no clip yet"),
        ({"labels": " , "}, "at least one label"),
        ({"path": __file__}, "not a video"),
    ],
)
def test_bad_input_is_one_sentence(toy, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(**({"toy": toy} | change))


@pytest.mark.parametrize("seed", [None, -1, action_kept.MOST_SEED + 1])
def test_a_clip_needs_a_number(seed):
    with pytest.raises(ValueError, match="number from 0"):
        action_kept.draw_toy(MOVING, seed, "en")


def test_lessons_ask_for_an_answer_first():
    with pytest.raises(ValueError, match="Name an action first"):
        action_lessons.needed(None)
    with pytest.raises(gr.Error, match="请先识别"):
        action.guarded(action_lessons.write_files)(None, "zh")
    assert action_lessons.as_python(None) == ""


def test_files_hold_what_is_on_show(answered):
    table, facts = action_lessons.write_files(answered[0], "en")
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["label"] == MOVING
    assert sum(float(row["probability"]) for row in rows) == pytest.approx(1, abs=1e-4)
    read = json.loads(Path(facts).read_text("utf-8"))
    assert (read["clip"], read["head"]) == (answered[0].name, "Transf")
    assert len(read["frames"]) == len(read["seconds"])


def test_the_python_on_show_gives_the_answer_on_show(answered, toy, monkeypatch, capsys):
    monkeypatch.chdir(Path(toy.path).parent)
    exec(action_lessons.as_python(answered[0]), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(MOVING)
    best = float(action_kept.ranking_of(answered[0]).probabilities().max())
    assert float(lines[0].split("%")[0]) == pytest.approx(100 * best, abs=0.05)
