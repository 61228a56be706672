"""The training benchmark compares two loops that do the same."""

import dataclasses

from core.bench import training as bench
from core.train import actionclip, clip4clip
from core.train.recipes import RECIPES


def test_both_loops_take_steps_on_the_same_pictures(monkeypatch):
    monkeypatch.setattr(bench, "STEPS", 1)
    monkeypatch.setattr(bench, "PICTURES", 20)
    monkeypatch.setattr(bench, "BATCH", 4)
    found = bench.training()
    assert found["ratio"] > 0
    assert found["repeats"] == 7
    assert found["samples_a_second"] > 0
    assert 0 < found["drawing_share_if_not_hidden"] < 1


def test_heads_are_timed_on_kept_features(monkeypatch):
    monkeypatch.setattr(bench, "FEW_CLIPS", 9)
    monkeypatch.setattr(actionclip, "WATCHED", 1)
    monkeypatch.setattr(clip4clip, "WATCHED", 12)
    for name in ("clip4clip-heads", "actionclip-heads"):
        monkeypatch.setitem(RECIPES, name, dataclasses.replace(RECIPES[name], steps=1))
    found = bench.heads()
    slowest = max(found["clip4clip-heads seconds"], found["actionclip-heads seconds"])
    assert found["ratio"] == 60 / slowest
    assert slowest > 0
