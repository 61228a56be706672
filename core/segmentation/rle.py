"""Masks as run lengths, in COCO's uncompressed layout: columns one after another, beginning with the zeros.

Format: https://cocodataset.org/#format-data; pycocotools reads it (mask.frPyObjects).
"""

from typing import Any

import numpy as np
from jaxtyping import Bool


def encode(mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """Return {'size': [H, W], 'counts': run lengths}."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    starts_inside = bool(flat.size) and bool(flat[0])
    return {"size": list(mask.shape), "counts": [0, *counts] if starts_inside else counts}


def decode(runs: dict[str, Any]) -> Bool[np.ndarray, "H W"]:
    """Return the mask; ValueError where the runs do not fill the size."""
    height, width = runs["size"]
    if sum(runs["counts"]) != height * width:
        raise ValueError(f"wanted runs of {height * width} pixels, got {sum(runs['counts'])}")
    values = np.arange(len(runs["counts"])) % 2 == 1
    return np.repeat(values, runs["counts"]).reshape((height, width), order="F")
