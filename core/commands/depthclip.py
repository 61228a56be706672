"""Depth of pictures from words, written as 16-bit millimetres and as metres."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core import registry
from core.commands.clip import pictures

MOST_MILLIMETRES = 65535


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the nearest, the mean and the farthest depth of each picture; with --out its depth files are written."""
    model = registry.load("depthclip", arguments.weights, download=arguments.download)
    for index, (name, picture) in enumerate(pictures(arguments.inputs, failed)):
        metres = model.estimate(picture, model.defaults).depth.metres
        result = {"input": name, "weights": model.weights, "variant": model.defaults.variant}
        if arguments.out:
            result["files"] = _write_depth(arguments.out, f"{index}-{Path(name).stem}", metres)
        yield result | {
            "nearest_metres": float(metres.min()),
            "mean_metres": float(metres.mean()),
            "farthest_metres": float(metres.max()),
        }


def lines(result: dict[str, Any]) -> list[str]:
    """Return one result for a reader."""
    near, mean, far = (result[f"{name}_metres"] for name in ("nearest", "mean", "farthest"))
    return [
        f"{result['input']}  ({result['weights']}, {result['variant']})",
        f"  {near:.2f} to {far:.2f} m, mean {mean:.2f} m",
    ]


def write(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Do nothing: the files were written picture by picture."""


def _write_depth(folder: Path, name: str, metres: np.ndarray) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.npy", metres)
    millimetres = np.clip(metres * 1000, 0, MOST_MILLIMETRES).round().astype(np.uint16)
    Image.fromarray(millimetres).save(folder / f"{name}.png")
    return [f"{name}.npy", f"{name}.png"]
