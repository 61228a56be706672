"""Clips ranked against sentences, by every head that the weights have, forwards and backwards."""

import argparse
import csv
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from core import media_video, registry
from core.commands.clip import remark
from core.prompts import parse_labels

LONGEST_SIDE = 512  # more than any image tower here looks at
LOOKED_AT = f"uniform, at most {LONGEST_SIDE} pixels"  # with the number of frames
MOST_LINES = 10  # printed for one sentence


def answers(arguments: argparse.Namespace, failed: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Yield, for each sentence, the clips in the order of the default head's score, with every head's score."""
    texts = parse_labels(arguments.labels)
    model = registry.load("clip4clip", arguments.weights, download=arguments.download)
    remark(f"{model.weights} has never seen: ", model.unseen_words(texts))
    names, features = [], []
    for name in _files(arguments.inputs):
        try:
            media_video.video_facts(name)  # what is too long is refused before it is read
            seen = partial(_frames, name, model.frames)
            features.append(model.encode_file(name, seen, looked_at=f"{model.frames} {LOOKED_AT}"))
        except ValueError as error:
            failed.append((name, str(error)))
            continue
        names.append(name)
    if not names:
        return
    turned = [each[::-1] for each in features]
    forwards = {head: model.scores(features, texts, head) for head in model.heads}
    backwards = {head: model.scores(turned, texts, head) for head in model.heads}
    for place, text in enumerate(texts):
        order = np.argsort(-forwards[model.default_head][place], kind="stable")
        clips = [
            {
                "input": names[index],
                "scores": {head: float(scores[place, index]) for head, scores in forwards.items()},
                "backwards": {head: float(scores[place, index]) for head, scores in backwards.items()},
                "by_frame": [float(cosine) for cosine in model.film_strip(features[index], [text])[:, 0]],
            }
            for index in order
        ]
        yield {"text": text, "weights": model.weights, "head": model.default_head, "clips": clips}


def lines(result: dict[str, Any]) -> list[str]:
    """Return the best clips for one sentence."""
    head = result["head"]
    return [f"{result['text']}  ({result['weights']}, {head})"] + [
        f"  {clip['scores'][head]:+8.3f}  backwards {clip['backwards'][head]:+8.3f}  {clip['input']}"
        for clip in result["clips"][:MOST_LINES]
    ]


def write(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    """Write results.csv: a row a sentence, clip and head."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("text", "input", "head", "score", "backwards"))
        for result in results:
            for clip in result["clips"]:
                rows = ((head, score, clip["backwards"][head]) for head, score in clip["scores"].items())
                table.writerows((result["text"], clip["input"], *row) for row in rows)


def _frames(name: str, count: int) -> np.ndarray:
    """Return the frames of a clip that are looked at."""
    return media_video.read_film(name, frames=count, sampling="uniform", longest_side=LONGEST_SIDE).frames


def _files(inputs: Sequence[str]) -> Iterator[str]:
    """Yield the files behind the arguments, those in folders too."""
    for source in inputs:
        if Path(source).is_dir():
            found = sorted(Path(source).iterdir())
            yield from (str(path) for path in found if path.suffix.lower() in media_video.ENDINGS)
        else:
            yield source
