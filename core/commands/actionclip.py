"""Actions ranked against clips, forwards and backwards."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from core import media_video, registry
from core.commands.clip import lines, ranked, remark, write
from core.prompts import parse_labels

__all__ = ["answers", "lines", "write"]

LONGEST_SIDE = 512  # more than any image tower here looks at


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield the ranking of the labels for each clip, with the best label of each frame and of the clip reversed."""
    labels = parse_labels(arguments.labels)
    model = registry.load("actionclip", arguments.weights, download=arguments.download)
    templates = max(model.templates.values(), key=len)
    remark(f"{model.weights} has never seen: ", model.unseen_words(labels))
    remark(f"{model.weights} reads no further, so the end was cut off: ", model.too_long(labels, templates=templates))
    for name in _files(arguments.inputs):
        try:
            film = media_video.read_film(name, frames=model.frames, sampling="segments", longest_side=LONGEST_SIDE)
        except ValueError as error:
            failed.append((name, str(error)))
            continue
        count = len(film.frames)  # a clip of fewer frames than the model takes shows some of them again
        places = media_video.tsn_segment_indices(count, model.frames)
        features = model.clip_features(film.frames[places])
        backwards = features.ordered(media_video.reorder(model.frames, "reversed"))
        frames = model.frame_rankings(features, labels, templates=templates)
        yield {
            "input": name,
            "weights": model.weights,
            "head": model.default_head,
            "seconds": [round(float(film.seconds[place]), 3) for place in places],
            "by_frame": [frame.best for frame in frames],
            "backwards": model.score(backwards, labels, templates=templates).ranking().best,
        } | ranked(model.score(features, labels, templates=templates).ranking())


def _files(inputs: Sequence[str]) -> Iterator[str]:
    """Yield the files behind the arguments, those in folders too."""
    for source in inputs:
        if Path(source).is_dir():
            found = sorted(Path(source).iterdir())
            yield from (str(path) for path in found if path.suffix.lower() in media_video.ENDINGS)
        else:
            yield source
