"""Labelled masks as the contents of files: an index PNG, COCO's instance layout, and a table.

Format: https://cocodataset.org/#format-data; masks are COCO's compressed run lengths, which pycocotools reads and
writes. Categories and annotations are counted from 1, as COCO does; labels in an index picture from 0.

Legend: H W the picture.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image
from pycocotools import mask as run_lengths

from core.results import LabelMap
from core.viz.segments import label_colors

NOTHING = 255  # in an index picture: no label
COLUMNS = ("label", "score", "pixels", "share", "x0", "y0", "x1", "y1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """One mask with its label's index and how sure that is, None where nothing said so."""

    mask: Bool[np.ndarray, "H W"]
    label: int
    score: float | None = None


def encode(mask: Bool[np.ndarray, "H W"]) -> dict[str, Any]:
    """Return a mask as COCO has it: {'size': [H, W], 'counts': compressed run lengths}."""
    runs = run_lengths.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": runs["counts"].decode("ascii")}


def decode(runs: dict[str, Any]) -> Bool[np.ndarray, "H W"]:
    """Return the mask that `encode` was given."""
    return np.asarray(run_lengths.decode(runs)).astype(bool)


def pieces_of(label_map: LabelMap) -> list[Piece]:
    """Return a piece for each label that has a pixel."""
    masks = (label_map.mask(index) for index in range(len(label_map.labels)))
    return [Piece(mask=mask, label=index) for index, mask in enumerate(masks) if mask.any()]


def index_picture(label_map: LabelMap) -> UInt8[np.ndarray, "H W"]:
    """Return each pixel's label, counted from 0, NOTHING for none; ValueError for more labels than a byte can count."""
    if len(label_map.labels) > NOTHING:
        raise ValueError(f"An index PNG holds at most {NOTHING} labels; these are {len(label_map.labels)}.")
    return np.where(label_map.ids < 0, NOTHING, label_map.ids).astype(np.uint8)


def index_png(label_map: LabelMap) -> bytes:
    """Return the index picture as a PNG whose palette has the labels' colours; a pixel's value stays its index."""
    image = Image.fromarray(index_picture(label_map))
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(label_map.labels)] = label_colors(len(label_map.labels))
    image.putpalette(palette.tobytes())
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def coco(pieces: Sequence[Piece], labels: Sequence[str], size_hw: tuple[int, int], file_name: str) -> dict[str, Any]:
    """Return one picture's pieces in COCO's instance layout; a piece without a pixel is left out."""
    kept = [piece for piece in pieces if piece.mask.any()]
    return {
        "images": [{"id": 1, "file_name": file_name, "height": size_hw[0], "width": size_hw[1]}],
        "categories": [{"id": index + 1, "name": label} for index, label in enumerate(labels)],
        "annotations": [_annotation(piece, number + 1) for number, piece in enumerate(kept)],
    }


def table(pieces: Sequence[Piece], labels: Sequence[str]) -> str:
    """Return the pieces as CSV, a row each, under COLUMNS; boxes are xyxy, the end exclusive."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(COLUMNS)
    for piece in pieces:
        if piece.mask.any():
            x, y, width, height = _box(piece.mask)
            score = "" if piece.score is None else f"{piece.score:.4f}"
            share = f"{piece.mask.mean():.6f}"
            rows.writerow((labels[piece.label], score, int(piece.mask.sum()), share, x, y, x + width, y + height))
    return file.getvalue()


def _annotation(piece: Piece, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": 1,
        "category_id": piece.label + 1,
        "bbox": _box(piece.mask),
        "area": int(piece.mask.sum()),
        "iscrowd": 0,
        "segmentation": encode(piece.mask),
    } | ({} if piece.score is None else {"score": piece.score})


def _box(mask: Bool[np.ndarray, "H W"]) -> list[int]:
    """Return x, y, width and height of the box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [
        int(columns[0]),
        int(rows[0]),
        int(columns[-1] - columns[0]) + 1,
        int(rows[-1] - rows[0]) + 1,
    ]
