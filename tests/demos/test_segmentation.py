"""What the segmentation tab answers, without a browser and with tiny networks, whose numbers mean nothing."""

import json
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from core import registry
from core.backbones.regions import MODES
from core.checkpoints import Weights
from core.device import choose
from core.results import LabelMap
from core.segmentation.plain_clip import PlainClip
from core.segmentation.sam import SegmentAnything
from core.segmentation.sam_model import build_sam
from core.train.lseg import OTHER
from core.viz import segments
from demos import segmentation as tab
from demos import segmentation_claims as claims
from demos import segmentation_files as files
from demos import segmentation_inside as inside
from demos import segmentation_kept as kept_module
from demos import segmentation_lessons as lessons
from demos import segmentation_show as show
from demos.segmentation_kept import Models, Scene
from tests.segmentation.test_sam import ALL, SIZE
from tests.segmentation.tiny_groupvit import tiny_groupvit
from tests.segmentation.tiny_lseg import tiny_lseg
from tests.tiny import RESNET, tiny_backbone, tiny_clip

NAMES = ("toybox-lseg", "toybox-groupvit", "toybox-sam", "toybox-resnet")
WEIGHTS = (*NAMES, "toybox-resnet", False)
MODELS = Models(names=NAMES, namer="toybox-resnet")
WORD_LIST = ("cup", "dog", "chair")
WORDS = ", ".join(WORD_LIST)
PUBLISHED = "groupvit-gcc-yfcc/nvidia"


@pytest.fixture(scope="module")
def systems():
    torch.manual_seed(0)
    sam = SegmentAnything(build_sam(SIZE), Weights(name="tiny", system="sam"), choose("cpu"))
    sam.default_settings = ALL
    return {
        "lseg": tiny_lseg(),
        "groupvit": tiny_groupvit(),
        "sam": sam,
        "plain_clip": PlainClip(tiny_backbone(RESNET), Weights(name="tiny", system="clip", licence="none")),
        "clip": tiny_clip(),
    }


@pytest.fixture(autouse=True)
def _tiny(systems, monkeypatch):
    monkeypatch.setattr(registry, "load", lambda name, *_, **__: systems[name])


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def scene(noise):
    ids = np.full((60, 90), -1, np.int32)
    ids[:, :30], ids[:, 30:50] = 0, 1
    return Scene(picture=noise, truth=LabelMap(ids=ids, labels=("dog", "tree")), words="")


def ask(picture, system="lseg", words=WORDS, **others):
    asked = {
        "language": "en",
        "kept": None,
        "scene": None,
        "clicks": (),
        "pixel": None,
        "rest": True,
        "opacity": 0.6,
        "threshold": 0.0,
        "prompt": "everything",
        "mode": "mean",
        "seed": 3,
        "look": "once",
        "weights": WEIGHTS,
    } | others
    states = [asked[name] for name in ("language", "kept", "scene", "clicks", "pixel")]
    form = [asked[name] for name in ("rest", "opacity", "threshold", "prompt", "mode", "seed", "look")]
    return tab.answer(*states, picture, words, system, *form, *asked["weights"])


def kept_of(*arguments, **named):
    return ask(*arguments, **named)[3]


def test_the_tab_speaks_of_what_there_is():
    assert set(kept_module.SYSTEMS) == set(registry.names("segmentation"))
    assert set(kept_module.MODES) == set(MODES)
    assert kept_module.OTHER == OTHER
    assert len(ask(np.zeros((20, 30, 3), np.uint8))) == tab.RESULTS


def test_the_first_scene_shows_things_of_the_first_words():
    _, scene, words, said = tab.draw_scene(tab.SEED, tab.WORDS, None, "en")
    there = {scene.truth.labels[i] for i in np.unique(scene.truth.ids) if i >= 0}
    assert len(there) > 2
    assert there < set(words.split(", "))
    assert there <= set(tab.WORDS.split(", "))
    assert all(word in said for word in there)


def test_drawing_replaces_words_that_were_filled_in_and_keeps_typed_ones():
    _, scene, filled, _ = tab.draw_scene(12, tab.WORDS, None, "en")
    assert filled.startswith("tree, ")
    assert "tree" not in tab.draw_scene(20, filled, scene, "en")[2]
    assert tab.draw_scene(20, "my word; tree", scene, "en")[2] == "my word, tree, airplane"


@pytest.mark.parametrize("system", kept_module.SYSTEMS)
def test_every_system_answers_with_pictures_a_legend_and_its_cost(noise, scene, system):
    *drawn, kept, clicks, threshold, view, plain, truth, legend, said, cost = ask(noise, system, scene=scene)
    assert drawn == [gr.skip()] * 3
    assert view.shape == noise.shape
    assert kept.label_map(threshold).labels == WORD_LIST
    assert all(word in legend for word in WORD_LIST)
    assert "IoU" in legend
    assert "Mean IoU with the truth" in said
    assert "tree" in said  # in the scene and not on the list
    assert "tiny" in cost
    assert plain["visible"] == (system != "plain_clip")
    assert truth["visible"]
    assert clicks == ()


def test_the_truth_is_that_of_the_very_picture(noise, scene):
    changed = noise.copy()
    changed[0, 0] ^= 1
    assert kept_of(noise, scene=scene).truth.labels == WORD_LIST
    assert kept_of(changed, scene=scene).truth is None
    assert ask(changed)[8]["visible"] is False


def test_the_shares_of_legend_and_truth_are_counted(noise, scene):
    kept = kept_of(noise, scene=scene)
    ids = np.full((60, 90), -1, np.int32)
    ids[:, :45] = 1
    legend = show.legend(_with_map(kept, ids), 0.0, None, "en")
    assert "50.0%" in legend
    assert "0.67" in legend  # dog: 30 of 45 columns
    assert "none of them" in legend


def _with_map(kept, ids):
    class Found:
        def label_map(self, _):
            return LabelMap(ids=ids, labels=WORD_LIST)

    return replace(kept, answer=Found())


def test_without_a_picture_the_scene_of_the_number_is_drawn():
    picture, scene, words, kept, *_ = ask(None, seed=12, words=tab.WORDS)
    assert np.array_equal(kept.picture, picture)
    assert kept.truth is not None
    assert words == scene.words
    with pytest.raises(ValueError, match="number from 0"):
        ask(None, seed=None)


@pytest.mark.parametrize("system", kept_module.SYSTEMS)
def test_opacity_and_threshold_need_no_model(noise, system, monkeypatch):
    kept = kept_of(noise, system, rest=False)
    monkeypatch.setattr(registry, "load", None)
    faint, bold = (tab.redraw("en", kept, None, opacity, 0.0)[0] for opacity in (0.0, 1.0))
    assert np.array_equal(faint, noise)
    assert (bold != noise).any()
    all_of_it, none_of_it = (kept.label_map(threshold).ids for threshold in (0.0, 1.0))
    assert (none_of_it < 0).sum() > (all_of_it < 0).sum()


def test_the_threshold_is_the_systems_own_until_somebody_moves_it(noise, systems):
    own = systems["groupvit"].defaults.threshold
    first = ask(noise, "groupvit")
    assert first[5] == own
    assert ask(noise, "groupvit", kept=first[3], threshold=0.3)[5] == 0.3
    assert ask(noise, "lseg", kept=first[3], threshold=0.3)[5] == 0.0
    assert ask(noise, "groupvit", rest=False)[5] == 0.0


def test_where_every_pixel_must_be_a_word_each_is(noise):
    for system in ("lseg", "groupvit", "plain_clip"):
        assert (kept_of(noise, system, rest=False).label_map().ids >= 0).all()


def test_lseg_looks_as_often_as_it_is_told(noise):
    logits = [kept_of(noise, look=look).answer.logits for look in kept_module.LOOKS]
    assert set(tab.LOOK_WORDS) == set(kept_module.LOOKS)
    assert not np.allclose(logits[0], logits[1])
    assert not np.allclose(logits[1], logits[2])


@pytest.mark.parametrize("system", kept_module.SYSTEMS)
def test_one_word_and_200_words_are_answered(noise, system):
    one = ask(noise, system, words="dog", rest=False)
    assert "single word" in one[10]
    many = kept_of(noise, system, words=", ".join(f"word{i}" for i in range(200)))
    assert len(many.label_map().labels) == 200


def test_the_same_word_twice_counts_once_and_is_named(noise):
    out = ask(noise, words="dog, cup , dog")
    assert out[3].asked.words == ("dog", "cup")
    assert "counted once: dog" in out[10]


@pytest.mark.parametrize(
    ("words", "sentence"), [("", "at least one word"), (" ,; ", "at least one word"), ("，", "at least one")]
)
def test_no_word_is_one_sentence(noise, words, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(noise, words=words)


def test_too_many_words_are_one_sentence(noise):
    with pytest.raises(ValueError, match="at most 255 words; these are 300"):
        ask(noise, words=",".join(map(str, range(300))))


@pytest.mark.parametrize("system", ["lseg", "groupvit", "plain_clip"])
def test_a_clicked_pixel_has_a_score_for_every_word(noise, system):
    kept = kept_of(noise, system)
    out = tab.after_click("inside", "en", kept, None, (), (10, 50), *_form(noise, system))
    assert all(value == gr.skip() for value in (*out[:6], out[11]))
    assert (out[6] != show.pictures(kept, 0.6, 0.0, None, "en")[0]).any()  # the pixel is marked
    assert "at (10, 50)" in out[9]
    assert kept.scores_at(10, 50).shape == (len(WORD_LIST),)
    outside = show.legend(kept, 0.0, (500, 500), "en")  # left from a larger picture
    assert "(500, 500)" not in outside


def _form(picture, system, prompt="everything"):
    return (picture, WORDS, system, True, 0.6, 0.0, prompt, "mean", 3, "once", *WEIGHTS)


def test_clicks_ask_sam_for_a_mask(noise):
    first = ask(noise, "sam", prompt="points")
    assert first[3].answer is None
    assert "Click a thing" in first[10]
    form = _form(noise, "sam", "points")
    once = tab.after_click("inside", "en", first[3], None, first[4], (20, 30), *form)
    assert once[4] == ((20, 30, 1),)
    assert len(once[3].answer.masks) == 1
    twice = tab.after_click("outside", "en", once[3], None, once[4], (70, 10), *form)
    assert twice[4] == ((20, 30, 1), (70, 10, 0))
    other = noise.copy()
    other[0] = 0
    assert ask(other, "sam", kept=twice[3], clicks=twice[4], prompt="points")[4] == ()


def test_two_clicks_make_a_box_and_the_third_begins_another(noise):
    form = _form(noise, "sam", "box")
    out = ask(noise, "sam", prompt="box")
    for pixel, count, sentence in (((60, 40), 1, "opposite corner"), ((10, 5), 2, ""), ((30, 30), 1, "opposite")):
        out = tab.after_click("inside", "en", out[3], None, out[4], pixel, *form)
        assert len(out[4]) == count
        assert sentence in out[10]
        assert (out[3].answer is None) == (count == 1)
    assert kept_module.box_of(((60, 40, 1), (10, 5, 1))) == (10, 5, 61, 41)


def test_a_click_outside_and_an_empty_mask_are_one_sentence(noise, systems, monkeypatch):
    with pytest.raises(ValueError, match="Click inside the picture"):
        ask(noise, "sam", prompt="points", clicks=((500, 2, 1),))
    points = systems["sam"].points

    def empty(*arguments, **named):
        found = points(*arguments, **named)
        return replace(found, masks=np.zeros_like(found.masks))

    monkeypatch.setattr(systems["sam"], "points", empty)
    with pytest.raises(ValueError, match="mask is empty here"):
        ask(noise, "sam", prompt="points", clicks=((5, 2, 1),))
    pictures, _, said = look_inside(kept_of(noise, "sam"), (5, 2))
    assert len(pictures) == 3
    assert "empty" in said


def test_a_pixel_belongs_to_its_smallest_mask(noise):
    kept = kept_of(noise, "sam")
    masks = np.zeros((2, 60, 90), bool)
    masks[0, 10:], masks[1, 30:40, 20:30] = True, True
    answer = kept.answer
    ranking = answer.rankings[0]
    rankings = (ranking, replace(ranking, cosines=np.roll(ranking.cosines, 1)))
    given = type(answer.masks)(masks=masks, predicted_iou=np.ones(2, np.float32), stability=np.ones(2, np.float32))
    kept = replace(kept, answer=replace(answer, masks=given, rankings=rankings))
    assert np.array_equal(kept.scores_at(25, 35), rankings[1].probabilities()[: len(WORD_LIST)])
    assert np.array_equal(kept.scores_at(80, 50), rankings[0].probabilities()[: len(WORD_LIST)])
    assert kept.scores_at(0, 0) is None
    assert "No mask lies at (0, 0)" in show.said(kept, 0.0, (0, 0), "en")


def test_research_weights_are_used_after_their_licence_was_accepted(noise):
    names = (NAMES[0], PUBLISHED, *NAMES[2:])
    with pytest.raises(ValueError, match=r"research only.*Tick the box"):
        ask(noise, "groupvit", weights=(*names, "toybox-resnet", False))
    assert ask(noise, "groupvit", weights=(*names, "toybox-resnet", True))[3] is not None
    assert kept_module.needs_consent("groupvit", PUBLISHED)
    assert not kept_module.needs_consent("groupvit", NAMES[1])
    assert not kept_module.needs_consent("sam", "sam_vit_b/meta")


def test_nothing_happens_before_an_answer():
    assert tab.answer_again("en", None) == (gr.skip(),) * tab.RESULTS
    assert tab.after_click("inside", "en", None, None, (), (1, 1)) == (gr.skip(),) * tab.RESULTS
    assert tab.redraw("en", None, None, 0.5, 0.0)[:-1] == (gr.skip(),) * (tab.SHOWN - 1)
    assert files.as_python(None, 0.0) == ""
    with pytest.raises(ValueError, match="Segment a picture first"):
        inside.look_inside(None, None, "en")
    with pytest.raises(ValueError, match="Segment a picture first"):
        inside.side_by_side(None, "lseg", "sam", "en")
    with pytest.raises(ValueError, match="Segment a picture first"):
        files.write_files(None, 0.0, "en")


def look_inside(kept, pixel, language="en"):
    gallery, figure, said = inside.look_inside(kept, pixel, language)
    return gallery["value"], figure, said


@pytest.mark.parametrize("language", ["en", "zh"])
def test_lseg_shows_its_vectors_its_blocks_and_logits_on_both_sides_of_them(noise, systems, language):
    kept = kept_of(noise, "lseg")
    pictures, figure, said = look_inside(kept, (3, 4), language)
    assert len(pictures) == 3 + len(systems["lseg"].regularisers)
    assert all(picture.shape == noise.shape for picture, _ in pictures)
    assert figure["visible"] is False
    before = replace(kept.answer, logits=kept.answer.before).logits_at(3, 4)
    assert f"{before[0]:+.2f}" in said
    assert f"{kept.answer.logits_at(3, 4)[0]:+.2f}" in said


def test_groupvit_shows_both_stages_and_the_similarity_of_groups_and_words(noise):
    kept = kept_of(noise, "groupvit")
    pictures, figure, said = look_inside(kept, (3, 4))
    assert "stage 1" in pictures[0][1]
    assert "of 6 groups" in pictures[0][1]
    assert "of 3 groups" in pictures[1][1]
    assert figure["value"].data[0].z.shape == (3, len(WORD_LIST))
    assert np.sort(figure["value"].data[0].z, axis=None) == pytest.approx(np.sort(kept.answer.cosines, axis=None))
    assert f"group {kept.answer.groups.map[4, 3] + 1}" in said


def test_sam_shows_three_masks_and_the_best_in_every_mode(noise, systems):
    kept = kept_of(noise, "sam", prompt="points", clicks=((20, 30, 1),))
    pictures, _, said = look_inside(kept, None)
    three = systems["sam"].points(noise, [(20, 30)], [1])
    assert len(pictures) == 3 + 6  # context has two windows, dense none
    for (_, caption), iou in zip(pictures, three.predicted_iou, strict=False):
        assert f"expects IoU {iou:.2f}" in caption
    assert all(mode in said for mode in MODES)


def test_plain_clip_shows_a_map_for_each_word(noise):
    pictures, _, said = look_inside(kept_of(noise, "plain_clip"), None)
    assert sorted(caption for _, caption in pictures) == sorted(WORD_LIST)
    assert "×" in said


@pytest.mark.parametrize("language", ["en", "zh"])
def test_two_systems_stand_side_by_side(noise, scene, language):
    (left, right), table, said = inside.side_by_side(kept_of(noise, scene=scene), "lseg", "groupvit", language)
    assert left.shape == right.shape == noise.shape
    assert table.count("IoU") == 2
    assert "LSeg" in said
    _, table, said = inside.side_by_side(kept_of(noise), "sam", "plain_clip", language)
    assert "IoU" not in table


def test_the_files_hold_the_labels_on_show(noise):
    kept = kept_of(noise)
    png, coco, table = files.write_files(kept, 0.0, "en")
    ids = kept.label_map(0.0).ids
    assert np.array_equal(np.asarray(Image.open(png)), np.where(ids < 0, 255, ids))
    read = COCO(coco)
    back = np.full_like(ids, -1)
    for annotation in read.loadAnns(read.getAnnIds()):
        back[read.annToMask(annotation).astype(bool)] = annotation["category_id"] - 1
    assert np.array_equal(back, ids)
    rows = Path(table).read_text().splitlines()[1:]
    assert sum(int(row.split(",")[2]) for row in rows) == (ids >= 0).sum()


def test_sams_masks_are_written_one_by_one_with_their_probability(noise):
    kept = kept_of(noise, "sam", rest=False)
    _, coco, _ = files.write_files(kept, 0.0, "en")
    annotations = json.loads(Path(coco).read_text())["annotations"]
    assert len(annotations) == len(kept.answer.masks)
    shares = [max(ranking.probabilities()) for ranking in kept.answer.rankings]
    assert sorted(each["score"] for each in annotations) == pytest.approx(sorted(shares))


@pytest.mark.parametrize(
    ("system", "others"),
    [
        ("lseg", {}),
        ("lseg", {"look": "scaled", "rest": False}),
        ("groupvit", {}),
        ("plain_clip", {"rest": False}),
        ("sam", {}),
        ("sam", {"prompt": "points", "clicks": ((20, 30, 1),), "rest": False}),
        ("sam", {"prompt": "points", "clicks": ((20, 30, 1), (60, 30, 0))}),
        ("sam", {"prompt": "box", "clicks": ((20, 30, 1), (60, 50, 1))}),
    ],
)
def test_the_copied_python_gives_the_tabs_shares(noise, tmp_path, capsys, system, others):
    out = ask(noise, system, **others)
    kept, threshold = out[3], out[5]
    path = tmp_path / "picture.png"
    Image.fromarray(noise).save(path)
    exec(compile(files.as_python(kept, threshold).replace(files.PICTURE, str(path)), "copied", "exec"), {})
    found = kept.label_map(threshold)
    shares = [f"{word}: {found.mask(i).mean():.4f}" for i, word in enumerate(WORD_LIST)]
    assert capsys.readouterr().out.splitlines() == shares


@pytest.mark.parametrize("claim", claims.CLAIMS)
def test_every_claim_is_measured_in_both_languages(claim, monkeypatch):
    monkeypatch.setattr(claims, "THINGS", (1, 2))
    monkeypatch.setattr(claims, "RENAMED", claims.RENAMED[:1])
    monkeypatch.setattr(claims, "NAMED_PIXELS", 48)
    monkeypatch.setattr(claims, "PIXELS", 48)
    english = claims.measure(claim, MODELS, 1, 2, "en")
    assert english == claims.measure(claim, MODELS, 1, 2, "en")
    assert english != claims.measure(claim, MODELS, 1, 2, "zh")
    assert english.count("<tr>") > 1


def test_claims_need_a_seed_that_is_a_number(noise):
    for seed in (None, -1, claims.MOST_SEED + 1):
        with pytest.raises(ValueError, match="Give the scenes a number"):
            claims.measure("cap", MODELS, seed, 2, "en")
    assert claims.FIRST_SEED > tab.MOST_SEED


def test_the_oracle_is_never_worse_than_the_words_on_the_same_groups(monkeypatch):
    monkeypatch.setattr(claims, "PIXELS", 48)
    for _, with_oracle, with_words in claims.oracle(MODELS, 0, 4, "en").rows:
        assert float(with_oracle) >= float(with_words)


def test_no_scene_has_more_segments_than_groups(systems, monkeypatch):
    monkeypatch.setattr(claims, "PIXELS", 48)
    monkeypatch.setattr(claims, "THINGS", (1, 12))
    assert all(int(row[3]) <= systems["groupvit"].most_groups for row in claims.cap(MODELS, 0, 2, "en").rows)


def test_labels_keep_their_colours_in_picture_and_legend(noise):
    kept = kept_of(noise, rest=False)
    view = tab.redraw("en", kept, None, 1.0, 0.0)[0]
    legend = show.legend(kept, 0.0, None, "en")
    index = int(kept.label_map().ids[0, 0])
    assert segments.label_color(index) in legend
    colors = {tuple(color) for color in view.reshape(-1, 3).tolist()}
    assert tuple(segments.label_colors(len(WORD_LIST))[index].tolist()) in colors


def test_the_tab_is_built_with_one_public_endpoint():
    with gr.Blocks() as demo:
        tab.build(gr.State("en"))
    public = [d["api_name"] for d in demo.get_config_file()["dependencies"] if d.get("api_visibility") == "public"]
    assert public == ["segmentation"]
    assert lessons.SCENES <= lessons.MOST_SCENES
