"""What the point cloud tab answers, without a browser."""

from dataclasses import replace

import gradio as gr
import numpy as np
import pytest
import trimesh

from core.media3d import read_cloud
from core.registry import load
from core.world.shapes import CATEGORIES
from demos import point_cloud, point_cloud_lessons, text_point_cloud
from demos.point_cloud_lessons import Asked

WEIGHTS = "toybox-resnet"
THING = Asked(
    file=None,
    up="y",
    seed=5,
    labels=("chair", "table", "car"),
    weights=WEIGHTS,
    language="en",
    preset="bright",
    dot_pixels=1,
    count=256,
    turn_degrees=0,
    tilt_degrees=0,
    noise=0,
    half=False,
)


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("box") / "box.ply"
    trimesh.creation.box((1, 2, 4)).export(path)
    return str(path)


@pytest.fixture(scope="module")
def answered(box):
    return point_cloud.answer_question(replace(THING, file=box))


def pressed(function=point_cloud.answer_question, **changes):
    """Return what a function gives when it is reached as the page reaches it."""
    controls = {
        "file": None,
        "up": "y",
        "seed": 5,
        "labels": "chair, table, car",
        "weights": WEIGHTS,
        "language": "en",
        "preset": "bright",
        "dot_pixels": 1,
        "count": 256,
        "turn": 0,
        "tilt": 0,
        "noise": 0,
        "half": False,
    }
    return point_cloud.asking(function)(*(controls | changes).values())


def test_an_answer_has_a_cloud_a_view_each_with_its_label_bars_and_a_cost(answered):
    answer, figure, gallery, bars, said, cost = answered
    assert answer.scores.cosines.shape == (6, 3)
    assert len(figure.data[0].x) == 256
    assert gallery["columns"] == 3
    for (view, caption), row in zip(gallery["value"], answer.scores.cosines, strict=True):
        assert view.shape == (192, 192, 3)
        assert caption.endswith(f"{answer.scores.labels[row.argmax()]} {row.max():+.2f}")
    assert bars.count("<tr>") == 4
    assert said == ""
    assert WEIGHTS in cost


def test_the_controls_arrive_where_they_belong(box):
    asked = pressed(lambda asked: asked, file=box, up="z", turn=15, tilt=30, noise=0.1, half=True, labels="a, b, a")
    assert asked == replace(
        THING, file=box, up="z", labels=("a", "b"), turn_degrees=15, tilt_degrees=30, noise=0.1, half=True
    )


def test_a_files_cloud_is_what_the_network_sees(box):
    asked = replace(THING, file=box)
    points = asked.cloud().points
    assert points == pytest.approx(read_cloud(box, count=256).points)
    assert np.ptp(points, 0).argmax() == 2
    assert np.ptp(replace(asked, up="z").cloud().points, 0).argmax() == 1


def test_a_toybox_thing_stands_upright_and_its_name_is_said():
    said = point_cloud.answer_question(THING)[4]
    assert THING.thing().category in said
    assert "真实类别" in point_cloud.answer_question(replace(THING, language="zh"))[4]
    assert len(replace(THING, count=2048).cloud().points) == 2048


def test_a_turn_keeps_heights_and_a_tilt_of_90_lays_the_top_to_the_front():
    points = THING.cloud().points
    assert replace(THING, turn_degrees=90).cloud().points[:, 1] == pytest.approx(points[:, 1], abs=1e-6)
    assert replace(THING, tilt_degrees=90).cloud().points[:, 2] == pytest.approx(points[:, 1], abs=1e-6)


def test_noise_and_a_missing_half_change_the_points():
    points = THING.cloud().points
    noisy = replace(THING, noise=0.1).cloud().points
    assert np.std(noisy - points) == pytest.approx(0.1, rel=0.1)
    assert replace(THING, half=True).cloud().points == pytest.approx(points[points[:, 0] <= 0])


def test_what_the_numbers_do_not_tell_is_said(box):
    said = point_cloud.answer_question(
        replace(THING, file=box, half=True, labels=("zebra",), preset="V2", dot_pixels=3)
    )[4]
    for words in ("not 256", "zebra", "always gives 100 %", "V2 spreads"):
        assert words in said


def test_few_points_in_a_file_are_said(tmp_path):
    np.save(tmp_path / "few.npy", np.eye(3))
    assert "3 points, not 256" in point_cloud.answer_question(replace(THING, file=str(tmp_path / "few.npy")))[4]


def test_view_weights_need_no_model(answered, monkeypatch):
    answer = answered[0]
    monkeypatch.setattr(point_cloud_lessons, "load", None)
    equal = point_cloud.reweigh(answer, "en", *[1] * 10)[0]
    first = point_cloud.reweigh(answer, "en", 1, *[0] * 9)[0]
    assert equal == answered[3]
    assert first == point_cloud.show(answer.scores.ranking([1, 0, 0, 0, 0, 0]), "en")


def test_a_slider_for_each_side_and_no_more(answered):
    shown = point_cloud.equal_weights(answered[0])
    assert [update["visible"] for update in shown] == [True] * 6 + [False] * 4
    assert {update["value"] for update in shown} == {1}
    assert not any(update["visible"] for update in point_cloud.equal_weights(None))


@pytest.mark.parametrize(
    ("language", "sentence"), [("en", "Give at least one side a weight"), ("zh", "请至少给一个视角")]
)
def test_no_votes_at_all_are_one_sentence(answered, language, sentence):
    with pytest.raises(gr.Error, match=sentence):
        point_cloud.reweigh(answered[0], language, *[0] * 6, *[1] * 4)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": None}, "Toybox thing a number"),
        ({"labels": " , "}, "at least one label"),
        ({"file": "text.ply"}, "not PLY"),
        ({"file": "picture.jpg"}, "not a 3D file"),
        ({"file": "text.ply", "language": "zh"}, "该文件不是 PLY"),
        ({"weights": "/etc/passwd"}, "Only the listed models"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, changes, sentence):
    monkeypatch.delenv("CLIP_FAMILY_LOCAL", raising=False)
    for name in ("text.ply", "picture.jpg"):
        (tmp_path / name).write_text("hello")
    if "file" in changes:
        changes = changes | {"file": str(tmp_path / changes["file"])}
    with pytest.raises(gr.Error, match=sentence):
        pressed(**changes)


def test_the_lists_are_the_models():
    model = load("pointclip", WEIGHTS)
    assert set(point_cloud.PRESETS) == set(model.presets)
    assert max(settings.views for settings in model.presets.values()) == point_cloud.MOST_VIEWS
    assert set(point_cloud.LABELS.split(", ")) <= set(CATEGORIES)
    assert replace(THING, seed=point_cloud.SEED).thing().category in point_cloud.LABELS.split(", ")


def test_published_weights_begin_as_released():
    assert point_cloud.preset_for(WEIGHTS) == "bright"
    assert {point_cloud.preset_for(name) for name in ("RN50", "hf-hub:someone/something")} == {"released zero-shot"}


@pytest.mark.parametrize("preset", point_cloud.PRESETS)
def test_every_preset_and_dot_answers(preset):
    answer, _, gallery, *_ = point_cloud.answer_question(replace(THING, preset=preset, dot_pixels=3))
    assert len(gallery["value"]) == len(answer.scores.cosines)
    assert gallery["columns"] * 2 == len(answer.scores.cosines)


def test_dots_and_dense_are_shown_with_what_each_answers(answered):
    asked = answered[0].asked
    shown = point_cloud_lessons.dots_against_dense(asked)
    ranking = answered[0].scores.ranking()
    assert len(shown) == len(point_cloud.PRESETS)
    assert f"bright: {ranking.best} {ranking.probabilities().max():.0%}" in [words for _, words in shown]


def test_a_sheet_holds_every_side():
    views = np.arange(1, 11, dtype=np.uint8)[:, None, None].repeat(64, 1).repeat(64, 2)
    whole = point_cloud_lessons.sheet(views)
    assert set(range(1, 11)) <= set(np.unique(whole))
    assert whole.shape[1] / whole.shape[0] == 5 / 2


def test_the_curve_of_points_ends_in_the_answer(box):
    asked = replace(THING, file=box, count=1024)
    figure = point_cloud_lessons.how_many_points(asked)["value"]
    ranking = point_cloud.answer_question(asked)[0].scores.ranking()
    assert list(figure.data[0].x) == ["64", "128", "256", "512", "1024"]
    assert figure.data[0].name == "chair"
    assert figure.data[0].y[-1] == pytest.approx(ranking.probabilities()[0], abs=1e-5)
    assert figure.data[-1].name == ranking.best


def test_each_tilt_has_its_best_label(answered):
    bars = point_cloud_lessons.tilted(answered[0].asked)["value"].data[0]
    ranking = answered[0].scores.ranking()
    surest = answered[0].scores.cosines[:, ranking.order()[0]].argmax() + 1
    assert len(bars.y) == 7
    assert bars.text[0] == f"{ranking.best}<br>{surest}"
    assert bars.y[0] == pytest.approx(ranking.probabilities().max(), abs=1e-5)


def test_the_winning_side_changes_as_a_thing_turns():
    asked = replace(THING, count=512)
    bars = point_cloud_lessons.turned(asked)["value"].data[0]
    sides = {text.rsplit(">")[-1] for text in bars.text}
    assert list(bars.x) == [str(degrees) for degrees in range(0, 360, 45)]
    assert len(sides) > 1
    assert sides <= {str(side) for side in range(1, 7)}


@pytest.mark.parametrize("changed", [{}, {"turn_degrees": 30, "tilt_degrees": 15, "noise": 0.05, "half": True}])
@pytest.mark.parametrize("from_file", [True, False])
def test_the_copied_python_gives_the_tabs_numbers(box, tmp_path, python, changed, from_file):
    asked = replace(THING, file=box if from_file else None, dot_pixels=3, **changed)
    weights = (1, 0.5, 0, 1, 1, 0.25)
    code = (point_cloud_lessons.as_python(asked) + point_cloud_lessons.votes_as_python(weights)).replace(
        "'box.ply'", repr(box)
    )
    script = tmp_path / "copied.py"
    script.write_text("import sys\nsys.path.insert(0, '.')\n" + code)
    finished = python(str(script))
    ranking = asked.scores(asked.cloud())[0].ranking(weights)
    assert finished.returncode == 0, finished.stderr
    for share, cosine, label in zip(ranking.probabilities(), ranking.cosines, asked.labels, strict=True):
        assert f"{share:7.2%}  {cosine:+.3f}  {label}" in finished.stdout


def test_only_the_answer_is_public_and_no_word_is_left_over(root):
    with gr.Blocks() as demo:
        point_cloud.build(gr.State("en"))
    dependencies = demo.get_config_file()["dependencies"]
    assert [each["api_name"] for each in dependencies if each["api_visibility"] == "public"] == ["point_cloud"]
    names = ("point_cloud", "point_cloud_lessons", "point_cloud_more")
    code = "".join((root / "demos" / f"{name}.py").read_text() for name in names)
    assert [key for key in text_point_cloud.WORDS if f'"{key}"' not in code] == []
