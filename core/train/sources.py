"""Where pictures to learn from come from: class folders, a zip of them, a table, a COCO file, a parquet file or a hub.

Nothing is decoded here: a source is a list of items whose bytes are read when they are asked for. What a file name or a
table says is taken as people really have it: names that are no UTF-8, tables without a header, captions of one picture
on several lines.
"""

import csv
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
PATH_NAMES = ("path", "file", "filename", "file_name", "filepath", "image", "image_path")
CAPTION_NAMES = ("caption", "text", "title", "sentence", "description")
SPLITS = ("train", "test")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture: how it is called, how its bytes are read, and what is said of it."""

    name: str
    read: Callable[[], bytes]
    captions: tuple[str, ...] = ()  # its own sentences
    kind: str | None = None  # its class
    split: str | None = None  # train or test, where the source says so


def items_of(source: str) -> list[Item]:
    """Return the pictures of a source; ValueError in one sentence where it is none of those that can be read."""
    from core.train import parquet

    if source.startswith(parquet.HUB_PREFIX):
        return parquet.hub_items(source.removeprefix(parquet.HUB_PREFIX))
    path = Path(source)
    if not path.exists():
        raise ValueError(
            f"There is no file or folder {source}; 'cifar10' downloads CIFAR-10, hf:DATASET a data set from the hub."
        )
    readers = {".csv": table_items, ".tsv": table_items, ".json": coco_items, ".parquet": parquet.file_items}
    return readers.get(path.suffix.lower(), class_items)(path)


def class_items(source: Path) -> list[Item]:
    """Return the pictures of a folder or zip with the name of the folder that each lies in, hidden ones left out."""
    found = []
    for name, read in _members(source):
        parts = Path(name).parts
        if len(parts) < 2 or any(part.startswith((".", "__MACOSX")) for part in parts):
            continue
        split = next((part.lower() for part in parts[:-2] if part.lower() in SPLITS), None)
        found.append(Item(name=name, read=read, kind=class_name(parts[-2]), split=split))
    if not found:
        raise ValueError(f"Wanted CLASS/picture or train/CLASS/picture files in {source.name}, found none.")
    return found


def table_items(table: Path) -> list[Item]:
    """Return the pictures of a CSV table with what stands beside each path, which is relative to the table.

    A header names the columns path and caption; without one they are the first two. Lines with the same path are one
    picture with several captions.
    """
    text = _decoded(table.read_bytes())
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(cell.strip() for cell in row)]
    path_column, caption_column, has_header = _columns(rows, table.name)
    captions: dict[str, list[str]] = {}
    for row in rows[1 if has_header else 0 :]:
        if len(row) > max(path_column, caption_column) and row[path_column].strip():
            captions.setdefault(row[path_column].strip(), []).append(row[caption_column].strip())
    found = [
        Item(name=name, read=_reader(table.parent / name), captions=tuple(c for c in said if c))
        for name, said in captions.items()
    ]
    if not any(item.captions for item in found):
        raise ValueError(f"No line of {table.name} has a path and a caption.")
    return [item for item in found if item.captions]


def coco_items(path: Path) -> list[Item]:
    """Return the pictures of a COCO file with their captions, or with sentences that name their categories."""
    try:
        content = json.loads(_decoded(path.read_bytes()))
        files = {image["id"]: str(image["file_name"]) for image in content["images"]}
        names = {each["id"]: str(each["name"]) for each in content.get("categories", [])}
        said: dict[int, list[str]] = {key: [] for key in files}
        for note in content["annotations"]:
            if note["image_id"] in said:
                said[note["image_id"]].append(str(note["caption"]) if "caption" in note else names[note["category_id"]])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path.name} is not a COCO file: wanted images and annotations with captions.") from None
    found = []
    for key, name in files.items():
        words = tuple(dict.fromkeys(said[key]))
        if not words:
            continue
        read = _reader(picture_beside(path, name))
        if names and all(word in names.values() for word in words):
            kind = class_name(words[0]) if len(words) == 1 else None
            found.append(Item(name=name, read=read, captions=(f"a photo of {_listed(words)}.",), kind=kind))
        else:
            found.append(Item(name=name, read=read, captions=words))
    if not found:
        raise ValueError(f"No picture of {path.name} has a caption or a category.")
    return found


def coco_path(source: Path) -> Path:
    """Return the COCO file that a source is or holds; ValueError in one sentence where there is none."""
    found = [source] if source.is_file() else sorted(source.glob("*.json")) or sorted(source.glob("*/*.json"))
    if not found or found[0].suffix.lower() != ".json":
        raise ValueError(f"Wanted a COCO JSON with boxes, or a folder with one in it, got {source.name}.")
    return found[0]


def class_name(folder: str) -> str:
    """Return the words that a folder's name means: 'golden_retriever' is a golden retriever."""
    return " ".join(_decoded(folder.encode("utf-8", "surrogateescape")).replace("_", " ").split())


def _columns(rows: list[list[str]], name: str) -> tuple[int, int, bool]:
    """Return where the path and the caption stand, and whether the first line names them."""
    first = [cell.strip().lower() for cell in rows[0]] if rows else []
    path = next((first.index(word) for word in PATH_NAMES if word in first), None)
    caption = next((first.index(word) for word in CAPTION_NAMES if word in first), None)
    if path is not None and caption is not None:
        return path, caption, True
    if len(first) >= 2 and first[0].endswith(ENDINGS):
        return 0, 1, False
    raise ValueError(f"Wanted a table with the columns path and caption in {name}, or a picture and a caption a line.")


def _members(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the picture files of a folder or zip in name order."""
    if source.is_dir():
        for path in sorted(path for path in source.rglob("*") if path.suffix.lower() in ENDINGS):
            yield os.fsencode(path.relative_to(source)).decode("utf-8", "surrogateescape"), _reader(path)
        return
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError):
        raise ValueError(f"{source.name} is neither a folder, a zip file nor a table that can be read.") from None
    for info in sorted(archive.infolist(), key=lambda each: each.filename):
        if info.filename.lower().endswith(ENDINGS):
            yield _zip_name(info), lambda info=info: archive.read(info)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; where no encoding is given it is UTF-8, or else what zipfile takes it for."""
    if info.flag_bits & 0x800:  # APPNOTE.TXT, 4.4.4: the name is UTF-8
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _decoded(data: bytes) -> str:
    """Return a text that is UTF-8, with or without a mark in front, or else Latin-1."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _reader(path: Path) -> Callable[[], bytes]:
    return path.read_bytes


def picture_beside(annotations: Path, name: str) -> Path:
    """Return where a picture of a COCO file lies: beside it, or in the folders that the data set is shipped in."""
    split = annotations.stem.rpartition("_")[2]
    above = annotations.parent.parent
    folders = (
        annotations.parent,
        annotations.parent / "images",
        above / split,
        above / "images",
        above / "images" / split,
    )
    return next((folder / name for folder in folders if (folder / name).is_file()), annotations.parent / name)


def _listed(words: tuple[str, ...]) -> str:
    named = [f"{'an' if word[0] in 'aeiou' else 'a'} {word}" for word in words]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
