"""A run learns, survives an interruption without a trace, and ends in a file that the app can open."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

from core.backbones.clip_model import from_tensors
from core.train.loop import ClipLesson
from core.train.recipes import RECIPES
from core.train.run import Run, schedule

TINY = dataclasses.replace(
    RECIPES["clip"],
    vision_layers=(1, 1, 1, 1),
    vision_width=8,
    toybox_pictures=24,
    batch_toys=12,
    steps=4,
    text_layers=1,
    image_size=32,
    text_width=64,
    embed_dim=16,
)


def clip_run(recipe, out, *, resume=False):
    return Run(ClipLesson(recipe, out.parent / "cache", None), out, resume=resume)


def losses(run: Run, steps: int) -> list[float]:
    return [run.advance(run.step / run.recipe.steps) for _ in range(steps)]


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = losses(clip_run(TINY, tmp_path / "whole", resume=False), 4)
    first = clip_run(TINY, tmp_path / "halves", resume=False)
    halves = losses(first, 2)
    first.save()
    second = clip_run(TINY, tmp_path / "halves", resume=True)
    assert second.step == 2
    assert halves + losses(second, 2) == pytest.approx(whole, rel=1e-6)


def test_training_brings_the_loss_down(tmp_path):
    recipe = dataclasses.replace(TINY, steps=25, learning_rate=3e-3)
    found = losses(clip_run(recipe, tmp_path / "run", resume=False), 25)
    assert sum(found[-5:]) < 0.9 * sum(found[:5])


def test_a_finished_run_leaves_weights_and_a_card(tmp_path):
    run = clip_run(TINY, tmp_path / "run", resume=False)
    run.train()
    model = from_tensors(load_file(tmp_path / "run" / "toybox-resnet.safetensors"))
    card = json.loads((tmp_path / "run" / "toybox-resnet.json").read_text())
    assert card["samples"] == 48
    assert card["parameters"] == sum(value.numel() for value in model.parameters())
    images = torch.randn(2, 3, 32, 32)
    run.lesson.model.eval()
    assert torch.allclose(model.encode_image(images), run.lesson.model.encode_image(images), atol=0.05)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    run = clip_run(TINY, tmp_path / "run", resume=False)
    with torch.no_grad():
        run.lesson.model.text_projection.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="there was no checkpoint yet"):
        run.train()


def test_a_preset_moves_its_text_tower_more_slowly_and_starts_with_open_branches(tmp_path):
    recipe = dataclasses.replace(TINY, text_share=0.25, residual_start=1.0, token_deviation=0.2)
    run = clip_run(recipe, tmp_path / "run")
    run.advance(0.5)
    model, groups = run.lesson.model, run.optimizer.param_groups
    shares = {id(p): group.get("share", 1.0) for group in groups for p in group["params"]}
    assert len(shares) == sum(1 for p in model.parameters() if p.requires_grad)
    assert {shares[id(p)] for p in model.visual.parameters()} == {1.0}
    assert shares[id(model.text_projection)] == shares[id(model.logit_scale)] == 0.25
    assert {round(group["lr"] / group.get("share", 1.0), 9) for group in groups} == {
        round(recipe.learning_rate * schedule(0.5, recipe.warmup), 9)
    }
    fresh, plain = (ClipLesson(each, tmp_path / "cache", None).model for each in (recipe, TINY))
    assert fresh.visual.layer1[0].bn3.weight.mean().item() == 1.0
    assert plain.visual.layer1[0].bn3.weight.mean().item() == 0.0
    assert fresh.token_embedding.weight.detach().std() == pytest.approx(0.2, rel=0.1)
