"""The 24 things of the Toybox, built from primitives.

Local frame: z up, the front towards +x, standing on z = 0, centred on the z axis, longest side 1.

Legend: F triangles, V vertices.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Float, Int
from trimesh.creation import box, cone, cylinder, icosphere, torus
from trimesh.transformations import rotation_matrix

# The role of a triangle decides its colour: the thing's own, or one of these fixed ones.
BODY, DARK, PALE, WOOD, SKIN, GLASS = range(6)
SECTIONS = 20  # sides of a round thing: smooth at the sizes we draw, few triangles to trace
MIN_SMOOTH_COSINE = 0.8  # neighbours that turn further than about 37 degrees meet in an edge


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The triangles of one category, with a normal for each corner and a role for each triangle."""

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    normals: Float[np.ndarray, "F 3 3"]
    roles: Int[np.ndarray, " F"]


Part = tuple[trimesh.Trimesh, int]


def _at(mesh: trimesh.Trimesh, x: float = 0, y: float = 0, z: float = 0) -> trimesh.Trimesh:
    return mesh.apply_translation((x, y, z))


def _block(size: tuple[float, float, float], x: float = 0, y: float = 0, z: float = 0) -> trimesh.Trimesh:
    """Return a box standing on height z."""
    return _at(box(size), x, y, z + size[2] / 2)


def _ball(radius: float, x: float = 0, y: float = 0, z: float = 0, stretch=(1, 1, 1)) -> trimesh.Trimesh:
    return _at(icosphere(subdivisions=2, radius=radius).apply_scale(stretch), x, y, z)


def _rod(radius: float, length: float, x: float = 0, y: float = 0, z: float = 0, axis="z") -> trimesh.Trimesh:
    """Return a cylinder along an axis, centred at (x, y, z)."""
    return _at(_turned(cylinder(radius, length, sections=SECTIONS), axis), x, y, z)


def _cone(radius: float, height: float, x: float = 0, y: float = 0, z: float = 0, axis="z") -> trimesh.Trimesh:
    """Return a cone whose base is centred at (x, y, z), pointing along +axis."""
    return _at(_turned(cone(radius, height, sections=SECTIONS), axis), x, y, z)


def _turned(mesh: trimesh.Trimesh, axis: str) -> trimesh.Trimesh:
    if axis == "x":
        return mesh.apply_transform(rotation_matrix(np.pi / 2, (0, 1, 0)))
    if axis == "y":
        return mesh.apply_transform(rotation_matrix(-np.pi / 2, (1, 0, 0)))
    return mesh


def _lathe(profile: list[tuple[float, float]]) -> trimesh.Trimesh:
    """Turn a profile of (radius, height) pairs around the z axis."""
    return trimesh.creation.revolve(np.array(profile), sections=SECTIONS)


def _prism(width: float, depth: float, height: float, z: float) -> trimesh.Trimesh:
    """Return a gable roof: a triangle in the y-z plane, drawn out along x."""
    x, y = width / 2, depth / 2
    corners = [(s * x, t * y, z) for s in (-1, 1) for t in (-1, 1)] + [
        (-x, 0, z + height),
        (x, 0, z + height),
    ]
    return trimesh.convex.convex_hull(np.array(corners))


def _legs(half_x: float, half_y: float, height: float, thick: float) -> list[trimesh.Trimesh]:
    return [_block((thick, thick, height), sx * half_x, sy * half_y) for sx in (-1, 1) for sy in (-1, 1)]


def _wheels(xs: tuple[float, ...], half_y: float, radius: float, width: float) -> list[Part]:
    return [(_rod(radius, width, x, side * half_y, radius, "y"), DARK) for x in xs for side in (-1, 1)]


def _body(*meshes: trimesh.Trimesh) -> list[Part]:
    return [(mesh, BODY) for mesh in meshes]


def _ball_thing() -> list[Part]:
    return _body(_ball(0.5, z=0.5))


def _cube() -> list[Part]:
    return _body(_block((1, 1, 1)))


def _cone_thing() -> list[Part]:
    return _body(_cone(0.42, 1.0))


def _ring() -> list[Part]:
    standing = torus(0.36, 0.13, major_sections=28, minor_sections=12).apply_transform(
        rotation_matrix(np.pi / 2, (0, 1, 0))
    )
    return _body(_at(standing, z=0.49))


def _chair() -> list[Part]:
    seat = _block((0.5, 0.5, 0.07), z=0.42)
    back = _block((0.07, 0.5, 0.55), x=-0.215, z=0.47)
    return _body(seat, back, *_legs(0.21, 0.21, 0.42, 0.07))


def _table() -> list[Part]:
    return _body(_block((1.0, 0.7, 0.07), z=0.55), *_legs(0.43, 0.28, 0.55, 0.08))


def _sofa() -> list[Part]:
    seat = _block((0.5, 1.0, 0.26))
    back = _block((0.16, 1.0, 0.58), x=-0.25)
    arms = [_block((0.5, 0.14, 0.42), y=side * 0.5) for side in (-1, 1)]
    return _body(seat, back, *arms)


def _bed() -> list[Part]:
    base = _block((1.3, 0.8, 0.16), z=0.1)
    blanket = _block((0.85, 0.82, 0.14), x=0.2, z=0.26)
    head = _block((0.08, 0.84, 0.6), x=-0.66)
    pillow = _block((0.26, 0.6, 0.14), x=-0.45, z=0.26)
    mattress = _block((1.28, 0.76, 0.1), z=0.24)
    return [(base, WOOD), (mattress, PALE), (blanket, BODY), (head, WOOD), (pillow, PALE)]


def _lamp() -> list[Part]:
    foot = _rod(0.2, 0.05, z=0.025)
    pole = _rod(0.035, 0.6, z=0.33)
    shade = _lathe([(0.3, 0.56), (0.17, 0.98), (0.15, 0.98), (0.28, 0.56), (0.3, 0.56)])
    return [(foot, DARK), (pole, DARK), (shade, BODY)]


def _mug() -> list[Part]:
    cup = _lathe([(0, 0), (0.3, 0), (0.33, 0.7), (0.28, 0.7), (0.26, 0.06), (0, 0.06)])
    handle = torus(0.17, 0.05, major_sections=18, minor_sections=8).apply_transform(
        rotation_matrix(np.pi / 2, (1, 0, 0))
    )
    return _body(cup, _at(handle, x=0.38, z=0.36))


def _bottle() -> list[Part]:
    glass = _lathe([(0, 0), (0.19, 0), (0.2, 0.5), (0.16, 0.62), (0.07, 0.74), (0.065, 0.92), (0, 0.92)])
    return [(glass, BODY), (_rod(0.075, 0.08, z=0.96), DARK)]


def _car() -> list[Part]:
    hull = _block((1.0, 0.46, 0.17), z=0.1)
    cabin = trimesh.convex.convex_hull(
        np.array(
            [(x, s * 0.21, 0.27) for x in (-0.36, 0.27) for s in (-1, 1)]
            + [(x, s * 0.18, 0.44) for x in (-0.25, 0.1) for s in (-1, 1)]
        )
    )
    return [(hull, BODY), (cabin, GLASS), (_block((0.33, 0.37, 0.02), -0.08, 0, 0.435), BODY)] + _wheels(
        (-0.3, 0.3), 0.21, 0.12, 0.1
    )


def _truck() -> list[Part]:
    cargo = _block((0.66, 0.44, 0.5), x=-0.17, z=0.16)
    cab = _block((0.26, 0.42, 0.34), x=0.33, z=0.12)
    pane = _block((0.03, 0.36, 0.14), x=0.455, z=0.3)
    return [(cargo, BODY), (cab, PALE), (pane, GLASS)] + _wheels((-0.36, -0.14, 0.33), 0.19, 0.11, 0.1)


def _airplane() -> list[Part]:
    hull = _ball(0.5, z=0.3, stretch=(1, 0.17, 0.17))
    wings = _block((0.2, 1.0, 0.03), x=0.03, z=0.28)
    tail = _block((0.12, 0.34, 0.03), x=-0.42, z=0.34)
    fin = _block((0.14, 0.03, 0.2), x=-0.43, z=0.33)
    engines = [(_rod(0.05, 0.17, 0.08, side * 0.27, 0.24, "x"), DARK) for side in (-1, 1)]
    return [*_body(hull, wings, tail, fin), *engines, (_ball(0.07, 0.33, 0, 0.36), GLASS)]


def _boat() -> list[Part]:
    hull = trimesh.convex.convex_hull(
        np.array(
            [(-0.42, -0.2, 0.2), (-0.42, 0.2, 0.2), (0.25, -0.2, 0.2), (0.25, 0.2, 0.2), (0.56, 0, 0.24)]
            + [(-0.36, -0.11, 0), (-0.36, 0.11, 0), (0.25, -0.09, 0), (0.25, 0.09, 0)]
        )
    )
    sail = trimesh.convex.convex_hull(
        np.array([(x, s * 0.012, z) for x, z in ((0.02, 0.3), (0.02, 0.95), (-0.4, 0.3)) for s in (-1, 1)])
    )
    return [(hull, BODY), (_rod(0.02, 0.8, 0.05, 0, 0.6), WOOD), (sail, PALE)]


def _rocket() -> list[Part]:
    hull = _lathe([(0, 0.1), (0.13, 0.1), (0.17, 0.35), (0.16, 0.62), (0.09, 0.85), (0, 1.0)])
    fins = [
        trimesh.convex.convex_hull(
            np.array([(r, s * 0.015, z) for r, z in ((0.12, 0.42), (0.12, 0.12), (0.34, 0)) for s in (-1, 1)])
        ).apply_transform(rotation_matrix(turn * np.pi / 2, (0, 0, 1)))
        for turn in range(4)
    ]
    return [(hull, BODY), *((fin, DARK) for fin in fins), (_ball(0.07, 0.14, 0, 0.6), GLASS)]


def _house() -> list[Part]:
    walls = _block((0.8, 0.7, 0.5))
    door = _block((0.03, 0.16, 0.3), x=0.4, y=-0.16)
    pane = _block((0.03, 0.16, 0.15), x=0.4, y=0.16, z=0.2)
    side = _block((0.16, 0.71, 0.15), z=0.2)
    return [(walls, PALE), (_prism(0.94, 0.86, 0.38, 0.5), BODY), (door, WOOD), (pane, GLASS), (side, GLASS)]


def _tree() -> list[Part]:
    crowns = [_cone(0.36, 0.42, z=0.24), _cone(0.29, 0.38, z=0.45), _cone(0.2, 0.34, z=0.66)]
    return [(_rod(0.075, 0.3, z=0.15), WOOD), *_body(*crowns)]


def _snowman() -> list[Part]:
    balls = [_ball(0.27, z=0.25), _ball(0.2, z=0.6), _ball(0.14, z=0.86)]
    eyes = [(_ball(0.025, 0.12, side * 0.05, 0.9), DARK) for side in (-1, 1)]
    hat = [(_rod(0.16, 0.03, z=0.98), DARK), (_rod(0.1, 0.14, z=1.05), DARK)]
    arms = [(_rod(0.02, 0.3, 0, side * 0.3, 0.66, "y"), WOOD) for side in (-1, 1)]
    return [*_body(*balls), *eyes, *hat, *arms, (_cone(0.03, 0.14, 0.13, 0, 0.86, "x"), WOOD)]


def _dumbbell() -> list[Part]:
    weights = [_rod(0.22, 0.16, y=side * 0.4, z=0.22, axis="y") for side in (-1, 1)]
    inner = [_rod(0.15, 0.1, y=side * 0.28, z=0.22, axis="y") for side in (-1, 1)]
    return [*_body(*weights, *inner), (_rod(0.05, 0.6, z=0.22, axis="y"), DARK)]


def _hammer() -> list[Part]:
    head = _block((0.2, 0.5, 0.2), z=0.78)
    return [(head, BODY), (_rod(0.055, 0.85, z=0.42), WOOD)]


def _person() -> list[Part]:
    trunk = _block((0.16, 0.28, 0.34), z=0.42)
    arms = [_block((0.1, 0.08, 0.34), y=side * 0.19, z=0.42) for side in (-1, 1)]
    legs = [(_block((0.12, 0.11, 0.42), y=side * 0.08), DARK) for side in (-1, 1)]
    hair = _ball(0.1, -0.02, 0, 0.9)
    return [*_body(trunk, *arms), *legs, (_ball(0.11, z=0.87), SKIN), (hair, DARK)]


def _dog() -> list[Part]:
    trunk = _block((0.56, 0.24, 0.24), z=0.26)
    head = _block((0.24, 0.22, 0.24), x=0.37, z=0.44)
    snout = _block((0.14, 0.12, 0.11), x=0.54, z=0.46)
    ears = [(_block((0.08, 0.05, 0.16), 0.33, side * 0.13, 0.55), DARK) for side in (-1, 1)]
    tail = _block((0.07, 0.06, 0.26), x=-0.28, z=0.44)
    nose = (_block((0.04, 0.06, 0.05), 0.615, 0, 0.53), DARK)
    return [*_body(trunk, head, snout, tail, *_legs(0.22, 0.08, 0.28, 0.09)), *ears, nose]


def _bird() -> list[Part]:
    trunk = _ball(0.26, z=0.42, stretch=(1.25, 0.85, 0.85))
    head = _ball(0.15, x=0.26, z=0.66)
    wings = [_ball(0.2, -0.05, side * 0.21, 0.45, (1.2, 0.25, 0.7)) for side in (-1, 1)]
    tail = trimesh.convex.convex_hull(
        np.array([(-0.25, 0, 0.4), (-0.25, 0, 0.46), (-0.6, -0.13, 0.5), (-0.6, 0.13, 0.5), (-0.6, 0, 0.54)])
    )
    eyes = [(_ball(0.025, 0.35, side * 0.1, 0.7), DARK) for side in (-1, 1)]
    legs = [(_rod(0.02, 0.24, 0.03, side * 0.08, 0.12), WOOD) for side in (-1, 1)]
    return [*_body(trunk, head, *wings, tail), *eyes, *legs, (_cone(0.055, 0.16, 0.38, 0, 0.65, "x"), WOOD)]


BUILDERS: dict[str, Callable[[], list[Part]]] = {
    "ball": _ball_thing,
    "cube": _cube,
    "cone": _cone_thing,
    "ring": _ring,
    "chair": _chair,
    "table": _table,
    "sofa": _sofa,
    "bed": _bed,
    "lamp": _lamp,
    "mug": _mug,
    "bottle": _bottle,
    "car": _car,
    "truck": _truck,
    "airplane": _airplane,
    "boat": _boat,
    "rocket": _rocket,
    "house": _house,
    "tree": _tree,
    "snowman": _snowman,
    "dumbbell": _dumbbell,
    "hammer": _hammer,
    "person": _person,
    "dog": _dog,
    "bird": _bird,
}
CATEGORIES: tuple[str, ...] = tuple(BUILDERS)


@functools.cache
def shape(category: str) -> Shape:
    """Return the triangles of a category; ValueError for a name the Toybox does not have."""
    if category not in BUILDERS:
        raise ValueError(f"wanted one of {', '.join(CATEGORIES)}, got {category!r}")
    parts = BUILDERS[category]()
    vertices = np.concatenate([mesh.vertices for mesh, _ in parts])
    low, high = vertices.min(0), vertices.max(0)
    scale = 1.0 / (high - low).max()
    centre = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh, _ in parts])
    return Shape(
        vertices=((vertices - centre) * scale).astype(np.float32),
        faces=np.concatenate([mesh.faces + start for (mesh, _), start in zip(parts, starts, strict=False)]).astype(
            np.int32
        ),
        normals=np.concatenate([_corner_normals(mesh) for mesh, _ in parts]).astype(np.float32),
        roles=np.concatenate([np.full(len(mesh.faces), role) for mesh, role in parts]).astype(np.int32),
    )


def _corner_normals(mesh: trimesh.Trimesh) -> Float[np.ndarray, "F 3 3"]:
    """Return at each corner the mean normal of the neighbours that meet there without an edge."""
    around = mesh.vertex_faces[mesh.faces]  # (F, 3, K) neighbours, padded with -1
    normals = mesh.face_normals[around]  # (F, 3, K, 3)
    own = mesh.face_normals[:, None, None]
    smooth = ((normals * own).sum(-1) > MIN_SMOOTH_COSINE) & (around >= 0)
    total = (normals * (smooth * mesh.area_faces[around])[..., None]).sum(2)  # (F, 3, 3)
    return total / np.linalg.norm(total, axis=-1, keepdims=True)
