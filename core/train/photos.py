"""Photographs to learn from: class folders, a table of captions, or CIFAR-10 from its authors.

CIFAR-10: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, through torchvision, which checks the
archive before it reads it.

Legend: N pictures, S sentences a picture, L token positions.
"""

import csv
import io
import logging
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from core.train.data import Pairs, tokenise

log = logging.getLogger(__name__)
CIFAR10 = "cifar10"  # given as the source, it is downloaded
PIXELS = 32  # a side; smaller than the network's input, as CIFAR-10 is
HELD_BACK = 10  # of a source without test photographs, every tenth is kept for measuring
ENDINGS = (".jpg", ".jpeg", ".png")
FRAMES = (  # around a class name
    "{}",
    "a {}",
    "a photo of a {}",
    "a photo of a {}.",
    "a photo of the {}.",
    "a picture of a {}",
    "an image of a {}",
    "a blurry photo of a {}.",
    "a low resolution photo of a {}.",
    "a bad photo of a {}.",
    "a good photo of a {}.",
    "a cropped photo of a {}.",
    "a close-up photo of a {}.",
    "a bright photo of a {}.",
    "a dark photo of a {}.",
    "a photo of one {}.",
    "a photo of my {}.",
    "a photo of a large {}.",
    "a photo of a small {}.",
    "itap of a {}.",
    "this is a {}",
    "there is a {} in the photo",
)
SYNONYMS = {  # other words that people use for a photograph's class
    "airplane": ("airplane", "plane"),
    "automobile": ("automobile", "car"),
    "ship": ("ship", "boat"),
    "truck": ("truck", "lorry"),
    "dog": ("dog", "puppy"),
    "cat": ("cat", "kitten"),
}


def read_photos(source: str, *, context_length: int, downloads: Path) -> tuple[Pairs, Pairs]:
    """Return photographs to train on and others to measure on.

    `source` is a folder or zip of CLASS/picture (or train/CLASS/picture and test/CLASS/picture), a CSV file with the
    columns path and caption, or 'cifar10', which alone downloads (170 MB, into `downloads`). Without test photographs
    every tenth one is held back. Files that cannot be read are left out and counted in the log.
    Raises ValueError in one sentence where there is nothing to learn from.
    """
    if source == CIFAR10 and not Path(source).exists():
        return _cifar10(downloads, context_length)
    path = Path(source)
    if not path.exists():
        raise ValueError(f"There is no file or folder {source}; {CIFAR10!r} downloads CIFAR-10.")
    if path.suffix.lower() == ".csv":
        return _split(_captioned(path, context_length))
    found = list(_members(path))
    tests = [item for item in found if "test" in Path(item[0]).parts[:-2]]
    if not tests:
        return _split(_classes(found, path, context_length))
    trains = [item for item in found if "train" in Path(item[0]).parts[:-2]]
    return _classes(trains, path, context_length), _classes(tests, path, context_length)


def _classes(found: list[tuple[str, bytes]], source: Path, context_length: int) -> Pairs:
    """Return photographs with the sentences of the folder that each lies in."""
    read = _readable((Path(name).parts[-2], data) for name, data in found if len(Path(name).parts) >= 2)
    if not read:
        raise ValueError(f"Wanted CLASS/picture or train/CLASS/picture files in {source.name}, found none.")
    names = tuple(sorted({name for name, _ in read}))
    classes = np.array([names.index(name) for name, _ in read])
    return _of_classes(np.stack([picture for _, picture in read]), classes, names, context_length)


def _of_classes(
    pictures: UInt8[np.ndarray, "N H W 3"], classes: Int[np.ndarray, " N"], names: Sequence[str], context_length: int
) -> Pairs:
    sentences = [[frame.format(word) for frame in FRAMES for word in SYNONYMS.get(name, (name,))] for name in names]
    most = max(len(each) for each in sentences)
    tables = np.stack([tokenise([each[i % len(each)] for i in range(most)], context_length) for each in sentences])
    return Pairs(pictures=pictures, tokens=tables[classes], classes=classes, names=tuple(names), same_sentences=True)


def _captioned(table: Path, context_length: int) -> Pairs:
    """Return pictures with the caption that stands beside each path; paths are relative to the table."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"path", "caption"} <= set(rows[0]):
        raise ValueError(f"Wanted a table with the columns path and caption in {table.name}.")
    read = _readable((row["caption"], _bytes(table.parent / row["path"])) for row in rows)
    if not read:
        raise ValueError(f"None of the {len(rows)} pictures that {table.name} names can be read.")
    return Pairs(
        pictures=np.stack([picture for _, picture in read]),
        tokens=tokenise([caption for caption, _ in read], context_length)[:, None],
        classes=np.full(len(read), -1),
        names=(),
        same_sentences=False,
    )


def _cifar10(downloads: Path, context_length: int) -> tuple[Pairs, Pairs]:
    from torchvision.datasets import CIFAR10 as Cifar10

    try:
        sets = [Cifar10(str(downloads), train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise ValueError(f"CIFAR-10 could not be downloaded ({error}); give a folder of photographs.") from None
    train, test = (_of_classes(each.data, np.array(each.targets), each.classes, context_length) for each in sets)
    return train, test


def _split(pairs: Pairs) -> tuple[Pairs, Pairs]:
    """Hold every tenth picture back."""
    held = np.arange(len(pairs)) % HELD_BACK == HELD_BACK - 1
    return pairs.chosen(~held), pairs.chosen(held)


def _readable(items: Iterator[tuple[str, bytes]]) -> list[tuple[str, UInt8[np.ndarray, "32 32 3"]]]:
    """Decode pictures; those that cannot be read are counted and left out."""
    read, failed = [], 0
    for name, data in items:
        try:
            read.append((name, _small(data)))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            failed += 1
    if failed:
        log.warning("%d pictures could not be read and are left out", failed)
    return read


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the picture files of a folder or zip in name order."""
    if source.is_dir():
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in ENDINGS)
        yield from ((str(path.relative_to(source)), path.read_bytes()) for path in paths)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            for name in sorted(archive.namelist()):
                if name.lower().endswith(ENDINGS):
                    yield name, archive.read(name)
    except zipfile.BadZipFile:
        raise ValueError(f"{source.name} is neither a folder, a zip file nor a CSV table.") from None


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _small(data: bytes) -> UInt8[np.ndarray, "32 32 3"]:
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side))
    return np.asarray(picture.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))
