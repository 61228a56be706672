"""Cast rays through a scene: the picture, and the exact truth about it.

First hits and shadows come from Embree (through embreex), the ground is the plane z = 0 solved by hand. A ray's
direction has z-depth 1 in the camera frame, so the distance that Embree returns is the depth along the optical axis.

Legend: H height, W width, R rays, K things in the scene.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from core.results import Boxes, Cloud, DepthMap, LabelMap
from core.world.scene import COLORS, GROUNDS, SKIES, Camera, Scene, Thing
from core.world.shapes import BODY, CATEGORIES, DARK, GLASS, PALE, SKIN, WOOD, shape

ROLE_COLORS: dict[int, tuple[int, int, int]] = {  # sRGB of what is not painted in the thing's own colour
    DARK: (52, 52, 56),
    PALE: (226, 220, 208),
    WOOD: (150, 104, 62),
    SKIN: (226, 182, 148),
    GLASS: (128, 170, 196),
}
AMBIENT, SUN = 0.42, 0.62  # share of light from everywhere and from the sun
SHADOW_LIFT_METRES = 1e-3  # shadow rays start this far off the surface, or the surface shades itself
SUN_SPREAD = 0.05  # radius of the sun's disc against its distance: wider makes softer shadows
TILE_METRES = 0.7
TILE_FADE_METRES = 14.0
HAZE_METRES = 60.0
GAMMA = 2.2  # sRGB, near enough
CLOUD_POINTS = 1024  # as many as PointCLIP and its classical rivals take
PAPER = (32, 128)  # height and width of the bitmap that carries painted text
SKY, GROUND = -2, -1  # what a ray hit when it hit no thing


@dataclass(frozen=True, kw_only=True)
class Hits:
    """What R rays met."""

    things: Int[np.ndarray, " R"]  # index of the thing, GROUND or SKY
    metres: Float[np.ndarray, " R"]  # depth along the optical axis, infinity for SKY
    points: Float[np.ndarray, "R 3"]  # world, metres; zero for SKY
    normals: Float[np.ndarray, "R 3"]  # world, unit; zero for SKY
    roles: Int[np.ndarray, " R"]  # of the triangle, BODY where none was hit


@dataclass(frozen=True, kw_only=True)
class View:
    """One picture with everything that is true of it."""

    rgb: UInt8[np.ndarray, "H W 3"]
    depth: DepthMap
    instances: LabelMap  # indices into scene.things
    categories: LabelMap  # indices into CATEGORIES
    boxes: Boxes  # tight around the visible pixels, in the order of `visible`
    visible: tuple[int, ...]  # the things that show, by index
    scene: Scene

    @property
    def camera(self) -> Camera:
        """The camera that took it."""
        return self.scene.camera

    @cached_property
    def clouds(self) -> tuple[Cloud, ...]:
        """CLOUD_POINTS points on the whole surface of each visible thing, world metres, in the order of `visible`."""
        return tuple(
            surface_cloud(self.scene.things[index], CLOUD_POINTS, np.random.default_rng(index))
            for index in self.visible
        )


def surface_cloud(thing: Thing, count: int, rng: np.random.Generator) -> Cloud:
    """Draw points uniformly from a thing's surface, the far side too; world frame, metres, each with its colour."""
    solid = shape(thing.category)
    corners = solid.vertices[solid.faces]  # (F, 3, 3)
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    face = rng.choice(len(areas), count, p=areas / areas.sum())
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    local = (corners[face, 0] * (1 - u - v) + corners[face, 1] * u + corners[face, 2] * v).astype(np.float32)
    colors = 255 * _local_colors(thing, local, solid.roles[face]) ** (1 / GAMMA)
    points = thing.size_metres * local @ thing.rotation.T + np.array(thing.position)
    return Cloud(points=points.astype(np.float32), colors=np.clip(colors, 0, 255).astype(np.uint8))


class Tracer:
    """A scene made ready for rays."""

    def __init__(self, scene: Scene) -> None:
        """Gather all triangles of the scene in the world frame."""
        self.scene = scene
        shapes = [shape(thing.category) for thing in scene.things]
        turns = [thing.rotation.astype(np.float32) for thing in scene.things]
        starts = np.cumsum([0] + [len(each.vertices) for each in shapes])
        corners = [
            each.vertices @ turn.T * np.float32(thing.size_metres) + np.array(thing.position, np.float32)
            for thing, each, turn in zip(scene.things, shapes, turns, strict=True)
        ]
        faces = [each.faces + start for each, start in zip(shapes, starts, strict=False)]
        self.embree = None
        if shapes:
            self.embree = EmbreeScene()
            TriangleMesh(self.embree, np.concatenate(corners), np.concatenate(faces).astype(np.int32))
            self.normals = np.concatenate([each.normals @ turn.T for each, turn in zip(shapes, turns, strict=True)])
            self.roles = np.concatenate([each.roles for each in shapes])
            self.owners = np.repeat(np.arange(len(shapes)), [len(each.faces) for each in shapes])

    def cast(self, rays: Float[np.ndarray, "R 3"]) -> Hits:
        """Return the first thing each ray from the camera's eye meets."""
        eye = np.array(self.scene.camera.eye, np.float32)
        metres = np.full(len(rays), np.inf, np.float32)
        np.divide(-eye[2], rays[:, 2], out=metres, where=rays[:, 2] < 0)
        things = np.where(np.isfinite(metres), GROUND, SKY)
        normals = np.zeros_like(rays)
        normals[things == GROUND, 2] = 1
        roles = np.full(len(rays), BODY, np.int32)
        if self.embree is not None:
            found = self.embree.run(np.broadcast_to(eye, rays.shape).copy(), rays, query="INTERSECT", output=True)
            near = (found["primID"] >= 0) & (found["tfar"] < metres)
            triangle = found["primID"][near]
            metres[near] = found["tfar"][near]
            things[near] = self.owners[triangle]
            roles[near] = self.roles[triangle]
            normals[near] = self._smooth(triangle, found["u"][near], found["v"][near], rays[near])
        points = eye + np.where(np.isfinite(metres), metres, 0)[:, None] * rays
        points[things == SKY] = 0
        return Hits(things=things, metres=metres, points=points, normals=normals, roles=roles)

    def _smooth(self, triangle, u, v, rays):
        """Mix the corner normals at the hit, turned towards the viewer."""
        corner = self.normals[triangle]  # (R, 3, 3)
        normal = corner[:, 0] * (1 - u - v)[:, None] + corner[:, 1] * u[:, None] + corner[:, 2] * v[:, None]
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        return np.where((normal * rays).sum(1, keepdims=True) > 0, -normal, normal)

    def lit(self, hits: Hits, rng: np.random.Generator, count: int) -> Float[np.ndarray, " R"]:
        """Return the share of `count` points on the sun that each hit can see, 0 to 1."""
        lit = np.ones(len(hits.things), np.float32)
        asked = np.flatnonzero((hits.things != SKY) & (hits.metres < HAZE_METRES))
        if self.embree is None or not len(asked):
            return lit
        origins = (hits.points[asked] + SHADOW_LIFT_METRES * hits.normals[asked]).astype(np.float32)
        sun = np.array(self.scene.sun, np.float32)
        for _ in range(count):
            spread = rng.uniform(-SUN_SPREAD, SUN_SPREAD, (len(asked), 3)).astype(np.float32)
            first = self.embree.run(origins, sun + spread, query="OCCLUDED", output=False)
            lit[asked[np.asarray(first) >= 0]] -= 1 / count
        return np.clip(lit, 0, 1)


def render(scene: Scene, size_hw: tuple[int, int] = (128, 128), *, samples: int = 2) -> View:
    """Render a scene; the truth is that of each pixel's centre.

    Pixels at an edge get `samples` squared rays more, and each shadow `samples` rays: this smooths the picture where it
    shows and costs a third of doing it everywhere. Raises ValueError for sizes and sample counts below 1.
    """
    if min(size_hw) < 1 or samples < 1:
        raise ValueError(f"wanted a size and samples of at least 1, got {size_hw} and {samples}")
    tracer = Tracer(scene)
    rng = np.random.default_rng(0)  # only spreads the shadow rays: the same scene gives the same bytes
    rays = scene.camera.rays(size_hw)
    hits = tracer.cast(rays)
    colors = shade(tracer, rays, hits, tracer.lit(hits, rng, samples))
    edges = np.flatnonzero(crease_edges(hits, size_hw)) if samples > 1 else np.empty(0, int)
    if len(edges):
        steps = (np.arange(samples) + 0.5) / samples - 0.5
        right, down, _ = scene.camera.axes / scene.camera.focal_pixels(size_hw)
        shifts = np.array([x * right + y * down for x in steps for y in steps], np.float32)
        finer = (rays[edges] + shifts[:, None]).reshape(-1, 3)  # (samples^2 x edges, 3)
        found = tracer.cast(finer)
        shaded = shade(tracer, finer, found, tracer.lit(found, rng, 1))
        colors[edges] = shaded.reshape(len(shifts), len(edges), 3).mean(0)
    rgb = np.clip(255 * colors ** (1 / GAMMA) + 0.5, 0, 255).astype(np.uint8)
    return _with_truth(scene, rgb.reshape(*size_hw, 3), hits)


def crease_edges(hits: Hits, size_hw: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Mark pixels whose neighbour below or to the right shows another thing, another part or another face."""
    surface = (hits.things * 8 + hits.roles).reshape(size_hw)
    normals = hits.normals.reshape(*size_hw, 3)
    edges = np.zeros(size_hw, bool)
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        differs = (surface[here] != surface[there]) | ((normals[here] * normals[there]).sum(-1) < 0.8)
        differs &= (surface[here] != SKY * 8) | (surface[there] != SKY * 8)
        edges[here] |= differs
        edges[there] |= differs
    return edges


def shade(
    tracer: Tracer, rays: Float[np.ndarray, "R 3"], hits: Hits, lit: Float[np.ndarray, " R"]
) -> Float[np.ndarray, "R 3"]:
    """Return the linear colour that each ray brings back, 0 to 1."""
    scene = tracer.scene
    colors = np.empty_like(rays)
    sky = hits.things == SKY
    horizon, overhead = (_linear(color) for color in SKIES[scene.sky])
    height = np.clip(rays[sky, 2:] / np.linalg.norm(rays[sky], axis=1, keepdims=True) * 1.6, 0, 1)
    colors[sky] = horizon + (overhead - horizon) * height
    ground = hits.things == GROUND
    colors[ground] = _ground_colors(scene.ground, hits.points[ground], hits.metres[ground])
    for index, thing in enumerate(scene.things):
        mine = hits.things == index
        if mine.any():
            colors[mine] = _thing_colors(thing, scene.camera, hits.points[mine], hits.roles[mine])
    sun = np.array(scene.sun, np.float32)
    facing = np.clip(hits.normals @ (sun / np.linalg.norm(sun)), 0, 1) * lit
    light = np.where(sky, 1.0, AMBIENT + 0.12 * hits.normals[:, 2] + SUN * facing)
    colors = np.clip(colors * light[:, None], 0, 1)
    haze = 1 - np.exp(-hits.metres[ground] / HAZE_METRES)  # far ground fades into the sky
    colors[ground] += (horizon - colors[ground]) * haze[:, None]
    return colors


def _linear(color: tuple[int, int, int]) -> Float[np.ndarray, "3"]:
    return ((np.array(color, np.float32) / 255) ** GAMMA).astype(np.float32)


def _ground_colors(
    name: str, points: Float[np.ndarray, "R 3"], metres: Float[np.ndarray, " R"]
) -> Float[np.ndarray, "R 3"]:
    """Return the ground's checkerboard, whose contrast fades where tiles get smaller than a pixel."""
    tile = (np.floor(points[:, 0] / TILE_METRES) + np.floor(points[:, 1] / TILE_METRES)) % 2 - 0.5
    first, second = (_linear(color) for color in GROUNDS[name])
    contrast = tile / (1 + (metres / TILE_FADE_METRES) ** 2)
    return (first + second) / 2 + contrast[:, None] * (second - first)


def _thing_colors(
    thing: Thing, camera: Camera, points: Float[np.ndarray, "R 3"], roles: Int[np.ndarray, " R"]
) -> Float[np.ndarray, "R 3"]:
    local = (points - np.array(thing.position, np.float32)) @ thing.rotation / thing.size_metres
    colors = _local_colors(thing, local, roles)
    return _painted(thing, camera, points, colors) if thing.text else colors


def _local_colors(
    thing: Thing, local: Float[np.ndarray, "R 3"], roles: Int[np.ndarray, " R"]
) -> Float[np.ndarray, "R 3"]:
    """Return the linear colour of points in the thing's own frame (longest side 1)."""
    own = np.clip(_linear(COLORS[thing.color]) * np.array(thing.tint, np.float32), 0, 1)
    second = 0.35 * own if own.mean() > 0.25 else 0.62 * own + 0.2
    body = np.where(_pattern(thing.pattern, local)[:, None], second, own)
    table = np.stack([np.zeros(3)] + [_linear(ROLE_COLORS[role]) for role in sorted(ROLE_COLORS)])
    return np.where((roles == BODY)[:, None], body, table[roles]).astype(np.float32)


def _pattern(name: str, local: Float[np.ndarray, "R 3"]) -> np.ndarray:
    """Say which points carry the pattern's second shade, in the thing's own frame (longest side 1)."""
    if name == "striped":
        return np.floor(local[:, 2] * 7) % 2 > 0
    if name == "checkered":
        return np.floor(local * 5 + 0.01).sum(1) % 2 > 0
    if name == "dotted":
        cell = local * 5 - np.floor(local * 5) - 0.5
        return (cell**2).sum(1) < 0.13
    return np.zeros(len(local), bool)


def _painted(
    thing: Thing, camera: Camera, points: Float[np.ndarray, "R 3"], colors: Float[np.ndarray, "R 3"]
) -> Float[np.ndarray, "R 3"]:
    """Paint the thing's text on it, black on a white label, thrown from the camera like a slide."""
    right, down, _ = camera.axes
    corners = thing.corners()
    middle = corners.mean(0)
    half_width = 0.92 * np.abs((corners - middle) @ right).max()
    x = (points - middle) @ right / half_width  # -1 .. 1 over the label's width
    y = (points - middle) @ down / (half_width * PAPER[0] / PAPER[1])
    on = (np.abs(x) < 1) & (np.abs(y) < 1)
    paper = text_bitmap(thing.text)
    columns = np.clip(((x + 1) / 2 * PAPER[1]).astype(int), 0, PAPER[1] - 1)
    rows = np.clip(((y + 1) / 2 * PAPER[0]).astype(int), 0, PAPER[0] - 1)
    return np.where(on[:, None], paper[rows, columns][:, None], colors).astype(np.float32)


def text_bitmap(text: str) -> Float[np.ndarray, "H W"]:
    """Draw one line of text as large as the paper allows, 0 ink to 1 paper."""
    paper = Image.new("L", (PAPER[1], PAPER[0]), 255)
    draw = ImageDraw.Draw(paper)
    font = ImageFont.load_default(size=PAPER[0])
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    scale = min(1.0, 0.94 * PAPER[1] / max(1, right - left), 0.94 * PAPER[0] / max(1, bottom - top))
    font = ImageFont.load_default(size=max(1.0, scale * PAPER[0]))
    draw.text((PAPER[1] / 2, PAPER[0] / 2), text, fill=0, font=font, anchor="mm")
    return np.asarray(paper, np.float32) / 255


def _with_truth(scene: Scene, rgb: UInt8[np.ndarray, "H W 3"], hits: Hits) -> View:
    size_hw = rgb.shape[:2]
    instances = np.where(hits.things >= 0, hits.things, -1).reshape(size_hw).astype(np.int32)
    kinds = np.array([CATEGORIES.index(thing.category) for thing in scene.things] + [-1], np.int32)
    visible = tuple(int(index) for index in np.unique(instances) if index >= 0)
    boxes = np.array([_box(instances == index) for index in visible], np.float32).reshape(-1, 4)
    return View(
        rgb=rgb,
        depth=DepthMap(metres=hits.metres.reshape(size_hw).astype(np.float32)),
        instances=LabelMap(ids=instances, labels=tuple(f"{t.color} {t.category}" for t in scene.things)),
        categories=LabelMap(ids=kinds[instances], labels=CATEGORIES),
        boxes=Boxes(
            boxes_xyxy=boxes,
            labels=tuple(scene.things[index].category for index in visible),
            scores=np.ones(len(visible), np.float32),
            size_hw=size_hw,
        ),
        visible=visible,
        scene=scene,
    )


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
