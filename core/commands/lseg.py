"""Pictures labelled pixel by pixel with the user's words; for every system that is asked in words."""

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core import registry
from core.commands.clip import pictures, remark
from core.results import LabelMap

NOTHING = 255  # in an index PNG: no word; words are counted from 0
MOST_WORDS = 255  # that one byte a pixel can tell apart beside NOTHING


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield each word's share of each picture; with --out its index PNG is written."""
    words = [word.strip() for word in arguments.labels.split(",") if word.strip()]
    if not words:
        raise ValueError("Write at least one word.")
    if len(words) > MOST_WORDS:
        raise ValueError(f"Write at most {MOST_WORDS} words; these are {len(words)}.")
    model = registry.load(arguments.system, arguments.weights, download=arguments.download)
    remark(f"{model.weights} has never seen: ", model.unseen_words(words))
    for index, (name, picture) in enumerate(pictures(arguments.inputs, failed)):
        labels = model.segment(picture, words).label_map()
        result = {"input": name, "weights": model.weights}
        if arguments.out:
            result["file"] = _write_index(arguments.out, f"{index}-{Path(name).stem}.png", labels)
        yield result | {"shares": _shares(labels)}


def lines(result: dict[str, Any]) -> list[str]:
    """Return the words of one result that have a pixel, the largest first."""
    found = sorted(result["shares"].items(), key=lambda item: -item[1])
    return [f"{result['input']}  ({result['weights']})"] + [f"  {share:7.2%}  {word}" for word, share in found if share]


def write(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Write shares.csv: a row a picture and word; the index PNGs were written picture by picture."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "shares.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("input", "word", "share"))
        for result in results:
            table.writerows((result["input"], word, share) for word, share in result["shares"].items())


def _shares(labels: LabelMap) -> dict[str, float]:
    """Return the share of the picture of each word; a word that stands twice is counted once."""
    counts = np.bincount(labels.ids[labels.ids >= 0], minlength=len(labels.labels))
    shares: dict[str, float] = {}
    for word, count in zip(labels.labels, counts, strict=True):
        shares[word] = shares.get(word, 0.0) + float(count / labels.ids.size)
    return shares


def _write_index(folder: Path, name: str, labels: LabelMap) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.where(labels.ids < 0, NOTHING, labels.ids).astype(np.uint8)
    Image.fromarray(ids).save(folder / name)
    return name
