"""The adapter learns a few clouds, goes on after an interruption, and opens beside its CLIP."""

import dataclasses
import json
import tempfile
from pathlib import Path

import pytest
from safetensors.torch import load_file

from core.checkpoints import Weights
from core.point_cloud.adapter import adapter_from_tensors
from core.point_cloud.pointclip import PointClip
from core.train import adapter
from core.train.recipes import RECIPES
from core.train.run import Run
from tests.tiny import VIT, tiny_backbone

TINY = dataclasses.replace(RECIPES["pointclip"], shots=2, copies=1, batch=16, steps=6)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(
        adapter.registry, "load", lambda *_: PointClip(tiny_backbone(VIT), Weights(name="tiny", system="clip"))
    )
    monkeypatch.setattr(adapter, "WATCHED", 1)


def adapter_run(out, **options):
    return Run(adapter.AdapterLesson(TINY, out, None), out, **options)


def losses(run: Run, steps: int) -> list[float]:
    return [run.advance(run.step / run.recipe.steps) for _ in range(steps)]


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = losses(adapter_run(tmp_path / "whole", resume=False), 4)
    first = adapter_run(tmp_path / "halves", resume=False)
    halves = losses(first, 2)
    first.save()
    second = adapter_run(tmp_path / "halves", resume=True)
    assert halves + losses(second, 2) == pytest.approx(whole, rel=1e-5)


def test_a_finished_run_leaves_an_adapter_and_its_card(tmp_path):
    adapter_run(tmp_path, resume=False, command="python -m core.train pointclip").train()
    card = json.loads((tmp_path / "toybox-resnet-pointclip.json").read_text())
    assert card["command"] == "python -m core.train pointclip"
    assert adapter_from_tensors(load_file(tmp_path / "toybox-resnet-pointclip.safetensors")).views == 10


def test_photographs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="leave --data out"):
        adapter.AdapterLesson(TINY, tmp_path, "cifar10")


def test_gradients_are_not_clipped_as_a_clips_are():
    assert TINY.max_gradient_norm > 1e6
    with_clip = dataclasses.replace(TINY, max_gradient_norm=1e-6)
    moved = []
    for recipe in (TINY, with_clip):
        lesson = adapter.AdapterLesson(recipe, Path(), None)
        run = Run(lesson, Path(tempfile.mkdtemp()), resume=False)
        before = lesson.model.fusion_ratio.detach().clone()
        run.advance(0.0)
        moved.append(float((lesson.model.fusion_ratio.detach() - before).norm()))
    assert moved[0] > 10 * moved[1]
