"""Prompts and noun phrases: which characters and tokens stand for what."""

import pytest
import torch

from core.detection.glip_chunker import noun_phrases
from core.detection.glip_prompts import (
    SPECIAL,
    batch_of,
    chunked_prompts,
    class_prompt,
    clean_name,
    demo_prompt,
    named_spans,
    phrase_spans,
    positive_map,
    span_tokens,
    tokens_of_labels,
    word_tokenizer,
)

TOKENIZER = word_tokenizer((*SPECIAL, ".", "(", ")", "dog", "cat", "hot", "##dog", "red", "a"))


def count(text):
    return len(TOKENIZER.encode(text).ids)


def test_names_are_cleaned_as_in_evaluation():
    assert clean_name("bow_(decorative_ribbons)") == "bow "
    assert clean_name("stop_sign") == "stop sign"


def test_a_list_and_the_demos_list():
    assert class_prompt(["dog", "hot_dog"]).text == "dog. hot dog"
    assert class_prompt(["dog", "cat"], ending=".").text == "dog. cat."
    assert demo_prompt(["dog", "hot_dog"]).text == "dog . hot_dog . "


def test_a_span_has_the_tokens_from_its_first_to_its_last_character():
    encoding = TOKENIZER.encode("a hotdog. red cat")
    assert encoding.tokens == ["[CLS]", "a", "hot", "##dog", ".", "red", "cat", "[SEP]"]
    assert list(span_tokens(encoding, (2, 8))) == [2, 3]
    assert list(span_tokens(encoding, (9, 17))) == [5, 6]  # it begins with a blank
    assert span_tokens(encoding, (30, 40)) is None


def test_labels_beyond_the_last_token_have_none():
    prompt = class_prompt(["dog"] * 10)
    assert tokens_of_labels(TOKENIZER.encode(prompt.text), prompt.spans, most_tokens=6) == [
        (1,),
        (3,),
        (5,),
        *[()] * 7,
    ]


def test_a_row_of_the_map_sums_to_one():
    rows = positive_map([(1, 2), (4,), ()], tokens=6)
    assert rows.shape == (3, 6)
    assert torch.allclose(rows.sum(1), torch.tensor([1.0, 1.0, 0.0]), atol=1e-5)


def test_prompts_are_as_few_as_hold_the_labels():
    prompts = chunked_prompts(["dog", "cat", "hotdog", "dog", "cat"], count, most_tokens=7, most=40)
    assert [prompt.text for prompt in prompts] == ["dog. cat", "hotdog. dog", "cat"]
    assert [prompt.labels for prompt in prompts] == [(0, 1), (2, 3), (4,)]
    assert all(count(prompt.text) <= 7 for prompt in prompts)
    assert len(chunked_prompts(["dog"] * 9, count, most=4)) == 3


def test_entities_by_name_and_by_phrase():
    assert named_spans("two cats, a dog", ["cat", "cow", "a dog"]) == [(4, 7), (10, 15)]
    assert phrase_spans("Red car, blue car", ["red car", "car", "car (blue)"]) == [(0, 7), (4, 7), (14, 17)]


def test_a_batch_is_padded_to_its_longest():
    ids, mask = batch_of([TOKENIZER.encode("dog"), TOKENIZER.encode("red cat. dog")])
    assert ids.shape == (2, 6)
    assert mask.tolist() == [[1, 1, 1, 0, 0, 0], [1] * 6]
    assert ids[0, 3:].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("sentence", "phrases"),
    [
        ("a red ball to the left of a blue mug", ["a red ball", "a blue mug"]),
        ("a photo of a big striped sofa, an orange and a truck.", ["a big striped sofa", "an orange", "a truck"]),
        ("The big black dog is playing with a small dog.", ["The big black dog", "a small dog"]),
        ("a man riding a horse on the beach", ["a man", "a horse", "the beach"]),
        ("two cats sitting on a couch near the window", ["two cats", "a couch", "the window"]),
        ("a person walks their dogs in the park", ["a person", "their dogs", "the park"]),
        ("the car parked in front of the old building", ["The car".lower(), "the old building"]),
        ("there is a ring under the traffic light", ["a ring", "the traffic light"]),
        ("a running dog and a woman's hat", ["a running dog", "a woman's hat"]),
        ("people wearing hats", ["people", "hats"]),
        ("dog. cat. red ball", ["dog", "cat", "red ball"]),
        ("this is red and far away", []),
        ("to the left", []),
        ("", []),
        ("!!! ...", []),
    ],
)
def test_noun_phrases(sentence, phrases):
    found = noun_phrases(sentence)
    assert [phrase.text for phrase in found] == phrases
    assert [sentence[slice(*phrase.span)] for phrase in found] == phrases


def test_the_noun_of_a_phrase_is_its_last_word():
    assert [phrase.noun for phrase in noun_phrases("a big striped sofa and the Traffic Light")] == ["sofa", "light"]
