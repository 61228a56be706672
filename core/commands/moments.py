"""Videos searched for moments: one answer a query, the index kept for the next time."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core import media_video, registry
from core.prompts import parse_labels
from core.video_retrieval.query import parse_query
from core.viz.chapters import moments_csv, moments_values, webvtt

MOST_LINES = 10  # printed for one query


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield what each query (label) finds in the videos given, such as "a dog + snow - 0.5 * people"."""
    queries = parse_labels(arguments.labels)
    model = registry.load("moments", arguments.weights, download=arguments.download)
    report = model.add(list(_files(arguments.inputs)), media_video, progress=_say)
    failed.extend(report.failed)
    if not report.keys:
        return
    for query in queries:
        found = model.search(parse_query(query), videos=report.keys)
        chapters = {video.name: webvtt(video, found.query) for video in found.videos}
        values = {"input": query, "weights": model.weights} | moments_values(found)
        yield values | {"csv": moments_csv(found), "chapters": chapters}


def lines(result: dict[str, Any]) -> list[str]:
    """Return the best moments of one query."""
    rows = [
        (moment["cosine"], f"{moment['start_seconds']:8.2f} - {moment['end_seconds']:.2f} s  {video['video']}")
        for video in result["videos"]
        for moment in video["moments"]
    ]
    best = sorted(rows, reverse=True)[:MOST_LINES]
    return [f"{result['input']}  ({result['weights']})", *(f"  cosine {score:+.3f}  {text}" for score, text in best)]


def write(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Write moments.csv, moments.json and a WebVTT file of chapters for each query and video."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = [result["csv"].splitlines(keepends=True) for result in results]
    rows = [row for number, table in enumerate(tables) for row in table[number > 0 :]]
    (folder / "moments.csv").write_text("".join(rows), "utf-8")
    plain = [{key: value for key, value in result.items() if key not in ("csv", "chapters")} for result in results]
    (folder / "moments.json").write_text(json.dumps(plain, ensure_ascii=False, indent=1), "utf-8")
    for number, result in enumerate(results, start=1):
        for name, text in result["chapters"].items():
            (folder / f"{Path(name).stem}-{number}.vtt").write_text(text, "utf-8")


def _files(inputs: Sequence[str]) -> Iterator[Path]:
    """Yield the files behind the arguments, the videos in folders too."""
    for source in map(Path, inputs):
        if source.is_dir():
            yield from (path for path in sorted(source.rglob("*")) if path.suffix.lower() in media_video.ENDINGS)
        else:
            yield source


def _say(step: Any) -> None:
    """Tell progress on the error channel, on one line where that is a terminal."""
    if sys.stderr.isatty():
        left = "" if step.eta_seconds is None else f", {step.eta_seconds:.0f} s left"
        sys.stderr.write(
            f"\r{step.video + 1} of {step.videos}: {step.name}, {step.seconds_done:.0f} s done{left} \033[K"
        )
