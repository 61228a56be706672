"""A whole clip as a Film: a few frames by one of the samplings, played in any order.

Legend: T frames.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from core.media_video.reading import LIMITS, VideoLimits, frame_seconds, frames_at
from core.media_video.sampling import (
    grid_indices,
    head_indices,
    reorder,
    tail_indices,
    tsn_segment_indices,
    uniform_indices,
)
from core.results import Film

EVERY_SECOND = 1.0  # CLIP4Clip looks at one frame a second before it picks
SAMPLINGS = ("uniform", "segments", "head", "tail", "uniform of seconds")


def read_film(
    path: str | Path,
    *,
    frames: int = 12,
    sampling: str = "uniform",
    longest_side: int | None = None,
    limits: VideoLimits = LIMITS,
) -> Film:
    """Return at most `frames` frames of a clip with their true times, each frame at most once.

    'uniform', 'head' and 'tail' pick from all frames, 'segments' takes the middles of equal parts (TSN), 'uniform of
    seconds' picks from one frame a second (CLIP4Clip). `longest_side` shrinks the pictures.
    """
    picks = {
        "uniform": uniform_indices,
        "uniform of seconds": uniform_indices,
        "segments": lambda count, wanted: tsn_segment_indices(count, wanted),
        "head": head_indices,
        "tail": tail_indices,
    }
    if sampling not in picks:
        raise ValueError(f"wanted one of {', '.join(SAMPLINGS)}, got {sampling!r}")
    for decode in (False, True):  # a frame that the packets announced may not come: then all are counted
        seconds = np.array(frame_seconds(path, limits, decode=decode))
        every = grid_indices(seconds, EVERY_SECOND) if sampling == "uniform of seconds" else np.arange(len(seconds))
        chosen = np.unique(every[picks[sampling](len(every), frames)])
        found = frames_at(path, set(chosen.tolist()), limits)
        if len(found) == len(chosen):
            break
    if not found:
        raise ValueError(f"{Path(path).name} holds no frames that can be read.")
    kept = [found[index] for index in sorted(found)]
    pictures = [shrunk(frame.picture, longest_side) for frame in kept]
    times = np.array([frame.seconds for frame in kept], np.float32)
    return Film(frames=np.stack(pictures), seconds=times)


def replayed(film: Film, order: str, rng: np.random.Generator | None = None) -> Film:
    """Return the film with its frames in another order, shown at the same times."""
    return replace(film, frames=film.frames[reorder(len(film.frames), order, rng)])


def shrunk(picture: np.ndarray, longest_side: int | None) -> np.ndarray:
    """Return the picture with its longer side no longer than this."""
    longest = max(picture.shape[:2])
    if longest_side is None or longest <= longest_side:
        return picture
    height, width = (max(1, round(side * longest_side / longest)) for side in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
