"""Sentences drawn in coloured strokes, written as SVG and PNG."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from core import registry
from core.commands.clip import remark
from core.viz import strokes as drawing

PNG_PIXELS = 448


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the drawing of each sentence among the inputs; with --out its SVG and PNG are written."""
    model = registry.load("clipdraw", arguments.weights, download=arguments.download)
    for index, text in enumerate(arguments.inputs):
        remark(f"{model.weights} has never seen: ", model.unseen_words(text))
        try:
            run = model.start(text)
        except ValueError as error:
            failed.append((text, str(error)))
            continue
        progress = run.step(model.defaults.iterations)
        result: dict[str, Any] = {"input": text, "weights": model.weights}
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            (arguments.out / f"{index}.svg").write_text(drawing.svg(progress.best, title=text), encoding="utf-8")
            Image.fromarray(drawing.paint(progress.best, PNG_PIXELS)).save(arguments.out / f"{index}.png")
            result["files"] = [f"{index}.svg", f"{index}.png"]
        cosine = -float(progress.losses["text"][progress.best_index])
        yield result | {"strokes": len(progress.best), "iterations": progress.iteration, "cosine": cosine}


def lines(result: dict[str, Any]) -> list[str]:
    """Return one result for a reader."""
    return [
        f"{result['input']}  ({result['weights']})",
        f"  {result['strokes']} strokes after {result['iterations']} iterations, cosine {result['cosine']:+.3f}",
    ]


def write(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Do nothing: the files were written sentence by sentence."""
