"""Photographs to learn from, decoded: class folders, captions, or CIFAR-10 from its authors.

CIFAR-10: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, through torchvision, which checks the
archive before it reads it.

Legend: N pictures, S sentences a picture, L token positions, P side of a picture.
"""

import io
import logging
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image, ImageOps

from core.train.data import Pairs, tokenise
from core.train.sources import Item, items_of

log = logging.getLogger(__name__)
CIFAR10 = "cifar10"  # given as the source, it is downloaded
PIXELS = 32  # a side where nothing else is asked for, as CIFAR-10 has
HELD_BACK = 10  # of a source without test photographs, every tenth of a class is kept for measuring
MOST_CAPTIONS = 5  # of one picture, as COCO has
MOST_BYTES = 6_000_000_000  # of decoded pictures
REASONS = 20  # unreadable files that are named; all are counted
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")  # Pillow's others can start programs
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


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of a source's files."""

    source: str
    read: int
    skipped: int
    reasons: tuple[str, ...] = ()  # of the first few: name and reason

    def sentence(self) -> str:
        """Say it in one sentence."""
        if not self.skipped:
            return f"All {self.read} pictures of {self.source} were read."
        return f"{self.skipped} pictures could not be read and are left out, {self.read} were read from {self.source}."

    def card(self) -> dict[str, Any]:
        """Return what a card records."""
        return asdict(self) | {"reasons": list(self.reasons)}


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """Photographs to train on, others to measure on, and what could not be read."""

    train: Pairs
    test: Pairs
    report: Report


def read_photos(source: str, *, context_length: int, downloads: Path) -> tuple[Pairs, Pairs]:
    """Return small photographs to train on and others to measure on; sources and errors as in `photographs`."""
    found = photographs(source, context_length=context_length, downloads=downloads)
    return found.train, found.test


def photographs(source: str, *, context_length: int, downloads: Path, pixels: int = PIXELS) -> Photographs:
    """Return a source's photographs as squares of `pixels` a side.

    `source` is what `sources.items_of` reads, or 'cifar10' (170 MB, into `downloads`). Without test photographs every
    tenth one of a class is held back. Files that cannot be read are left out, counted and named.
    Raises ValueError in one sentence where there is nothing to learn from.
    """
    if source == CIFAR10 and not Path(source).exists():
        return _cifar10(downloads, context_length)
    items = items_of(source)
    if len(items) * pixels * pixels * 3 > MOST_BYTES:
        raise ValueError(f"{len(items)} pictures of {pixels} pixels a side do not fit into the memory: give fewer.")
    name = Path(source).name
    read, reasons = _decode_all(items, pixels)
    if not read:
        raise ValueError(f"None of the {len(items)} pictures that {name} names can be read.")
    report = Report(source=name, read=len(read), skipped=len(reasons), reasons=tuple(reasons[:REASONS]))
    (log.warning if reasons else log.info)("%s", report.sentence())
    pairs = _pairs([item for item, _ in read], np.stack([picture for _, picture in read]), context_length)
    held = _held_back([item for item, _ in read], pairs.classes)
    return Photographs(train=pairs.chosen(~held), test=pairs.chosen(held), report=report)


def class_sentences(name: str) -> list[str]:
    """Return sentences for a photograph whose class is all that is known of it."""
    return [frame.format(word) for frame in FRAMES for word in SYNONYMS.get(name, (name,))]


def _pairs(items: Sequence[Item], pictures: UInt8[np.ndarray, "N P P 3"], context_length: int) -> Pairs:
    """Return pictures with their own captions where they have some, else with those of their class."""
    names = tuple(sorted({item.kind for item in items if item.kind is not None}))
    classes = np.array([-1 if item.kind is None else names.index(item.kind) for item in items])
    if all(item.kind is not None and not item.captions for item in items):
        return _of_classes(pictures, classes, names, context_length)
    said = [item.captions or tuple(class_sentences(str(item.kind))) for item in items]
    most = min(MOST_CAPTIONS, max(len(each) for each in said))
    table = tokenise([each[i % len(each)] for each in said for i in range(most)], context_length)
    tokens = table.reshape(len(items), most, context_length)
    return Pairs(pictures=pictures, tokens=tokens, classes=classes, names=names, same_sentences=False)


def _of_classes(
    pictures: UInt8[np.ndarray, "N P P 3"], classes: Int[np.ndarray, " N"], names: Sequence[str], context_length: int
) -> Pairs:
    sentences = [class_sentences(name) for name in names]
    most = max(len(each) for each in sentences)
    tables = np.stack([tokenise([each[i % len(each)] for i in range(most)], context_length) for each in sentences])
    return Pairs(pictures=pictures, tokens=tables[classes], classes=classes, names=tuple(names), same_sentences=True)


def _cifar10(downloads: Path, context_length: int) -> Photographs:
    from torchvision.datasets import CIFAR10 as Cifar10

    try:
        sets = [Cifar10(str(downloads), train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise ValueError(f"CIFAR-10 could not be downloaded ({error}); give a folder of photographs.") from None
    train, test = (_of_classes(each.data, np.array(each.targets), each.classes, context_length) for each in sets)
    return Photographs(train=train, test=test, report=Report(source=CIFAR10, read=len(train) + len(test), skipped=0))


def _held_back(items: Sequence[Item], classes: Int[np.ndarray, " N"]) -> np.ndarray:
    """Return which pictures are for measuring: those of a test folder, or every tenth of a class and at least one."""
    if any(item.split == "test" for item in items):
        return np.array([item.split == "test" for item in items])
    sizes, seen, held = Counter(classes.tolist()), Counter[int](), np.zeros(len(items), bool)
    for i, kind in enumerate(classes.tolist()):
        seen[kind] += 1
        few = 1 < sizes[kind] < HELD_BACK and kind >= 0
        held[i] = seen[kind] == sizes[kind] if few else seen[kind] % HELD_BACK == 0
    return held


def _decode_all(items: Sequence[Item], pixels: int) -> tuple[list[tuple[Item, UInt8[np.ndarray, "P P 3"]]], list[str]]:
    """Decode pictures on all cores; return those that can be read, and the names of the others with the reason."""

    def attempt(item: Item) -> UInt8[np.ndarray, "P P 3"] | str:
        try:
            return decode(item.read(), pixels)
        except FileNotFoundError:
            return f"{item.name}: there is no such file"
        except (*UNREADABLE, Image.DecompressionBombError):
            return f"{item.name}: not a picture, or damaged"

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes without holding the interpreter's lock
        found = list(pool.map(attempt, items))
    read = [(item, each) for item, each in zip(items, found, strict=True) if not isinstance(each, str)]
    return read, [each.encode("utf-8", "replace").decode() for each in found if isinstance(each, str)]


def decode(data: bytes, pixels: int) -> UInt8[np.ndarray, "P P 3"]:
    """Return the middle square of a picture, the right way up, `pixels` a side."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data), formats=FORMATS)).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    picture = picture.crop((left, top, left + side, top + side))
    return np.asarray(picture.resize((pixels, pixels), Image.Resampling.BICUBIC))
