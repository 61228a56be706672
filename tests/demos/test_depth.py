"""What the depth tab answers, without a browser."""

import re

import gradio as gr
import numpy as np
import pytest
import trimesh
from PIL import Image

from core.depth.depthclip import RELEASED, TEMPERATURE, TOYBOX
from core.depth.depthclip import VARIANTS as MODEL_VARIANTS
from core.results import DepthMap
from demos import depth, depth_kept, depth_lessons
from demos.errors import CHINESE

WEIGHTS = "toybox-resnet"
WARM = 0.5  # log10 of a temperature at which words mix


@pytest.fixture(scope="module")
def scene():
    picture, kept, _ = depth.draw_scene(3, "en")
    return picture, kept


def ask(source, words=depth.WORDS, bins=depth.BINS, template=depth.TEMPLATE, variant="released", **others):
    asked = {"log_temperature": WARM, "weights": WEIGHTS, "language": "en", "scene": None} | others
    return depth.estimate(source, words, bins, template, asked.pop("log_temperature"), variant, **asked)


@pytest.fixture(scope="module")
def kept(scene):
    return ask(scene[0], scene=scene[1])[0]


@pytest.fixture(scope="module")
def photo():
    noise = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    return ask(noise)[0]


def test_what_stands_in_the_tab_is_what_the_released_code_asks():
    assert depth_kept.split_words(depth.WORDS) == RELEASED.words
    assert depth_kept.split_bins(depth.BINS) == RELEASED.bins_metres
    assert RELEASED.template == depth.TEMPLATE
    assert depth.TEMPERATURE == TEMPERATURE
    assert tuple(depth.VARIANTS) == tuple(MODEL_VARIANTS)
    assert depth.question_for("RN50-quickgelu/openai")[3] == RELEASED.flip


@pytest.mark.parametrize("weights", ["toybox-places", WEIGHTS, "toybox-vit"])
def test_the_embedded_networks_are_asked_what_they_have_heard(weights):
    bins, template, log_temperature, flip = depth.question_for(weights)
    assert depth_kept.split_words(depth.WORDS) == TOYBOX.words
    assert depth_kept.split_bins(bins) == TOYBOX.bins_metres
    assert template == TOYBOX.template
    assert 10**log_temperature == pytest.approx(TOYBOX.temperature)
    assert flip == TOYBOX.flip


@pytest.mark.parametrize("weights", ["RN50-quickgelu/openai", "hf-hub:someone/something"])
def test_published_weights_are_asked_as_released(weights):
    assert depth.question_for(weights) == depth.released_question()[1:]


def test_the_mirror_image_is_asked_where_it_is_wanted(scene):
    assert len(ask(scene[0], flip=True)[0].answer.logits) == 2
    assert len(ask(scene[0])[0].answer.logits) == 1


def test_the_blind_answers_stand_beside_every_answer(kept, photo):
    said = depth_lessons.beside(kept, "en")
    for name in ("released", "constant", "mean depth", "height in the picture"):
        assert re.search(rf"{name} \d\.\d\d, \d+%", said)
    assert "constant " in depth_lessons.beside(photo, "en")
    assert re.search(r"mean depth \d+\.\d–\d+\.\d m", depth_lessons.beside(photo, "en"))
    assert "不看图片" in depth_lessons.beside(photo, "zh")
    assert depth_lessons.beside(None, "en") == ""


def test_an_answer_has_a_picture_of_its_depth_a_reading_and_a_cost(scene):
    kept, (picture, colours), said, cost, variant = ask(scene[0], scene=scene[1])
    assert picture.shape == colours.shape == (depth.TOYBOX_PIXELS, depth.TOYBOX_PIXELS, 3)
    assert f"nearest {kept.answer.depth.metres.min():.3f} m" in said
    assert "toybox-resnet" in cost
    assert variant == "released"
    assert kept.truth is scene[1][1]


def test_the_truth_is_that_of_the_very_picture(scene, photo):
    changed = scene[0].copy()
    changed[0, 0] ^= 1
    assert ask(changed, scene=scene[1])[0].truth is None
    assert photo.truth is None


def test_temperature_and_bins_need_no_model(kept, monkeypatch):
    for module in ("depth", "depth_lessons"):
        monkeypatch.setattr(f"demos.{module}.load", None)
    cold = depth.answer_again(kept, depth.WORDS, depth.BINS, -1.0, "en")
    assert cold[0].answer.temperature == pytest.approx(0.1)
    assert "without the model" in cold[3]
    bins = "2, 3, 4, 4.5, 5, 5.5, 6"  # twice as far
    far = depth.answer_again(kept, depth.WORDS, bins, WARM, "en")[0]
    assert far.answer.depth.metres == pytest.approx(2 * kept.answer.depth.metres, rel=1e-5)
    assert far.truth is kept.truth


def test_words_that_were_not_asked_yet_keep_the_old_distances(kept):
    again = depth.answer_again(kept, "near, far", "1, 9", 1.0, "en")[0]
    assert again.answer.words == kept.answer.words
    assert again.answer.bins_metres == kept.answer.bins_metres


def test_nothing_happens_before_an_answer_or_while_typing(kept):
    assert all(value == gr.skip() for value in depth.answer_again(None, depth.WORDS, depth.BINS, WARM, "en"))
    assert all(value == gr.skip() for value in depth._answer_if_right(kept, depth.WORDS, "1, x", WARM, "en"))
    assert depth.show_responses(None, "en") == []
    assert depth.show_pixel(None, None, "en") == (None, None)
    assert depth_lessons.surface(None, "en") is None
    assert depth_kept.as_python(None) == ""


def test_a_variant_that_the_model_lacks_is_replaced_and_named(scene):
    _, _, said, _, variant = ask(scene[0], variant="patches")
    assert variant == "attention_pooled"
    assert "toybox-vit" in said


def test_a_cold_answer_says_that_it_is_saturated(scene):
    assert "more than 99 %" in ask(scene[0], log_temperature=-2.0)[2]
    assert "more than 99 %" not in ask(scene[0], log_temperature=1.0)[2]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"source": None}, "no picture yet"),
        ({"words": "far"}, "from 2 to 32 words"),
        ({"words": ", ".join("abcdefgh" * 5)}, "these are 40"),
        ({"bins": "1, 2"}, "7 words and 2 distances"),
        ({"bins": "1, x"}, "this one is not: x"),
        ({"bins": "0"}, "this one is not: 0"),
        ({"bins": "nan"}, "this one is not: nan"),
        ({"template": "nothing to fill"}, "exactly once"),
    ],
)
def test_bad_input_is_one_sentence(scene, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(**({"source": scene[0]} | change))


@pytest.mark.parametrize("seed", [None, -1, depth_lessons.MOST_SEED + 1])
def test_a_scene_needs_a_number_that_the_baselines_never_saw(seed):
    with pytest.raises(ValueError, match="number from 0"):
        depth.draw_scene(seed, "en")
    assert min(depth_lessons.OTHER_SEEDS) > depth_lessons.MOST_SEED


def test_complaints_are_in_the_users_language(scene):
    with pytest.raises(gr.Error, match="每个距离"):
        depth.guarded(depth.estimate)(scene[0], "a, b", "1, x", "{}", WARM, "released", WEIGHTS, "zh")
    assert any(sentence.startswith("Each distance") for sentence in CHINESE)


def test_responses_come_with_word_and_metres(kept):
    shown = depth.show_responses(kept, "en")
    assert len(shown) == len(RELEASED.words)
    assert shown[0][1].startswith("giant · 1 m")


def test_a_pixel_is_marked_and_its_bins_make_its_depth(kept):
    marked, figure = depth.show_pixel(kept, (10, 200), "en")
    assert (marked != kept.picture).any()
    assert np.dot(figure.data[0].x, RELEASED.bins_metres) == pytest.approx(kept.answer.depth.metres[200, 10], rel=1e-4)
    middle = depth.show_pixel(kept, (5000, 5000), "en")[0]  # of a larger picture that was there before
    assert np.array_equal(middle, depth.show_pixel(kept, None, "en")[0])


def test_the_distances_can_be_taken_from_the_truth(scene):
    metres = depth_kept.split_bins(depth_kept.true_bins(scene[1], depth.WORDS, "en"))
    assert len(metres) == len(RELEASED.words)
    assert list(metres) == sorted(metres)
    with pytest.raises(ValueError, match="Toybox scene first"):
        depth_kept.true_bins(None, depth.WORDS, "en")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_variants_baselines_and_truth_stand_side_by_side(kept, language):
    pictures, table, said = depth_lessons.side_by_side(kept, language)
    rows = table["value"]["data"]
    assert len(pictures) == 1 + 2 + 3
    assert [row[0] for row in rows[:2]] == ["released", "attention_pooled"]
    assert len(rows) == 2 + 3
    for column in range(1, len(depth_lessons.COLUMNS) + 1):
        assert any(row[column].endswith(depth_lessons.BEST) for row in rows)
    assert re.search(r"\d", said)


def test_without_truth_there_is_no_table(photo):
    pictures, table, said = depth_lessons.side_by_side(photo, "en")
    assert len(pictures) == 2 + 3
    assert table["visible"] is False
    assert "not known" in said


def test_the_verdict_names_who_wins_by_the_measured_numbers():
    good = {"d1": 0.9, "abs_rel": 0.1, "rmse": 0.2, "rank": 0.8}
    bad = {"d1": 0.1, "abs_rel": 0.5, "rmse": 2.0, "rank": 0.5}
    assert "In none of the 4" in depth_lessons.verdict({"released": good, "constant": bad}, 1, "en")
    assert "In none of the 4" in depth_lessons.verdict({"released": good, "constant": good}, 1, "en")
    lost = depth_lessons.verdict({"released": good | {"rank": 0.4}, "constant": bad}, 1, "en")
    assert "In 1 of 4" in lost
    assert "rank accuracy: constant 0.500, released 0.400" in lost
    assert depth_lessons.marked_rows({"a": good, "b": bad})[0] == ["a", "0.900 ★", "0.100 ★", "0.200 ★", "0.800 ★"]


def test_the_errors_leave_out_what_is_too_far():
    truth = DepthMap(metres=np.array([[1.0, 2.0, 500.0]], np.float32))
    errors = depth_lessons.errors_of(DepthMap(metres=np.array([[1.0, 2.0, 1.0]], np.float32)), truth)
    assert errors == {"d1": 1.0, "abs_rel": 0.0, "rmse": 0.0, "rank": 1.0}


def test_rank_correlation_is_spearmans():
    first = np.array([1.0, 2.0, 3.0, 4.0])
    assert depth_lessons.rank_correlation(first, first**3) == pytest.approx(1)
    assert depth_lessons.rank_correlation(first, -first) == pytest.approx(-1)
    assert depth_lessons.rank_correlation(first, np.array([1.0, 1.0, 2.0, 2.0])) == pytest.approx(0.8**0.5)
    assert depth_lessons.rank_correlation(first, np.ones(4)) is None


def test_two_words_swapped_turn_the_order_round(scene):
    kept = ask(scene[0], words="close, far", bins="1, 3")[0]
    pictures, said = depth_lessons.swap("close", "far", kept, "en")
    assert len(pictures) == 2
    assert "-1.000" in said
    assert "100.0%" in said


def test_swapping_the_words_is_asking_with_them_swapped(kept, scene):
    words = "giant, extremely close, far, not in distance, a little remote, close, unseen"
    asked = ask(scene[0], words=words)[0].answer
    bins = list(RELEASED.bins_metres)
    bins[2], bins[5] = bins[5], bins[2]
    moved = kept.answer.with_bins(tuple(bins), kept.answer.temperature)
    assert asked.depth.metres == pytest.approx(moved.depth.metres, abs=1e-4)


def test_the_words_to_swap_must_have_been_asked(kept):
    for pair in (("close", "close"), ("close", "zebra")):
        with pytest.raises(ValueError, match="two different words"):
            depth_lessons.swap(*pair, kept, "en")


def test_words_without_sense_are_asked_and_compared(kept):
    pictures, said = depth_lessons.without_sense(kept, "en")
    assert len(pictures) == 2
    assert "wug" in said
    assert "Pixel pairs in the right order" in said


def test_lessons_ask_for_an_answer_first():
    for lesson in (depth_lessons.side_by_side, depth_lessons.without_sense, depth_kept.write_files):
        with pytest.raises(ValueError, match="Estimate a picture"):
            lesson(None, "en")


def test_the_files_hold_the_depth(kept):
    png, npy, ply = depth_kept.write_files(kept, "en")
    metres = kept.answer.depth.metres
    assert np.array_equal(np.load(npy), metres)
    millimetres = np.asarray(Image.open(png))
    assert millimetres.dtype == np.uint16
    assert np.abs(millimetres / 1000 - metres).max() < 0.001
    cloud = trimesh.load(ply)
    assert len(cloud.vertices) == metres.size
    assert sorted(-cloud.vertices[:, 2]) == pytest.approx(sorted(metres.ravel()), rel=1e-5)


def test_the_cloud_spans_the_field_of_view(photo):
    points, colors = depth_kept.pinhole_points(photo)
    angles = np.degrees(np.arctan2(points[:, 0], -points[:, 2]))
    assert 58 < angles.max() - angles.min() < 60
    assert points[0, 1] > 0 > points[-1, 1]  # the first row is up
    assert np.array_equal(colors[0], photo.picture[0, 0])


def test_the_surface_is_a_figure(kept):
    assert depth_lessons.surface(kept, "zh").data[0].type == "surface"


def test_a_large_picture_is_shrunk():
    assert depth_kept.shrunk(np.zeros((100, 5000, 3), np.uint8)).shape == (20, 1024, 3)


def test_the_copied_python_gives_the_tabs_numbers(kept, tmp_path, python):
    path = tmp_path / "picture.png"
    Image.fromarray(kept.picture).save(path)
    script = tmp_path / "copied.py"
    code = depth_kept.as_python(kept).replace("picture.jpg", str(path))
    script.write_text("import sys\nsys.path.insert(0, '.')\n" + code)
    finished = python(str(script))
    metres = kept.answer.depth.metres
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == [f"{value:.3f}" for value in (metres.min(), np.median(metres), metres.max())]


def test_the_tab_is_built_with_one_public_endpoint():
    with gr.Blocks() as demo:
        depth.build(gr.State("en"))
    public = [d["api_name"] for d in demo.get_config_file()["dependencies"] if d.get("api_visibility") == "public"]
    assert public == ["depth"]
