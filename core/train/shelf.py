"""The pictures that a training may learn from: what lies under one configured folder, and zips that were uploaded.

A choice is known by its label; a path that somebody typed never comes near.
"""

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath

from core.train.sources import class_name, coco_path

FOLDER_VARIABLE = "CLIP_FAMILY_DATA"
FOLDER, UPLOADS = "data", "uploads"
PICTURES = (".jpg", ".jpeg", ".png")
TABLES = (".csv", ".tsv", ".json", ".parquet")
MOST_MEMBERS = 100_000
MOST_UNPACKED = 4_000_000_000
NOT_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
SPLITS = ("train", "test")


def data_folder(root: Path) -> Path:
    """Return the one folder that data may be chosen from; CLIP_FAMILY_DATA names another one."""
    return Path(os.environ.get(FOLDER_VARIABLE) or root / FOLDER).expanduser().resolve()


def choices(root: Path) -> dict[str, Path]:
    """Return what may be chosen, by label: folders, zips and tables directly in the data folder, and uploads."""
    found = {}
    for shelf, folder in ((FOLDER, data_folder(root)), (UPLOADS, root / UPLOADS)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            suitable = path.is_dir() or path.suffix.lower() in (".zip", *TABLES)
            if suitable and _readable_name(path.name) and path.resolve().is_relative_to(folder.resolve()):
                found[f"{shelf}/{path.name}"] = path.resolve()
    return found


def choose(root: Path, label: str | None) -> Path | None:
    """Return the path behind a label, None for the Toybox; ValueError for what is not on the list."""
    if not label:
        return None
    found = choices(root).get(label)
    if found is None:
        raise ValueError(f"There are no pictures {label!r} to choose.")
    return found


def keep_upload(root: Path, source: str | Path | None) -> str:
    """Keep an uploaded zip of class folders and return its label; ValueError in one sentence where it is none."""
    if source is None:
        raise ValueError("Choose a zip of class folders to upload.")
    path = Path(source)
    census(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    stem = NOT_A_NAME.sub("-", path.stem).strip("-")[:40] or "pictures"
    kept = root / UPLOADS / f"{stem}-{digest}.zip"
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(".part")
    shutil.copyfile(path, part)
    os.replace(part, kept)
    return f"{UPLOADS}/{kept.name}"


def census(path: Path) -> dict[str, int]:
    """Return how many picture files each class has, by their names alone; empty for a table of captions.

    ValueError where it can be seen already that nothing can be learned: no pictures, or one class only.
    """
    if path.suffix.lower() in TABLES:
        return {}
    names = _members(path)
    pictures = [PurePosixPath(name) for name in names if name.lower().endswith(PICTURES)]
    if not pictures:
        raise ValueError(f"{path.name} holds no pictures; wanted CLASS/picture.jpg or .png.")
    counts = Counter(picture.parts[-2] for picture in pictures if len(picture.parts) >= 2)
    for split in SPLITS:  # a folder of this name that holds pictures itself is no class
        if len(counts) > 1 and split in counts:
            del counts[split]
    if len(counts) < 2:
        raise ValueError(f"{path.name} holds {len(counts)} class: wanted at least two folders with pictures in them.")
    return dict(sorted(counts.items()))


def boxes(path: Path) -> dict[str, int]:
    """Return how many boxes each class of a COCO file has; the path is the file or a folder that holds it.

    Raises ValueError where there is no such file, or no box in it.
    """
    table = coco_path(path)
    try:
        content = json.loads(table.read_text("utf-8-sig"))
        names = {each["id"]: class_name(str(each["name"])) for each in content["categories"]}
        counts = Counter(names[note["category_id"]] for note in content["annotations"] if note.get("bbox"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        counts = Counter()
    if not counts:
        raise ValueError(f"{table.name} holds no boxes: wanted a COCO file with images, categories and annotations.")
    return dict(sorted(counts.items()))


def _members(path: Path) -> list[str]:
    """Return the names of the files in a folder or zip."""
    if path.is_dir():
        return [each.relative_to(path).as_posix() for each in path.rglob("*") if each.is_file()]
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except (OSError, zipfile.BadZipFile):
        raise ValueError(f"{path.name} is not a zip file that can be read.") from None
    if len(infos) > MOST_MEMBERS or sum(info.file_size for info in infos) > MOST_UNPACKED:
        raise ValueError(f"{path.name} holds too much: at most {MOST_MEMBERS} files and {MOST_UNPACKED / 1e9:g} GB.")
    return [info.filename for info in infos if not info.is_dir() and not info.filename.startswith("__MACOSX/")]


def _readable_name(name: str) -> bool:
    """Say whether a name can be shown and passed on; one that is not UTF-8 cannot."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return not name.startswith(".")
