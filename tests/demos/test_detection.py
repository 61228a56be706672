"""What the detection tab answers, without a browser and with tiny networks, whose numbers mean nothing."""

import io
import json
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from core import registry
from core.checkpoints import Weights
from core.detection import answer as answers
from core.detection import vild_head, vild_parts, vild_scores
from core.device import choose
from core.results import Boxes
from core.segmentation.sam import SegmentAnything
from core.segmentation.sam_model import build_sam
from demos import detection as tab
from demos import detection_absent as absence
from demos import detection_files as files
from demos import detection_inside as inside
from demos import detection_kept as kept_module
from demos import detection_lessons as lessons
from demos import detection_show as show
from demos.detection_kept import Models, Scene, Thing
from demos.detection_show import Look
from tests.detection.tiny_glip import tiny_glip
from tests.detection.tiny_vild import tiny_vild
from tests.segmentation.test_sam import ALL, SIZE

NAMES = tuple(f"toybox-{system}" for system in kept_module.SYSTEMS)
MODELS = Models(names=NAMES)
WORD_LIST = ("ball", "dog", "car")
WORDS = ", ".join(WORD_LIST)
SENTENCE = "a red ball to the left of a car"
OWN = (0.0,) * show.MOST_OWN
BALL = Thing(category="ball", color="red", pattern="striped", size="big", box_xyxy=(10.0, 10.0, 40.0, 40.0))
TREE = Thing(category="tree", color="green", pattern="plain", size="", box_xyxy=(50.0, 5.0, 80.0, 55.0))


@pytest.fixture(scope="module")
def systems():
    torch.manual_seed(0)
    sam = SegmentAnything(build_sam(SIZE), Weights(name="tiny", system="sam"), choose("cpu"))
    sam.default_settings = ALL
    return {"glip": tiny_glip(), "vild": tiny_vild(), "sam": sam}


@pytest.fixture(autouse=True)
def _tiny(systems, monkeypatch):
    monkeypatch.setattr(registry, "load", lambda name, *_, **__: systems[name])


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def scene(noise):
    return Scene(picture=noise, things=(BALL, TREE), words="", sentence="")


def ask(picture, system="vild", **others):
    asked = {
        "language": "en",
        "kept": None,
        "scene": None,
        "mode": "words",
        "words": WORDS,
        "sentence": SENTENCE,
        "head": "ensemble",
        "seed": 3,
        "least": 0.0,
        "overlap": 0.5,
        "weight": 2 / 3,
        "own": OWN,
    } | others
    texts = [asked[name] for name in ("mode", "words", "sentence")]
    rest = [asked[name] for name in ("head", "seed", "least", "overlap", "weight")]
    states = [asked[name] for name in ("language", "kept", "scene")]
    return tab.answer(*states, picture, *texts, system, *rest, *asked["own"], *NAMES)


def kept_of(*arguments, **named):
    return ask(*arguments, **named)[4]


def view_of(out):
    return out[-5]


def said_of(out):
    return out[-3]


def test_the_tab_speaks_of_what_there_is():
    assert set(kept_module.SYSTEMS) == set(registry.names("detection"))
    assert kept_module.HEADS == vild_parts.HEADS
    assert kept_module.OVERLAP == answers.OVERLAP
    assert kept_module.WEIGHT == vild_scores.WEIGHT
    assert absence.TEMPERATURE == vild_head.TEMPERATURE
    assert set(tab.HEAD_WORDS) == set(kept_module.HEADS)
    assert len(ask(np.zeros((20, 30, 3), np.uint8))) == tab.RESULTS


def test_the_first_scene_shows_things_of_the_first_words_and_sentence():
    _, scene, words, sentence, said = tab.draw_scene(tab.SEED, tab.WORDS, tab.SENTENCE, None, "en")
    there = {thing.category for thing in scene.things}
    assert len(there) > 2
    assert there <= set(tab.WORDS.split(", "))
    assert sentence == tab.SENTENCE
    assert there < set(words.split(", "))
    assert all(word in said for word in there)


def test_drawing_replaces_what_was_filled_in_and_keeps_what_was_typed():
    _, scene, words, sentence, _ = tab.draw_scene(12, tab.WORDS, tab.SENTENCE, None, "en")
    assert (scene.words, scene.sentence) == (words, sentence)
    _, _, other, told, _ = tab.draw_scene(20, words, sentence, scene, "en")
    assert other != words
    assert told != sentence
    assert tab.draw_scene(20, "my word", "my dog", scene, "en")[2:4] == ("my word", "my dog")


@pytest.mark.parametrize("label", ["ball", "Ball", "a red ball", "two balls", "the big striped red ball", "ball (2)"])
def test_a_phrase_names_a_thing_of_which_it_is_true(label):
    assert BALL.fits(label) == ("two" not in label)


@pytest.mark.parametrize("label", ["blue ball", "a small ball", "football", "ball game", "", "dog"])
def test_a_phrase_that_is_not_true_of_a_thing_does_not_name_it(label):
    assert not BALL.fits(label)


@pytest.mark.parametrize(("system", "mode"), [("glip", "words"), ("glip", "sentence"), ("vild", "words")])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_system_answers_with_boxes_truth_numbers_and_its_cost(noise, scene, system, mode, language):
    out = ask(noise, system, scene=scene, mode=mode, language=language)
    kept, truth, legend, cost = out[4], out[-4], out[-2], out[-1]
    assert out[:4] == (gr.skip(),) * 4
    assert "<svg" in view_of(out)
    assert "boxes-truth" in truth["value"]
    assert truth["value"].count('class="b b0"') == 1  # the ball; nothing asks for the tree
    assert all(label in legend for label in kept.labels)
    assert "AP50" in said_of(out)
    assert "tree" in said_of(out)
    assert "tiny" in cost
    if mode == "sentence":
        assert kept.labels == ("a red ball", "a car")
        assert "to the left of" in view_of(out)


def test_the_truth_is_that_of_the_very_picture(noise, scene):
    changed = noise.copy()
    changed[0, 0] ^= 1
    assert kept_of(noise, scene=scene).truth.labels == ("ball",)
    assert kept_of(changed, scene=scene).truth is None
    assert ask(changed)[-4]["visible"] is False


def test_right_boxes_are_counted_once(noise, scene):
    kept = kept_of(noise, scene=scene)
    boxes = Boxes(
        boxes_xyxy=np.array([BALL.box_xyxy, BALL.box_xyxy, (0, 0, 5, 5)], np.float32),
        labels=("ball", "ball", "dog"),
        scores=np.array([0.9, 0.8, 0.7], np.float32),
        size_hw=(60, 90),
    )
    assert show.matched(boxes, kept.truth) == 1
    perfect = _with_boxes(kept, boxes)
    assert show.precisions(perfect, Look())["ap50"] == pytest.approx(1.0)
    said = show.said(perfect, Look(least=0.1), "en")
    assert "True boxes found: 1 of 1; boxes that fit none of them: 1." in said  # the second ball goes by its overlap


def _with_boxes(kept, boxes):
    scores = np.zeros((3, 3), np.float32)
    scores[0, 0], scores[1, 0], scores[2, 1] = boxes.scores
    candidates = replace(kept.candidates, boxes_xyxy=boxes.boxes_xyxy, scores=scores, objectness=None)
    return replace(kept, candidates=candidates, parts=None)


def test_without_a_picture_the_scene_of_the_number_is_drawn():
    picture, scene, words, sentence, kept, *_ = ask(None, seed=12, words=tab.WORDS, sentence=tab.SENTENCE)
    assert np.array_equal(kept.picture, picture)
    assert kept.truth is not None
    assert (words, sentence) == (scene.words, scene.sentence)
    with pytest.raises(ValueError, match="number from 0"):
        ask(None, seed=None)


@pytest.mark.parametrize("system", kept_module.SYSTEMS)
def test_thresholds_overlap_and_weight_need_no_model(noise, system, monkeypatch):
    kept = kept_of(noise, system)
    monkeypatch.setattr(registry, "load", None)

    def count(**look):
        return len(show.shown_boxes(kept, Look(**({"least": 0.0} | look))).labels)

    scores = kept.found().scores
    assert count(least=1.01) == 0
    assert count(least=float(np.quantile(scores, 0.98))) < count()
    assert count(overlap=0.2) < count(overlap=0.9)
    everything = tab.redraw("en", kept, None, 0.0, 0.5, 2 / 3, *OWN)
    assert everything != tab.redraw("en", kept, None, 0.0, 0.5, 2 / 3, *(1.01,) * show.MOST_OWN)


def test_each_word_has_a_threshold_of_its_own(noise):
    kept = kept_of(noise)
    own = (1.01, 0.0, *OWN[2:])
    found = show.shown_boxes(kept, Look(least=0.0, own=own))
    assert "ball" not in found.labels
    assert "dog" in found.labels
    assert Look(least=0.4, own=(0.1, 0.2)).limits(4) == [0.1, 0.2, 0.4, 0.4]


def test_sliders_are_named_after_the_words_and_one_moves_all(noise):
    first = ask(noise)
    sliders = first[7 : 7 + show.MOST_OWN]
    assert [slider["label"] for slider in sliders[:3]] == list(WORD_LIST)
    assert [slider["visible"] for slider in sliders] == [True] * 3 + [False] * (show.MOST_OWN - 3)
    assert first[6] == kept_module.LEAST["vild"]
    again = ask(noise, kept=first[4], least=0.9, own=(0.2, *OWN[1:]))
    assert again[6] == 0.9
    assert again[7] == gr.skip()  # the same words keep theirs
    level = tab.level("en", first[4], None, 0.7, 0.5, 0.5)
    assert [slider["value"] for slider in level[:3]] == [0.7] * 3


def test_the_weight_moves_between_the_text_and_the_image_head(noise):
    kept = kept_of(noise)
    assert kept.labels == WORD_LIST  # all base words
    assert np.allclose(kept.found(1.0).scores, kept.parts.scores["text"])
    assert np.allclose(kept.found(0.0).scores, kept.parts.scores["image"])


@pytest.mark.parametrize("head", kept_module.HEADS)
def test_every_head_of_vild_can_be_asked(noise, head):
    out = ask(noise, head=head)
    assert out[4].head == head
    assert ("CLIP on cropped regions" in said_of(out)) == (head == "crops")


def test_any_clip_in_vild_s_place_is_labelled_as_the_paper_s_baseline(noise, systems, monkeypatch):
    monkeypatch.setitem(systems, "vild", tiny_vild("crops"))
    out = ask(noise)
    assert out[4].head == "crops"
    assert "the baseline of ViLD’s paper" in said_of(out)
    assert "crops" in inside.one_box(out[4], 0, 0.5, "en")
    exec(compile(files._asking(out[4], 0.5), "lines", "exec"), {"model": systems["vild"], "picture": noise})


def test_a_relative_says_that_it_is_one(noise, systems, monkeypatch):
    class Relative:
        title = "OWLv2, a relative of GLIP"
        weights, licence, device_name = "owl", "Apache-2.0", "cpu"
        detect, unseen_words = systems["glip"].detect, systems["glip"].unseen_words

    monkeypatch.setitem(systems, "glip", Relative())
    out = ask(noise, "glip", mode="sentence")
    assert "OWLv2, a relative of GLIP: published elsewhere" in said_of(out)
    assert "one vector for the whole sentence" in said_of(out)
    assert out[4].labels == (SENTENCE,)
    assert "choose GLIP or ViLD" in inside.look_inside(out[4], 10, 0.5, "en")[3]
    table = absence.moved(out[4], "dog", absence.sentences_with("dog"), MODELS, "en")
    assert "ViLD" in table
    assert "fusion off</th>" not in table


def test_a_dual_encoder_takes_a_sentence_as_one_label(noise):
    out = ask(noise, "vild", mode="sentence")
    assert out[4].labels == (SENTENCE,)
    assert "one vector" in said_of(out)
    assert "single word" in said_of(out)


def test_two_equal_phrases_are_told_apart(noise):
    kept = kept_of(noise, "glip", mode="sentence", sentence="a dog and a dog")
    assert kept.labels == ("a dog", "a dog (2)")


@pytest.mark.parametrize(
    ("mode", "text", "sentence"),
    [
        ("words", "", "at least one word"),
        ("words", "，; ,", "at least one word"),
        ("words", ",".join(map(str, range(2001))), "at most 2000 words here; these are 2001"),
        ("sentence", "  ", "Write a sentence"),
        ("sentence", "to the left of", "names no thing"),
        ("sentence", "a dog and " * 30, "tokens; tiny reads"),
    ],
)
def test_bad_text_is_one_sentence(noise, mode, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(noise, "glip", mode=mode, words=text, sentence=text)


@pytest.mark.parametrize("system", kept_module.SYSTEMS)
def test_many_words_extreme_shapes_and_blank_pictures_are_answered(systems, system):
    words = ", ".join(f"word{i}" for i in range(60 if system == "glip" else 2000))
    out = ask(np.zeros((40, 40, 3), np.uint8), system, words=words, least=0.9)
    assert "<svg" in view_of(out)
    assert "first 12 words" in said_of(out)
    for size_hw in ((1, 1), (1, 2000), (2000, 1)):
        assert "<svg" in view_of(ask(np.zeros((*size_hw, 3), np.uint8), system))


def test_words_written_twice_and_words_without_boxes_are_said(noise):
    out = ask(noise, words="dog, cup, dog")
    assert "counted once: dog" in said_of(out)
    kept = out[4]
    said = tab.redraw("en", kept, None, 1.0, 0.5, 2 / 3, *(1.0,) * show.MOST_OWN)[2]
    assert "No box reaches its least score" in said


@pytest.mark.parametrize("masker", ["toybox-sam", "vild"])
def test_boxes_on_show_get_masks_in_one_click(noise, masker):
    kept = kept_of(noise)
    own = (0.1,) * show.MOST_OWN
    made, view, *_, cost = tab.add_masks(masker, "en", kept, None, 0.1, 0.3, 2 / 3, *own)
    shown = show.shown_boxes(kept, Look(least=0.1, overlap=0.3, own=own))
    assert 0 < len(made.masks) <= tab.MOST_MASKS
    assert made.masks.shape[1:] == noise.shape[:2]
    assert "toybox-vild + tiny" in cost
    places, masks = made.of(shown)
    assert len(places) == len(masks) == min(len(shown.labels), tab.MOST_MASKS)
    assert view.startswith('<div class="boxes boxes-answer">')
    painted = show.with_masks(kept, shown, made)
    assert np.array_equal((painted != noise).any(2) | ~masks.any(0), np.ones((60, 90), bool))
    without = tuple(1.0 if label == shown.labels[0] else 0.1 for label in WORD_LIST)
    few = show.shown_boxes(kept, Look(least=0.1, overlap=0.3, own=without))
    assert len(made.of(few)[0]) < len(places)  # masks come and go with their boxes
    coco = json.loads(Path(files.write_files("en", kept, made, 0.1, 0.3, 2 / 3, *own)[0]).read_text())
    assert any("segmentation" in each for each in coco["annotations"]) == made.masks.any()
    with pytest.raises(ValueError, match="lower a threshold"):
        tab.add_masks(masker, "en", kept, None, 1.0, 0.3, 2 / 3, *(1.0,) * show.MOST_OWN)


def test_nothing_happens_before_an_answer():
    assert tab.answer_again("en", None) == (gr.skip(),) * tab.RESULTS
    assert tab.redraw("en", None, None, 0.3, 0.5, 0.5)[0] == gr.skip()
    assert files.as_python(None, 0.3, 0.5, 0.5) == ""
    for function in (
        lambda: inside.look_inside(None, 10, 0.5, "en"),
        lambda: absence.absent(None, "", 0.3, 0.5, 0.5, "en"),
        lambda: absence.moved(None, "dog", "", MODELS, "en"),
        lambda: files.write_files("en", None, None, 0.3, 0.5, 0.5),
        lambda: tab.add_masks("vild", "en", None, None, 0.3, 0.5, 0.5),
    ):
        with pytest.raises(ValueError, match="Find boxes in a picture first"):
            function()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_vild_shows_proposals_and_what_each_head_says_of_one(noise, systems, language):
    kept = kept_of(noise)
    picture, figure, maps, numbers, chosen = inside.look_inside(kept, 10, 0.5, language)
    assert picture["visible"]
    assert not figure["visible"]
    assert not maps["visible"]
    parts = kept.parts
    assert chosen == kept.found(0.5).scores.max(1).argmax()
    for head in ("text", "image", "vild"):
        assert all(f"{score:.3f}" in numbers for score in parts.scores[head][chosen])
    assert f"{parts.objectness[chosen]:.2f}" in numbers
    one, other = (inside.one_box(kept, chosen, weight, language) for weight in (0.0, 1.0))
    assert one != other


def test_a_click_chooses_the_smallest_proposal_there(noise):
    kept = kept_of(noise)
    boxes = kept.parts.boxes_xyxy
    middle = boxes[0].reshape(2, 2).mean(0)
    chosen = inside.box_at(kept, *middle, 20)
    sides = boxes[:, 2:] - boxes[:, :2]
    assert np.prod(sides[chosen]) <= np.prod(sides[0])
    scale = inside.box_pictures.enlargement(noise)
    event = gr.SelectData(None, {"index": [scale * float(middle[0]), scale * float(middle[1])], "value": None})
    assert inside.choose(kept, 20, 0.5, "en", event)[2] == chosen
    outside = inside.choose(kept, 20, 0.5, "en", gr.SelectData(None, {"index": [-50, -50], "value": None}))
    assert "No proposal" in outside[1]
    assert inside.redraw_inside(kept, 5, 0.5, None, "en") == (gr.skip(), gr.skip())


@pytest.mark.parametrize(("mode", "language"), [("words", "en"), ("sentence", "zh")])
def test_glip_shows_every_word_against_every_region(noise, systems, mode, language):
    kept = kept_of(noise, "glip", mode=mode)
    picture, figure, maps, numbers, chosen = inside.look_inside(kept, 10, 0.5, language)
    prompt = SENTENCE if mode == "sentence" else WORD_LIST
    found = systems["glip"].alignment(noise, prompt, most=inside.MOST_REGIONS)
    assert picture["visible"]
    assert chosen is None
    z = np.array(figure["value"].data[0].z)
    assert z.shape[0] == len(found.boxes_xyxy)
    place = found.tokens.index("ball")
    column = [text for text, _ in inside.token_words(found.tokens)].index("ball")
    assert np.allclose(z[:, column], found.probabilities[:, place])
    assert any(caption.startswith("ball") for _, caption in maps["value"])
    assert all(shown.shape == noise.shape for shown, _ in maps["value"])
    assert ("ball. dog. car" if mode == "words" else SENTENCE) in numbers


def test_pieces_of_a_word_are_one_word():
    tokens = ("[CLS]", "snow", "##man", ".", "[UNK]", "[SEP]")
    assert inside.token_words(tokens) == [("snowman", (1, 2)), (".", (3,)), ("[UNK]", (4,))]


@pytest.mark.parametrize("system", kept_module.SYSTEMS)
def test_a_word_is_here_where_it_scores_better_than_any_does_on_a_blank_picture(noise, scene, system):
    kept = kept_of(noise, system, scene=scene)
    blank, table = absence.absent(kept, "cat, ball", 0.0, 0.5, 2 / 3, "en")
    words = ("ball", "dog", "car", "cat")
    here, nowhere = (
        kept_module.candidates_of(picture, words, kept, 2 / 3).best() for picture in (noise, np.full_like(noise, 128))
    )
    assert all(f"{score:.3f}" in table for score in (*here, *nowhere))
    assert f"{int((here <= nowhere.max()).sum())} of 4 words" in table
    right = int(((here > nowhere.max()) == np.array([True, False, False, False])).sum())
    assert f"Right by the truth: {right} of 4" in table
    assert "boxes-blank" in blank


def test_the_sentence_moves_a_word_s_logit_in_glip_and_not_in_a_dual_encoder(noise, systems):
    kept = kept_of(noise, "glip")
    sentences = ["dog", "a dog and a red ball", "a car, a dog"]
    table = absence.moved(kept, "dog", "\n".join(sentences), MODELS, "en")
    fused = systems["glip"].word_logits(noise, "dog", sentences)
    assert max(fused) - min(fused) > 1e-3
    assert all(f"{value:+.3f}" in table for value in fused)
    dual = absence.dual_logits(systems["vild"], noise, "dog", sentences)
    assert max(dual) - min(dual) < 1e-3
    for word, text in (("", "a\nb"), ("dog", "dog"), ("dog", "")):
        with pytest.raises(ValueError, match="at least two sentences"):
            absence.moved(kept, word, text, MODELS, "en")
    with pytest.raises(ValueError, match="does not hold the word"):
        absence.moved(kept, "dog", "a dog\na cat", MODELS, "en")


def test_sentences_begin_with_the_surest_word(noise):
    word, text = lessons._first_word(kept_of(noise, "glip"))
    assert word in WORD_LIST
    assert all(word in line for line in text.splitlines())
    assert len(text.splitlines()) > 2
    assert lessons._first_word(None) == (gr.skip(), gr.skip())


def test_the_files_say_the_same_as_the_boxes_on_show(noise):
    kept = kept_of(noise)
    look = (0.2, 0.5, 2 / 3, *(0.2,) * show.MOST_OWN)
    shown = show.shown_boxes(kept, Look(least=0.2, own=(0.2,) * show.MOST_OWN))
    assert shown.labels
    paths = [Path(path) for path in files.write_files("en", kept, None, *look)]
    assert [path.name for path in paths] == list(files.FILES)
    coco = COCO()
    coco.dataset = json.loads(paths[0].read_text())
    coco.createIndex()
    assert len(coco.anns) == len(shown.labels)
    assert len(paths[1].read_text().splitlines()) == len(shown.labels) + 1
    lines = paths[2].read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == [WORD_LIST.index(label) for label in shown.labels]
    assert paths[3].read_text().split() == list(WORD_LIST)


@pytest.mark.parametrize(("system", "mode"), [("glip", "words"), ("glip", "sentence"), ("vild", "words")])
def test_the_lines_of_python_find_the_boxes_on_show(noise, system, mode, tmp_path, monkeypatch):
    kept = kept_of(noise, system, mode=mode)
    own = (0.3, *(0.2,) * (show.MOST_OWN - 1))
    code = files.as_python(kept, 0.2, 0.5, 2 / 3, *own)
    Image.fromarray(noise).save(tmp_path / files.PICTURE)
    monkeypatch.chdir(tmp_path)
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "lines", "exec"), {})
    shown = show.shown_boxes(kept, Look(least=0.2, own=own))
    lines = printed.getvalue().splitlines()
    assert len(lines) == len(shown.labels)
    for line, label, score in zip(lines, shown.labels, shown.scores, strict=True):
        assert line.startswith(f"{label} {score:.4f}")


def test_two_users_do_not_see_each_other_s_answers(noise):
    first, second = kept_of(noise), kept_of(255 - noise, words="cat, dog")
    assert first.labels == WORD_LIST
    assert second.labels == ("cat", "dog")
    assert not np.array_equal(first.candidates.scores[:, 1], second.candidates.scores[:, 1])


def test_a_file_that_is_no_picture_is_one_sentence(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("no picture")
    with pytest.raises(ValueError, match="not a picture"):
        ask(str(path))
