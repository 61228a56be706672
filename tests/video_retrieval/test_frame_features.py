"""Vectors of frames: encoded as they are decoded, kept under a hash, the same the second time."""

import threading
import time

import numpy as np
import pytest
import torch

from core.video_retrieval import frame_features, inputs, kept
from core.video_retrieval.clifs import PatchSettings, covering_patches, released_patches, released_search
from core.video_retrieval.frame_features import Cancelled, FrameEncoder, FrameSettings
from core.video_retrieval.units import Units, windows
from tests.tiny import VIT, tiny_backbone


def spans(count: int, size_hw: tuple[int, int] = (40, 50), touched: list[int] | None = None):
    """Return a decoder of `count` seconds of noise, which notes how far it got."""

    def decode(path, step_seconds):
        rng = np.random.default_rng(0)
        for second in range(count):
            if touched is not None:
                touched.append(second)
            yield float(second), second + 1.0, rng.integers(0, 256, (*size_hw, 3), np.uint8)

    return decode


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"the bytes of a video")
    return path


@pytest.fixture(params=["in turn", "beside"])
def encoder(request, tmp_path, monkeypatch):
    """Return an encoder whose network shares the cores with the decoder, and one that works as if it did not."""
    if request.param == "beside":
        monkeypatch.setattr(frame_features, "in_turn", inputs.beside)
    return FrameEncoder(tiny_backbone(VIT), tmp_path / "cache")


def test_every_frame_has_the_vector_that_the_backbone_gives_it(encoder, video):
    units = Units.joined(encoder.units(video, FrameSettings(), spans(40)))
    pictures = [picture for _, _, picture in spans(40)(video, 1.0)]
    want = encoder.backbone.encode_images(pictures).numpy()
    assert np.abs(units.vectors - want).max() < 2e-3  # half precision
    assert units.starts.tolist() == list(range(40))
    assert units.ends.tolist() == list(range(1, 41))
    assert not units.is_patch.any()
    assert units.boxes_xyxy[0].tolist() == [0, 0, 50, 40]


def test_the_second_time_nothing_is_decoded_and_nothing_differs(encoder, video):
    first = Units.joined(encoder.units(video, FrameSettings(patches=True), spans(5)))
    touched: list[int] = []
    again = Units.joined(encoder.units(video, FrameSettings(patches=True), spans(5, touched=touched)))
    assert not touched
    for name in ("starts", "ends", "boxes_xyxy", "is_patch", "vectors"):
        assert (getattr(first, name) == getattr(again, name)).all(), name


def test_other_bytes_another_step_and_another_model_are_decoded_anew(encoder, video, tmp_path):
    list(encoder.units(video, FrameSettings(), spans(2)))

    def decoded(model: FrameEncoder, path, settings: FrameSettings) -> bool:
        touched: list[int] = []
        list(model.units(path, settings, spans(2, touched=touched)))
        return bool(touched)

    other = tiny_backbone(VIT)
    with torch.no_grad():
        next(iter(other.model.parameters())).add_(1e-3)
    copy = tmp_path / "other name.mp4"
    copy.write_bytes(video.read_bytes())
    assert not decoded(encoder, copy, FrameSettings())
    assert decoded(encoder, video, FrameSettings(step_seconds=0.5))
    assert decoded(FrameEncoder(other, encoder.folder), video, FrameSettings())
    video.write_bytes(b"other bytes")
    assert decoded(encoder, video, FrameSettings())


def test_a_kept_file_that_is_damaged_is_made_anew(encoder, video):
    first = Units.joined(encoder.units(video, FrameSettings(), spans(3)))
    (kept,) = encoder.folder.glob("*.f16")
    kept.write_bytes(kept.read_bytes()[:-1])
    again = Units.joined(encoder.units(video, FrameSettings(), spans(3)))
    assert (first.vectors == again.vectors).all()


def test_patches_cover_the_frame_and_tell_where_they_lie(encoder, video):
    settings = FrameSettings(patches=True, patch=PatchSettings(side=20, step=10))
    units = Units.joined(encoder.units(video, settings, spans(2)))
    patches = units.where(units.is_patch)
    boxes = patches.boxes_xyxy[patches.starts == 0].astype(int)
    covered = np.zeros((40, 50), bool)
    for x0, y0, x1, y1 in boxes:
        covered[y0:y1, x0:x1] = True
    assert covered.all()
    picture = next(iter(spans(2)(video, 1.0)))[2]
    x0, y0, x1, y1 = boxes[3]
    want = encoder.backbone.encode_images([np.ascontiguousarray(picture[y0:y1, x0:x1])])[0].numpy()
    assert np.abs(patches.vectors[3] - want).max() < 2e-3


@pytest.mark.parametrize("size_hw", [(1, 1), (7, 3), (360, 640), (1080, 1920), (64, 2000)])
def test_patches_reach_every_edge_of_frames_of_any_size(size_hw):
    boxes = covering_patches(size_hw)
    assert boxes[:, 0].min() == boxes[:, 1].min() == 0
    assert boxes[:, 2].max() == size_hw[1]
    assert boxes[:, 3].max() == size_hw[0]
    assert len({(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes.tolist()}) == 1


def test_the_released_patches_leave_out_the_remainder_and_small_frames():
    assert released_patches((480, 854))[-1].tolist() == [360, 0, 720, 360]
    with pytest.raises(ValueError, match="at least 360 pixels, got 200 x 300"):
        released_patches((200, 300))


def test_the_released_search_works_on_a_small_index_too():
    features = np.eye(3, dtype=np.float32)
    places, scores = released_search(features, features[1], np.zeros(3, int), np.array([0, 5, 5]))
    assert places.tolist() == [1]
    assert scores.tolist() == [0, 100, 0]


def test_a_broken_video_is_an_error_here_and_leaves_nothing(encoder, video):
    def broken(path, step_seconds):
        yield from spans(40)(path, step_seconds)
        raise ValueError("clip.mp4 is damaged or cut off after 39.0 s.")

    with pytest.raises(ValueError, match="is damaged or cut off"):
        list(encoder.units(video, FrameSettings(), broken))
    assert not list(encoder.folder.iterdir())
    assert not decoders()


def test_a_stop_ends_the_decoder_and_leaves_nothing(encoder, video):
    asked = iter([False] * 40 + [True] * 1000)
    touched: list[int] = []
    with pytest.raises(Cancelled):
        list(encoder.units(video, FrameSettings(), spans(10_000, touched=touched), lambda: next(asked)))
    assert len(touched) < 300
    assert not list(encoder.folder.iterdir())
    assert not decoders()


def test_a_long_video_waits_in_the_queue_and_not_in_memory(encoder, video):
    touched: list[int] = []
    stream = encoder.units(video, FrameSettings(), spans(10_000, touched=touched))
    next(stream)
    time.sleep(0.2)
    assert len(touched) <= inputs.QUEUED + 2 * inputs.IMAGE_BATCH
    stream.close()
    assert not decoders()


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "_prepare" in thread.name]


def frames(*starts: float) -> Units:
    count = len(starts)
    vectors = np.eye(16, dtype=np.float32)[:count]
    box = np.zeros((count, 4), np.float32)
    times = np.array(starts, np.float32)
    return Units(starts=times, ends=times + 1, boxes_xyxy=box, is_patch=np.zeros(count, bool), vectors=vectors)


def test_windows_overlap_and_the_last_one_ends_with_the_video():
    found = Units.joined(windows(iter([frames(*range(10))]), seconds=4, step=2))
    assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == [(0, 4), (2, 6), (4, 8), (6, 10)]
    assert found.vectors[0] == pytest.approx([0.5] * 4 + [0] * 12)
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx([1] * 4)


@pytest.mark.parametrize(("starts", "want"), [((0,), [(0, 1)]), ((0, 1, 30, 31), [(0, 2), (30, 32)])])
def test_windows_of_short_and_of_sparse_videos(starts, want):
    found = Units.joined(windows(iter([frames(*starts)])))
    assert list(zip(found.starts.tolist(), found.ends.tolist(), strict=True)) == want


def test_windows_must_touch():
    with pytest.raises(ValueError, match="overlap or touch"):
        list(windows(iter([]), seconds=1, step=2))


def test_the_cache_drops_what_was_unused_for_longest(encoder, video, monkeypatch):
    list(encoder.units(video, FrameSettings(), spans(2)))
    size = next(encoder.folder.glob("*.f16")).stat().st_size
    monkeypatch.setattr(kept, "MOST_CACHE_BYTES", size)
    time.sleep(0.02)
    list(encoder.units(video, FrameSettings(step_seconds=2), spans(2)))
    (left,) = encoder.folder.glob("*.f16")
    assert left.name.startswith(encoder.video_key(video, FrameSettings(step_seconds=2)))


def test_a_part_of_no_parts_is_refused():
    with pytest.raises(ValueError, match="at least one part"):
        Units.joined([])
