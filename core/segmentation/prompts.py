"""Prompts for a promptable segmenter: clicks, boxes from two clicks, and what is measured on masks.

Points are indices of pixels, as a click gives them; boxes are xyxy with the end exclusive. Masks are (H, W) bool.

Legend: M and N masks, H height, W width.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt

Click = tuple[float, float]


def check_points(points: Sequence[Click], labels: Sequence[int], size_hw: tuple[int, int]) -> None:
    """Raise ValueError unless there are clicks, all in the picture, each said to be inside (1) or outside (0)."""
    height, width = size_hw
    if not len(points) or len(points) != len(labels):
        raise ValueError(f"wanted at least one click and a label for each, got {len(points)} and {len(labels)}")
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"Click inside the picture: ({x:g}, {y:g}) is outside {width} x {height} pixels.")
    if not set(labels) <= {0, 1}:
        raise ValueError(f"wanted 1 for inside or 0 for outside at each click, got {sorted(set(labels))}")


def check_box(box_xyxy: Sequence[float], size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the part of a box that lies in the picture; ValueError where there is none."""
    height, width = size_hw
    if len(box_xyxy) != 4 or not np.isfinite(box_xyxy).all():
        raise ValueError(f"wanted a box as four numbers x0, y0, x1, y1, got {list(box_xyxy)}")
    x0, y0, x1, y1 = (float(value) for value in box_xyxy)
    x0, x1, y0, y1 = max(x0, 0.0), min(x1, float(width)), max(y0, 0.0), min(y1, float(height))
    if x1 <= x0 or y1 <= y0:
        raise ValueError("The box has no area inside the picture: click two opposite corners of it.")
    return x0, y0, x1, y1


def box_from_clicks(first: Click, second: Click) -> tuple[float, float, float, float]:
    """Return the box whose opposite corners two clicks name, in any order; both pixels are in it."""
    (x0, x1), (y0, y1) = sorted((first[0], second[0])), sorted((first[1], second[1]))
    return x0, y0, x1 + 1, y1 + 1


def deepest_point(mask: Bool[np.ndarray, "H W"]) -> tuple[int, int]:
    """Return x and y of the pixel furthest from the mask's edge and the picture's; ValueError for an empty mask."""
    if not mask.any():
        raise ValueError("The mask is empty: there is no point inside it.")
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), mask.shape)
    return int(column), int(row)


def mask_box(mask: Bool[np.ndarray, "H W"]) -> tuple[int, int, int, int]:
    """Return the box around a mask, xyxy, end exclusive; ValueError for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise ValueError("The mask is empty: there is no box around it.")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def overlaps(first: Bool[np.ndarray, "M H W"], second: Bool[np.ndarray, "N H W"]) -> Float[np.ndarray, "M N"]:
    """Return the intersection over union of each mask with each other one; 0 where both are empty."""
    pixels = first.shape[1] * first.shape[2]
    a, b = (masks.reshape(len(masks), pixels).astype(np.float32) for masks in (first, second))
    common = a @ b.T
    union = a.sum(1)[:, None] + b.sum(1)[None] - common
    return common / np.maximum(union, 1)


def paint_order(masks: Bool[np.ndarray, "M H W"]) -> Int[np.ndarray, " M"]:
    """Return the masks' indices from largest to smallest, so that what lies on something is painted after it."""
    return np.argsort(-masks.sum((1, 2)), kind="stable")
