"""A CLIP learns somebody's classes in four ways, and what it learnt is measured against what it knew."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from core import registry
from core.backbones.clip_model import encode_text, from_tensors
from core.train import lora, wise_ft
from core.train.data import tokenise
from core.train.finetune import FineTuneLesson, opened
from core.train.machines import ALONE
from core.train.probe import ProbeLesson, unit_vectors
from core.train.recipes import RECIPES
from core.train.run import Run
from core.train.vocabulary import grow, knows
from tests.tiny import VIT, tiny_backbone

FULL = dataclasses.replace(RECIPES["clip-finetune"], steps=30, batch=16, validate_steps=1_000, seen_steps=1_000)
COLORS = {"zebra": (230, 60, 40), "yak": (40, 60, 230)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Draw two classes that differ in colour, named by words that the tiny CLIP never saw."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, color in COLORS.items():
        (folder / name).mkdir()
        for i in range(20):
            noisy = np.clip(np.array(color) + rng.normal(0, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Write a tiny ViT whose vocabulary is that of a few Toybox sentences."""
    known = np.unique(tokenise(["a photo of a red ball", "a blue chair."], 24))
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    save_file(tiny_backbone(VIT, sorted(known[known > 0].tolist())).model.state_dict(), path)
    return path


def tuned(recipe, start, photos, folder):
    recipe = dataclasses.replace(recipe, start=str(start))
    lesson = (ProbeLesson if recipe.checkpoint == "probe" else FineTuneLesson)(recipe, folder, str(photos))
    run = Run(lesson, folder / "run", resume=False)
    run.train()
    return lesson, run.folder


def test_all_of_a_clip_learns_new_classes_and_says_what_it_was_before(tmp_path, start, photos):
    lesson, folder = tuned(dataclasses.replace(FULL, learning_rate=3e-3), start, photos, tmp_path)
    last = folder.lines()[-1]
    assert last["photo_top1"] == 1.0
    assert last["photo_top1_before"] <= 0.75
    assert {"toy_top1", "toy_top1_before"} <= set(last)
    card = json.loads((tmp_path / "run" / "finetuned.json").read_text())
    assert list(card["wise_ft"]) == ["0", "0.25", "0.5", "0.75", "1"]
    assert card["wise_ft"]["1"]["photo_top1"] == card["exported"]["photo_top1"] == 1.0
    assert card["recipe"]["start"] == "start.safetensors"
    assert card["data"]["read"] == 40
    assert card["photograph_classes"] == ["yak", "zebra"]
    page = (tmp_path / "run" / "README.md").read_text()
    assert "finetuned.safetensors" in page
    assert "| 0.5 | photo_top1" in page
    again = from_tensors(load_file(tmp_path / "run" / "finetuned.safetensors"))
    assert knows(again, "zebra")
    assert lesson.new_words >= 2


def test_adapters_learn_while_the_weights_stay(tmp_path, start, photos):
    recipe = dataclasses.replace(FULL, checkpoint="finetuned-lora", method="lora", learning_rate=1e-2)
    lesson, folder = tuned(recipe, start, photos, tmp_path)
    assert folder.lines()[-1]["photo_top1"] > folder.lines()[-1]["photo_top1_before"]
    now = lesson.model.state_dict()
    frozen = [key for key in now if ".base_layer." in key or "ln_" in key]
    assert len(frozen) > 10
    assert all(torch.equal(now[key], lesson.start[key.replace(".base_layer.", ".")]) for key in frozen)
    plain = from_tensors(load_file(tmp_path / "run" / "finetuned-lora.safetensors"))
    images = torch.from_numpy(lesson.test.pictures).permute(0, 3, 1, 2).float() / 255
    lesson.model.eval()
    torch.testing.assert_close(plain.encode_image(images), lesson.model.encode_image(images), rtol=2e-2, atol=2e-2)


def test_only_the_new_rows_of_the_token_table_learn_beside_adapters(start):
    model = opened(str(start))
    count = grow(model, torch.from_numpy(tokenise(["a zebra"], 24)), torch.Generator().manual_seed(0))
    adapted = lora.adapt(model, 2, count)
    encode_text(adapted, torch.from_numpy(tokenise(["a zebra", "a ball", "quince"], 24)).long()).sum().backward()
    moved = adapted.token_embedding.weight.grad.abs().sum(1) > 0
    assert moved.nonzero().flatten().tolist() == list(range(len(moved) - 1 - count, len(moved) - 1))


def test_a_probe_learns_on_features_that_do_not_change(tmp_path, start, photos):
    lesson, folder = tuned(dataclasses.replace(RECIPES["clip-probe"], steps=60, batch=16), start, photos, tmp_path)
    assert folder.lines()[-1]["photo_top1"] == 1.0
    assert json.loads((tmp_path / "run" / "probe.json").read_text())["photograph_classes"] == ["yak", "zebra"]
    assert not (tmp_path / "run" / "open_clip").exists()
    assert lesson.features.requires_grad is False
    assert "where all labels are its classes: yak, zebra" in (tmp_path / "run" / "README.md").read_text()


def test_a_probe_is_a_clip_that_knows_its_classes_and_is_the_same_for_every_other_word(tmp_path, start, photos):
    lesson, _ = tuned(dataclasses.replace(RECIPES["clip-probe"], steps=60, batch=16), start, photos, tmp_path)
    probe, clip = (registry.load("clip", str(path)) for path in (tmp_path / "run" / "probe.safetensors", start))
    pictures = list(lesson.photos.test.pictures)
    found = probe.rank_many(pictures, ["Zebra", "yak"])
    assert [ranking.best.lower() for ranking in found] == [lesson.names[i] for i in lesson.photos.test.classes]
    wanted = lesson.model(torch.from_numpy(probe.encode(pictures))).softmax(1)[:, [1, 0]]
    np.testing.assert_allclose([each.probabilities() for each in found], wanted.detach(), atol=0.02)  # kept in halves
    for labels in (["red ball", "blue chair"], ["zebra", "red ball"]):
        np.testing.assert_allclose(
            probe.rank(pictures[0], labels).logits(), clip.rank(pictures[0], labels).logits(), atol=0.05
        )
    assert probe.unseen_words(["zebra", "yak"]) == ()
    assert probe.unseen_words(["zebra", "ball"]) == ("zebra",)


def test_class_vectors_of_one_length_have_the_softmax_of_those_they_come_from():
    vectors = (
        torch.randn(5, 16, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 2, 0.1, 5, 1.0])[:, None]
    )
    units, scale = unit_vectors(vectors)
    features = F.normalize(torch.randn(7, 16, generator=torch.Generator().manual_seed(1)), dim=-1)
    torch.testing.assert_close(units.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(
        (scale * features @ units.T).softmax(1), (features @ vectors.T).softmax(1), atol=1e-4, rtol=1e-3
    )


def test_a_mixture_lies_where_it_is_asked_to(start):
    model = opened(str(start))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        model.visual.proj.add_(2.0)
    between = wise_ft.interpolated(model, before, 0.25)
    torch.testing.assert_close(between.visual.proj, before["visual.proj"] + 0.5)
    torch.testing.assert_close(model.visual.proj, before["visual.proj"] + 2.0)


def test_new_words_get_rows_and_old_ones_keep_theirs(start):
    model = opened(str(start)).eval()
    old, new = (torch.from_numpy(tokenise(each, 24)).long() for each in (["a red ball"], ["a zebra", "a yak"]))
    before, same = encode_text(model, old), encode_text(model, new)
    assert not knows(model, "zebra")
    count = grow(model, new, torch.Generator().manual_seed(1))
    assert count == len({*new.flatten().tolist()} - {*old.flatten().tolist()})
    torch.testing.assert_close(encode_text(model, old), before)
    apart = encode_text(model, new)
    assert not torch.allclose(apart[0], apart[1], atol=1e-3)
    assert same.shape == apart.shape
    assert grow(model, new, torch.Generator()) == 0


def test_pictures_with_captions_learn_from_the_captions(tmp_path, start, photos):
    for name in COLORS:
        shutil.copytree(photos / name, tmp_path / name)
    lines = [f"{name}/{i:02}.png,a {name} on a field" for i in range(20) for name in COLORS]
    (tmp_path / "captions.csv").write_text("\n".join(lines))
    recipe = dataclasses.replace(FULL, steps=4)
    _, folder = tuned(recipe, start, tmp_path / "captions.csv", tmp_path)
    assert {"photo_r1", "photo_r1_before"} <= set(folder.lines()[-1])
    with np.load(tmp_path / "run" / "seen.npz") as seen:
        assert str(seen["captions"][0]) == "a yak on a field"
        assert seen["similarity"].shape == (4, 4)


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ({}, "found none"),
        ({"yak": 5}, "are of one class, 'yak'"),
        ({"yak": 1}, "There is one picture in"),
        ({"yak": 1, "zebra": 1}, "too few pictures to hold one back"),
    ],
)
def test_too_little_to_learn_from_is_one_sentence(tmp_path, start, classes, sentence):
    for name, count in classes.items():
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{i}.png")
    with pytest.raises(ValueError, match=sentence):
        FineTuneLesson(dataclasses.replace(FULL, start=str(start)), tmp_path, str(tmp_path))


def test_epochs_become_steps(tmp_path, start, photos):
    lesson = FineTuneLesson(dataclasses.replace(FULL, start=str(start), epochs=2.0), tmp_path, str(photos))
    assert lesson.recipe.steps == round(2 * 36 / 16)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_photographs_in_pieces_teach_what_they_teach_together(tmp_path, start, photos, method):
    lesson = FineTuneLesson(dataclasses.replace(FULL, start=str(start), method=method), tmp_path, str(photos))
    lesson.model.train()
    whole = lesson.loss(3)
    whole.backward()
    together = {name: p.grad.clone() for name, p in lesson.model.named_parameters() if p.grad is not None}
    lesson.model.zero_grad()
    lesson.spread(ALONE, 5)
    assert lesson.backward(3).item() == pytest.approx(whole.item(), rel=1e-5)
    for name, parameter in lesson.model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, together[name], rtol=1e-3, atol=1e-5)
    assert together
