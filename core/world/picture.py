"""A Toybox picture from one seed: the entry that the app, the command line and the tests use."""

import numpy as np

from core.world.captions import shown
from core.world.render import View, render
from core.world.scene import BASE, HELD_OUT_PAIRS, SEEN_PAIRS, sample

PAIRS = {
    "seen": SEEN_PAIRS,
    "held-out": HELD_OUT_PAIRS,
    "all": SEEN_PAIRS + HELD_OUT_PAIRS,
    "base": tuple(pair for pair in SEEN_PAIRS if pair[1] in BASE),  # to learn boxes and masks from
    "balls": tuple(pair for pair in SEEN_PAIRS if pair[1] == "ball"),  # for counting
}


def picture(seed: int, size: int = 256, *, count: int | None = None, pairs: str = "seen", samples: int = 3) -> View:
    """Render the scene of a seed, in which at least one thing is large enough to speak of.

    `count` fixes the number of things, `pairs` names a set in PAIRS. The same arguments give the same bytes.
    Raises ValueError for a seed below 0, a size below 1 or unknown pairs.
    """
    if seed < 0 or pairs not in PAIRS:
        raise ValueError(f"wanted a seed of at least 0 and one of {', '.join(PAIRS)}, got {seed} and {pairs!r}")
    rng = np.random.default_rng(seed)
    while True:
        view = render(sample(rng, count=count, pairs=PAIRS[pairs]), (size, size), samples=samples)
        if shown(view):
            return view


def two_of(rng: np.random.Generator, names: tuple[str, ...], size: int, *, tries: int = 20) -> View | None:
    """Draw a scene of two things, one of each category, or both of the one; None where they never both show."""
    pairs = tuple(pair for pair in SEEN_PAIRS if pair[1] in names)
    for _ in range(tries):
        scene = sample(rng, count=2, pairs=pairs)
        if {thing.category for thing in scene.things} == set(names):
            view = render(scene, (size, size), samples=2)
            if len(shown(view)) == 2:
                return view
    return None
