"""What the zero-shot tab answers, without a browser."""

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from core.world.picture import picture
from demos import zero_shot, zero_shot_failures, zero_shot_lessons
from demos.build_examples import CHOSEN, answers
from demos.examples import examples

WEIGHTS = "toybox-resnet"
TEMPLATE = "a photo of a {}."


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.png"
    Image.fromarray(picture(12, 200, count=1).rgb).save(path)
    return str(path)


def ask(source, labels="car, tree, mug", templates=TEMPLATE, language="en", none=False, temperature=1.0):
    return zero_shot.answer_question(source, labels, templates, WEIGHTS, language, none, temperature)


def test_an_answer_has_bars_a_cost_and_a_ranking_to_keep(scene):
    ranking, bars, _, cost = ask(scene)
    assert ranking.labels == ("car", "tree", "mug")
    assert bars.count("<tr>") == 4
    assert "toybox-resnet" in cost
    assert "Apache-2.0" in cost


def test_none_of_these_is_one_more_label(scene):
    ranking, _, _, _ = ask(scene, none=True)
    assert ranking.labels == ("car", "tree", "mug", "none of these")


def test_one_more_label_changes_the_shares_and_not_the_cosines(scene):
    before = ask(scene)[0]
    labels, after, bars, said, _ = zero_shot.add_label(
        "house", scene, "car, tree, mug", TEMPLATE, WEIGHTS, "en", False, 1.0
    )
    assert labels == "car, tree, mug, house"
    assert after.cosines[:3] == pytest.approx(before.cosines, abs=1e-5)
    assert (after.probabilities()[:3] < before.probabilities()).all()
    assert bars.count("<tr>") == 5
    assert "house" in said
    with pytest.raises(ValueError, match="label to add"):
        zero_shot.add_label(" ", scene, "car", TEMPLATE, WEIGHTS, "en", False, 1.0)


def test_unseen_words_are_named_in_the_users_language(scene):
    assert "zebra" in ask(scene, labels="car, zebra")[2]
    assert "从未见过" in ask(scene, labels="car, zebra", language="zh")[2]
    assert ask(scene)[2] == ""


def test_one_label_and_a_long_one_get_a_remark(scene):
    assert "always gives 100 %" in ask(scene, labels="car")[2]
    said = ask(scene, labels=f"car, {'tree ' * 500}")[2]
    assert "cut off" in said
    assert len(said) < 300


def test_an_answer_can_be_folded_away_until_the_class_has_guessed(scene):
    ranking = ask(scene)[0]
    folded = zero_shot.show(ranking, 1.0, "en", True)
    assert folded.startswith("<details><summary>What do you expect?")
    assert zero_shot.show(ranking, 1.0, "en") in folded


def test_the_temperature_needs_no_model(scene, monkeypatch):
    ranking = ask(scene)[0]
    monkeypatch.setattr("demos.zero_shot.load", None)
    hot, cold = (zero_shot.show(ranking, temperature, "en") for temperature in (10.0, 0.1))
    assert hot != cold


@pytest.mark.parametrize(
    ("source", "labels", "templates", "sentence"),
    [
        (None, "dog", TEMPLATE, "no picture yet"),
        ("scene", "", TEMPLATE, "at least one label"),
        ("scene", "dog", "no place", "exactly once"),
        ("text", "dog", TEMPLATE, "not a picture"),
    ],
)
def test_bad_input_is_one_sentence(scene, tmp_path, source, labels, templates, sentence):
    (tmp_path / "text.png").write_text("hello")
    source = {"scene": scene, "text": str(tmp_path / "text.png")}.get(source)
    with pytest.raises(ValueError, match=sentence):
        ask(source, labels, templates)


def test_weights_that_are_not_listed_need_permission(scene, monkeypatch):
    monkeypatch.delenv("CLIP_FAMILY_LOCAL", raising=False)
    with pytest.raises(ValueError, match="Only the listed models"):
        zero_shot.answer_question(scene, "dog", TEMPLATE, "/etc/passwd", "en", False, 1.0)


def test_a_guarded_function_shows_the_sentence():
    with pytest.raises(gr.Error, match="number"):
        zero_shot.draw_scene(None, "photo", "en")


@pytest.mark.parametrize("look", zero_shot.LOOKS)
def test_a_scene_is_drawn_with_what_is_true_of_it(look):
    drawn, said = zero_shot.draw_scene(3, look, "en")
    assert drawn.shape == (zero_shot.TOYBOX_PIXELS, zero_shot.TOYBOX_PIXELS, 3)
    assert "dumbbell" in said


def test_the_shipped_answers_are_what_the_embedded_model_says():
    stored = {example.path.name: example.ranking.cosines for example in examples()}
    for row in answers()["answers"]:
        assert stored[row["file"]] == pytest.approx(row["cosines"], abs=2e-3)


def test_the_shipped_answers_are_right():
    assert {example.path.name: example.ranking.best for example in examples()} == {
        chosen.file: chosen.true for chosen in CHOSEN
    }


def test_a_stored_answer_fills_the_tab_without_a_model(monkeypatch):
    monkeypatch.setattr("demos.zero_shot.load", None)
    path, labels, ranking, bars, _, cost = zero_shot.stored_answer(0, "en")
    assert path.endswith(".jpg")
    assert ranking.best in labels
    assert ranking.best in bars
    assert "no model loaded" in cost


@pytest.mark.parametrize("name", zero_shot_failures.FAILURES)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_failure_shows_what_it_measured(scene, name, language):
    source = None if name in zero_shot_failures.NEEDS_NO_PICTURE else scene
    used, bars, said = zero_shot_failures._runner(name)("cat", source, "car, tree", TEMPLATE, WEIGHTS, language)
    assert used.ndim == 3
    assert "<table" in bars
    assert any(character.isdigit() for character in said)


def test_the_crop_that_loses_the_picture_is_marked(scene):
    used, _, said = zero_shot_failures._runner("crop")("", scene, "car, tree", TEMPLATE, WEIGHTS, "en")
    assert used.shape[1] == 3 * used.shape[0]
    assert "33%" in said


def test_heat_maps_come_in_pairs_after_the_crop(scene):
    shown, cost = zero_shot_lessons.heat_maps(scene, "car, tree", TEMPLATE, WEIGHTS, "en")
    assert "toybox-resnet" in cost
    assert len(shown) == 2 + 2 * 2
    assert shown[2][1].endswith("gradient")
    assert shown[3][1].endswith("occlusion")


def test_each_prompt_has_its_own_score(scene):
    figure = zero_shot_lessons.each_prompt(scene, "car, tree", "{}\n" + TEMPLATE, WEIGHTS, "en")[0]["value"]
    assert np.shape(figure.data[0].z) == (2, 2)


def test_the_sets_of_prompts_are_compared_with_the_users_own(scene):
    figure = zero_shot_lessons.each_set(scene, "car, tree", "a {}\nthe {}", WEIGHTS, "en")[0]["value"]
    assert np.array(figure.data[0].z).sum(1) == pytest.approx(np.ones(5), abs=1e-5)
    assert figure.layout.yaxis.ticktext[-1] == "yours (2)"


def test_toybox_pairs_have_a_loss_below_that_of_guessing():
    figure, said = zero_shot_lessons.compare_all(None, "", 6, WEIGHTS, "en")
    loss, guess = float(said.split("batch: ")[1].split(";")[0]), float(said.split("give ")[1].split(". ")[0])
    assert np.shape(figure["value"].data[0].z) == (6, 6)
    assert len(figure["value"].layout.images) == 6
    assert loss < guess


def test_many_pictures_become_a_table_a_csv_and_a_list_of_failures(scene, tmp_path):
    (tmp_path / "broken.png").write_text("no")
    rows, path, said = zero_shot_lessons.classify_many(
        [scene, str(tmp_path / "broken.png")], "car, tree", TEMPLATE, WEIGHTS, "en"
    )
    assert [row[0] for row in rows] == ["scene.png", "broken.png"]
    with open(path) as file:
        assert len(file.read().splitlines()) == 1 + 2
    assert "1 could not be read" in said


def test_the_copied_python_gives_the_tabs_numbers(scene, tmp_path, python):
    code = zero_shot_lessons.as_python("car, tree", TEMPLATE, WEIGHTS, True).replace("picture.jpg", scene)
    script = tmp_path / "copied.py"
    script.write_text("import sys\nsys.path.insert(0, '.')\n" + code)
    finished = python(str(script))
    ranking = ask(scene, labels="car, tree", none=True)[0]
    assert finished.returncode == 0, finished.stderr
    for cosine, label in zip(ranking.cosines, ("car", "tree", zero_shot_lessons.NONE), strict=True):
        assert f"{cosine:+.3f}  {label}" in finished.stdout
