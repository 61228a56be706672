"""The user's 3D files in: meshes and clouds of points, to a cloud in the unit sphere with +Y up.

What cannot be read is a ValueError with one sentence for the user.

Legend: N points, F triangles, P points that are kept.
"""

import io
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float

from core.media_ply import read_ply_points
from core.results import Cloud

MOST_VERTICES = 5_000_000
LARGEST_BYTES = 500_000_000  # more is refused before it is read
MESH_OVERSAMPLING = 4  # points drawn on a mesh for each that is kept, so that the kept ones can spread
MOST_CANDIDATES = 20_000  # points among which the farthest is looked for, and drawn on a mesh to be seen whole
CANDIDATES_A_POINT = 4
ROW = 1024  # points that are compared at once in looking for the outermost
MESH_ENDINGS = ("obj", "off", "stl", "glb")
COMMENTS = ("#", "//")
PCD_HEADER_BYTES = 4096


def read_cloud(path: str | Path, *, up: str = "y", count: int = 1024, seed: int = 0) -> Cloud:
    """Return at most `count` spread points of a mesh's surface or a cloud, in the unit sphere, +Y up.

    `up` is the axis that points up in the file. The same seed gives the same points.
    """
    rng = np.random.default_rng(seed)
    return unit_cloud(_read(Path(path), MESH_OVERSAMPLING * count, rng), up=up, count=count, rng=rng)


def read_whole_cloud(path: str | Path, *, up: str = "y", seed: int = 0) -> Cloud:
    """Return every point of a scan, or many of a mesh's surface, placed as `read_cloud` places them."""
    rng = np.random.default_rng(seed)
    return unit_cloud(_read(Path(path), MOST_CANDIDATES, rng), up=up, count=MOST_VERTICES, rng=rng)


def write_ply(cloud: Cloud, path: Path) -> None:
    """Write a cloud's points, with their colours where they have any, as binary PLY."""
    trimesh.PointCloud(cloud.points, cloud.colors).export(path)


def unit_cloud(
    points: Float[np.ndarray, "N 3"], *, up: str = "y", count: int = 1024, rng: np.random.Generator
) -> Cloud:
    """Keep at most `count` spread points, centre them, scale them into the unit sphere, turn +Y up."""
    if up not in ("y", "z") or count < 1:
        raise ValueError(f"wanted up as 'y' or 'z' and a count of at least 1, got {up!r} and {count}")
    if not len(points):
        raise ValueError("This file holds no points.")
    _check_count(len(points))
    least, most = outermost(points, np.minimum), outermost(points, np.maximum)
    _check_finite(np.stack([least, most]))  # NaN and infinity would be among them
    largest = (most / 2 - least / 2).max()  # halved first: the sum of huge numbers is infinite
    if not largest > 0:
        raise ValueError("All points of this file lie in one place: there is no shape to see.")
    candidates = max(count, min(MOST_CANDIDATES, CANDIDATES_A_POINT * count))
    if len(points) > candidates:
        points = points[rng.choice(len(points), candidates, replace=False)]
    kept = farthest_points((points - (most / 2 + least / 2)) / largest, count, rng)
    kept = kept - kept.mean(0)
    kept /= max(float(np.linalg.norm(kept, axis=1).max()), 1e-12)  # one point alone lies at the centre
    if up == "z":
        kept = kept[:, [0, 2, 1]] * (1, 1, -1)
    return Cloud(points=np.ascontiguousarray(kept, np.float32))


def outermost(points: Float[np.ndarray, "N 3"], find: np.ufunc) -> Float[np.ndarray, "3"]:
    """Return the smallest (np.minimum) or largest (np.maximum) along each axis; NaN where one is among them."""
    whole = len(points) // ROW * ROW
    rows = points[:whole].reshape(-1, 3 * ROW)  # long ones: along an axis of three, NumPy takes thirty times as long
    folded = find.reduce(rows, 0).reshape(-1, 3) if whole else points[:0]
    return find.reduce(np.concatenate([folded, points[whole:]]), 0).astype(np.float64)


def farthest_points(points: Float[np.ndarray, "N 3"], count: int, rng: np.random.Generator) -> Float[np.ndarray, "P 3"]:
    """Choose points one by one, each the farthest from those chosen; all of them where there are no more.

    The points should lie around the origin: in single precision, as here, distances below a thousandth of the
    farthest point's are not told apart. No picture shows them.
    """
    if len(points) <= count:
        return points
    places = points.astype(np.float32)
    squares = (places**2).sum(1)
    ones = np.ones_like(squares)
    lifted, asked = np.stack([*(-2 * places.T), squares, ones]), np.column_stack([places, ones, squares])
    chosen = np.empty(count, np.intp)
    chosen[0] = rng.integers(len(points))
    distance, away = np.full_like(squares, np.inf), np.empty_like(squares)
    for place in range(1, count):
        np.dot(asked[chosen[place - 1]], lifted, out=away)  # |a - b|^2 = -2ab + b^2 + a^2, for every b
        np.minimum(distance, away, out=distance)
        chosen[place] = distance.argmax()
    return points[chosen]


def surface_points(
    triangles: Float[np.ndarray, "F 3 3"], count: int, rng: np.random.Generator
) -> Float[np.ndarray, "N 3"]:
    """Draw points uniformly from the surface of triangles; their corners where they have no area."""
    first, second, third = (triangles[:, corner].astype(np.float64) for corner in range(3))
    with np.errstate(over="ignore", invalid="ignore"):  # of corners too far apart, which are looked at below
        areas = np.linalg.norm(np.cross(second - first, third - first), axis=1)
    if not (areas.sum() > 0 and np.isfinite(areas.sum())):
        return triangles.reshape(-1, 3)
    face = rng.choice(len(areas), count, p=areas / areas.sum())
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return first[face] * (1 - u - v) + second[face] * u + third[face] * v


def _read(path: Path, count: int, rng: np.random.Generator) -> Float[np.ndarray, "N 3"]:
    """Return the points of a scan, or `count` of a mesh's surface; ValueError in one sentence for the rest."""
    ending = path.suffix.lower().removeprefix(".")
    if ending not in READERS:
        raise ValueError(f"This is not a 3D file that can be read; wanted one of {', '.join(READERS).upper()}.")
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError(f"This file is larger than {LARGEST_BYTES // 1_000_000} MB.")
        if not path.stat().st_size:
            raise ValueError("This file is empty.")
        return READERS[ending](path, count, rng)
    except FileNotFoundError:
        raise ValueError(f"There is no file {path.name}.") from None
    except IsADirectoryError:
        raise ValueError(f"{path.name} is a folder, not a 3D file.") from None
    except OSError:
        raise ValueError("This file cannot be read from the disk.") from None


def _check_count(points: int) -> None:
    if points > MOST_VERTICES:
        raise ValueError(f"This file has more than {MOST_VERTICES // 1_000_000} million points; make it smaller first.")


def _check_finite(points: np.ndarray) -> None:
    if not np.isfinite(points).all():
        raise ValueError("This file holds points that are not numbers (NaN or infinity).")


def _vertices(part: trimesh.parent.Geometry) -> int:
    """Return a part's vertices, or what its triangles would need on a closed surface where these are more."""
    return max(len(part.vertices), len(getattr(part, "faces", ())) // 2)


def _read_mesh(path: Path, count: int, rng: np.random.Generator) -> Float[np.ndarray, "N 3"]:
    """Draw points on a mesh's surface, or return the vertices of a file without faces."""
    ending = path.suffix.lower().removeprefix(".")
    unreadable = ValueError(f"This file is not {ending.upper()}, or is damaged or cut off.")
    try:  # from memory, so that nothing else on the disk is opened because the file names it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scene = trimesh.load_scene(
                io.BytesIO(path.read_bytes()), file_type=ending, process=False, skip_materials=True
            )
    except OSError:
        raise
    except Exception:  # what a file that is something else makes trimesh raise has no common kind
        raise unreadable from None
    nodes = [scene.graph[node] for node in scene.graph.nodes_geometry]
    _check_count(sum(_vertices(scene.geometry[name]) for _, name in nodes))  # one mesh can stand in many places
    triangles, points = [], []
    for place, name in nodes:
        part = scene.geometry[name]
        vertices = np.asarray(part.vertices, np.float64)
        if not np.array_equal(place, np.eye(4)):
            vertices = vertices @ place[:3, :3].T + place[:3, 3]
        faces = getattr(part, "faces", None)
        if faces is None or not len(faces):
            points.append(vertices)
        elif faces.min() < 0 or faces.max() >= len(vertices):
            raise unreadable
        else:
            triangles.append(vertices[faces])
    if not triangles:
        return np.concatenate(points) if points else np.empty((0, 3))
    corners = np.concatenate(triangles)
    _check_finite(corners)
    return surface_points(corners, count, rng)


def _read_ply(path: Path, count: int, rng: np.random.Generator) -> Float[np.ndarray, "N 3"]:
    """Read points that are all there is in one go, and other PLY files as meshes are read."""
    points = read_ply_points(path)
    return _read_mesh(path, count, rng) if points is None else points


def _read_xyz(path: Path, count: int, rng: np.random.Generator) -> Float[np.ndarray, "N 3"]:
    """Read lines that begin with three numbers, parted by spaces, commas or semicolons."""
    return _table(path.read_bytes(), (0, 1, 2), "XYZ")


def _read_pcd(path: Path, count: int, rng: np.random.Generator) -> Float[np.ndarray, "N 3"]:
    """Read the x, y and z of an ASCII PCD, whose header says where they stand."""
    data = path.read_bytes()
    header = data[:PCD_HEADER_BYTES].decode("latin-1")
    kind = re.search(r"^DATA\s+(\w+)[^\n]*(\n|$)", header, re.M)
    fields = re.search(r"^FIELDS\s+(.+)$", header, re.M)
    if not kind or not fields:
        raise ValueError("This file is not PCD, or is damaged or cut off.")
    if kind[1].lower() != "ascii":
        raise ValueError("This PCD file is binary; save it as ASCII first.")
    names = fields[1].split()
    counts = re.search(r"^COUNT\s+(.+)$", header, re.M)
    widths = counts[1].split() if counts else ["1"] * len(names)
    if not {"x", "y", "z"} <= set(names) or len(widths) != len(names) or not all(map(str.isdigit, widths)):
        raise ValueError("This PCD file has no fields x, y and z.")
    starts = np.cumsum([0, *map(int, widths)])
    return _table(data[kind.end() :], tuple(int(starts[names.index(axis)]) for axis in "xyz"), "PCD")


def _read_npy(path: Path, count: int, rng: np.random.Generator) -> Float[np.ndarray, "N 3"]:
    """Read an array of points, whose first three columns are x, y and z."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a header can claim any size
    except (ValueError, EOFError, MemoryError, OverflowError):
        raise ValueError("This file is not NPY with plain numbers, or is damaged or cut off.") from None
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
        raise ValueError("This NPY file is not a table of points: wanted numbers in the shape (points, 3 or more).")
    _check_count(len(array))
    return np.array(array[:, :3], np.float64)


def _table(data: bytes, columns: tuple[int, ...], kind: str) -> Float[np.ndarray, "N 3"]:
    """Read columns of numbers from text; one line of column names or a count of lines may come first."""
    text = data.decode("latin-1").translate(str.maketrans(",;\t\r", "    "))
    lines = io.StringIO(text)
    first = next((line for line in lines if line.strip() and not line.strip().startswith(COMMENTS)), "")
    if not _is_heading(first, columns):
        lines.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of no lines, which `_check` says better
            return np.loadtxt(lines, comments=COMMENTS, usecols=columns, ndmin=2, max_rows=MOST_VERTICES + 1)
    except (ValueError, IndexError, MemoryError):
        raise ValueError(f"This file is not {kind}: wanted numbers for x, y and z in every line.") from None


def _is_heading(line: str, columns: tuple[int, ...]) -> bool:
    words = line.split()
    if len(words) <= max(columns):
        return len(words) == 1 and words[0].isdigit()
    return [words[column].lower() for column in columns] == ["x", "y", "z"]


READERS: dict[str, Callable[[Path, int, np.random.Generator], np.ndarray]] = {
    "ply": _read_ply,
    **dict.fromkeys(MESH_ENDINGS, _read_mesh),
    "xyz": _read_xyz,
    "npy": _read_npy,
    "pcd": _read_pcd,
}
