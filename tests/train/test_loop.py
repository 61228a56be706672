"""A run learns, survives an interruption without a trace, and ends in a file that the app can open."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file

from core.backbones.clip_model import from_tensors
from core.train.loop import ClipRun
from core.train.recipes import RECIPES

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


def losses(run: ClipRun, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(run._step(run.step / run.recipe.steps))
        run.step += 1
    return found


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = losses(ClipRun(TINY, tmp_path / "whole", None, resume=False), 4)
    first = ClipRun(TINY, tmp_path / "halves", None, resume=False)
    halves = losses(first, 2)
    first._save()
    second = ClipRun(TINY, tmp_path / "halves", None, resume=True)
    assert second.step == 2
    assert halves + losses(second, 2) == pytest.approx(whole, rel=1e-6)


def test_training_brings_the_loss_down(tmp_path):
    recipe = dataclasses.replace(TINY, steps=25, learning_rate=3e-3)
    found = losses(ClipRun(recipe, tmp_path / "run", None, resume=False), 25)
    assert sum(found[-5:]) < 0.9 * sum(found[:5])


def test_a_finished_run_leaves_weights_and_a_card(tmp_path):
    run = ClipRun(TINY, tmp_path / "run", None, resume=False)
    run.train()
    model = from_tensors(load_file(tmp_path / "run" / "toybox-resnet.safetensors"))
    card = json.loads((tmp_path / "run" / "toybox-resnet.json").read_text())
    assert card["samples"] == 48
    assert card["parameters"] == sum(value.numel() for value in model.parameters())
    images = torch.randn(2, 3, 32, 32)
    run.model.eval()
    assert torch.allclose(model.encode_image(images), run.model.encode_image(images), atol=0.05)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    run = ClipRun(TINY, tmp_path / "run", None, resume=False)
    with torch.no_grad():
        run.model.text_projection.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="last good one"):
        run.train()
