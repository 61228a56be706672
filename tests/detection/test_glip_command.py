"""`python -m core glip`: boxes of words or of a sentence's phrases, their files, and what cannot be asked."""

import argparse
import csv
import json

import pytest
from PIL import Image

from core.commands import glip
from tests.detection.tiny_glip import PICTURE, tiny_glip


@pytest.fixture
def asked(tmp_path, monkeypatch):
    model = tiny_glip()
    monkeypatch.setattr(glip.registry, "load", lambda *_, **__: model)
    picture = tmp_path / "picture.png"
    Image.fromarray(PICTURE).save(picture)

    def ask(labels: str = "", sentence: str = "", *more: str):
        failed: list[tuple[str, str]] = []
        arguments = argparse.Namespace(
            system="glip", weights=None, download=False, labels=labels, sentence=sentence, inputs=[str(picture), *more]
        )
        return list(glip.answers(arguments, failed)), failed

    return ask


def test_boxes_of_a_list_with_every_words_best_score(asked):
    (result,), failed = asked("dog, cat")
    assert failed == []
    assert result["words"] == ["dog", "cat"]
    assert result["size_hw"] == [48, 80]
    assert {box["word"] for box in result["boxes"]} <= {"dog", "cat"}
    assert max(box["score"] for box in result["boxes"]) == pytest.approx(max(result["best"].values()))
    assert result["path"] in glip.lines(result)[0]


def test_a_box_for_each_phrase_of_a_sentence(asked):
    (result,), _ = asked(sentence="a red ball on the car")
    assert result["words"] == ["a red ball", "the car"]
    assert [box["word"] for box in result["boxes"]] == ["a red ball", "the car"]


def test_the_same_phrase_twice_is_two_boxes_of_one_word(asked):
    (result,), _ = asked(sentence="a dog and a dog")
    assert result["words"] == ["a dog"]
    assert len(result["boxes"]) == 2


def test_the_files_hold_every_box(asked, tmp_path):
    (result,), _ = asked(sentence="a red ball on the car")
    glip.write(tmp_path / "out", [result])
    rows = list(csv.reader((tmp_path / "out" / "boxes.csv").open()))
    assert len(rows) == 3
    coco = json.loads((tmp_path / "out" / "coco.json").read_text())
    assert [each["name"] for each in coco["categories"]] == ["a red ball", "the car"]
    assert len(coco["annotations"]) == 2


def test_a_picture_that_cannot_be_read_stops_no_other(asked):
    found, failed = asked("dog", "", "nothing.png")
    assert len(found) == len(failed) == 1


@pytest.mark.parametrize(
    ("labels", "sentence", "message"),
    [
        ("", "", "Write at least one word"),
        (" , ", " ", "Write at least one word"),
        ("dog", "a dog", "not both"),
        ("", "it is there", "names no thing"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(asked, labels, sentence, message):
    with pytest.raises(ValueError, match=message):
        asked(labels, sentence)
