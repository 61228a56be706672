"""What the video tab shows: the gallery of moments, the curve over time, ranked clips, tables."""

from pathlib import Path
from typing import Any

import numpy as np

from core.results import Film
from core.viz import charts
from core.viz.film import boxed, curve_figure, film_strip
from demos.shell import note
from demos.text import say
from demos.video_kept import Found, Library, Seen, frame_at

LONGEST_NAME = 18  # letters under a picture
DOUBT = 2.0  # spreads above a typical second, below which nothing stands out
STRIP_HEIGHT = 84


def gallery(found: Found) -> list[tuple[np.ndarray, str]]:
    """Return the frame at each moment's peak, with a box where a patch answered; its clip, cosine and seconds."""
    shown = []
    for video, moment in found.shown():
        picture = frame_at(video.path, moment.peak_seconds)
        height, width = video.size_hw
        if moment.box_xyxy != (0.0, 0.0, float(width), float(height)):
            picture = boxed(picture, moment.box_xyxy)
        span = f"{moment.start_seconds:.1f}-{moment.end_seconds:.1f} s"
        shown.append((picture, f"{_short(video.name)} · {moment.score:+.2f} · {span}"))
    return shown


def said(found: Found, library: Library, language: str) -> str:
    """Say how many moments there are, whether any stands out, and what is true of the best Toybox clip."""
    rows = found.rows()
    count = len({video.video for video, _ in rows})
    out = found.moments.stands_out
    sentences = [say(language, "vid_found", moments=len(rows), videos=count, out=out)]
    if out < DOUBT:
        sentences.append(say(language, "vid_doubt"))
    if rows and rows[0][0].name in library.truth:
        sentences.append(say(language, "vid_truth", sentence=library.truth[rows[0][0].name]))
    return "".join(map(note, sentences))


def curve(found: Found, row: int, language: str) -> Any:
    """Return the score over time of the clip that a moment of the gallery is in."""
    video, _ = found.shown()[row]
    spans = [(moment.start_seconds, moment.end_seconds) for moment in video.moments]
    return curve_figure(
        video.curve_seconds,
        video.curve_scores,
        spans,
        threshold=found.moments.threshold,
        title=say(language, "vid_curve", name=video.name),
        axes=(say(language, "vid_seconds"), say(language, "head_cosine")),
    )


def ranked(scores: np.ndarray, seen: Seen, truth: dict[str, str]) -> list[tuple[np.ndarray, str]]:
    """Return each clip's middle frame with its score, the best first; the truth of Toybox clips beside it."""
    pictures, names = list(seen.middles.values()), seen.names
    order = np.argsort(-scores, kind="stable")
    return [(pictures[i], f"{scores[i]:+.2f} · {truth.get(names[i], names[i])}") for i in order]


def heads_table(model: Any, features: tuple[Any, ...], names: list[str], sentence: str, language: str) -> str:
    """Return every head's best clip for a sentence, forwards and backwards."""
    backwards = [each[::-1] for each in features]
    rows = []
    for head in model.heads:
        pair = [model.scores(each, [sentence], head)[0] for each in (features, backwards)]
        cells = [f"{names[int(scores.argmax())]} {scores.max():+.2f}" for scores in pair]
        rows.append((head, *cells))
    head = tuple(say(language, key) for key in ("vid_head", "vid_forwards", "vid_reversed"))
    return charts.table(head, rows)


def strip(frames: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return a clip's frames side by side with each one's own score."""
    film = Film(frames=frames, seconds=np.arange(len(frames), dtype=np.float32))
    return film_strip(film, scores.astype(np.float32), height=STRIP_HEIGHT)


def _short(name: str) -> str:
    """Return a file's name without its ending, cut to what fits under a picture."""
    stem = Path(name).stem
    return stem if len(stem) <= LONGEST_NAME else f"{stem[: LONGEST_NAME - 1]}…"
