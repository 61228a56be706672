"""ViLD as the app uses it: words, heads, memory, masks, and input that is none."""

import dataclasses

import numpy as np
import pytest
import torch

from core import checkpoints
from core.checkpoints import WEIGHTS_FILE, Weights
from core.detection import vild
from core.detection.vild import BASE_WORDS, VildSettings, open_vild
from core.device import choose
from core.world.scene import BASE
from tests.detection.tiny_vild import some_picture, tiny_network, tiny_vild

WORDS = ("chair", "sofa", "dog")


@pytest.fixture(scope="module")
def model():
    return tiny_vild()


def count_looks(model, monkeypatch) -> list[int]:
    looks: list[int] = []
    pyramid = model.network.pyramid
    monkeypatch.setattr(model.network, "pyramid", lambda images: (looks.append(1), pyramid(images))[1])
    return looks


def test_the_base_words_are_the_toybox_s():
    assert BASE_WORDS == BASE


def test_every_box_has_a_score_for_every_word(model):
    found = model.detect(some_picture(), WORDS)
    assert found.labels == WORDS
    assert found.scores.shape == (20, 3)
    assert found.size_hw == (60, 90)
    assert found.scores.min() >= 0
    assert found.scores.max() <= 1
    assert found.boxes_xyxy.min() >= 0
    assert (found.boxes_xyxy.max(0)[2:] <= [90, 60]).all()
    assert np.all(np.diff(found.objectness) <= 0)


def test_new_words_on_the_same_picture_cost_no_look(model, monkeypatch):
    model.forget()
    looks = count_looks(model, monkeypatch)
    first = model.detect(some_picture(), WORDS)
    model.detect(some_picture(), ("boat", "tree"))
    model.parts(some_picture(), WORDS)
    model.masks(some_picture(), [0])
    assert len(looks) == 1
    assert np.array_equal(model.detect(some_picture(), WORDS).scores, first.scores)
    model.detect(255 - some_picture(), WORDS)
    assert len(looks) == 2


def test_the_mixture_is_remade_from_what_was_kept(model):
    parts = model.parts(some_picture(), WORDS)
    assert set(parts.scores) == {"text", "image", "vild"}
    assert parts.base.tolist() == [True, False, True]
    for weight in (0.0, 0.3, 1.0):
        asked = model.detect(some_picture(), WORDS, VildSettings(weight=weight))
        assert np.array_equal(asked.scores, parts.candidates("ensemble", weight).scores)
    assert parts.ensemble(1.0)[:, 0] == pytest.approx(parts.of("text")[:, 0])
    assert parts.ensemble(1.0)[:, 1] == pytest.approx(parts.of("image")[:, 1])
    assert (parts.background + parts.of("text").sum(1)) == pytest.approx(np.ones(20), abs=1e-5)


def test_which_words_are_base_can_be_said(model):
    parts = model.parts(some_picture(), WORDS, VildSettings(base=("Sofa",)))
    assert parts.base.tolist() == [False, True, False]


def test_words_that_are_not_asked_for_share_the_probability(model):
    alone = model.parts(some_picture(), ["sofa"]).of("image")
    beside = model.parts(some_picture(), ["sofa"], VildSettings(against=("sofa", "bed"))).of("image")
    assert (alone == 1).all()
    assert beside.shape == (20, 1)
    assert (beside < 1).all()


def test_the_crops_are_asked_once_a_picture_and_get_the_objectness(model, monkeypatch):
    asked: list[int] = []
    encode = vild.encode_crops
    monkeypatch.setattr(vild, "encode_crops", lambda *a, **k: (asked.append(len(a[2])), encode(*a, **k))[1])
    settings = VildSettings(head="crops", proposals=5)
    found = model.detect(some_picture(), WORDS, settings)
    model.detect(some_picture(), ("cat", "dog"), settings)
    assert asked == [5]
    look = model.look(some_picture(), settings)
    assert (found.scores**2).sum(1) == pytest.approx(look.objectness, abs=1e-5)


def test_the_baseline_has_crops_alone_and_says_so():
    baseline = tiny_vild(path="crops")
    assert "baseline" in baseline.path_title
    assert baseline.heads == ("crops",)
    assert baseline.detect(some_picture(), WORDS, VildSettings(proposals=4)).scores.shape == (4, 3)
    assert set(baseline.parts(some_picture(), WORDS, VildSettings(proposals=4)).scores) == {"crops"}
    with pytest.raises(ValueError, match="no head 'text': it can be asked for crops"):
        baseline.detect(some_picture(), WORDS, VildSettings(head="text"))


def test_a_clip_with_sigmoids_scores_each_word_by_itself():
    baseline, settings = tiny_vild(path="crops"), VildSettings(proposals=4)
    baseline.clip.model.logit_bias = torch.nn.Parameter(torch.tensor(-2.0), requires_grad=False)
    alone, beside = (baseline.detect(some_picture(), words, settings).scores for words in (("dog",), WORDS))
    assert alone[:, 0] == pytest.approx(beside[:, 2], abs=1e-5)


def test_a_single_head_is_asked_alone(model):
    for head in ("text", "image", "vild"):
        parts = model.parts(some_picture(), WORDS, heads=(head,))
        assert set(parts.scores) == {head}
        assert model.detect(some_picture(), WORDS, VildSettings(head=head)).scores == pytest.approx(parts.of(head))
    with pytest.raises(ValueError, match="wanted one of vild"):
        parts.of("text")


def test_masks_are_of_the_picture_s_size_and_inside_their_boxes(model):
    masks = model.masks(some_picture(), [0, 3])
    assert masks.shape == (2, 60, 90)
    assert masks.dtype == bool
    boxes = model.look(some_picture()).boxes_xyxy[[0, 3]]
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        rows, columns = np.nonzero(mask)
        if len(rows):
            assert rows.min() >= y0 - 2
            assert rows.max() <= y1 + 2
            assert columns.min() >= x0 - 2
            assert columns.max() <= x1 + 2
    assert np.array_equal(model.masks_of(some_picture(), boxes), masks)
    assert model.masks(some_picture(), []).shape == (0, 60, 90)


@pytest.mark.parametrize("words", [[], ["", "  "]])
def test_no_word_is_refused(model, words):
    with pytest.raises(ValueError, match=r"Write at least one word\."):
        model.detect(some_picture(), words)


def test_a_word_twice_is_one_word(model):
    assert model.detect(some_picture(), ["dog", " dog", "cat"]).labels == ("dog", "cat")


def test_two_thousand_words_are_answered(model):
    found = model.detect(some_picture(), [f"word {number}" for number in range(2000)])
    assert found.scores.shape == (20, 2000)
    assert found.best().shape == (2000,)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 2000), (2000, 1), (7, 3)])
def test_pictures_of_any_shape_are_answered(model, size_hw):
    for head in ("ensemble", "crops"):
        found = model.detect(some_picture(*size_hw), WORDS, VildSettings(head=head, proposals=3))
        assert len(found.boxes_xyxy) >= 1
        assert (found.boxes_xyxy.max(0)[2:] <= np.array(size_hw[::-1]) + 1e-3).all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_blank_picture_is_answered(model, value):
    found = model.detect(np.full((40, 40, 3), value, np.uint8), WORDS)
    assert np.isfinite(found.scores).all()
    assert len(found.boxes(1.0).labels) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"head": "magic"},
        {"weight": 1.5},
        {"templates": "none"},
        {"pixels": 8},
        {"proposals": 0},
        {"scales": ()},
        {"scales": (9.0,)},
    ],
)
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="wanted"):
        VildSettings(**change)


def test_words_are_said_in_one_sentence_or_many(model):
    one, paper = (model.classifier(WORDS, name) for name in ("one", "paper"))
    assert one.shape == paper.shape == (3, 16)
    assert torch.allclose(one[0], model.clip.encode_texts(["a photo of a chair."])[0])
    assert not torch.allclose(one, paper)


def test_a_file_of_its_own_is_opened_as_vild_and_a_clip_as_the_baseline(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    own = tmp_path / "own.safetensors"
    save_file({key: value.contiguous() for key, value in tiny_network().state_dict().items()}, own)
    teacher = checkpoints.resolve("clip", "toybox-resnet")
    card = Weights(name="own", system="clip", path=own)
    opened = open_vild(card, choose("cpu"), {WEIGHTS_FILE: own})
    assert opened.path == "vild"
    monkeypatch.setattr(vild, "own_network", tiny_network)
    baseline = open_vild(teacher, choose("cpu"), {WEIGHTS_FILE: checkpoints.fetch(teacher)})
    assert (baseline.path, baseline.weights, baseline.squares) == ("crops", "toybox-resnet", True)
    assert baseline.unseen_words(["dog", "zeppelin"]) == ("zeppelin",)
    foreign = open_vild(
        dataclasses.replace(teacher, path=None), choose("cpu"), {WEIGHTS_FILE: checkpoints.fetch(teacher)}
    )
    assert not foreign.squares
