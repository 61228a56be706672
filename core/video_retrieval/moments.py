"""Moment search: many videos in an index, found to the second by words, by pictures, or by both with weights.

In the manner of johanmodin/clifs at 91041a9 (Apache-2.0), https://github.com/johanmodin/clifs. Different from it: true
times at every frame rate, an index that stays, windows over time besides frames, results grouped by video with a
beginning and an end, a cut that is relative to the query instead of the fixed 37 of one model, and the place in the
frame where a patch answered.

Legend: N units of a video, D embedding size.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.checkpoints import Weights
from core.device import Device
from core.results import Moment, Moments, VideoMoments
from core.video_retrieval.frame_features import Cancelled, FrameEncoder, FrameSettings
from core.video_retrieval.index import KINDS, SAMPLES, IndexedVideo, MomentIndex
from core.video_retrieval.progress import Clock, IndexReport, IndexStep
from core.video_retrieval.query import QueryPart, parse_query, query_vector
from core.video_retrieval.spans import moments_in
from core.video_retrieval.units import Units, windows

CANDIDATES = {"frames": 300, "windows": 300, "patches": 1000}  # a video fills many patches of one second
MOST_VIDEOS = 20
CUT = 0.5  # half way from a typical score to the best one

__all__ = ["Cancelled", "IndexReport", "IndexStep", "Moment", "MomentSearch", "Moments", "VideoMoments", "open_moments"]


@runtime_checkable
class Decoder(Protocol):
    """What turns files into frames; the module core.media_video is one."""

    def frame_spans(self, path: Path, step_seconds: float) -> Iterator[tuple[float, float, UInt8[np.ndarray, "H W 3"]]]:
        """Yield pictures with the seconds from and until which they stand."""
        ...

    def video_facts(self, path: Path) -> object:
        """Return what the file says; ValueError where it cannot be taken."""
        ...


def open_moments(weights: Weights, device: Device, files: Mapping[str, Path]) -> "MomentSearch":
    """Open moment search on any CLIP for the registry."""
    return MomentSearch(open_clip_backbone(weights, device, files), weights)


class MomentSearch:
    """Any CLIP over an index of videos; the index is opened when it is first needed."""

    def __init__(
        self, backbone: ClipBackbone, weights: Weights, *, index: str | None = None, cache: Path | None = None
    ) -> None:
        """Wrap an opened CLIP; `index` and `cache` are places other than the environment's."""
        self.backbone, self.encoder = backbone, FrameEncoder(backbone, cache)
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = backbone.device.name, backbone.device.reason
        self._uri = index

    @cached_property
    def index(self) -> MomentIndex:
        """The index of this model's vectors."""
        return MomentIndex(self.encoder.model_key, self.encoder.size, self._uri)

    @staticmethod
    def frame_settings(*, step_seconds: float = 1.0, patches: bool = False) -> FrameSettings:
        """Return how often frames are looked at, and whether squares of each are looked at besides."""
        return FrameSettings(step_seconds=step_seconds, patches=patches)

    @staticmethod
    def parts(
        text: str, picture: UInt8[np.ndarray, "H W 3"] | None = None, weight: float = 1.0
    ) -> tuple[QueryPart, ...]:
        """Return a query of words, of a picture with its weight, or of both; ValueError for neither."""
        words = parse_query(text) if text.strip() or picture is None else ()
        return (*words, QueryPart(picture=picture, weight=weight)) if picture is not None else words

    def videos(self) -> dict[str, IndexedVideo]:
        """Return all videos that are found, by key."""
        return self.index.videos()

    def remove(self, video: str) -> None:
        """Take a video out by its key; ValueError where it is not in."""
        if video not in self.videos():
            raise ValueError(f"There is no video {video} in the index.")
        self.index.remove(video)

    def add(
        self,
        paths: Sequence[str | Path],
        decoder: Decoder,
        *,
        settings: FrameSettings | None = None,
        progress: Callable[[IndexStep], None] = lambda step: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> IndexReport:
        """Index videos one after the other; a damaged one is named and skipped, and what was added before it stays.

        After `cancelled()` becomes true the video at work is given up and the report returns.
        """
        settings = settings or FrameSettings()
        failed: list[tuple[str, str]] = []
        lengths = _lengths([Path(path) for path in paths], decoder, failed)
        clock, added, already = Clock(lengths, progress), [], []
        stopped = False
        for path in lengths:
            clock.begin(path)
            key = self.encoder.video_key(path, settings)
            try:
                if key in self.videos():
                    already.append(key)
                else:
                    self._add(key, path, decoder, settings, clock, cancelled)
                    added.append(key)
                clock.finish(path)
            except Cancelled:
                stopped = True
                self.index.begin(key)
                break
            except ValueError as error:
                failed.append((path.name, str(error)))
                self.index.begin(key)
                clock.finish(path)
        if added:
            self.index.settle()
        return IndexReport(added=tuple(added), already=tuple(already), failed=tuple(failed), cancelled=stopped)

    def search(
        self,
        parts: Sequence[QueryPart],
        *,
        kind: str = "frames",
        videos: Sequence[str] = (),
        most: int = MOST_VIDEOS,
        cut: float = CUT,
    ) -> Moments:
        """Find the moments that fit a query, of all videos or of those given by key, the best video first.

        `kind` is frames, windows or patches. `cut` from 0 to 1 is how far a score must rise from what is typical for
        this query towards the best one; the cosines themselves mean something else in every model.
        """
        if kind not in KINDS:
            raise ValueError(f"wanted one of {', '.join(KINDS)}, got {kind!r}")
        if not 0 <= cut <= 1:
            raise ValueError(f"wanted a cut from 0 to 1, got {cut}")
        vector = query_vector(self.backbone, parts)
        known = self.videos()
        asked = tuple(video for video in videos if video in known)
        if not known or (videos and not asked):
            raise ValueError("There are no videos to search in yet: add some first.")
        if kind == "patches" and not any(known[video].patches for video in asked or known):
            raise ValueError("These videos were added without patches: add them again with patches.")
        hits = self.index.search(vector, kind, most=CANDIDATES[kind], videos=asked)
        best = tuple(dict.fromkeys(hits.videos))[:most]
        units = self._units(kind, best)
        typical, spread = self._typical(vector)
        top = max((float((each.vectors @ vector).max()) for each in units.values()), default=typical)
        threshold = min(top, typical + cut * (top - typical))  # the best one is shown, however little it fits
        found = [
            _video_moments(known[video], each, vector, threshold, windows=kind == "windows")
            for video, each in units.items()
        ]
        return Moments(
            query=" + ".join(map(str, parts)),
            kind=kind,
            videos=tuple(sorted((each for each in found if each.moments), key=lambda each: -each.best)),
            typical=typical,
            spread=spread,
            threshold=threshold,
        )

    def _add(
        self,
        key: str,
        path: Path,
        decoder: Decoder,
        settings: FrameSettings,
        clock: "Clock",
        cancelled: Callable[[], bool],
    ) -> None:
        """Index one video: units as they come, and only at the end the row that makes it count."""
        self.index.begin(key)
        facts, samples = _Facts(), _Samples()

        def frames() -> Iterator[Units]:
            for units in self.encoder.units(path, settings, decoder.frame_spans, cancelled):
                whole = units.where(~units.is_patch)
                facts.add(units, whole)
                samples.add(whole.vectors)
                self.index.write(key, "frames", whole)
                self.index.write(key, "patches", units.where(units.is_patch))
                clock.tell(path, facts.seconds)
                yield whole

        for window in _batched(windows(frames())):
            self.index.write(key, "windows", window)
        self.index.commit(facts.video(key, path), samples.vectors())

    def _units(self, kind: str, videos: tuple[str, ...]) -> dict[str, Units]:
        """Return what the curve is drawn from; for patches the whole frames answer too."""
        found = self.index.units(kind, videos)
        if kind != "patches":
            return found
        frames = self.index.units("frames", tuple(found))
        return {video: Units.joined([each, frames[video]]) for video, each in found.items()}

    def _typical(self, vector: Float[np.ndarray, " D"]) -> tuple[float, float]:
        """Return the median of a query's scores over the whole index, and their spread."""
        scores = self.index.samples() @ vector
        return float(np.median(scores)), float(scores.std())


def _video_moments(
    video: IndexedVideo, units: Units, vector: Float[np.ndarray, " D"], threshold: float, *, windows: bool
) -> VideoMoments:
    """Return a video's curve over time, the best unit at each, and its moments above the threshold.

    A frame stands for the second it is shown at, a window for its middle.
    """
    scores = units.vectors @ vector
    order = np.lexsort((-scores, units.starts))  # by time, and the best of each time first
    first = order[np.unique(units.starts[order], return_index=True)[1]]
    curve = units.where(first)
    seconds = (curve.starts + curve.ends) / 2 if windows else curve.starts
    return VideoMoments(
        video=video.video,
        name=video.name,
        path=video.path,
        seconds=video.seconds,
        size_hw=(video.height, video.width),
        curve_seconds=seconds.astype(np.float32),
        curve_scores=scores[first].astype(np.float32),
        moments=moments_in(curve.starts, curve.ends, scores[first], curve.boxes_xyxy, threshold, peaks=seconds),
    )


def _lengths(paths: Sequence[Path], decoder: Decoder, failed: list[tuple[str, str]]) -> dict[Path, float]:
    """Return the announced seconds of every file that can be taken; the others go to `failed`."""
    found = {}
    for path in dict.fromkeys(paths):
        try:
            found[path] = getattr(decoder.video_facts(path), "seconds", None) or 0.0
        except ValueError as error:
            failed.append((path.name, str(error)))
    return found


def _batched(parts: Iterator[Units], most: int = 256) -> Iterator[Units]:
    held: list[Units] = []
    for part in parts:
        held.append(part)
        if len(held) == most:
            yield Units.joined(held)
            held = []
    if held:
        yield Units.joined(held)


class _Facts:
    """What is known of a video when all of it has been seen."""

    def __init__(self) -> None:
        self.seconds, self.frames, self.patches = 0.0, 0, 0
        self.size_hw = (0, 0)

    def add(self, units: Units, whole: Units) -> None:
        self.frames += len(whole)
        self.patches += len(units) - len(whole)
        self.seconds = max(self.seconds, float(units.ends.max()))
        if len(whole):
            self.size_hw = int(whole.boxes_xyxy[0, 3]), int(whole.boxes_xyxy[0, 2])

    def video(self, key: str, path: Path) -> IndexedVideo:
        return IndexedVideo(
            video=key,
            name=path.name,
            path=str(path.resolve()),
            seconds=self.seconds,
            height=self.size_hw[0],
            width=self.size_hw[1],
            frames=self.frames,
            patches=self.patches,
        )


class _Samples:
    """A few vectors, evenly from a stream of unknown length: when twice too many are held, every second one goes."""

    def __init__(self) -> None:
        self.held: list[np.ndarray] = []
        self.seen, self.every = 0, 1

    def add(self, vectors: Float[np.ndarray, "N D"]) -> None:
        for vector in vectors:
            if self.seen % self.every == 0:
                self.held.append(vector)
            self.seen += 1
            if len(self.held) == 2 * SAMPLES:
                self.held, self.every = self.held[::2], 2 * self.every

    def vectors(self) -> Float[np.ndarray, "N D"]:
        places = np.linspace(0, len(self.held) - 1, min(len(self.held), SAMPLES)).astype(int)
        return np.stack([self.held[place] for place in places])
