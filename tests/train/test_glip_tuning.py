"""A prompt is tuned: the network stays, classes without a word are learnt, and other words are asked as before."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core import registry
from core.detection.glip_prompts import SEPARATOR
from core.train.glip_tuning import GlipTuningLesson, GlipTuningRecipe
from core.train.recipes import RECIPES
from core.train.run import Run
from tests.detection.tiny_glip import PICTURE, tiny_network
from tests.train.annotated import coco_folder

RECIPE = GlipTuningRecipe(pictures=4, batch=2, steps=12, validate_steps=1_000, learning_rate=0.05)
WORDS = ("red square", "blue square")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    path = tmp_path_factory.mktemp("glip") / "start.safetensors"
    save_file({key: value.contiguous() for key, value in tiny_network().state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, start):
    folder = tmp_path_factory.mktemp("tuned")
    lesson = GlipTuningLesson(dataclasses.replace(RECIPE, start=str(start)), folder, str(coco_folder(folder)))
    first = np.mean([float(lesson.loss(step).detach()) for step in range(100, 106)])
    run = Run(lesson, folder / "run", resume=False)
    run.train()
    last = np.mean([float(lesson.loss(step).detach()) for step in range(100, 106)])
    return lesson, run.folder, (first, last)


def test_only_the_prompt_learns_and_it_does(tuned, start):
    lesson, folder, (first, last) = tuned
    assert last < first
    assert [name for name, each in lesson.network.named_parameters() if each.requires_grad] == [
        "language_backbone.tuned.offset"
    ]
    for key, value in tiny_network().state_dict().items():
        assert torch.equal(value, lesson.network.state_dict()[key]), key
    assert {"ap50", "ap50_before"} <= set(folder.lines()[-1])
    assert lesson.facts()["classes"] == list(WORDS)
    with np.load(folder.path / "seen.npz") as seen:
        count = len(seen["captions"])
        assert set(seen["captions"]) | set(seen["predictions"]) <= set(WORDS)
        assert seen["similarity"].shape == (count, count)
        assert seen["pictures"].shape == (count, 96, 96, 3)
    assert "tuned prompt, which answers for red square, blue square" in (folder.path / "README.md").read_text()


def test_the_weights_answer_for_the_tuned_words_and_as_before_for_others(tuned, start):
    _, folder, _ = tuned
    model, before = (registry.load("glip", str(path)) for path in (folder.path / "glip-tuned.safetensors", start))
    prompts = model.prompts(["dog", "Blue square", "cat", "red_square"])
    assert [(prompt.text, prompt.labels) for prompt in prompts] == [
        ("red square. blue square", (1, 3)),
        ("dog. cat", (0, 2)),
    ]
    others = model.detect(PICTURE, ["dog", "cat"]), before.detect(PICTURE, ["dog", "cat"])
    np.testing.assert_allclose(*(each.best() for each in others), atol=0.01)  # one of them was kept in halves
    own, plain = model.detect(PICTURE, WORDS), before.detect(PICTURE, WORDS)
    assert np.abs(own.best() - plain.best()).max() > 0.02
    both = model.detect(PICTURE, ["dog", "blue square"])
    np.testing.assert_allclose(both.best()[1], own.best()[1], atol=1e-5)
    assert model.unseen_words(["blue square", "unheard"]) == ("unheard",)


def test_full_tuning_moves_the_network_and_says_what_it_forgot(tmp_path, start, monkeypatch):
    monkeypatch.setattr("core.train.glip_tuning.MOST_UNRELATED", 3)
    recipe = dataclasses.replace(RECIPES["glip-finetune"], start=str(start), batch=2, steps=6, learning_rate=2e-3)
    lesson = GlipTuningLesson(recipe, tmp_path, str(coco_folder(tmp_path)))
    before = {key: value.clone() for key, value in lesson.network.state_dict().items()}
    first = np.mean([float(lesson.loss(step).detach()) for step in range(100, 104)])
    run = Run(lesson, tmp_path / "run", resume=False)
    run.train()
    assert np.mean([float(lesson.loss(step).detach()) for step in range(100, 104)]) < first
    moved = {key for key, value in lesson.network.state_dict().items() if not torch.equal(value, before[key])}
    for part in ("backbone.body", "backbone.fpn", "language_backbone", "rpn.head.dyhead_tower"):
        assert any(key.startswith(part) for key in moved), part
    assert not any("word_embeddings" in key or "cls_logits" in key for key in moved)
    assert {"ap50", "ap50_before", "toy_ap50", "toy_ap50_before"} <= set(run.folder.lines()[-1])
    model = registry.load("glip", str(tmp_path / "run" / "glip-finetuned.safetensors"))
    assert model.prompts(WORDS)[0].text == "red square. blue square"
    assert model.network.tuned is None


def test_another_separator_asks_the_words_themselves(tuned):
    _, folder, _ = tuned
    model = registry.load("glip", str(folder.path / "glip-tuned.safetensors"))
    settings = dataclasses.replace(model.defaults, separator=" ; ")
    assert settings.separator != SEPARATOR
    assert model.prompts(WORDS, settings)[0].text == "red square ; blue square"


def test_a_step_depends_on_its_number_alone_and_mirrors_boxes_with_their_picture(tuned):
    lesson, _, _ = tuned
    assert float(lesson.loss(5).detach()) == float(lesson.loss(5).detach())
    turned = dataclasses.replace(lesson.train[0], rgb=np.ascontiguousarray(lesson.train[0].rgb[:, ::-1]))
    width = turned.rgb.shape[1]
    x0, y0, x1, y1 = turned.boxes[0]
    turned = dataclasses.replace(turned, boxes=np.array([[width - x1, y0, width - x0, y1]], np.float32))
    mirrored = float(lesson._loss(0, True).detach())
    lesson.train = (turned, *lesson.train[1:])
    lesson._kept.clear()
    assert float(lesson._loss(0, False).detach()) == pytest.approx(mirrored, rel=1e-4)


def test_the_toybox_teaches_its_novel_things(tmp_path, start, monkeypatch):
    monkeypatch.setattr("core.train.glip_tuning.MOST_MEASURED", 3)
    lesson = GlipTuningLesson(dataclasses.replace(RECIPE, start=str(start)), tmp_path, None)
    assert {kind for each in lesson.train for kind in each.kinds} <= set(lesson.names)
    assert all(len(each.kinds) for each in lesson.train)


def test_more_classes_than_a_prompt_holds_are_one_sentence(tmp_path, start, monkeypatch):
    monkeypatch.setattr("tests.train.annotated.CLASSES", {3: "red " * 40, 7: "blue " * 40})
    with pytest.raises(ValueError, match="give fewer classes"):
        GlipTuningLesson(dataclasses.replace(RECIPE, start=str(start)), tmp_path, str(coco_folder(tmp_path)))
