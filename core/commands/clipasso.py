"""Pictures drawn in a few strokes, written as SVG and PNG."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from core import registry
from core.commands.clip import pictures
from core.results import Strokes
from core.viz import strokes as drawing

PNG_PIXELS = 448


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the strokes of each picture, the salient ones first; with --out its SVG and PNG are written."""
    model = registry.load("clipasso", arguments.weights, download=arguments.download)
    settings = model.defaults
    for index, (name, picture) in enumerate(pictures(arguments.inputs, failed)):
        try:
            prepared = model.prepare(picture, settings)
        except ValueError as error:
            failed.append((name, str(error)))
            continue
        progress = model.run([prepared], settings).step(settings.iterations)
        order = drawing.replay_order(progress.best, prepared.saliency)
        strokes = progress.best.chosen(order)
        result = {"input": name, "weights": model.weights, "remarks": list(prepared.remarks)}
        if arguments.out:
            result["files"] = _write_sketch(arguments.out, f"{index}-{Path(name).stem}", strokes)
        yield result | {
            "strokes": len(strokes),
            "iterations": progress.iteration,
            "loss": float(progress.losses["total"][progress.best_index]),
            "points": strokes.points.round(2).tolist(),
        }


def lines(result: dict[str, Any]) -> list[str]:
    """Return one result for a reader."""
    return [
        f"{result['input']}  ({result['weights']})",
        f"  {result['strokes']} strokes after {result['iterations']} iterations, loss {result['loss']:.4f}",
        *(f"  {remark}" for remark in result["remarks"]),
    ]


def write(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Do nothing: the files were written picture by picture."""


def _write_sketch(folder: Path, name: str, strokes: Strokes) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.svg").write_text(drawing.svg(strokes, title=name), encoding="utf-8")
    Image.fromarray(drawing.paint(strokes, PNG_PIXELS)).save(folder / f"{name}.png")
    return [f"{name}.svg", f"{name}.png"]
