"""Scenes of the Toybox: what stands where, who looks, where the light is, and which pairs training may see.

World frame: metres, z up, the ground at z = 0. Camera frame: x right, y down, z forward.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float

from core.world.shapes import CATEGORIES, shape

COLORS: dict[str, tuple[int, int, int]] = {  # sRGB
    "red": (214, 38, 38),
    "orange": (245, 140, 20),
    "yellow": (245, 222, 50),
    "green": (44, 160, 58),
    "blue": (40, 84, 214),
    "purple": (126, 52, 170),
    "pink": (250, 150, 195),
    "brown": (112, 66, 34),
    "black": (34, 34, 36),
    "white": (242, 242, 242),
}
PATTERNS = ("plain", "striped", "checkered", "dotted")
GROUNDS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {  # two sRGB colours of a checkerboard
    "grass": ((112, 156, 84), (104, 148, 78)),
    "sand": ((214, 194, 150), (208, 187, 142)),
    "snow": ((226, 232, 240), (220, 227, 236)),
    "a wooden floor": ((176, 138, 96), (164, 126, 86)),
    "a tiled floor": ((190, 192, 196), (160, 163, 168)),
    "a grey carpet": ((142, 140, 144), (137, 135, 139)),
    "a road": ((98, 99, 103), (94, 95, 99)),
}
SKIES: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {  # sRGB at the horizon, sRGB overhead
    "a blue sky": ((206, 226, 244), (96, 154, 220)),
    "a cloudy sky": ((214, 216, 220), (166, 172, 182)),
    "a sunset sky": ((248, 190, 142), (136, 110, 160)),
    "a dark sky": ((74, 82, 104), (28, 34, 56)),
    "a pale wall": ((236, 230, 220), (224, 218, 208)),
}
SIZES: dict[str, tuple[float, float]] = {"small": (0.5, 0.8), "": (0.9, 1.4), "big": (1.7, 2.4)}  # metres
NOVEL: tuple[str, ...] = ("sofa", "mug", "truck", "rocket", "dumbbell", "bird")
BASE: tuple[str, ...] = tuple(name for name in CATEGORIES if name not in NOVEL)


def is_held_out(color: str, category: str) -> bool:
    """Say whether this pair is one of the eighth that training never shows."""
    return (3 * list(COLORS).index(color) + CATEGORIES.index(category)) % 8 == 5


SEEN_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (color, name) for color in COLORS for name in CATEGORIES if not is_held_out(color, name)
)
HELD_OUT_PAIRS: tuple[tuple[str, str], ...] = tuple(
    (color, name) for color in COLORS for name in CATEGORIES if is_held_out(color, name)
)


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One object: its longest side is `size_metres`, the middle of its foot stands at `position`."""

    category: str
    color: str
    pattern: str = "plain"
    size_metres: float = 1.0
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    yaw_degrees: float = 0.0
    pitch_degrees: float = 0.0  # about the thing's own y axis: 90 lays it on its nose
    text: str = ""  # painted on the side that faces the camera
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)  # small variation of the named colour

    def __post_init__(self) -> None:
        if self.color not in COLORS or self.pattern not in PATTERNS or self.category not in CATEGORIES:
            raise ValueError(f"wanted a known category, color and pattern, got {self}")
        if self.size_metres <= 0:
            raise ValueError(f"wanted a size above 0 metres, got {self.size_metres}")

    @property
    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """The turn from the thing's own axes to the world's."""
        yaw, pitch = np.radians([self.yaw_degrees, self.pitch_degrees])
        turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        tip = np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]])
        return turn @ tip

    def corners(self) -> Float[np.ndarray, "8 3"]:
        """Return the corners of the thing's own bounding box, in the world, metres."""
        vertices = shape(self.category).vertices
        ends = np.stack([vertices.min(0), vertices.max(0)])
        picks = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        local = ends[picks, np.arange(3)]
        return self.size_metres * local @ self.rotation.T + np.array(self.position)

    @property
    def radius_metres(self) -> float:
        """The radius of the circle on the ground, around its position, that it stays within."""
        local = self.size_metres * shape(self.category).vertices @ self.rotation.T
        return float(np.hypot(local[:, 0], local[:, 1]).max())

    @property
    def top_metres(self) -> float:
        """The height of its highest corner."""
        return float(self.corners()[:, 2].max())


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera that looks from `eye` to `target`; the field of view spans the shorter side."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    fov_degrees: float = 45.0

    @cached_property
    def axes(self) -> Float[np.ndarray, "3 3"]:
        """The camera's right, down and forward directions in the world, one a row."""
        forward = np.subtract(self.target, self.eye)
        forward = forward / np.linalg.norm(forward)
        up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
        right = np.cross(forward, up)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(forward, right), forward])

    def focal_pixels(self, size_hw: tuple[int, int]) -> float:
        """Return the focal length in pixels of a picture of this size."""
        return 0.5 * min(size_hw) / np.tan(np.radians(self.fov_degrees) / 2)

    def rays(self, size_hw: tuple[int, int]) -> Float[np.ndarray, "HW 3"]:
        """Return a direction for each pixel's centre with z-depth 1: distance along it is depth in metres."""
        height, width = size_hw
        x = (np.arange(width) + 0.5 - width / 2) / self.focal_pixels(size_hw)
        y = (np.arange(height) + 0.5 - height / 2) / self.focal_pixels(size_hw)
        right, down, forward = self.axes
        rays = (x[:, None] * right)[None] + (y[:, None] * down + forward)[:, None]  # (H, W, 3)
        return rays.reshape(-1, 3).astype(np.float32)

    def project(self, points: Float[np.ndarray, "P 3"], size_hw: tuple[int, int]) -> Float[np.ndarray, "P 3"]:
        """Return x and y in pixels and depth in metres for points in the world."""
        local = (points - np.array(self.eye)) @ self.axes.T
        scale = self.focal_pixels(size_hw) / local[:, 2:]
        middle = np.array([size_hw[1] / 2, size_hw[0] / 2])
        return np.concatenate([local[:, :2] * scale + middle, local[:, 2:]], axis=1)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that a picture follows from."""

    things: tuple[Thing, ...]
    camera: Camera
    ground: str = "grass"
    sky: str = "a blue sky"
    sun: tuple[float, float, float] = field(default=(0.4, -0.5, 0.77))  # direction to the light

    def __post_init__(self) -> None:
        if self.ground not in GROUNDS or self.sky not in SKIES:
            raise ValueError(f"wanted a known ground and sky, got {self.ground!r} and {self.sky!r}")


def sample_thing(
    rng: np.random.Generator,
    pairs: tuple[tuple[str, str], ...] = SEEN_PAIRS,
    size: str | None = None,
) -> Thing:
    """Draw one thing at the origin whose colour and category are one of `pairs`."""
    color, category = pairs[rng.integers(len(pairs))]
    span = SIZES[size if size is not None else str(rng.choice(list(SIZES)))]
    return Thing(
        category=category,
        color=color,
        pattern=PATTERNS[0] if rng.random() < 0.6 else str(rng.choice(PATTERNS[1:])),
        size_metres=float(rng.uniform(*span)),
        yaw_degrees=float(rng.uniform(0, 360)),
        tint=tuple(rng.uniform(0.9, 1.08, 3).tolist()),
    )


def sample(
    rng: np.random.Generator,
    *,
    count: int | None = None,
    pairs: tuple[tuple[str, str], ...] = SEEN_PAIRS,
) -> Scene:
    """Draw a scene of `count` things (one to ten where not given), all in view of a free camera."""
    if count is None:
        count = 1 + min(9, int(rng.geometric(0.45)) - 1)
    things = [_place(rng, sample_thing(rng, pairs), index, count) for index in range(count)]
    if count > 1 and rng.random() < 0.3:
        things = _stack(rng, things)
    things = _apart(things)
    return Scene(
        things=tuple(things),
        camera=sample_camera(rng, things),
        ground=str(rng.choice(list(GROUNDS))),
        sky=str(rng.choice(list(SKIES))),
        sun=_sun(rng),
    )


def sample_camera(rng: np.random.Generator, things: list[Thing]) -> Camera:
    """Draw a camera that has all these things in view, from near to far."""
    corners = np.concatenate([thing.corners() for thing in things])
    low, high = corners.min(0), corners.max(0)
    centre, radius = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    fov = float(rng.uniform(35, 55))
    fill = rng.uniform(0.85, 1.35) if rng.random() < 0.85 else rng.uniform(0.4, 0.85)
    distance = radius / (np.sin(np.radians(fov) / 2) * fill)
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(6, 48))
    away = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    eye = centre + distance * away
    wander = rng.normal(0, 0.07 * radius, 3) / max(fill, 0.3)
    return Camera(
        eye=(float(eye[0]), float(eye[1]), float(max(eye[2], 0.15))),
        target=tuple((centre + wander).tolist()),
        fov_degrees=fov,
    )


def _sun(rng: np.random.Generator) -> tuple[float, float, float]:
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(35, 75))
    return (
        float(np.cos(azimuth) * np.cos(elevation)),
        float(np.sin(azimuth) * np.cos(elevation)),
        float(np.sin(elevation)),
    )


def _place(rng: np.random.Generator, thing: Thing, index: int, count: int) -> Thing:
    """Put a thing somewhere on a disc that grows with the number of things."""
    if count == 1:
        return thing
    angle = 2 * np.pi * (index + rng.uniform(-0.25, 0.25)) / count
    away = rng.uniform(0.8, 1.1) * (0.55 + 0.2 * count)
    return replace(thing, position=(float(away * np.cos(angle)), float(away * np.sin(angle)), 0.0))


def _stack(rng: np.random.Generator, things: list[Thing]) -> list[Thing]:
    """Put the second thing, made small, on top of the first where that is a table or a cube."""
    if things[0].category not in ("table", "cube"):
        return things
    height = things[0].top_metres
    x, y, _ = things[0].position
    size = things[0].size_metres * float(rng.uniform(0.35, 0.55))
    return [things[0], replace(things[1], size_metres=size, position=(x, y, height)), *things[2:]]


def _apart(things: list[Thing]) -> list[Thing]:
    """Push things outwards until no two bounding circles on the ground overlap."""
    placed: list[Thing] = []
    for thing in things:
        while thing.position[2] == 0 and any(_touch(thing, other) for other in placed):
            x, y, z = thing.position
            thing = replace(thing, position=(1.12 * x, 1.12 * y, z))
        placed.append(thing)
    return placed


def _touch(a: Thing, b: Thing) -> bool:
    apart = float(np.hypot(*np.subtract(a.position[:2], b.position[:2])))
    return b.position[2] == 0 and apart < a.radius_metres + b.radius_metres
