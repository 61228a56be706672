"""Pictures with boxes and outlines from a COCO file (https://cocodataset.org/#format-data), for what finds things.

A source is the JSON, or a folder that holds one, as annotation tools export it. Pictures that are missing or damaged
are left out, counted and named; boxes without an area and crowds are passed over. Outlines are polygons or run lengths.

Legend: N pictures, K things of one, H W its sides.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from core.train.photos import FORMATS, HELD_BACK, REASONS, UNREADABLE, Report
from core.train.sources import class_name, coco_path, picture_beside

MOST_THINGS = 100  # of one picture
MOST_BYTES = 2_000_000_000  # of all pictures as they are kept


@dataclass(frozen=True, kw_only=True)
class Annotated:
    """One picture with what is in it, all in its own pixels."""

    rgb: UInt8[np.ndarray, "H W 3"]
    boxes: Float[np.ndarray, "K 4"]  # xyxy, end exclusive
    kinds: tuple[str, ...]
    masks: Bool[np.ndarray, "K H W"] | None = None


@dataclass(frozen=True, kw_only=True)
class AnnotatedSet:
    """Pictures to learn from, others to measure on, the classes in the file's order, and what became of the files."""

    train: tuple[Annotated, ...]
    test: tuple[Annotated, ...]
    names: tuple[str, ...]
    report: Report


def annotated(source: str, *, longest: int, outlines: bool = False) -> AnnotatedSet:
    """Read a COCO file's pictures, made no larger than `longest` pixels; every tenth is for measuring.

    With `outlines` the things are those that have one, and each picture's longer side is just so many pixels, as SAM
    has it. Raises ValueError in one sentence where there is too little.
    """
    table = coco_path(Path(source))
    images, names, notes = _content(table)
    wanted = [(image, _things(notes.get(image["id"], ()), names, outlines)) for image in images]
    wanted = [(image, things) for image, things in wanted if things]
    if not wanted:
        raise ValueError(f"No picture of {table.name} has {'an outline' if outlines else 'a box'}.")
    if len(wanted) * longest * longest * 3 > MOST_BYTES:
        raise ValueError(f"{len(wanted)} pictures of {longest} pixels a side do not fit into the memory: give fewer.")
    read, reasons = [], []
    for image, things in wanted:
        try:
            read.append(_read(table, image, things, longest, outlines))
        except FileNotFoundError:
            reasons.append(f"{image['file_name']}: there is no such file")
        except (*UNREADABLE, Image.DecompressionBombError):
            reasons.append(f"{image['file_name']}: not a picture, or damaged")
    read = [each for each in read if len(each.kinds)]
    if not read:
        raise ValueError(f"None of the {len(wanted)} pictures that {table.name} names can be read.")
    if len(read) == 1:
        raise ValueError(f"There is one picture with something in it in {table.name}: give at least two.")
    held = [place % HELD_BACK == HELD_BACK - 1 or (len(read) < HELD_BACK and place == 0) for place in range(len(read))]
    there = {kind for each in read for kind in each.kinds}
    return AnnotatedSet(
        train=tuple(each for each, is_held in zip(read, held, strict=True) if not is_held),
        test=tuple(each for each, is_held in zip(read, held, strict=True) if is_held),
        names=tuple(dict.fromkeys(name for name in names.values() if name in there)),
        report=Report(source=table.name, read=len(read), skipped=len(reasons), reasons=tuple(reasons[:REASONS])),
    )


def _content(table: Path) -> tuple[list[dict[str, Any]], dict[Any, str], dict[Any, list[dict[str, Any]]]]:
    """Return the pictures, the names of the classes, and the notes of each picture."""
    try:
        content = json.loads(table.read_text("utf-8-sig"))
        names = {each["id"]: class_name(str(each["name"])) for each in content["categories"]}
        images = [{"id": each["id"], "file_name": str(each["file_name"])} for each in content["images"]]
        notes: dict[Any, list[dict[str, Any]]] = {}
        for note in content["annotations"]:
            notes.setdefault(note["image_id"], []).append(note)
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"{table.name} is not a COCO file with boxes: wanted images, categories and annotations."
        ) from None
    return images, names, notes


def _things(
    notes: Sequence[Mapping[str, Any]], names: Mapping[Any, str], outlines: bool
) -> list[tuple[str, list[float], Any]]:
    """Return name, box and outline of the notes that can be used, the largest things first."""
    found = []
    for note in notes:
        box, name = note.get("bbox"), names.get(note.get("category_id"))
        outline = note.get("segmentation") or None
        if note.get("iscrowd") or (outlines and outline is None) or name is None:
            continue
        if (
            isinstance(box, list)
            and len(box) == 4
            and all(isinstance(v, int | float) for v in box)
            and min(box[2:]) > 0
        ):
            found.append((name, [float(value) for value in box], outline))
    return sorted(found, key=lambda thing: -thing[1][2] * thing[1][3])[:MOST_THINGS]


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(each, int | float) for each in box)
    return numbers and min(box[2:]) > 0


def _read(
    table: Path,
    image: Mapping[str, Any],
    things: Sequence[tuple[str, list[float], Any]],
    longest: int,
    outlines: bool,
) -> Annotated:
    """Return a picture, made smaller where it is large; not turned, for its boxes are those of the stored pixels."""
    data = picture_beside(table, image["file_name"]).read_bytes()
    picture = Image.open(io.BytesIO(data), formats=FORMATS).convert("RGB")
    width, height = picture.size
    scale = longest / max(width, height)
    scale = scale if outlines else min(1.0, scale)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    factors = np.array([size[0] / width, size[1] / height] * 2, np.float32)
    corners = np.array([[x, y, x + w, y + h] for _, (x, y, w, h), _ in things], np.float32) * factors
    boxes = np.clip(corners, 0, np.array(size * 2, np.float32))
    masks = np.stack([_mask(each[2], (height, width), size) for each in things]) if outlines else None
    there = (boxes[:, 2:] > boxes[:, :2]).all(1)
    if masks is not None:
        there &= masks.any((1, 2))
    return Annotated(
        rgb=np.asarray(picture.resize(size, Image.Resampling.BILINEAR)),
        boxes=boxes[there],
        kinds=tuple(name for (name, _, _), is_there in zip(things, there, strict=True) if is_there),
        masks=None if masks is None else masks[there],
    )


def _mask(outline: Any, size_hw: tuple[int, int], size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Return an outline's pixels at a size (width, height); ValueError where it is none."""
    from pycocotools import mask as coco

    try:
        if isinstance(outline, list):
            runs = coco.merge(coco.frPyObjects([part for part in outline if len(part) >= 6], *size_hw))
        else:
            runs = coco.frPyObjects(outline, *size_hw) if isinstance(outline["counts"], list) else outline
        whole = coco.decode(runs)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("wanted polygons or run lengths") from error
    return np.asarray(Image.fromarray(whole).resize(size, Image.Resampling.NEAREST)) > 0
