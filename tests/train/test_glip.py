"""What GLIP's recipe learns from: sentences with boxes, prompts, pseudo boxes; the loss, and a run that goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from core.detection.glip_anchors import level_anchors
from core.detection.glip_chunker import noun_phrases
from core.detection.glip_model import Scores
from core.detection.glip_prompts import batch_of, word_tokenizer
from core.train import glip_data, glip_loss
from core.train.glip import GlipLesson, GlipRecipe, network_scale
from core.train.glip_data import cropped_boxes, sentence, spoken, toybox_scenes, vocabulary
from core.train.glip_loss import Truth, focal
from core.train.glip_prompting import Asked, annotated_example, list_asked, numbered, pseudo_example, token_targets
from core.train.glip_pseudo import Pseudo, matched
from core.train.glip_watch import shown_boxes
from core.world.picture import picture
from core.world.scene import BASE, NOVEL
from core.world.shapes import CATEGORIES

RECIPE = GlipRecipe(annotated=8, plain=8, picture=64, batch=4, batch_pseudo=2, steps=4, window=4)
PIECES = [("a photo of ", []), ("a red ball", [0]), (" to the left of ", []), ("a mug", [1, 2])]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def scenes(cache):
    return toybox_scenes(0, 8, 8, size=64, cache=cache)


@pytest.fixture
def lesson(cache):
    return GlipLesson(RECIPE, cache, None)


def test_a_sentence_knows_the_characters_and_things_of_its_phrases():
    text, phrases = spoken(PIECES)
    assert text == "a photo of a red ball to the left of a mug"
    assert [(text[slice(*span)], things) for span, things in phrases] == [("a red ball", [0]), ("a mug", [1, 2])]


def test_left_and_right_change_places_in_the_mirror():
    text, phrases = spoken(PIECES, mirrored=True)
    assert text == "a photo of a red ball to the right of a mug"
    assert [text[slice(*span)] for span, _ in phrases] == ["a red ball", "a mug"]


def test_a_sentence_names_everything_that_shows_and_the_chunker_finds_it():
    for seed in range(12):
        view = picture(seed, 64, count=1 + seed % 4, samples=1)
        truth = shown_boxes(view)
        text, phrases = spoken(sentence(view, np.random.default_rng(seed)))
        assert sorted({i for _, things in phrases for i in things}) == list(range(len(truth.labels)))
        assert all(noun_phrases(text[slice(*span)])[0].noun == truth.labels[things[0]] for span, things in phrases)
        assert [phrase.span for phrase in noun_phrases(text)] == [span for span, _ in phrases]


def test_every_word_of_a_sentence_is_in_the_vocabulary():
    tokenizer = word_tokenizer(vocabulary())
    for seed in range(12):
        view = picture(seed, 64, count=1 + seed % 4, samples=1)
        text, _ = spoken(sentence(view, np.random.default_rng(seed)))
        encoding = tokenizer.encode(text)
        assert "[UNK]" not in encoding.tokens
        assert len(encoding.ids) <= RECIPE.most_tokens
    assert len(tokenizer.encode(". ".join(CATEGORIES)).ids) <= RECIPE.most_tokens


def test_annotated_pictures_show_base_things_only_and_plain_ones_name_no_box(scenes):
    assert {CATEGORIES[name] for name in scenes.names[scenes.names >= 0]} <= set(BASE)
    assert {place for own in scenes.plain_sentences for each in own for _, things in each for place in things} == {0}
    assert ((scenes.boxes[..., 2] > scenes.boxes[..., 0]) == (scenes.names >= 0)).all()


def test_drawing_twice_reads_the_cache(cache, scenes, monkeypatch):
    monkeypatch.setattr(glip_data, "_drawn", lambda *_: pytest.fail("drawn again"))
    again = toybox_scenes(0, 8, 8, size=64, cache=cache)
    assert np.array_equal(again.pictures, scenes.pictures)
    assert again.sentences == scenes.sentences


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_boxes_follow_their_crop(flip):
    theta = torch.tensor([[0.5 * flip, 0.0, 0.5], [0.0, 0.5, -0.5]])  # the upper right quarter
    boxes, left = cropped_boxes(np.array([[60, 10, 80, 30], [0, 60, 20, 80]], np.float32), theta, 100, 100)
    wanted = [20, 20, 60, 60] if flip > 0 else [40, 20, 80, 60]
    assert boxes[0].tolist() == pytest.approx(wanted)
    assert left.tolist() == pytest.approx([1.0, 0.0])


def test_a_list_asks_what_is_there_and_more_and_never_novel_words_of_annotated_pictures(scenes):
    rng = np.random.default_rng(0)
    missing = 0
    for _ in range(40):
        asked = list_asked(["ball", "cube", "ball"], BASE, rng)
        meaning = {asked.text[slice(*span)]: list(places) for span, places in asked.meant}
        missing += "ball" not in meaning
        assert meaning.get("ball", [0, 2]) == [0, 2]
        assert all(not places for word, places in meaning.items() if word not in ("ball", "cube"))
    assert 0 < missing < 10
    texts = [annotated_example(scenes, i % 8, rng).spoken(False).text for i in range(60)]
    assert not [word for text in texts for word in NOVEL if word in text.split()]
    assert "thing" in texts


def test_a_box_that_no_word_may_mean_is_in_no_list():
    asked = list_asked(["", "mug"], ["ball"], np.random.default_rng(1))
    assert all(0 not in places for _, places in asked.meant)


def test_tokens_of_unknown_phrases_are_in_no_loss():
    encoding = word_tokenizer(vocabulary()).encode("a red ball and a mug")
    asked = Asked("a red ball and a mug", [((0, 10), [0])], unknown=[(15, 20)])
    meant, counted = token_targets(asked, encoding, 2, 10)
    assert meant[0].nonzero().flatten().tolist() == [1, 2, 3]
    assert not meant[1].any()
    assert (~counted).nonzero().flatten().tolist() == [5, 6]


def test_pseudo_boxes_stand_for_the_phrase_of_their_number(scenes):
    sentences = ([PIECES], *scenes.plain_sentences[1:])
    own = replace(scenes, plain_sentences=sentences)
    boxes = np.zeros((8, 4, 4), np.float32)
    boxes[0, 1] = [1, 2, 30, 40]
    there = boxes.any(-1)
    nouns = (("ball", "mug"), *[("ball",)] * 7)
    pseudo = Pseudo(boxes=boxes, there=there, nouns=nouns, words=("ball", "mug", "sofa"))
    assert pseudo.kept.tolist() == [0]
    assert numbered(PIECES)[3] == ("a mug", [1])
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(20):
        example = pseudo_example(own, pseudo, 0, rng)
        asked = example.spoken(False)
        meaning = {asked.text[slice(*span)]: list(places) for span, places in asked.meant}
        if example.pieces:
            kinds.add("sentence")
            assert meaning == {"a mug": [1]}
            assert [asked.text[slice(*span)] for span in asked.unknown] == ["a red ball"]
        else:
            kinds.add("list")
            assert "ball" not in meaning  # it is in the picture, but nobody knows where
            assert meaning.get("mug", [1]) == [1]
    assert kinds == {"sentence", "list"}


def test_boxes_and_phrases_are_matched_so_that_the_whole_is_best():
    likely = np.array([[0.9, 0.8], [0.85, 0.1], [0.1, 0.1]], np.float32)
    assert sorted(matched(likely, np.ones(3, np.float32))) == [(0, 1), (1, 0)]
    assert matched(likely, np.ones(3, np.float32), least=0.82) == [(1, 0)]
    assert matched(np.zeros((0, 2), np.float32), np.zeros(0, np.float32)) == []


def test_the_focal_loss_is_small_where_the_answer_is_clear():
    found = focal(torch.tensor([0.0, 0.0, 8.0]), torch.tensor([1.0, 0.0, 1.0]))
    assert found[0] == pytest.approx(0.25 * 0.25 * np.log(2))
    assert found[1] == pytest.approx(0.75 * 0.25 * np.log(2))
    assert found[2] < 1e-7


def test_right_boxes_and_right_words_have_the_least_loss():
    anchors = [level_anchors((4, 4), 8, 3.0), level_anchors((2, 2), 16, 3.0)]
    truth = torch.tensor([[4.0, 4.0, 28.0, 28.0]])
    tokens = torch.tensor([[False, True, False]])
    mask = torch.ones(1, 3, dtype=torch.long)
    owners = glip_loss.atss(anchors, glip_loss.held(truth))
    right = torch.where((owners == 0)[:, None] & tokens[0], 8.0, -8.0)[None]

    def scores(logits):
        levels = [torch.zeros(1, 4, 4, 4), torch.zeros(1, 4, 2, 2)]
        middles = [torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)]
        tokens = [logits[:, :16], logits[:, 16:]]
        return Scores(boxes=levels, centerness=middles, tokens=tokens, hidden=torch.zeros(1, 3, 4))

    def loss(logits, counted=(True, True, True)):
        known = Truth(truth, tokens, torch.tensor(counted))
        return float(glip_loss.glip_loss(scores(logits), anchors, [known], mask))

    wrong = right.clone()
    wrong[0, 0, 2] = 8.0
    assert loss(right) < loss(torch.zeros_like(right))
    assert loss(right) < loss(wrong)
    assert loss(wrong, (True, True, False)) == pytest.approx(loss(right, (True, True, False)))
    nothing = Truth(truth[:0], tokens[:0], torch.ones(3, dtype=torch.bool))
    assert float(glip_loss.glip_loss(scores(right), anchors, [nothing], mask)) > 0


def test_naming_asks_only_which_of_the_counted_tokens_mean_a_thing():
    logits = torch.tensor([[2.0, 0.0, 5.0], [9.0, 9.0, 9.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # nobody says what the second is
    counted = torch.tensor([[True, True, False]]).expand(2, 3)
    wanted = -torch.tensor([2.0, 0.0]).log_softmax(0)[0]
    assert float(glip_loss.naming(logits, targets, counted)) == pytest.approx(float(wanted))
    assert float(glip_loss.naming(logits[1:], targets[1:], counted[1:])) == 0


def test_the_network_gets_pictures_as_in_use():
    rgb = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None].expand(1, 3, 2, 2)
    scaled = network_scale(rgb)
    assert scaled[0, 2, 0, 0] == pytest.approx((255 - 123.675) / 58.395)
    assert scaled[0, 0, 0, 0] == pytest.approx(-103.53 / 57.375)


def test_a_step_follows_from_its_number_alone(lesson):
    lesson.model.train()
    first = [float(lesson.loss(step).detach()) for step in (0, 1)]
    assert first == [float(lesson.loss(step).detach()) for step in (0, 1)]
    assert all(np.isfinite(first))


def test_words_keep_what_clip_knows_of_them(lesson):
    table = lesson.model.language_backbone.body["model"].embeddings.word_embeddings.weight
    assert not table.requires_grad
    words = list(vocabulary())
    place = words.index
    assert table[place("car")] @ table[place("truck")] > table[place("car")] @ table[place("yellow")]


def test_the_swin_learns_to_make_clips_maps(lesson):
    lesson.recipe = replace(RECIPE, imitation_share=1.0)
    lesson.model.train()
    optimizer = lesson.optimizer()
    losses = []
    for step in range(8):
        loss = lesson.loss(step % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_the_facts_say_what_was_annotated(lesson):
    facts = json.loads(json.dumps(lesson.facts()))
    assert facts["annotated_with_boxes"] == list(BASE)
    assert facts["pseudo_boxes_only"] == list(NOVEL)


def test_data_of_ones_own_are_refused(cache):
    with pytest.raises(ValueError, match="leave --data out"):
        GlipLesson(RECIPE, cache, "folder")


def test_a_batch_of_prompts_has_one_length():
    tokenizer = word_tokenizer(vocabulary())
    ids, mask = batch_of([tokenizer.encode("a ball"), tokenizer.encode("a red ball. a mug")])
    assert ids.shape == mask.shape == (2, 8)
