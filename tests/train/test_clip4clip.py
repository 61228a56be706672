"""The heads learn kept features, go on after an interruption, and open beside their image tower."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from core import checkpoints, registry
from core.backbones.clip_model import encode_text
from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import choose
from core.train import clip4clip, clips
from core.train.clip4clip import Clip4ClipLesson, Clip4ClipRecipe, text_tower
from core.train.recipes import RECIPES
from core.train.run import Run
from core.video_retrieval.clip4clip import open_clip4clip
from tests.tiny import VIT, tiny_backbone

TINY = Clip4ClipRecipe(clips=6, frames=3, layers=1, batch=4, tight_batch=2, word_steps=1, steps=4)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(clip4clip, "WATCHED", 12)
    monkeypatch.setattr(clips, "PIECE", 4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(cache, tmp_path):
    whole = Run(Clip4ClipLesson(TINY, cache, None), tmp_path / "whole", resume=False)
    losses = [whole.advance(step / 4) for step in range(4)]
    first = Run(Clip4ClipLesson(TINY, cache, None), tmp_path / "halves", resume=False)
    halves = [first.advance(step / 4) for step in range(2)]
    first.save()
    second = Run(Clip4ClipLesson(TINY, cache, None), tmp_path / "halves", resume=True)
    assert halves + [second.advance(step / 4) for step in (2, 3)] == pytest.approx(losses, rel=1e-5)


def test_a_finished_run_leaves_heads_that_open_beside_their_image_tower(cache, tmp_path):
    lesson = Clip4ClipLesson(TINY, cache, None)
    Run(lesson, tmp_path, resume=False, command="python -m core.train clip4clip").train()
    path = tmp_path / "toybox-clip4clip.safetensors"
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["backbone_sha256"] == lesson.sha256
    assert not [key for key in checkpoints.read_tensors(path) if key.startswith("clip.visual")]
    model = open_clip4clip(Weights(name="new", system="clip4clip", path=path), choose("cpu"), {WEIGHTS_FILE: path})
    assert model.heads == ("meanP", "seqLSTM", "seqTransf", "tightTransf")
    film = np.zeros((3, 64, 64, 3), np.uint8)
    assert model.unseen_words(["a car spinning counterclockwise", "zebra"]) == ("zebra",)
    assert model.scores(model.encode([film]), ["a car rising"], "tightTransf").shape == (1, 1)


def test_heads_alone_learn_beside_a_text_tower_that_stays(cache, tmp_path):
    recipe = dataclasses.replace(RECIPES["clip4clip-heads"], clips=6, batch=4, tight_batch=2, steps=3)
    lesson = Clip4ClipLesson(recipe, cache, None)
    before = {key: value.clone() for key, value in lesson.model.state_dict().items()}
    Run(lesson, tmp_path, resume=False).train()
    moved = {key for key, value in lesson.model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    assert not any(key.startswith("clip.") for key in moved)
    path = tmp_path / "clip4clip-heads.safetensors"
    found = open_clip4clip(Weights(name="new", system="clip4clip", path=path), choose("cpu"), {WEIGHTS_FILE: path})
    embedded = registry.load("clip4clip", "toybox-clip4clip")
    text = ["a car spinning clockwise"]
    np.testing.assert_allclose(found.backbone.encode_texts(text), embedded.backbone.encode_texts(text), atol=1e-3)


def test_heads_of_another_backbone_are_refused(cache):
    recipe = dataclasses.replace(RECIPES["clip4clip-heads"], clips=6, backbone="toybox-vit")
    with pytest.raises(ValueError, match="was trained here on toybox-vit"):
        Clip4ClipLesson(recipe, cache, None)


def test_figures_are_shares_and_the_mean_knows_no_direction(cache):
    found = Clip4ClipLesson(TINY, cache, None).validate()
    assert all(0 <= value <= 1 for value in found.values())
    assert found["direction_meanP"] == 0.5


def test_a_mirror_swaps_left_and_right_in_picture_and_word(cache):
    backbone = tiny_backbone(dataclasses.replace(VIT, image_size=64))
    seen = clips.seen_clips(backbone, "0" * 64, 0, 6, frames=3, size=64, cache=cache)
    drawn = list(clips.draw(0, 6, frames=3, size=64, cache=cache))
    assert [len(piece) for _, piece in drawn] == [4, 2]
    assert len(seen) == 12
    frames = np.load(drawn[0][0])["frames"]
    mirrored = clips.look(backbone, np.ascontiguousarray(frames[:1, :, :, ::-1]))
    np.testing.assert_allclose(seen.features[4:5].numpy(), mirrored, rtol=2e-3, atol=2e-3)
    for place in range(4):
        pair = (seen.actions[place], seen.actions[place + 4])
        assert (pair[0] != pair[1]) == (pair[0] in clips.HANDED)
    assert clips._mirrored("moving to the left", ["a ball rolling to the left"])[1] == ["a ball rolling to the right"]


def test_new_words_get_rows_and_old_ones_keep_theirs():
    model = tiny_backbone(VIT, known=[320, 1125]).model
    old = model.token_embedding.weight.clone()
    tower = text_tower(model, torch.tensor([320, 539]))
    assert tower.token_embedding.token_ids.tolist() == [320, 1125, 539]
    assert torch.equal(tower.token_embedding.weight[[0, 1, 3]], old)
    assert not hasattr(tower, "visual")


def test_the_first_steps_move_opposite_sentences_apart(cache, tmp_path):
    lesson = Clip4ClipLesson(dataclasses.replace(TINY, word_steps=80, steps=100), cache, None)
    texts = lesson._tokens(["a red chair rising", "a red chair falling"])

    def alike() -> float:
        with torch.inference_mode():
            return float(torch.cosine_similarity(*encode_text(lesson.model.clip, texts), dim=0))

    before = alike()
    assert before > 0.999  # this CLIP does not hear the verb
    run = Run(lesson, tmp_path, resume=False)
    for step in range(80):
        run.advance(step / 100)
    assert alike() < before - 1e-4


def test_what_a_sentence_speaks_of_is_the_thing():
    assert clip4clip.spoken_of("a video of a red ball rolling to the left", "moving to the left") == "a red ball"
    assert clip4clip.spoken_of("a thing rising", "rising") == "a thing"


def test_photographs_are_refused(cache):
    with pytest.raises(ValueError, match="leave --data out"):
        Clip4ClipLesson(TINY, cache, "cifar10")
