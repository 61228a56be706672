"""A preset is trained from nothing within its minutes, and measured on its own things."""

import argparse
import dataclasses
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.evaluate import finetune, train_preset
from core.train.photos import SYNONYMS
from core.train.presets import CATEGORIES
from core.train.recipes import RECIPES
from tests.train.small import RESNET


def asked(**values) -> argparse.Namespace:
    return argparse.Namespace(**{"weights": None, "seed": 0, "size": 12, "photos": None, "minutes": 0.05} | values)


@pytest.fixture
def small(monkeypatch):
    """Put a small recipe in the preset's place."""
    monkeypatch.setitem(RECIPES, "clip-3-minutes", dataclasses.replace(RESNET, steps=10**6, minutes=0.05))


def test_the_short_preset_is_measured_on_its_own_things(small):
    found = train_preset.evaluate_train_preset(asked())
    assert found["recipe"] == "clip-3-minutes"
    assert found["categories"] == len(RESNET.categories)
    assert 0 <= found["toy_top1"] <= 1
    assert found["training"]["steps"] > 0
    assert found["chance"] == pytest.approx(1 / 3)


def test_the_presets_have_a_dozen_things_that_are_no_class_of_cifar10():
    words = {word for name, others in SYNONYMS.items() for word in (name, *others)} | {"bird", "deer", "frog", "horse"}
    assert len(CATEGORIES) >= 12
    assert not words & set(CATEGORIES)
    for name, minutes in (("clip-3-minutes", 3), ("clip-30-minutes", 30)):
        assert (RECIPES[name].minutes, RECIPES[name].categories) == (minutes, CATEGORIES)


def zipped(path):
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for split, count in (("train", 8), ("test", 3)):
            for name, color in (("frog", (40, 200, 40)), ("deer", (150, 90, 40))):
                for i in range(count):
                    data = io.BytesIO()
                    noisy = np.clip(np.array(color) + rng.normal(0, 9, (32, 32, 3)), 0, 255).astype(np.uint8)
                    Image.fromarray(noisy).save(data, "png")
                    archive.writestr(f"{split}/{name}/{i}.png", data.getvalue())
    return path


def test_every_way_of_fine_tuning_is_measured_against_the_start(small, tmp_path, monkeypatch):
    monkeypatch.setattr(finetune, "STEPS", dict.fromkeys(finetune.STEPS, 3))
    monkeypatch.setattr(finetune, "START_STEPS", 5)
    found = finetune.evaluate_finetune(asked(photos=zipped(tmp_path / "p.zip"), size=5))
    assert (found["photographs"], found["measured"]) == (10, 6)
    for method in ("finetune", "lora", "probe"):
        gain = found[f"{method}_top1"] - found["zero_shot_top1"]
        assert found[f"{method}_gain"] == pytest.approx(gain)
        assert found[f"{method}_seconds"] >= 0
    assert set(found["wise_ft"]) == {"0", "0.25", "0.5", "0.75", "1"}
    assert found["wise_ft"]["0"]["photo_top1"] == pytest.approx(found["zero_shot_top1"], abs=0.51)
    assert {"toy_top1_before", "finetune_toy_top1", "lora_toy_top1"} <= set(found)


def test_fine_tuning_is_not_measured_without_photographs():
    with pytest.raises(ValueError, match="Give --photos"):
        finetune.evaluate_finetune(asked())
