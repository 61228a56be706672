"""GLIP as the app asks it: lists, sentences, alignment, several prompts, and what cannot be asked."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.detection.glip import GlipSettings
from core.detection.glip_frame import LONGEST_SHARE, network_input, resized_size
from tests.detection.tiny_glip import PICTURE, SETTINGS, tiny_glip


def test_every_word_of_a_list_is_scored_at_every_box():
    found = tiny_glip().detect(PICTURE, ["dog", "cat", "red ball"])
    assert found.labels == ("dog", "cat", "red ball")
    assert found.scores.shape == (len(found.boxes_xyxy), 3)
    assert len(found.boxes_xyxy) > 10
    assert found.scores.std(0).min() > 1e-3
    assert (found.boxes_xyxy >= 0).all()
    assert (found.boxes_xyxy[:, [0, 2]] <= 80).all()
    assert (found.boxes_xyxy[:, [1, 3]] <= 48).all()


def test_a_word_twice_or_with_blanks_is_asked_once():
    assert tiny_glip().detect(PICTURE, ["dog", " dog ", ""]).labels == ("dog",)


def test_a_list_is_grounded_like_the_sentence_that_it_becomes():
    model = tiny_glip()
    listed = model.detect(PICTURE, ["dog", "red ball"])
    told = model.ground(PICTURE, "dog. red ball")
    assert told.candidates.labels == ("dog", "red ball")
    assert np.allclose(listed.scores, told.candidates.scores, atol=1e-6)
    assert np.allclose(listed.boxes_xyxy, told.candidates.boxes_xyxy, atol=1e-3)


def test_phrases_keep_their_characters_and_tokens():
    answer = tiny_glip().ground(PICTURE, "a red ball on the car")
    assert answer.candidates.labels == ("a red ball", "the car")
    assert [answer.sentence[first:last] for first, last in answer.spans] == ["a red ball", "the car"]
    assert [[answer.tokens[t] for t in own] for own in answer.phrase_tokens] == [["a", "red", "ball"], ["the", "car"]]
    best = answer.best()
    assert best.labels == answer.candidates.labels
    assert best.scores == pytest.approx(answer.candidates.best())


def test_given_spans_are_the_entities():
    assert tiny_glip().ground(PICTURE, "a red ball", spans=[(2, 5)]).candidates.labels == ("red",)


def test_several_prompts_answer_for_their_own_words():
    model = tiny_glip()
    words = ["dog", "cat", "ball", "car", "red"]
    settings = replace(SETTINGS, labels_a_prompt=2)
    assert [prompt.text for prompt in model.prompts(words, settings)] == ["dog. cat", "ball. car", "red"]
    found = model.detect(PICTURE, words, settings)
    alone = model.detect(PICTURE, ["ball", "car"])
    rows = found.scores[:, 2] > 0
    assert (found.scores[rows][:, [0, 1, 4]] == 0).all()
    assert np.allclose(np.sort(found.scores[rows, 2]), np.sort(alone.scores[:, 0]), atol=1e-6)


def test_a_list_longer_than_a_prompt_is_asked_in_several():
    model = tiny_glip()
    words = [f"dog{number}" for number in range(2_000)]
    prompts = model.prompts(words)
    assert [label for prompt in prompts for label in prompt.labels] == list(range(2_000))
    assert all(model.count_tokens(prompt.text) <= SETTINGS.most_tokens for prompt in prompts)
    assert len(prompts) == -(-2_000 // 11)  # 24 tokens: two special ones, a word and a stop each, none after the last


def test_two_thousand_classes_get_an_answer():
    model = tiny_glip()
    words = [f"dog{number}" for number in range(1_998)] + ["cat", "ball"]
    found = model.detect(PICTURE[:8, :8], words, GlipSettings(short_side=32, least=0.5, most_tokens=100))
    assert found.scores.shape[1] == 2_000
    assert len(found.boxes_xyxy) <= 1_500


@pytest.mark.parametrize("value", [0, 255])
def test_a_blank_picture_gets_an_answer(value):
    found = tiny_glip().detect(np.full_like(PICTURE, value), ["dog", "cat"])
    assert np.isfinite(found.scores).all()
    assert found.best().shape == (2,)


def test_new_words_look_at_no_picture_again(monkeypatch):
    model = tiny_glip()
    first = model.detect(PICTURE, ["dog"])
    monkeypatch.setattr(model.network, "pyramid", lambda _: pytest.fail("the picture was looked at again"))
    model.detect(PICTURE.copy(), ["cat", "ball"])
    assert np.array_equal(model.detect(PICTURE, ["dog"]).scores, first.scores)
    model.forget()
    with pytest.raises(pytest.fail.Exception):
        model.detect(PICTURE, ["dog"])


def test_a_changed_pixel_is_another_picture():
    model = tiny_glip()
    other = PICTURE.copy()
    other[20:30, 20:30] = 255 - other[20:30, 20:30]
    assert not np.array_equal(model.detect(PICTURE, ["dog"]).scores, model.detect(other, ["dog"]).scores)


def test_the_other_words_move_a_words_logit_by_fusion_and_less_without():
    model = tiny_glip()
    sentences = ["dog. cat", "dog. red car", "a dog on the ball"]
    fused = model.word_logits(PICTURE, "dog", sentences)
    assert len(set(np.round(fused, 4))) == 3
    assert model.word_logits(PICTURE, "dog", sentences[:1])[0] == pytest.approx(fused[0])
    without = model.word_logits(PICTURE, "dog", sentences, replace(SETTINGS, exchange=False))
    assert without != pytest.approx(fused)
    assert model.word_logits(PICTURE, "dog", sentences) == pytest.approx(fused)  # the way is chosen anew each time


def test_a_word_that_is_not_in_the_sentence_has_no_logit():
    with pytest.raises(ValueError, match="does not hold the word 'dog'"):
        tiny_glip().word_logits(PICTURE, "dog", ["a cat"])


def test_offsets_are_handed_on_in_two_ways():
    model = tiny_glip()
    flat, meant = (model.detect(PICTURE, ["dog"], replace(SETTINGS, flat_offsets=way)).scores for way in (True, False))
    assert not np.allclose(np.sort(flat, 0), np.sort(meant, 0), atol=1e-4)


def test_the_alignment_compares_tokens_with_boxes_and_places():
    model = tiny_glip()
    found = model.alignment(PICTURE, "a red ball", most=5)
    assert found.tokens == ("[CLS]", "a", "red", "ball", "[SEP]")
    assert found.probabilities.shape == (len(found.boxes_xyxy), 5)
    assert 1 <= len(found.boxes_xyxy) <= 5
    assert found.places.shape[0] == 5
    heat = found.heat_map([2, 3])
    assert heat.values.shape == (48, 80)
    assert heat.label == "red ball"
    assert 0 <= heat.values.min() < heat.values.max() <= 1
    with pytest.raises(ValueError, match="wanted tokens from 0 to 4"):
        found.heat_map(5)
    with pytest.raises(ValueError, match="wanted tokens from 0 to 4"):
        found.heat_map([])


def test_the_alignment_of_a_list_is_that_of_its_prompt():
    assert tiny_glip().alignment(PICTURE, ["dog", "cat"]).prompt == "dog. cat"


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 60), (200, 2), (3, 3)])
def test_pictures_of_any_shape_get_boxes_inside_them(size_hw):
    picture = np.zeros((*size_hw, 3), np.uint8)
    found = tiny_glip().detect(picture, ["dog"])
    assert np.isfinite(found.boxes_xyxy).all()
    assert (found.boxes_xyxy[:, 2:] <= np.array(size_hw[::-1])).all()
    assert found.boxes(0.5).size_hw == size_hw


def test_words_without_any_box_above_the_threshold_have_none():
    found = tiny_glip().detect(PICTURE, ["dog"], replace(SETTINGS, least=0.999))
    assert len(found.boxes_xyxy) == 0
    assert found.best().tolist() == [0.0]
    assert found.boxes().labels == ()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m: m.detect(PICTURE, []), "Write at least one word"),
        (lambda m: m.detect(PICTURE, [" ", ""]), "Write at least one word"),
        (lambda m: m.detect(PICTURE, ["dog " * 30]), "longer than a whole prompt of 24 tokens"),
        (lambda m: m.ground(PICTURE, "it is to the left"), "names no thing"),
        (lambda m: m.ground(PICTURE, ""), "names no thing"),
        (lambda m: m.ground(PICTURE, "a dog on the ball and " * 5 + "a dog"), "tokens; tiny reads 24"),
        (lambda m: m.ground(PICTURE, "a dog", spans=[(0, 9)]), "inside the 5 characters"),
        (lambda m: m.ground(PICTURE, "a dog", spans=[(3, 3)]), "inside the 5 characters"),
        (lambda m: m.alignment(PICTURE, " "), "Write a sentence or at least one word"),
        (lambda m: m.alignment(PICTURE, []), "Write at least one word"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(tiny_glip())


@pytest.mark.parametrize(
    "settings", [{"short_side": 8}, {"short_side": 5000}, {"least": 1.0}, {"most_tokens": 2}, {"labels_a_prompt": 0}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="wanted"):
        GlipSettings(**settings)


def test_words_without_a_token_are_named():
    assert tiny_glip().unseen_words(["red zebra", "dog", "zebra"]) == ("zebra",)


def test_the_network_sees_blue_first_and_padding_of_zeros():
    picture = np.full((40, 66, 3), (255, 0, 0), np.uint8)
    inputs, size_hw = network_input(picture, 40)
    assert size_hw == (40, 66)
    assert inputs.shape == (1, 3, 64, 96)
    assert inputs[0, 2, 0, 0] == pytest.approx((255 - 123.675) / 58.395)
    assert inputs[0, 0, 0, 0] == pytest.approx((0 - 103.53) / 57.375)
    assert torch.all(inputs[0, :, 40:] == 0)
    assert torch.all(inputs[0, :, :, 66:] == 0)


@pytest.mark.parametrize(
    ("size_hw", "short", "wanted"),
    [
        ((480, 640), 800, (800, 1066)),
        ((640, 480), 800, (1066, 800)),
        ((100, 1000), 800, (133, 1330)),
        ((1, 1), 32, (32, 32)),
    ],
)
def test_the_long_side_has_a_limit(size_hw, short, wanted):
    assert resized_size(size_hw, short) == wanted
    assert max(resized_size(size_hw, short)) <= LONGEST_SHARE * short + 1
