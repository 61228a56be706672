"""`python -m core lseg`: shares of words, an index PNG, one sentence for what cannot be answered."""

import argparse
import csv

import numpy as np
import pytest
from PIL import Image

from core.commands import lseg
from tests.segmentation.tiny_lseg import tiny_lseg


@pytest.fixture
def asked(tmp_path, monkeypatch):
    model = tiny_lseg()
    monkeypatch.setattr(lseg.registry, "load", lambda *_, **__: model)
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save(picture)

    def ask(labels: str, *more: str, out=None):
        inputs = [str(picture), *more]
        failed: list[tuple[str, str]] = []
        arguments = argparse.Namespace(
            system="lseg", weights=None, download=False, labels=labels, inputs=inputs, out=out
        )
        return list(lseg.answers(arguments, failed)), failed

    return ask


def test_shares_of_the_words_sum_to_the_picture(asked):
    (result,), failed = asked("dog, cat,, grass")
    assert list(result["shares"]) == ["dog", "cat", "grass"]
    assert sum(result["shares"].values()) == pytest.approx(1)
    assert failed == []
    assert len(lseg.lines(result)) == 1 + sum(share > 0 for share in result["shares"].values())


def test_the_index_png_holds_the_place_of_each_word(asked, tmp_path):
    (result,), _ = asked("dog, cat", out=tmp_path / "out")
    ids = np.asarray(Image.open(tmp_path / "out" / result["file"]))
    assert ids.shape == (20, 30)
    assert (ids == 0).mean() == pytest.approx(result["shares"]["dog"])
    lseg.write(tmp_path / "out", [result])
    rows = list(csv.reader((tmp_path / "out" / "shares.csv").open()))
    assert [row[1] for row in rows] == ["word", "dog", "cat"]


def test_a_word_twice_is_one_share(asked):
    (result,), _ = asked("dog, dog")
    assert result["shares"] == {"dog": pytest.approx(1)}


def test_a_picture_that_cannot_be_read_stops_no_other(asked):
    found, failed = asked("dog", "nothing.png")
    assert len(found) == len(failed) == 1


@pytest.mark.parametrize(
    ("labels", "complaint"), [(" , ", "at least one word"), (",".join("abcdefgh" * 32), "at most 255 words")]
)
def test_too_few_and_too_many_words_are_refused(asked, labels, complaint):
    with pytest.raises(ValueError, match=complaint):
        asked(labels)
