"""The command line ranks clips by sentences and names what cannot be read."""

import argparse
import csv

import numpy as np
import pytest

from core import media_video
from core.checkpoints import Weights
from core.commands import clip4clip
from core.results import Film
from core.video_retrieval.clip4clip import Clip4Clip
from tests.tiny import VIT, tiny_backbone


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CLIP_FAMILY_CACHE", str(tmp_path / "cache"))
    for name, shade in (("dark.webm", 20), ("light.webm", 230)):
        frames = np.full((4, 32, 48, 3), shade, np.uint8)
        media_video.write_webm(Film(frames=frames, seconds=np.arange(4, dtype=np.float32) / 4), tmp_path / name)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    return tmp_path


def test_each_sentence_gets_the_clips_in_order_and_a_damaged_one_is_named(folder, monkeypatch):
    model = Clip4Clip(tiny_backbone(VIT), Weights(name="tiny", system="clip4clip"))
    monkeypatch.setattr(clip4clip.registry, "load", lambda *_, **__: model)
    failed: list[tuple[str, str]] = []
    arguments = argparse.Namespace(labels="a dark room, a lamp", weights=None, download=False, inputs=[str(folder)])
    found = list(clip4clip.answers(arguments, failed))
    assert [result["text"] for result in found] == ["a dark room", "a lamp"]
    assert [name.rsplit("/", 1)[1] for name, _ in failed] == ["broken.mp4"]
    for result in found:
        scores = [clip["scores"]["meanP"] for clip in result["clips"]]
        assert scores == sorted(scores, reverse=True)
        assert all(clip["backwards"] == clip["scores"] for clip in result["clips"])  # meanP alone is here
        assert len(clip4clip.lines(result)) == 3
    monkeypatch.setattr(model, "encode", None)  # a second time nothing is looked at
    assert list(clip4clip.answers(arguments, [])) == found
    clip4clip.write(folder / "out", found)
    with (folder / "out" / "results.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + 2 * 2
