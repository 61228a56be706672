"""The benchmarks of videos measure what they say, on clips so small that it takes a moment."""

import av
import numpy as np
import pytest

from core import media_video
from core.bench import video
from tests.tiny import VIT, tiny_backbone


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, value in {"SIZE_HW": (64, 96), "SMALLER_HW": (48, 64), "BLOCK": 8, "CLIPS": 2, "CLIP_SECONDS": 2}.items():
        monkeypatch.setattr(video, name, value)
    monkeypatch.setattr(video, "_backbone", lambda device="cpu": tiny_backbone(VIT))


def test_both_sides_look_at_the_same_frames(tmp_path):
    files = [video._write_clip(tmp_path / f"{number}.mp4", number) for number in range(2)]
    theirs = video._decode(files)
    ours = [picture for file in files for _, _, picture in media_video.frame_spans(file, video.STEP_SECONDS)]
    assert len(ours) == len(theirs) == 4
    assert all((mine == other).all() for mine, other in zip(ours, theirs, strict=True))
    assert video._index(video._backbone(), files) == 4


def test_the_report_holds_the_ratio_and_what_memory_does(monkeypatch):
    monkeypatch.setattr(video, "_peak_megabytes", lambda clip: media_video.video_facts(clip).seconds)
    found = video.indexing()
    assert found["ratio"] == pytest.approx(found["ours_median_seconds"] / found["alternative_median_seconds"])
    assert found["ratio_of_smaller_pictures"] > 0
    assert found["peak_megabytes"] == pytest.approx(6, abs=0.1)
    assert found["peak_megabytes_of_4_times_the_length"] == pytest.approx(24, abs=0.1)


def test_on_a_gpu_the_slower_of_the_two_is_the_measure(tmp_path):
    file = video._write_clip(tmp_path / "0.mp4", 0)
    found = video._times_the_slower(video._backbone(), [file], [10.0, 20.0, 30.0])
    assert found["times_the_slower_of_the_two"] > 20  # each takes less than a second


def test_a_clip_several_times_in_a_row_plays_to_its_end(tmp_path):
    clip = video._write_clip(tmp_path / "0.mp4", 0)
    path = video._repeated(clip, 3)
    times = media_video.frame_seconds(path, decode=True)
    assert len(times) == 3 * 2 * video.RATE
    assert np.allclose(np.diff(times), 1 / video.RATE, atol=2e-3)
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert all((pictures[i] == pictures[i + 2 * video.RATE]).all() for i in (0, 1, 30, 59))


def test_the_growth_of_a_query_is_that_of_a_larger_index(monkeypatch):
    for name, value in {"VECTORS": (200, 400), "LONG_VIDEO": 100, "DIMENSIONS": 16, "GROUPS": 20}.items():
        monkeypatch.setattr(video, name, value)
    found = video.moment_query_growth()
    assert found["ratio"] == found["milliseconds_400"] / found["milliseconds_200"]
