"""The command line's answers for clips, on a tiny model."""

import argparse

import numpy as np
import pytest

from core.commands import actionclip
from core.media_video import write_webm
from core.results import Film
from tests.action.test_actionclip import FRAMES, make_model

LABELS = "rising, falling"


@pytest.fixture
def answered(monkeypatch):
    """Return a function from input files to answers and failures."""
    monkeypatch.setattr(actionclip.registry, "load", lambda *_, **__: make_model())

    def ask(*inputs: str) -> tuple[list[dict], list[tuple[str, str]]]:
        failed: list[tuple[str, str]] = []
        arguments = argparse.Namespace(labels=LABELS, weights=None, download=False, inputs=list(inputs))
        return list(actionclip.answers(arguments, failed)), failed

    return ask


def written(path, frames: int) -> str:
    pictures = np.random.default_rng(0).integers(0, 256, (frames, 32, 32, 3), np.uint8)
    seconds = (np.arange(frames) / 8).astype(np.float32)
    write_webm(Film(frames=pictures, seconds=seconds), path)
    return str(path)


def test_a_clip_is_ranked_forwards_backwards_and_frame_by_frame(answered, tmp_path):
    (found,), failed = answered(written(tmp_path / "long.webm", 9))
    assert failed == []
    assert {found["best"], found["backwards"], *found["by_frame"]} <= {"rising", "falling"}
    assert len(found["by_frame"]) == FRAMES
    assert found["seconds"] == [0.125, 0.5, 0.875]  # the middles of three equal parts
    assert sum(score["probability"] for score in found["scores"]) == pytest.approx(1, abs=1e-5)


def test_a_clip_of_few_frames_shows_some_again(answered, tmp_path):
    (found,), _ = answered(written(tmp_path / "short.webm", 2))
    assert found["seconds"] == [0, 0, 0.125]


def test_a_damaged_clip_in_a_folder_is_named_and_the_rest_is_ranked(answered, tmp_path):
    written(tmp_path / "good.webm", 3)
    (tmp_path / "bad.webm").write_bytes(b"not a video")
    (tmp_path / "notes.txt").write_text("not even that")
    found, failed = answered(str(tmp_path))
    assert [result["input"] for result in found] == [str(tmp_path / "good.webm")]
    assert [name for name, _ in failed] == [str(tmp_path / "bad.webm")]
