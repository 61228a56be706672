"""Pieces of videos with a vector each: frames, patches of frames, and windows over time.

Legend: N units of one video, D embedding size.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np

WINDOW_SECONDS = 4.0
WINDOW_STEP_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """N pieces of one video, each with a unit vector: when it is shown, and where where it is a patch."""

    starts: np.ndarray  # (N,) float32 seconds
    ends: np.ndarray  # (N,) float32 seconds
    boxes_xyxy: np.ndarray  # (N, 4) float32 pixels
    is_patch: np.ndarray  # (N,) bool
    vectors: np.ndarray  # (N, D) float32

    def __len__(self) -> int:
        return len(self.starts)

    def where(self, chosen: np.ndarray) -> "Units":
        """Return some of the units, by a mask or by their places."""
        return Units(**{name: getattr(self, name)[chosen] for name in _names()})

    @staticmethod
    def joined(parts: Iterable["Units"]) -> "Units":
        """Return the units of all parts in order; ValueError where there are none."""
        columns = list(zip(*(_columns(part) for part in parts), strict=True))
        if not columns:
            raise ValueError("wanted at least one part, got none")
        return Units(**dict(zip(_names(), map(np.concatenate, columns), strict=True)))


def windows(
    parts: Iterable[Units], *, seconds: float = WINDOW_SECONDS, step: float = WINDOW_STEP_SECONDS
) -> Iterator[Units]:
    """Yield overlapping windows over a video's frames in order, each the mean of its frames' vectors, normalised.

    The last one ends with the video; a shorter video is one window.
    """
    if not 0 < step <= seconds:
        raise ValueError(f"wanted windows that overlap or touch, got {seconds} s every {step} s")
    held: list[Units] = []
    begin = 0.0
    for part in parts:
        frames = part.where(~part.is_patch)
        for place in range(len(frames)):
            frame = frames.where(np.array([place]))
            while held and frame.starts[0] >= begin + seconds:
                yield _window(held)
                begin += step
                held = [unit for unit in held if unit.starts[0] >= begin]
                if not held:
                    begin = max(begin, step * np.floor(frame.starts[0] / step))
            held.append(frame)
    if held:
        yield _window(held)


def _window(frames: list[Units]) -> Units:
    mean = np.mean([frame.vectors[0] for frame in frames], axis=0)
    return Units(
        starts=frames[0].starts,
        ends=frames[-1].ends,
        boxes_xyxy=frames[0].boxes_xyxy,
        is_patch=np.zeros(1, bool),
        vectors=(mean / max(np.linalg.norm(mean), 1e-12))[None].astype(np.float32),
    )


def _names() -> tuple[str, ...]:
    return tuple(each.name for each in fields(Units))


def _columns(units: Units) -> tuple[np.ndarray, ...]:
    return tuple(getattr(units, name) for name in _names())
