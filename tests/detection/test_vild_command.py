"""`python -m core vild`: boxes and masks as COCO, CSV and YOLO have them."""

import argparse
import csv
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from core.commands import vild
from core.detection.answer import Candidates
from tests.detection.tiny_vild import tiny_vild


@pytest.fixture
def asked(tmp_path, monkeypatch):
    model = tiny_vild()

    def detect(image, words):
        boxes = np.array([[0, 0, 10, 20], [5, 5, 30, 15]], np.float32)
        scores = np.eye(2, len(words), dtype=np.float32) * 0.9
        return Candidates(labels=tuple(words), boxes_xyxy=boxes, scores=scores, size_hw=image.shape[:2])

    monkeypatch.setattr(model, "detect", detect)
    monkeypatch.setattr(vild.registry, "load", lambda *_, **__: model)
    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(picture)

    def ask(labels: str, *more: str):
        failed: list[tuple[str, str]] = []
        arguments = argparse.Namespace(weights=None, download=False, labels=labels, inputs=[str(picture), *more])
        return list(vild.answers(arguments, failed)), failed

    return ask


def test_boxes_carry_their_word_and_absent_words_are_named(asked):
    (result,), failed = asked("dog, cat,, cow")
    assert [box["word"] for box in result["boxes"]] == ["dog", "cat"]
    assert result["best"] == {"dog": pytest.approx(0.9), "cat": pytest.approx(0.9), "cow": 0}
    head, *rest = vild.lines(result)
    assert head.endswith("not found: cow")
    assert len(rest) == 2
    assert failed == []


def test_the_files_are_coco_s_yolo_s_and_a_table(asked, tmp_path):
    results, _ = asked("dog, cat")
    out = tmp_path / "out"
    vild.write(out, results)
    rows = list(csv.reader((out / "boxes.csv").open()))
    assert [row[1] for row in rows] == ["word", "dog", "cat"]
    read = COCO(str(out / "coco.json"))
    assert [each["bbox"] for each in read.loadAnns([1, 2])] == [[0, 0, 10, 20], [5, 5, 25, 10]]
    assert read.annToMask(read.loadAnns([1])[0]).shape == (20, 40)
    lines = (out / "000-picture.txt").read_text().splitlines()
    assert lines[0] == "0 0.125000 0.500000 0.250000 1.000000"
    assert lines[1].startswith("1 ")
    assert (out / "classes.txt").read_text() == "dog\ncat\n"
    assert json.loads((out / "coco.json").read_text())["categories"][1] == {"id": 2, "name": "cat"}


def test_a_picture_that_cannot_be_read_stops_no_other(asked):
    found, failed = asked("dog", "nothing.png")
    assert len(found) == len(failed) == 1


def test_no_word_is_refused(asked):
    with pytest.raises(ValueError, match="at least one word"):
        asked(" , ")
