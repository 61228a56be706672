"""Frames of any video people really have, decoded in order, the right way up, each with the second it is shown at.

Times are the file's own (PTS), counted from the start that a player counts from; where a file has none, or has the
same one twice, the frame rate fills in. Limits are checked on the header, before anything is decoded, and again while
decoding, for headers that say nothing. What cannot be read is a ValueError with one sentence for the user.

FFmpeg's playlists and scripts, which name other files or addresses, are not opened.

Legend: H height, W width.
"""

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from core.media_video.packets import Times, is_entry
from core.media_video.sampling import SLACK, grid_indices

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

ENDINGS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp")
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,mpeg,mpegts,asf,flv"  # FFmpeg's readers that open one file
GUESSED_RATE = Fraction(25)  # frames a second of a file that says nothing
CUT_OFF_SHARE = 0.9  # a file that ends before this share of what it announced is damaged


@dataclass(frozen=True, kw_only=True)
class VideoLimits:
    """What is refused before it is decoded."""

    longest_seconds: float = 2 * 3600
    largest_bytes: int = 4_000_000_000
    most_pixels: int = 8192 * 4320  # of one frame


@dataclass(frozen=True, kw_only=True)
class VideoFacts:
    """What a file says about its video, without decoding it."""

    size_hw: tuple[int, int]  # as coded, before a phone's turn
    seconds: float | None  # None where the file does not say
    frames_per_second: float
    codec: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One frame that was kept: its place among all, the second it is shown at, its picture."""

    index: int
    seconds: float
    picture: np.ndarray  # (H, W, 3) uint8 RGB, the right way up


LIMITS = VideoLimits()


def video_facts(path: str | Path, limits: VideoLimits = LIMITS) -> VideoFacts:
    """Return what a file says about its video; ValueError where it has none or is beyond the limits."""
    with _opened(Path(path), limits) as (container, stream):
        return VideoFacts(
            size_hw=(stream.height, stream.width),
            seconds=_announced_seconds(container, stream),
            frames_per_second=float(_rate(stream)),
            codec=stream.codec_context.name,
        )


def iter_frames(
    path: str | Path, *, step_seconds: float | None = None, limits: VideoLimits = LIMITS
) -> Iterator[Frame]:
    """Yield the frames in order; with a step only the first at or after each multiple of it.

    Only kept frames are turned into pictures. Raises ValueError in one sentence, also half way, where the file breaks.
    """
    due = 0.0
    wanted = None if step_seconds is None else _on_grid(Path(path), step_seconds, limits)
    for index, seconds, frame, aspect in _decoded(Path(path), limits, wanted):
        if seconds >= due - SLACK:
            yield Frame(index=index, seconds=seconds, picture=_picture(frame, aspect))
            if step_seconds is not None:
                due = _next_due(seconds, step_seconds)


def frame_spans(
    path: str | Path, step_seconds: float, limits: VideoLimits = LIMITS
) -> Iterator[tuple[float, float, UInt8[np.ndarray, "H W 3"]]]:
    """Yield every kept frame's picture with the second it begins to stand for and the one at which the next begins."""
    held: tuple[float, np.ndarray] | None = None
    due, last, step = 0.0, 0.0, float(1 / GUESSED_RATE)
    wanted = _on_grid(Path(path), step_seconds, limits)
    for _, seconds, frame, aspect in _decoded(Path(path), limits, wanted):
        step, last = (seconds - last) or step, seconds
        if seconds >= due - SLACK:
            if held is not None:
                yield held[0], seconds, held[1]
            held = seconds, _picture(frame, aspect)
            due = _next_due(seconds, step_seconds)
    if held is not None:
        yield held[0], last + step if wanted is None or len(wanted.pts) < 2 else wanted.end_seconds, held[1]


def frame_seconds(path: str | Path, limits: VideoLimits = LIMITS, *, decode: bool = False) -> list[float]:
    """Return the second of every frame: from the packets where they tell all, or by decoding."""
    told = None if decode else _packet_times(Path(path), limits)
    return [seconds for _, seconds, *_ in _decoded(Path(path), limits)] if told is None else told.seconds


def frames_at(path: str | Path, indices: set[int], limits: VideoLimits = LIMITS) -> dict[int, Frame]:
    """Return the frames at these places, decoding no further than the last of them; a lost one is missing."""
    found: dict[int, Frame] = {}
    told = _packet_times(Path(path), limits)
    wanted = None if told is None else told.wanting(sorted(indices))
    for index, seconds, frame, aspect in _decoded(Path(path), limits, wanted, whole=False):
        if index in indices:
            found[index] = Frame(index=index, seconds=seconds, picture=_picture(frame, aspect))
        if len(found) == len(indices):
            break
    return found


@contextmanager
def _opened(path: Path, limits: VideoLimits) -> "Iterator[tuple[InputContainer, VideoStream]]":
    import av

    _check_file(path, limits)
    try:
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
        container = av.open(str(path), options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError):
        raise ValueError(
            f"{path.name} is not a video that can be read (MP4, MOV, WebM, AVI or GIF), or it is damaged."
        ) from None
    with container:
        streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            raise ValueError(f"{path.name} has no pictures in it, only sound or text.")
        _check_header(path, container, streams[0], limits)
        streams[0].thread_type = "AUTO"
        yield container, streams[0]


def _check_file(path: Path, limits: VideoLimits) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a video.")
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"{path.name} is empty.")
    if size > limits.largest_bytes:
        most = limits.largest_bytes / 1e9
        raise ValueError(f"{path.name} has {size / 1e9:.1f} GB; give at most {most:g} GB.")


def _check_header(path: Path, container: "InputContainer", stream: "VideoStream", limits: VideoLimits) -> None:
    if stream.codec_context is None or not stream.width or not stream.height:
        raise ValueError(f"{path.name} is a video in a code that cannot be read here.")
    seconds = _announced_seconds(container, stream)
    if seconds is not None and seconds > limits.longest_seconds:
        raise ValueError(_too_long(path, seconds, limits))
    if stream.width * stream.height > limits.most_pixels:
        raise ValueError(
            f"The frames of {path.name} have {stream.width} x {stream.height} pixels; make it smaller first."
        )


def _packet_times(path: Path, limits: VideoLimits) -> Times | None:
    """Return the times of all frames without decoding one, or None where packets lack a time or share it."""
    import av

    with _opened(path, limits) as (container, stream):
        start, unit = Fraction(container.start_time or 0, av.time_base), stream.time_base
        order, keys, entries = [], 0, []
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    keys += packet.is_keyframe
                    if is_entry(packet, stream.codec_context):
                        entries.append(len(order))
                    order.append(packet.pts)
        except av.error.FFmpegError:
            return None  # where it breaks is found, and told, by decoding
        if unit is None or None in order or len(set(order)) < len(order) or not order:
            return None
        pts = sorted(order)
        seconds = [max(0.0, float(each * unit - start)) for each in pts]
        if seconds[-1] > limits.longest_seconds:
            raise ValueError(_too_long(path, seconds[-1], limits))
        if _ended_early(stream, len(pts), seconds[-1]):
            raise ValueError(_cut_off(path, seconds[-1]))
        return Times(pts=pts, seconds=seconds, order=order, entries=entries if len(entries) == keys else [])


def _on_grid(path: Path, step_seconds: float, limits: VideoLimits) -> Times | None:
    """Return the times with the frames wanted that come first at or after each multiple of a step."""
    if not step_seconds > 0:
        raise ValueError(f"wanted a step above 0 seconds, got {step_seconds}")
    told = _packet_times(path, limits)
    return None if told is None else told.wanting(grid_indices(told.seconds, step_seconds).tolist())


def _decoded(
    path: Path, limits: VideoLimits, times: Times | None = None, *, whole: bool = True
) -> "Iterator[tuple[int, float, VideoFrame, float]]":
    """Yield place, second, frame and pixel width over height; ValueError where the file breaks or ends early.

    With `times` the frames that are not wanted and that no other frame is predicted from are left out: those that come
    are the same to the bit, for a part of the work.
    """
    import av

    with _opened(path, limits) as (container, stream):
        step, last, index, packets = float(1 / _rate(stream)), -1.0, -1, 0
        start = Fraction(container.start_time or 0, av.time_base)
        aspect = float(stream.sample_aspect_ratio or 1)
        try:
            for packet in container.demux(stream):
                packets += bool(packet.size)
                if times is not None and packet.size and packet.pts in times.passed:
                    continue
                if times is not None:
                    needed = packet.pts is None or packet.pts in times.wanted
                    stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
                for frame in packet.decode():
                    known = times is not None and frame.pts is not None
                    index = bisect_left(times.pts, frame.pts) if known else index + 1
                    last = _second(frame, start, last, step)
                    if last > limits.longest_seconds:
                        raise ValueError(_too_long(path, last, limits))
                    yield index, last, frame, aspect
        except av.error.FFmpegError:
            raise ValueError(_cut_off(path, last)) from None
        if index < 0:
            raise ValueError(f"{path.name} holds no frames that can be read.")
        if whole and _ended_early(stream, packets, last + step):
            raise ValueError(_cut_off(path, last))


def _next_due(seconds: float, step_seconds: float) -> float:
    """Return the first multiple of the step after a time."""
    return (int((seconds + SLACK) / step_seconds) + 1) * step_seconds


def _second(frame: "VideoFrame", start: Fraction, last: float, step: float) -> float:
    """Return when a frame is shown, always later than the `last` (below 0: none yet)."""
    told = 0.0 if last < 0 else last + step
    if frame.pts is not None and frame.time_base is not None:
        told = max(0.0, float(frame.pts * frame.time_base - start))
    return told if told > last else last + step


def _picture(frame: "VideoFrame", aspect: float) -> UInt8[np.ndarray, "H W 3"]:
    """Return RGB the right way up, with square pixels."""
    picture = frame.to_ndarray(format="rgb24", width=max(1, round(frame.width * aspect)), height=frame.height)
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))  # FFmpeg turns counterclockwise


def _announced_seconds(container: "InputContainer", stream: "VideoStream") -> float | None:
    """Return the longest duration that the header claims, or None."""
    import av

    ticks, unit = stream.duration, stream.time_base
    own = float(ticks * unit) if ticks and unit else 0.0
    return max(own, (container.duration or 0) / av.time_base) or None


def _rate(stream: "VideoStream") -> Fraction:
    return stream.average_rate or stream.guessed_rate or GUESSED_RATE


def _ended_early(stream: "VideoStream", frames: int, seconds: float) -> bool:
    """Say whether both the count of frames and the time fall short of what the file announced."""
    short = stream.frames > 0 and frames < CUT_OFF_SHARE * stream.frames
    announced = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
    return short and seconds < CUT_OFF_SHARE * announced


def _cut_off(path: Path, seconds: float) -> str:
    where = f"after {seconds:.1f} s" if seconds > 0 else "at its beginning"
    return f"{path.name} is damaged or cut off {where}."


def _too_long(path: Path, seconds: float, limits: VideoLimits) -> str:
    return f"{path.name} lasts {seconds / 3600:.1f} hours; give at most {limits.longest_seconds / 3600:g}, or cut it."
