"""PLY files whose points are all there is, read in one go: scans of millions of points.

Format: Turk 1994, The PLY Polygon File Format, http://paulbourke.net/dataformats/ply/. Meshes, texts and everything
unusual are left to trimesh, which takes ten times as long for a million points because it builds a scene.

Legend: N points.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float

SIZES = {"char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4"}
SIZES |= {"float": "<f4", "double": "<f8"}
NEW_NAMES = {"int8": "char", "uint8": "uchar", "int16": "short", "uint16": "ushort", "int32": "int", "uint32": "uint"}
NEW_NAMES |= {"float32": "float", "float64": "double"}
TYPES = SIZES | {new: SIZES[old] for new, old in NEW_NAMES.items()}
MOST_LINES, LONGEST_LINE = 200, 4096  # of a header; a file of another kind can be one line without an end
BINARY = ["format", "binary_little_endian", "1.0"]
AXES = ("x", "y", "z")


def read_ply_points(path: Path) -> Float[np.ndarray, "N 3"] | None:
    """Return the points of a binary PLY without faces, in the file's own precision; None for every other file.

    Raises ValueError for a PLY of any kind whose points have no x, y and z: colours alone, or two dimensions.
    """
    with path.open("rb") as file:
        header = _header(file)
        layout = _layout(header)
        if layout is None:
            return None
        count, fields, alone = layout
        if count and not set(AXES) <= {name for name, _ in fields}:
            raise ValueError("This PLY file has no fields x, y and z.")
        row = np.dtype(fields)
        if not (alone and BINARY in header and path.stat().st_size == file.tell() + count * row.itemsize):
            return None
        table = np.fromfile(file, row, count)
    kinds = {kind for name, kind in fields if name in AXES}
    if row.names == AXES and len(kinds) == 1:
        points = table.view(kinds.pop()).reshape(-1, 3)  # no copy
    else:
        points = np.stack([table[axis] for axis in AXES], axis=-1)
    return points if points.dtype.kind == "f" else points.astype(np.float64)


def _header(file: BinaryIO) -> list[list[str]]:
    """Return the words of each line up to the end of the header; none where this is no PLY's."""
    if file.readline(LONGEST_LINE).strip() != b"ply":
        return []
    lines = []
    for _ in range(MOST_LINES):
        words = file.readline(LONGEST_LINE).decode("latin-1").split()
        if words == ["end_header"]:
            return lines
        lines.append(words)
    return []


def _layout(header: Sequence[Sequence[str]]) -> tuple[int, list[tuple[str, str]], bool] | None:
    """Return the number of points, the name and type of each of their numbers, and whether they are all there is.

    None where the points do not come first or their numbers are not of a fixed size.
    """
    count, fields, alone, element = None, [], True, ""
    for line in header:
        match line:
            case ["element", element, number] if number.isdigit():
                if (element == "vertex") != (count is None):
                    return None
                count, alone = (int(number), True) if element == "vertex" else (count, alone and not int(number))
            case ["property", kind, name] if element == "vertex":
                if kind not in TYPES or name in dict(fields):
                    return None
                fields.append((name, TYPES[kind]))
            case ["property", "list", *_] if element == "vertex":
                return None
            case ["property" | "comment" | "obj_info" | "format", *_]:
                pass
            case _:
                return None
    return None if count is None else (count, fields, alone)
