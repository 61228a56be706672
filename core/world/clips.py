"""Clips put together from motions: played backwards, with the event at the end, and galleries of distinct captions.

A clip and its reversal hold the same frames in opposite order; their sentences differ in the verb alone, so that
nothing but order in time can tell which sentence belongs to which.

Legend: T frames.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from core.results import Film
from core.world.motion import ACTIONS, FRAMES_PER_SECOND, MOTIONS, Clip, clip, partner


def caption(shown: Clip) -> str:
    """Return the sentence that names colour, thing and motion: 'a red car moving to the left'."""
    return shown.sentences[1]


def backwards(shown: Clip) -> Clip:
    """Return the clip played backwards, with the partner's action and sentences."""
    action = partner(shown.action)
    return Clip(
        film=replace(shown.film, frames=shown.film.frames[::-1].copy()),
        views=shown.views[::-1],
        action=action,
        sentences=tuple(opposite(sentence, shown.action) for sentence in shown.sentences),
    )


def opposite(sentence: str, action: str) -> str:
    """Return the sentence with the verb of the reversed clip; things that roll keep rolling."""
    forms = ("moving to", "moving to"), ("moving to", "rolling to")
    for plain, spoken in forms:
        sentence_verb = action.replace(plain, spoken)
        if sentence.endswith(sentence_verb):
            return sentence.removesuffix(sentence_verb) + partner(action).replace(plain, spoken)
    raise ValueError(f"wanted a sentence that ends in {action!r}, got {sentence!r}")


def event_at_end(shown: Clip, still: int) -> Clip:
    """Hold a clip's first frame for `still` frames before it plays, so that the event is at the end.

    Raises ValueError for fewer than 0.
    """
    if still < 0:
        raise ValueError(f"wanted at least 0 still frames, got {still}")
    order = np.r_[np.zeros(still, int), np.arange(len(shown.views))]
    seconds = (np.arange(len(order)) / FRAMES_PER_SECOND).astype(np.float32)
    return replace(
        shown,
        film=Film(frames=shown.film.frames[order], seconds=seconds),
        views=tuple(shown.views[place] for place in order),
    )


def gallery(seed: int, count: int, *, frames: int = 12, size: int = 64) -> Iterator[Clip]:
    """Yield `count` clips, the actions in turn, whose captions are all different as sentences.

    Raises ValueError for a count that the world has not enough sentences for.
    """
    if not 0 < count <= 1000:
        raise ValueError(f"wanted 1 to 1000 clips with different captions, got {count}")
    taken: set[str] = set()
    drawn = seed
    while len(taken) < count:
        shown = clip(drawn, ACTIONS[len(taken) % len(ACTIONS)], frames=frames, size=size)
        drawn += 1
        if caption(shown) not in taken:
            taken.add(caption(shown))
            yield shown


def reversal_pairs(seed: int, count: int, *, frames: int = 12, size: int = 64) -> Iterator[tuple[Clip, Clip]]:
    """Yield `count` clips with their reversals, the motions in turn; which of the two is drawn first alternates."""
    for place in range(count):
        motion = MOTIONS[place % len(MOTIONS)]
        forwards = clip(seed + place, motion.forwards, frames=frames, size=size)
        pair = forwards, backwards(forwards)
        yield pair if place // len(MOTIONS) % 2 == 0 else pair[::-1]
