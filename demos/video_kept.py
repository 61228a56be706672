"""What the video tab keeps for one visitor: the clips that were added, and what a search found."""

import queue
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.world.motion import ACTIONS
from demos.shell import load

SYSTEM, CLIPS_SYSTEM = "moments", "clip4clip"
KINDS = ("frames", "windows", "patches")  # core.video_retrieval.index's; a test compares
MOST_CLIPS = 200
TOY_CLIPS, TOY_SEED = 8, 700
TOY_PIXELS, TOY_FRAMES = 160, 16
CLIP_FRAMES, LONGEST_SIDE = 12, 256
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
        """Return (video, moment) in the order of the gallery: the best first, whichever video it is in."""
        pairs = [(video, moment) for video in self.moments.videos for moment in video.moments]
        return sorted(pairs, key=lambda pair: -pair[1].score)


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


def films(paths: Sequence[str]) -> dict[str, np.ndarray]:
    """Return a few frames of each clip, by file name; clips that cannot be read are left out."""
    from core.media_video import read_film

    found = {}
    for path in paths:
        try:
            film = read_film(path, frames=CLIP_FRAMES, longest_side=LONGEST_SIDE)
        except ValueError:
            continue
        found[Path(path).name] = film.frames
    if not found:
        raise ValueError("There are no clips yet: upload some, or take the Toybox ones.")
    return found
