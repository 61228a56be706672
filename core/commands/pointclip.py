"""Labels ranked against clouds of points and meshes."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core import media3d, registry
from core.commands.clip import lines, ranked, write
from core.prompts import parse_labels

__all__ = ["answers", "lines", "write"]


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the ranking of the labels for each file, with the best label of each view."""
    labels = parse_labels(arguments.labels)
    model = registry.load("pointclip", arguments.weights, download=arguments.download)
    settings = model.default_settings
    for name in _files(arguments.inputs):
        try:
            cloud = media3d.read_cloud(name, up=arguments.up)
        except ValueError as error:
            failed.append((name, str(error)))
            continue
        scores = model.classify(cloud, labels, settings=settings)
        by_view = [labels[int(view.argmax())] for view in scores.cosines]
        yield {"input": name, "weights": model.weights, "by_view": by_view} | ranked(scores.ranking())


def _files(inputs: list[str]) -> Iterator[str]:
    """Yield the files behind the arguments, those in folders too."""
    for source in inputs:
        if Path(source).is_dir():
            paths = sorted(Path(source).iterdir())
            yield from (str(path) for path in paths if path.suffix.lower().removeprefix(".") in media3d.READERS)
        else:
            yield source
