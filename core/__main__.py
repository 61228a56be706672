"""`python -m core list`; `python -m core SYSTEM INPUT... [--labels "a,b"] [--weights NAME] [--json] [--out FOLDER]`.

The same functions as the app's. Bad input gets one sentence and exit code 2; the other inputs are still answered.
"""

import argparse
import csv
import json
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core import checkpoints, media, registry
from core.prompts import TEMPLATES, parse_labels
from core.results import Ranking


def main() -> None:
    """Run one command."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if arguments.system == "list":
        _list(arguments.json)
        return
    started = time.perf_counter()
    try:
        found, failed = _rank_all(arguments)
    except ValueError as error:
        sys.exit(_complain(str(error)))
    if arguments.out:
        _write(arguments.out, found)
    if arguments.json:
        seconds = round(time.perf_counter() - started, 3)
        answer = {"system": arguments.system, "results": found, "failed": failed, "seconds": seconds}
        print(json.dumps(answer, ensure_ascii=False))
    if failed:
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description=__doc__.splitlines()[0])
    parser.add_argument("system", choices=("list", *registry.names()))
    parser.add_argument("inputs", nargs="*", help="pictures, folders or zip files")
    parser.add_argument("--labels", default="", help='labels, for example "dog, cat, car"')
    parser.add_argument("--weights", help="name, hf-hub: name or file (default: the embedded weights)")
    parser.add_argument("--templates", choices=TEMPLATES, default="one template", help="prompts around each label")
    parser.add_argument("--download", action="store_true", help="allow the weights to be downloaded")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--out", type=Path, help="folder for a CSV table of the results")
    return parser


def _list(as_json: bool) -> None:
    rows = [
        {
            "system": system.name,
            "task": system.task,
            "weights": weights.name,
            "here": weights.available,
            "about": weights.describe(),
        }
        for system in registry.SYSTEMS
        for weights in map(lambda name, s=system: checkpoints.resolve(s.name, name), checkpoints.names(system.name))
    ]
    if as_json:
        print(json.dumps({"systems": rows}))
        return
    for row in rows:
        print(f"{row['system']:8} {row['task']:10} {'here    ' if row['here'] else 'on the hub'}  {row['about']}")


def _rank_all(arguments: argparse.Namespace) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Rank the labels against every picture of every input; returns results and failures."""
    if not arguments.inputs:
        raise ValueError("Give at least one picture, folder or zip file.")
    labels = parse_labels(arguments.labels)
    model = registry.load(arguments.system, arguments.weights, download=arguments.download)
    if unseen := model.unseen_words(labels):
        print(f"{model.weights} has never seen: {', '.join(unseen):.200}", file=sys.stderr)
    if cut := model.too_long(labels, templates=TEMPLATES[arguments.templates]):
        print(f"{model.weights} reads no further, so the end was cut off: {', '.join(cut):.200}", file=sys.stderr)
    found: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    names: list[str] = []

    def read() -> Iterator[Any]:
        for source in arguments.inputs:
            for name, picture in _pictures(source, failed):
                names.append(name)
                yield picture

    for ranking in model.rank_stream(read(), labels, templates=TEMPLATES[arguments.templates]):
        found.append(_result(names[len(found)], ranking, model.weights))
        if not arguments.json:
            _show(found[-1])
    for name, reason in failed:
        _complain(f"{name}: {reason}")
    return found, [{"input": name, "reason": reason} for name, reason in failed]


def _pictures(source: str, failed: list[tuple[str, str]]):
    """Yield the pictures behind one argument; what cannot be read goes to `failed`."""
    try:
        if Path(source).is_dir() or source.lower().endswith(".zip"):
            yield from media.read_named(source, media.picture_names(source), failed)
        else:
            yield source, media.read_image(source)
    except ValueError as error:
        failed.append((source, str(error)))


def _result(name: str, ranking: Ranking, weights: str) -> dict[str, Any]:
    shares = ranking.probabilities()
    return {
        "input": name,
        "best": ranking.best,
        "scores": [
            {"label": ranking.labels[i], "cosine": float(ranking.cosines[i]), "probability": float(shares[i])}
            for i in ranking.order()
        ],
        "kind": ranking.kind,
        "weights": weights,
    }


def _show(result: dict[str, Any]) -> None:
    print(f"{result['input']}  ({result['weights']})")
    for score in result["scores"][:10]:
        print(f"  {score['probability']:7.2%}  cosine {score['cosine']:+.3f}  {score['label']}")


def _write(folder: Path, found: list[dict[str, Any]]) -> None:
    """Write results.csv: a row a picture and label."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("input", "label", "cosine", "probability"))
        for result in found:
            table.writerows(
                (result["input"], score["label"], score["cosine"], score["probability"]) for score in result["scores"]
            )


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
