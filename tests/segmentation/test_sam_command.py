"""The command line of SAM x CLIP: what it answers, and files that other programs read."""

import argparse
import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from core import registry
from core.checkpoints import Weights
from core.commands import sam as command
from core.device import choose
from core.segmentation.sam import SegmentAnything
from core.segmentation.sam_model import build_sam
from core.viz.segment_files import decode
from tests.segmentation.test_sam import ALL, SIZE
from tests.tiny import tiny_clip


@pytest.fixture
def results(monkeypatch, tmp_path):
    torch.manual_seed(0)
    system = SegmentAnything(build_sam(SIZE), Weights(name="tiny", system="sam"), choose("cpu"))
    system.default_settings = ALL
    found = {"sam": system, "clip": tiny_clip()}
    monkeypatch.setattr(registry, "load", lambda name, *_, **__: found[name])
    picture = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)).save(picture)
    arguments = argparse.Namespace(
        labels="dog, cat", weights=None, download=False, templates="bare word", inputs=[str(picture), "nothing.png"]
    )
    failed = []
    answered = list(command.answers(arguments, failed))
    assert [name for name, _ in failed] == ["nothing.png"]
    return answered


def test_each_mask_has_a_word_or_none_and_comes_back_from_its_runs(results):
    (result,) = results
    assert result["masks"]
    assert {mask["label"] for mask in result["masks"]} <= {"dog", "cat", None}
    for mask in result["masks"]:
        assert decode(mask["segmentation"]).sum() == mask["pixels"] > 0
    assert json.loads(json.dumps(result)) == result
    assert len(command.lines(result)) == 1 + min(10, len(result["masks"]))


def test_the_files_agree_with_each_other(results, tmp_path):
    (result,) = results
    result["masks"][0]["label"] = "cat"  # whatever a random network says, one mask has a label
    command.write(tmp_path / "out", results)
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").open()))
    assert len(rows) == len(result["masks"])
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert coco["images"] == [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}]
    assert [category["name"] for category in coco["categories"]] == ["dog", "cat"]
    labelled = [mask for mask in result["masks"] if mask["label"]]
    assert len(coco["annotations"]) == len(labelled)
    x0, y0, x1, y1 = labelled[0]["box_xyxy"]
    assert coco["annotations"][0]["bbox"] == [x0, y0, x1 - x0, y1 - y0]
    assert coco["annotations"][0]["category_id"] == 2
    indices = np.asarray(Image.open(tmp_path / "out" / "000-a.png"))
    assert indices.shape == (40, 60)
    assert set(np.unique(indices)) <= {0, 1, command.NOTHING}
    assert (indices == 1).any()


def test_more_labels_than_eight_bits_count_are_refused(results):
    with pytest.raises(ValueError, match="at most 255 labels"):
        command.index_picture(results[0] | {"labels": [str(i) for i in range(256)]})
