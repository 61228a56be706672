"""The figures of an evaluation, on a tiny CLIP whose answers are those of chance."""

import argparse
import json

import numpy as np
import pytest
from PIL import Image

from core.evaluate import clip as evaluate
from core.evaluate.__main__ import write_card
from tests.tiny import tiny_clip


@pytest.fixture
def asked(monkeypatch, tmp_path):
    monkeypatch.setattr(evaluate.registry, "load", lambda system, weights: tiny_clip())
    for split, name in (("train", "cat"), ("test", "cat"), ("test", "dog")):
        folder = tmp_path / "photos" / split / name
        folder.mkdir(parents=True)
        noise = np.random.default_rng(len(name)).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(noise).save(folder / "1.png")
    return argparse.Namespace(system="clip", weights=None, seed=3, size=6, photos=tmp_path / "photos")


def test_every_figure_is_a_share_and_comes_with_its_chance(asked):
    found = evaluate.evaluate_clip(asked)
    for name in ("toy_top1", "toy_heldout_top1", "color_top1", "photo_top1", "negation_top1", "counting_top1"):
        assert 0 <= found[name] <= 1, name
    assert found["chance"]["toy_top1"] == 1 / 24
    assert {"gradient", "occlusion", "chance"} == set(found["pointing"])
    low, high = found["toy_top1_interval"]
    assert low <= found["toy_top1"] <= high


def test_only_the_test_photographs_count_where_there_are_any(asked):
    found = evaluate.evaluate_clip(asked)
    assert found["photo_count"] == 2
    assert found["photo_classes"] == ["cat", "dog"]


def test_without_photographs_their_figures_are_none(asked):
    asked.photos = None
    assert evaluate.evaluate_clip(asked)["photo_top1"] is None


def test_the_same_seed_gives_the_same_figures(asked):
    first, second = evaluate.evaluate_clip(asked), evaluate.evaluate_clip(asked)
    assert json.dumps(first) == json.dumps(second)


def test_figures_are_written_into_the_card_and_nowhere_else(monkeypatch, tmp_path):
    card = tmp_path / "mine.json"
    card.write_text(json.dumps({"name": "mine", "metrics": {}}))
    (tmp_path / "mine.safetensors").write_bytes(b"")
    write_card("clip", str(tmp_path / "mine.safetensors"), {"toy_top1": 0.5})
    assert json.loads(card.read_text())["metrics"] == {"toy_top1": 0.5}
    (tmp_path / "other.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="no card"):
        write_card("clip", str(tmp_path / "other.safetensors"), {})


def test_a_relation_is_asked_only_where_a_side_is_clear():
    found = [side for seed in range(12) if (side := evaluate._side(seed))]
    assert found
    for _, (true, swapped) in found:
        assert true != swapped
        assert " to the " in true
