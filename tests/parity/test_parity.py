"""The goldens agree, and a wrong number is noticed."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.parity.__main__ import main

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.mark.parametrize("folder", sorted(path.parent for path in GOLDEN.glob("*/manifest.json")), ids=lambda p: p.name)
def test_every_golden_value_agrees(folder, capsys):
    assert main(folder) == 0, capsys.readouterr().out


@pytest.fixture
def copied(tmp_path):
    return Path(shutil.copytree(GOLDEN / "clip", tmp_path / "clip"))


def test_a_changed_weight_is_noticed(copied, capsys):
    tensors = load_file(copied / "vit.safetensors")
    tensors["weights.visual.ln_pre.bias"][0] += 0.05
    save_file(tensors, copied / "vit.safetensors")
    assert main(copied) == 1
    assert "FAIL" in capsys.readouterr().out


def test_a_golden_value_that_nobody_computes_is_noticed(copied, capsys):
    tensors = load_file(copied / "resnet.safetensors")
    tensors["out.something_new"] = tensors["out.image_features"].clone()
    save_file(tensors, copied / "resnet.safetensors")
    assert main(copied) == 1
    assert "something_new" in capsys.readouterr().out
