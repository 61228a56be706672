"""Labels ranked against pictures."""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core import media, registry
from core.prompts import TEMPLATES, parse_labels
from core.results import Ranking

MOST_LINES = 10  # printed for one picture
LONGEST_REMARK = 200  # characters


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the ranking of the labels for each picture of each input."""
    labels = parse_labels(arguments.labels)
    model = registry.load("clip", arguments.weights, download=arguments.download)
    templates = TEMPLATES[arguments.templates]
    remark(f"{model.weights} has never seen: ", model.unseen_words(labels))
    remark(f"{model.weights} reads no further, so the end was cut off: ", model.too_long(labels, templates=templates))
    names: list[str] = []

    def read() -> Iterator[np.ndarray]:
        for name, picture in pictures(arguments.inputs, failed):
            names.append(name)
            yield picture

    for done, ranking in enumerate(model.rank_stream(read(), labels, templates=templates)):
        yield {"input": names[done], "weights": model.weights} | ranked(ranking)


def lines(result: dict[str, Any]) -> list[str]:
    """Return the best labels of one result."""
    scores = result["scores"][:MOST_LINES]
    return [f"{result['input']}  ({result['weights']})"] + [
        f"  {score['probability']:7.2%}  cosine {score['cosine']:+.3f}  {score['label']}" for score in scores
    ]


def write(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Write results.csv: a row a picture and label."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("input", "label", "cosine", "probability"))
        for result in results:
            table.writerows((result["input"], s["label"], s["cosine"], s["probability"]) for s in result["scores"])


def pictures(inputs: Sequence[str], failed: list[tuple[str, str]]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the pictures behind the arguments, those within folders and zips too."""
    for source in inputs:
        try:
            if Path(source).is_dir() or source.lower().endswith(".zip"):
                yield from media.read_named(source, media.picture_names(source), failed)
            else:
                yield source, media.read_image(source)
        except ValueError as error:
            failed.append((source, str(error)))


def ranked(ranking: Ranking) -> dict[str, Any]:
    """Return a ranking as plain values, best first."""
    shares = ranking.probabilities()
    return {
        "best": ranking.best,
        "scores": [
            {"label": ranking.labels[i], "cosine": float(ranking.cosines[i]), "probability": float(shares[i])}
            for i in ranking.order()
        ],
        "kind": ranking.kind,
    }


def remark(beginning: str, words: Sequence[str]) -> None:
    """Say something about some words on the error channel, where there are any."""
    if words:
        print(f"{beginning}{', '.join(words):.{LONGEST_REMARK}}", file=sys.stderr)
