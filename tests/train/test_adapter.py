"""The adapter learns a few clouds, goes on after an interruption, and opens beside its CLIP."""

import dataclasses
import json

import pytest
from safetensors.torch import load_file

from core.checkpoints import Weights
from core.point_cloud.adapter import adapter_from_tensors
from core.point_cloud.pointclip import PointClip
from core.train import adapter
from core.train.recipes import RECIPES
from tests.tiny import VIT, tiny_backbone

TINY = dataclasses.replace(RECIPES["pointclip"], shots=2, copies=1, batch=16, steps=6)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(
        adapter.registry, "load", lambda *_: PointClip(tiny_backbone(VIT), Weights(name="tiny", system="clip"))
    )
    monkeypatch.setattr(adapter, "WATCHED", 1)


def losses(run: adapter.AdapterRun, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(run._step(run.step / run.recipe.steps))
        run.step += 1
    return found


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path):
    whole = losses(adapter.AdapterRun(TINY, tmp_path / "whole", None, resume=False), 4)
    first = adapter.AdapterRun(TINY, tmp_path / "halves", None, resume=False)
    halves = losses(first, 2)
    first._save()
    second = adapter.AdapterRun(TINY, tmp_path / "halves", None, resume=True)
    assert halves + losses(second, 2) == pytest.approx(whole, rel=1e-5)


def test_a_finished_run_leaves_an_adapter_and_its_card(tmp_path):
    adapter.AdapterRun(TINY, tmp_path, None, resume=False, command="python -m core.train pointclip").train()
    card = json.loads((tmp_path / "toybox-resnet-pointclip.json").read_text())
    assert card["command"] == "python -m core.train pointclip"
    assert adapter_from_tensors(load_file(tmp_path / "toybox-resnet-pointclip.safetensors")).views == 10


def test_photographs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="leave --data out"):
        adapter.AdapterRun(TINY, tmp_path, "cifar10", resume=False)
