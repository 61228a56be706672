"""Clips whose actions come in pairs that are each other's reversal, so that order in time is all that tells them apart.

The clip of an action and the clip of its partner, drawn from the same seed, hold the same frames in opposite order.

Legend: T frames.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from core.results import Film
from core.world.captions import with_article
from core.world.picture import PAIRS
from core.world.render import View, render
from core.world.scene import GROUNDS, SKIES, Camera, Scene, Thing, sample_camera, sample_thing
from core.world.shapes import shape

FRAMES_PER_SECOND = 8.0
ROOM = 2.2  # the camera leaves this many times the thing's own extent, for it to move in
TRAVEL = 1.1  # how far it moves, in its own sizes, to either side of the middle
SPIN_DEGREES = 270.0
ROLLERS = ("ball", "dumbbell")  # roll about their own y axis when they move along x
TURNING = (
    "chair",
    "sofa",
    "bed",
    "mug",
    "car",
    "truck",
    "airplane",
    "boat",
    "house",
    "hammer",
    "person",
    "dog",
    "bird",
)
TIPPING = ("cone", "chair", "lamp", "bottle", "rocket", "house", "tree", "snowman", "hammer", "person")
ANYTHING = tuple(sorted({*ROLLERS, *TURNING, *TIPPING, "table", "cube", "ring"}))

Path = Callable[[Thing, Camera, float], Thing]  # the thing at a time from 0 to 1


@dataclass(frozen=True, kw_only=True)
class Motion:
    """A way to move, what it is called forwards and backwards, and what can move so that it shows."""

    forwards: str
    backwards: str
    path: Path
    categories: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A film with its truth: a view for each frame, the action's name, and true sentences."""

    film: Film
    views: tuple[View, ...]
    action: str
    sentences: tuple[str, ...]


def _sideways(thing: Thing, camera: Camera, time: float) -> Thing:
    """Move from the viewer's right to the left; round things roll."""
    right = camera.axes[0]
    travel = TRAVEL * (1 - 2 * time)  # in sizes
    x, y = thing.size_metres * travel * right[:2]
    if thing.category not in ROLLERS:
        return replace(thing, position=(float(x), float(y), 0.0))
    height = float(shape(thing.category).vertices[:, 2].max())
    yaw = float(np.degrees(np.arctan2(right[1], right[0])))
    turned = replace(thing, yaw_degrees=yaw, pitch_degrees=float(np.degrees(travel / (height / 2))))
    middle = np.array([0.0, 0.0, height / 2]) * thing.size_metres
    foot = np.array([x, y, 0.0]) + middle - turned.rotation @ middle
    return replace(turned, position=tuple(foot.tolist()))


def _upwards(thing: Thing, camera: Camera, time: float) -> Thing:
    return replace(thing, position=(0.0, 0.0, 1.2 * thing.size_metres * time))


def _nearer(thing: Thing, camera: Camera, time: float) -> Thing:
    towards = -camera.axes[2][:2] / np.linalg.norm(camera.axes[2][:2])
    x, y = 2.2 * thing.size_metres * (time - 0.6) * towards
    return replace(thing, position=(float(x), float(y), 0.0))


def _larger(thing: Thing, camera: Camera, time: float) -> Thing:
    return replace(thing, size_metres=thing.size_metres * (0.5 + time))


def _turning(thing: Thing, camera: Camera, time: float) -> Thing:
    return replace(thing, yaw_degrees=thing.yaw_degrees + SPIN_DEGREES * time)


def _over(thing: Thing, camera: Camera, time: float) -> Thing:
    """Tip over the front edge of the foot until the front lies on the ground."""
    front = float(shape(thing.category).vertices[:, 0].max())
    edge = np.array([front, 0.0, 0.0]) * thing.size_metres
    tipped = replace(thing, pitch_degrees=90.0 * time)
    return replace(tipped, position=tuple((thing.rotation @ edge - tipped.rotation @ edge).tolist()))


MOTIONS: tuple[Motion, ...] = (
    Motion(forwards="moving to the left", backwards="moving to the right", path=_sideways, categories=ANYTHING),
    Motion(forwards="rising", backwards="falling", path=_upwards, categories=ANYTHING),
    Motion(forwards="approaching", backwards="moving away", path=_nearer, categories=ANYTHING),
    Motion(forwards="growing", backwards="shrinking", path=_larger, categories=ANYTHING),
    Motion(
        forwards="spinning counterclockwise",
        backwards="spinning clockwise",
        path=_turning,
        categories=TURNING,
    ),
    Motion(forwards="tipping over", backwards="standing up", path=_over, categories=TIPPING),
)
ACTIONS: tuple[str, ...] = tuple(name for motion in MOTIONS for name in (motion.forwards, motion.backwards))


def partner(action: str) -> str:
    """Return the action that the reversed clip shows; ValueError for an unknown one."""
    motion, forwards = _find(action)
    return motion.backwards if forwards else motion.forwards


def clip(seed: int, action: str, *, frames: int = 8, size: int = 64, pairs: str = "seen") -> Clip:
    """Render a clip of one thing performing an action.

    `pairs` is 'seen', 'held-out' or 'all' pairs of colour and category. Raises ValueError for an unknown action or
    fewer than two frames.
    """
    if frames < 2:
        raise ValueError(f"wanted at least 2 frames, got {frames}")
    motion, forwards = _find(action)
    rng = np.random.default_rng((seed, MOTIONS.index(motion)))  # the same for both directions
    scenes = _scenes(motion, rng, frames, pairs)
    views = [render(scene, (size, size)) for scene in scenes]
    ordered = views if forwards else views[::-1]
    seconds: Float[np.ndarray, " T"] = (np.arange(frames) / FRAMES_PER_SECOND).astype(np.float32)
    return Clip(
        film=Film(frames=np.stack([view.rgb for view in ordered]), seconds=seconds),
        views=tuple(ordered),
        action=action,
        sentences=_sentences(ordered[0].scene.things[0], action),
    )


def _find(action: str) -> tuple[Motion, bool]:
    for motion in MOTIONS:
        if action in (motion.forwards, motion.backwards):
            return motion, action == motion.forwards
    raise ValueError(f"wanted one of {', '.join(ACTIONS)}, got {action!r}")


def _scenes(motion: Motion, rng: np.random.Generator, frames: int, pairs: str) -> list[Scene]:
    allowed = tuple(pair for pair in PAIRS[pairs] if pair[1] in motion.categories)
    thing = replace(sample_thing(rng, allowed, size=""), pattern=str(rng.choice(("plain", "striped", "checkered"))))
    camera = sample_camera(rng, [replace(thing, size_metres=ROOM * thing.size_metres)])
    ground, sky = str(rng.choice(list(GROUNDS))), str(rng.choice(list(SKIES)))
    path = [motion.path(thing, camera, float(time)) for time in np.linspace(0, 1, frames)]
    return [Scene(things=(moved,), camera=camera, ground=ground, sky=sky) for moved in path]


def _sentences(thing: Thing, action: str) -> tuple[str, ...]:
    verb = action.replace("moving to", "rolling to") if thing.category in ROLLERS else action
    return (
        f"{with_article(thing.category)} {verb}",
        f"{with_article(thing.color)} {thing.category} {verb}",
        f"a video of {with_article(thing.color)} {thing.category} {verb}",
    )
