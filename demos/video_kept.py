"""What the video tab keeps for one visitor: the clips that were added, what a search found, whole clips looked at."""

import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.world.motion import ACTIONS
from demos.shell import load

SYSTEM, CLIPS_SYSTEM = "moments", "clip4clip"
KINDS = ("frames", "windows", "patches")  # core.video_retrieval.index's; a test compares
MOST_CLIPS = 200
MOST_SHOWN, MOST_OF_ONE = 12, 3  # moments in the gallery, and of one video where there are several
TOY_CLIPS, TOY_SEED = 8, 700
TOY_PIXELS, TOY_FRAMES = 160, 16
CLIP_FRAMES, LONGEST_SIDE = 12, 256
LOOKED_AT = f"{CLIP_FRAMES} uniform, at most {LONGEST_SIDE} pixels"
WAIT_SECONDS = 0.3
STEP_SECONDS = 0.5  # between the frames that are looked at


@dataclass(frozen=True, kw_only=True, eq=False)
class Library:
    """The clips of one visitor: their files, the keys under which they are indexed, and the truth about Toybox ones."""

    paths: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    weights: str = ""
    truth: dict[str, str] = field(default_factory=dict)  # by the file's name


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a search found, for the pictures and files of it."""

    moments: Any  # core.video_retrieval's Moments
    query: str
    weights: str
    cut: float

    def rows(self) -> list[tuple[Any, Any]]:
        """Return (video, moment), video by video, the best first and of each the best first."""
        return [(video, moment) for video in self.moments.videos for moment in video.moments]

    def shown(self) -> list[tuple[Any, Any]]:
        """Return what the gallery has room for: where there are several videos, a few moments of each."""
        most = MOST_OF_ONE if len(self.moments.videos) > 1 else MOST_SHOWN
        return [(video, moment) for video in self.moments.videos for moment in video.moments[:most]][:MOST_SHOWN]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """Whole clips that CLIP4Clip has looked at, by path: other sentences, heads and orders need no second look."""

    weights: str
    features: dict[str, np.ndarray]
    middles: dict[str, np.ndarray]  # the frame half way, (H, W, 3) uint8

    @property
    def names(self) -> list[str]:
        """The names of the files, in order."""
        return [Path(path).name for path in self.features]


def toy_clips() -> tuple[list[str], dict[str, str]]:
    """Draw the Toybox clips as WebM files; returns their paths, and a true sentence by file name."""
    from core.media_video import write_webm
    from core.world.motion import clip

    folder, paths, truth = Path(tempfile.mkdtemp(prefix="toybox-clips-")), [], {}
    for place in range(TOY_CLIPS):
        shown = clip(TOY_SEED + place, ACTIONS[(5 * place) % len(ACTIONS)], frames=TOY_FRAMES, size=TOY_PIXELS)
        sentence = shown.sentences[1]
        path = write_webm(shown.film, folder / f"toybox-{place + 1}.webm")
        paths.append(str(path))
        truth[path.name] = sentence
    return paths, truth


def without_removed(library: Library, files: Sequence[str]) -> Library:
    """Return the library without the uploads that are not among the files any more; Toybox clips stay."""
    held = tuple(path for path in library.paths if path in files or Path(path).name in library.truth)
    return library if held == library.paths else replace(library, paths=held, keys=())


def add(library: Library, paths: Sequence[str], truth: dict[str, str], weights: str, patches: bool) -> Iterator[Any]:
    """Index clips in a thread: yield each step as it comes, then the library and the report.

    When the generator is closed, the clip at work is given up; what was added before stays.
    """
    from core import media_video

    wanted = list(dict.fromkeys([*library.paths, *paths]))
    if not wanted:
        raise ValueError("There are no clips yet: upload some, or take the Toybox ones.")
    if len(wanted) > MOST_CLIPS:
        raise ValueError(f"Give at most {MOST_CLIPS} clips at once; these are {len(wanted)}.")
    model = load(SYSTEM, weights)
    steps: queue.Queue[Any] = queue.Queue()
    stop = threading.Event()
    result: dict[str, Any] = {}

    def work() -> None:
        try:
            settings = model.frame_settings(step_seconds=STEP_SECONDS, patches=patches)
            result["report"] = model.add(
                wanted, media_video, settings=settings, progress=steps.put, cancelled=stop.is_set
            )
        except Exception as error:  # told to the visitor below
            result["error"] = error

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while thread.is_alive():
            try:
                yield steps.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                continue
    finally:
        stop.set()
        thread.join()
    if "error" in result:
        raise result["error"]
    report = result["report"]
    if not report.keys:
        raise ValueError(f"None of these clips can be searched: {'; '.join(f'{n}: {r}' for n, r in report.failed)}")
    kept = Library(paths=tuple(wanted), keys=report.keys, weights=weights, truth=library.truth | truth)
    yield kept, report


def search(library: Library, query: str, picture: np.ndarray | None, weight: float, kind: str, cut: float) -> Found:
    """Search a visitor's own clips; ValueError where nothing is looked for."""
    model = load(SYSTEM, library.weights)
    parts = model.parts(query, picture, weight)
    moments = model.search(parts, kind=kind, videos=library.keys, cut=cut)
    return Found(moments=moments, query=query, weights=library.weights, cut=cut)


def frame_at(path: str, seconds: float) -> np.ndarray:
    """Return the frame that stands at a second of a clip."""
    from core.media_video import frame_seconds, frames_at

    times = np.array(frame_seconds(path))
    index = int(np.searchsorted(times, seconds + 1e-3, side="right")) - 1
    return frames_at(path, {max(0, index)})[max(0, index)].picture


def look(paths: Sequence[str], seen: Seen | None, weights: str) -> Seen:
    """Look at the clips that were not seen yet, one after the other; those that cannot be read are left out."""
    model, features, middles = load(CLIPS_SYSTEM, weights), {}, {}
    known = seen if seen is not None and seen.weights == weights else None
    for path in paths:
        if known and path in known.features:
            features[path], middles[path] = known.features[path], known.middles[path]
            continue
        try:
            frames = frames_of(path)
        except ValueError:
            continue
        features[path] = model.encode_file(path, lambda frames=frames: frames, looked_at=LOOKED_AT)
        middles[path] = frames[len(frames) // 2].copy()
    if not features:
        raise ValueError("There are no clips yet: upload some, or take the Toybox ones.")
    return Seen(weights=weights, features=features, middles=middles)


def frames_of(path: str) -> np.ndarray:
    """Return the few frames of a clip that CLIP4Clip looks at; ValueError where it cannot be read."""
    from core.media_video import read_film

    return read_film(path, frames=CLIP_FRAMES, longest_side=LONGEST_SIDE).frames
