"""Videos as people have them: any container, any rate, turned, damaged, endless."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from core import media_video
from core.media_video import VideoLimits, packets
from core.media_video.packets import Times
from core.results import Film

GREYS = 9  # one more for each frame, so that a frame tells its number


def write(
    path: Path,
    codec: str = "libx264",
    *,
    count: int = 12,
    rate: Fraction = Fraction(10),
    size_hw: tuple[int, int] = (64, 96),
    ticks: list[int] | None = None,
    turn: int = 0,
    audio: bool = False,
) -> Path:
    """Write frames that get brighter, the upper half of each darker than the lower; `ticks` are hundredths."""
    pixels = {"gif": "rgb8"}.get(codec, "yuv420p")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"x265-params": "log-level=none"})
        stream.height, stream.width = size_hw
        stream.pix_fmt = pixels
        if turn:
            stream.set_display_rotation(turn)
        if ticks is not None:
            stream.codec_context.time_base = Fraction(1, 100)
        if audio:
            sound = container.add_stream("aac", rate=16000)
        for number in range(count):
            picture = np.full((*size_hw, 3), (GREYS * number + 40) % 256, np.uint8)
            picture[: size_hw[0] // 2] = 0
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if ticks is not None:
                frame.pts, frame.time_base = ticks[number], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            container.mux(sound.encode())
    return path


def number_of(picture: np.ndarray) -> int:
    """Return which frame this is, by its brighter half."""
    return round((float(picture.max(axis=2).astype(float)[-4:].mean()) - 40) / GREYS)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("h264.mp4", "libx264"),
        ("hevc.mp4", "libx265"),
        ("av1.mp4", "libsvtav1"),
        ("vp9.webm", "libvpx-vp9"),
        ("mpeg4.avi", "mpeg4"),
        ("h264.mov", "libx264"),
        ("loop.gif", "gif"),
    ],
)
def test_every_container_gives_its_frames_in_order_with_their_times(tmp_path, name, codec):
    path = write(tmp_path / name, codec)
    frames = list(media_video.iter_frames(path))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.seconds for frame in frames] == pytest.approx([i / 10 for i in range(12)], abs=0.002)
    assert all(frame.picture.shape == (64, 96, 3) and frame.picture.dtype == np.uint8 for frame in frames)
    if codec != "gif":  # its palette has no such greys
        assert [number_of(frame.picture) for frame in frames] == list(range(12))
    assert media_video.video_facts(path).seconds == pytest.approx(1.2, abs=0.11)


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60000, 1001), Fraction(25)])
def test_one_frame_a_second_is_kept_at_every_frame_rate(tmp_path, rate):
    path = write(tmp_path / "clip.mp4", count=int(3 * rate) + 2, rate=rate, size_hw=(16, 16))
    kept = list(media_video.iter_frames(path, step_seconds=1))
    assert [frame.seconds for frame in kept] == pytest.approx([0, 1, 2, 3], abs=float(1 / rate))
    assert [frame.index for frame in kept] == media_video.grid_indices(media_video.frame_seconds(path), 1).tolist()


def test_a_variable_frame_rate_keeps_its_own_times(tmp_path):
    ticks = [0, 3, 6, 50, 51, 200, 300, 301]
    path = write(tmp_path / "phone.mp4", count=8, ticks=ticks)
    assert media_video.frame_seconds(path) == pytest.approx([tick / 100 for tick in ticks], abs=0.002)
    kept = list(media_video.iter_frames(path, step_seconds=1))
    assert [frame.index for frame in kept] == [0, 5, 6]
    spans = [(start, end) for start, end, _ in media_video.frame_spans(path, 1.0)]
    assert spans == [pytest.approx(pair, abs=0.02) for pair in ((0, 2), (2, 3), (3, 3.02))]


@pytest.mark.parametrize(("turn", "dark"), [(90, np.s_[:, :20]), (-90, np.s_[:, -20:]), (180, np.s_[-20:, :])])
def test_a_phone_video_is_turned_the_right_way_up(tmp_path, turn, dark):
    (frame,) = media_video.iter_frames(write(tmp_path / "phone.mov", count=1, turn=turn))
    assert frame.picture.shape == ((96, 64, 3) if abs(turn) == 90 else (64, 96, 3))
    assert frame.picture[dark].max() < 20
    assert frame.picture[::-1, ::-1][dark].min() > 20


def test_odd_sizes_go_in_and_out(tmp_path):
    film = Film(frames=np.full((3, 33, 45, 3), 100, np.uint8), seconds=np.array([0, 0.5, 2.0], np.float32))
    back = media_video.read_film(media_video.write_webm(film, tmp_path / "odd.webm"))
    assert back.frames.shape == (3, 33, 45, 3)
    assert back.seconds == pytest.approx([0, 0.5, 2.0], abs=0.002)
    assert np.abs(back.frames.astype(int) - 100).max() < 6
    assert media_video.video_facts(tmp_path / "odd.webm").codec == "vp9"
    assert [path.name for path in tmp_path.iterdir()] == ["odd.webm"]


def test_a_video_of_one_frame_is_a_film_of_one_frame(tmp_path):
    film = media_video.read_film(write(tmp_path / "one.mp4", count=1), frames=12)
    assert film.seconds.tolist() == [0]
    ((start, end, _),) = media_video.frame_spans(tmp_path / "one.mp4", 1.0)
    assert start == 0
    assert end > 0


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        ("uniform", [0, 9, 19, 29]),
        ("head", [0, 1, 2, 3]),
        ("tail", [26, 27, 28, 29]),
        ("segments", [3, 10, 18, 25]),
        ("uniform of seconds", [0, 10, 20]),
    ],
)
def test_a_film_holds_the_frames_of_its_sampling(tmp_path, sampling, kept):
    path = write(tmp_path / "clip.mp4", count=30, size_hw=(16, 24))
    film = media_video.read_film(path, frames=4, sampling=sampling, longest_side=12)
    assert film.seconds == pytest.approx([index / 10 for index in kept], abs=0.001)
    assert film.frames.shape[1:] == (8, 12, 3)


def test_a_film_plays_backwards_shuffled_and_frozen_at_the_same_times():
    frames = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    film = Film(frames=frames, seconds=np.arange(4, dtype=np.float32))
    played = {
        order: media_video.replayed(film, order, np.random.default_rng(1))
        for order in ("forwards", "reversed", "shuffled", "frozen")
    }
    assert {order: each.frames[:, 0, 0, 0].tolist() for order, each in played.items()} == {
        "forwards": [0, 1, 2, 3],
        "reversed": [3, 2, 1, 0],
        "shuffled": np.random.default_rng(1).permutation(4).tolist(),
        "frozen": [0, 0, 0, 0],
    }
    assert all(each.seconds.tolist() == [0, 1, 2, 3] for each in played.values())
    with pytest.raises(ValueError, match="wanted a random generator"):
        media_video.replayed(film, "shuffled")
    with pytest.raises(ValueError, match="wanted one of"):
        media_video.reorder(3, "sideways")


def test_a_file_of_no_duration_is_a_film_of_its_frame(tmp_path):
    path = write(tmp_path / "still.mp4", count=1)
    data = bytearray(path.read_bytes())
    for box, place in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20), (b"stts", 16)):  # durations, after the box's name
        start = data.index(box) + place
        data[start : start + 4] = bytes(4)
    path.write_bytes(data)
    assert media_video.video_facts(path).seconds is None
    assert len(media_video.read_film(path, frames=4).frames) == 1
    ((start, end, _),) = media_video.frame_spans(path, 1.0)
    assert 0 == start < end


def test_a_wrong_extension_does_not_matter(tmp_path):
    write(tmp_path / "clip.webm", "libvpx-vp9", count=2).rename(tmp_path / "clip.mp4")
    assert len(media_video.frame_seconds(tmp_path / "clip.mp4")) == 2


def bad_files(folder: Path) -> dict[str, Path]:
    """Return files that are no videos, or no more."""
    whole = write(folder / "whole.mp4", count=60).read_bytes()
    cut = write(folder / "cut.avi", "mpeg4", count=60).read_bytes()
    files = {
        "empty": b"",
        "text": b"this is not a video\n" * 50,
        "cut before its table": whole[: len(whole) // 2],
        "cut in its middle": cut[: len(cut) // 2],
        "playlist": b"#EXTM3U\n#EXTINF:1,\nwhole.mp4\n",
        "script": b"ffconcat version 1.0\nfile whole.mp4\n",
    }
    paths = {name: folder / f"{name}.mp4" for name in files}
    for name, data in files.items():
        paths[name].write_bytes(data)
    Image.new("RGB", (40, 30)).save(folder / "picture.jpg")
    with av.open(str(folder / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return paths | {"picture": folder / "picture.jpg", "sound": folder / "sound.m4a", "nothing": folder / "no.mp4"}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("empty", "is empty"),
        ("text", "is not a video that can be read"),
        ("cut before its table", "is not a video that can be read"),
        ("cut in its middle", "is damaged or cut off after 0"),
        ("playlist", "is not a video that can be read"),
        ("script", "is not a video that can be read"),
        ("picture", "is not a video that can be read"),
        ("sound", "has no pictures in it"),
        ("nothing", "There is no file"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_sentence(tmp_path, name, sentence):
    path = bad_files(tmp_path)[name]
    with pytest.raises(ValueError, match=sentence) as caught:
        media_video.frame_seconds(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_not_a_video(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        media_video.video_facts(tmp_path)


def test_limits_are_enforced_before_anything_is_decoded(tmp_path, monkeypatch):
    path = write(tmp_path / "long.mp4", count=3, ticks=[0, 100, 4 * 360_000])

    def never(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(media_video.reading, "_second", never)
    with pytest.raises(ValueError, match=r"long\.mp4 lasts 4\.0 hours; give at most 2"):
        media_video.read_film(path)
    with pytest.raises(ValueError, match="give at most 1e-06 GB"):
        media_video.video_facts(path, VideoLimits(largest_bytes=1000))
    with pytest.raises(ValueError, match="64 pixels; make it smaller"):
        media_video.video_facts(path, VideoLimits(most_pixels=1000, longest_seconds=1e6))


def test_a_header_that_hides_the_length_does_not_get_past_the_limit(tmp_path):
    path = write(tmp_path / "long.mp4", count=3, ticks=[0, 100, 1000])
    limits = VideoLimits(longest_seconds=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media_video.reading, "_announced_seconds", lambda *_: None)
        with pytest.raises(ValueError, match=r"lasts 0\.0 hours"):
            media_video.frame_seconds(path, limits)


class Untimed:
    """A decoded frame without a time, or with the one before's."""

    def __init__(self, pts: int | None) -> None:
        self.pts, self.time_base = pts, None if pts is None else Fraction(1, 10)


def test_missing_and_repeated_times_are_filled_in_by_the_rate():
    last, seconds = -1.0, []
    for pts in (None, None, 5, 5, 4, None, 20):
        last = media_video.reading._second(Untimed(pts), Fraction(0), last, 0.1)
        seconds.append(last)
    assert seconds == pytest.approx([0, 0.1, 0.5, 0.6, 0.7, 0.8, 2.0])


def test_a_step_must_lie_above_zero(tmp_path):
    for call in (media_video.iter_frames, media_video.frame_spans):
        with pytest.raises(ValueError, match="above 0 seconds"):
            next(iter(call(tmp_path / "a.mp4", step_seconds=0)))
    with pytest.raises(ValueError, match="above 0 seconds"):
        media_video.grid_indices([0.0], 0)


@pytest.mark.parametrize(("count", "frames"), [(0, 1), (1, 0)])
def test_no_frames_are_refused(count, frames):
    for sample in (media_video.uniform_indices, media_video.head_indices, media_video.tail_indices):
        with pytest.raises(ValueError, match="wanted at least 1 frame"):
            sample(count, frames)


def test_segments_drawn_at_random_stay_in_their_parts():
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = media_video.tsn_segment_indices(80, 8, draw=lambda bound: int(rng.integers(bound)))
        assert (drawn // 10 == np.arange(8)).all()


def test_the_released_grid_loses_every_frame_but_the_first_at_a_fractional_rate():
    assert media_video.released_grid_indices(300, 30000 / 1001, 1.0).tolist() == [0]
    assert len(media_video.grid_indices(np.arange(300) * 1001 / 30000, 1.0)) == 10


def test_importing_the_module_loads_no_decoder():
    code = "import sys, core.media_video; sys.exit(bool({'av', 'cv2', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("b.mp4", "libx265"), ("c.webm", "libvpx-vp9")])
def test_frames_that_are_passed_over_change_nothing_in_those_that_are_kept(tmp_path, name, codec):
    path = write(tmp_path / name, codec, count=60, rate=Fraction(30000, 1001))
    every = {frame.index: frame for frame in media_video.iter_frames(path)}
    kept = list(media_video.iter_frames(path, step_seconds=0.25))
    assert len(every) == 60
    assert [frame.index for frame in kept] == media_video.grid_indices(
        [f.seconds for f in every.values()], 0.25
    ).tolist()
    assert all((frame.picture == every[frame.index].picture).all() for frame in kept)
    assert all(frame.seconds == every[frame.index].seconds for frame in kept)
    assert media_video.frame_seconds(path) == media_video.frame_seconds(path, decode=True)


GROUPS = [
    ("a.mp4", "libx264", {}),
    ("a.mkv", "libx264", {"x264-params": "open-gop=1:bframes=3"}),
    ("a.ts", "libx264", {}),
    ("a.mp4", "libx264", {"x264-params": "intra-refresh=1:bframes=0"}),
    ("a.mp4", "libx265", {"x265-params": "log-level=none:open-gop=0"}),
    ("a.mp4", "libx265", {"x265-params": "log-level=none:open-gop=1"}),
    ("a.webm", "libvpx-vp9", {}),
    ("a.webm", "libvpx", {}),
    ("a.mp4", "libsvtav1", {}),
    ("a.mp4", "mpeg4", {"bf": "2"}),
    ("a.mpg", "mpeg2video", {"bf": "2"}),
    ("a.mov", "mjpeg", {}),
]


@pytest.mark.parametrize(("name", "codec", "options"), GROUPS)
@pytest.mark.parametrize("step_seconds", [0.17, 1.3])
def test_frames_are_the_same_whatever_was_not_decoded_between_key_frames(tmp_path, name, codec, options, step_seconds):
    path = moving(tmp_path / name, codec, options)
    every = {frame.index: frame for frame in media_video.iter_frames(path)}
    kept = list(media_video.iter_frames(path, step_seconds=step_seconds))
    places = media_video.grid_indices([frame.seconds for frame in every.values()], step_seconds).tolist()
    assert [frame.index for frame in kept] == places
    assert all((frame.picture == every[frame.index].picture).all() for frame in kept)
    one = media_video.frames_at(path, {38})
    assert (one[38].picture == every[38].picture).all()
    *_, (start, end, _) = media_video.frame_spans(path, step_seconds)
    assert start == kept[-1].seconds
    assert end == pytest.approx(every[59].seconds + 1 / 25, abs=0.002)


def moving(path: Path, codec: str, options: dict[str, str]) -> Path:
    """Write 60 frames of noise that drifts, a key frame at least every 12."""
    noise = np.random.default_rng(0).integers(0, 256, (80, 200, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 12
        for number in range(60):
            picture = np.ascontiguousarray(noise[number // 8 : number // 8 + 64, number : number + 96])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_what_lies_behind_the_last_wanted_frame_before_a_key_frame_is_not_decoded(tmp_path, monkeypatch):
    path, passed = moving(tmp_path / "a.mp4", "libx264", {}), []
    wanting = packets.Times.wanting
    monkeypatch.setattr(packets.Times, "wanting", lambda *given: passed.append(wanting(*given)) or passed[-1])
    assert [frame.index for frame in media_video.iter_frames(path, step_seconds=0.96)] == [0, 24, 48]
    assert len(passed[0].passed) == 57  # each is a key frame


def test_open_groups_and_files_whose_key_frames_forget_nothing_lose_the_end_alone():
    open_group = Times(pts=[0, 1, 2, 3, 4], seconds=[], order=[0, 1, 3, 2, 4], entries=[0, 2])
    assert open_group.wanting([0, 2]).passed == {4}
    closed = Times(pts=[0, 1, 2, 3, 4], seconds=[], order=[0, 1, 2, 3, 4], entries=[0, 2])
    assert closed.wanting([0, 2]).passed == {1, 3, 4}
    unknown = Times(pts=[0, 1, 2, 3, 4], seconds=[], order=[0, 1, 2, 3, 4])
    assert unknown.wanting([0, 2]).passed == {3, 4}
