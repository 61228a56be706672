"""clifs against the official code: which frames are looked at, as released and as meant, its patches, its search."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from core.media_video import grid_indices, released_grid_indices
from core.video_retrieval.clifs import PatchSettings, released_patches, released_search
from tests.parity.compare import Case, Line, compare

TIME_ATOL = 1e-6  # the manifest's comment is stricter than its two numbers: this, and
SIMILARITY_ATOL = 1e-4  # for scores; everything else is exact


def run(case: Case) -> list[Line]:
    """Run this project's code on one case and compare."""
    if case.file.endswith(".json"):
        found = json.loads(Path(case.folder / case.file).read_text())
        return _patches(case, found) if isinstance(found, dict) else _sampling(case, found)
    return _search(case)


def _sampling(case: Case, rows: list[dict]) -> list[Line]:
    lines = []
    for number, row in enumerate(rows):
        count, rate, step = row["frame_count"], row["fps"], row["ms_between_features"] / 1000
        released = released_grid_indices(count, rate, step).tolist()
        meant = grid_indices(np.arange(count) / rate, step).tolist()
        times = np.array(released) / rate
        late = np.abs(times - row["released_times_s"]).max() if len(times) == len(row["released_times_s"]) else np.inf
        name = f"{case.name}: {number} {rate:g} fps"
        lines += [
            Line(f"{name} released", 0.0, released == row["released_frame_indices"]),
            Line(f"{name} times", float(late), bool(late <= TIME_ATOL)),
            Line(f"{name} intended", 0.0, meant == row["intended_frame_indices"]),
            Line(f"{name} equal", 0.0, (released == meant) == row["released_equals_intended"]),
            Line(f"{name} duration", 0.0, abs(count / rate - row["duration_s"]) <= TIME_ATOL),
        ]
    return lines


def _patches(case: Case, found: dict) -> list[Line]:
    lines = []
    for row in found["cases"]:
        size = row["height"], row["width"]
        boxes = released_patches(size, PatchSettings(side=row["patch_size"], step=row["step"]))
        name = f"{case.name}: {size[0]} x {size[1]}"
        shape = [int(boxes[0, 3] - boxes[0, 1]), int(boxes[0, 2] - boxes[0, 0]), 3]
        lines += [
            Line(f"{name} corners", 0.0, boxes[:, [1, 0]].tolist() == row["top_left_row_col"]),
            Line(f"{name} shape", 0.0, shape == row["patch_shape"]),
            Line(f"{name} images", 0.0, len(boxes) + 1 == row["images_per_frame"]),
        ]
    return lines + [_too_small(case, name) for name in found if name.startswith("frame_smaller_than_patch")]


def _too_small(case: Case, name: str) -> Line:
    """Where the release fails with an error of its library, this one says what was wanted."""
    height, width = (int(side) for side in name.rsplit("_", 1)[1].split("x"))
    try:
        released_patches((height, width))
    except ValueError:
        return Line(f"{case.name}: {name}", 0.0, True)
    return Line(f"{case.name}: {name}", float("inf"), False)


def _search(case: Case) -> list[Line]:
    inputs = {name: tensor.numpy() for name, tensor in case.part("in").items()}
    features, query = inputs["image_features_raw"], inputs["text_feature_raw"][0]
    videos, frames = inputs["video_id"], inputs["frame_idx"]
    found = {}
    for threshold in case.config["thresholds"]:
        places, scores = released_search(
            features, query, videos, frames, results=case.config["n"], threshold=float(threshold)
        )
        found["similarity"] = torch.from_numpy(scores)
        prefix = f"threshold{threshold}"
        found[f"{prefix}.video_id"] = torch.from_numpy(videos[places])
        found[f"{prefix}.frame_idx"] = torch.from_numpy(frames[places])
        found[f"{prefix}.score"] = torch.from_numpy(scores[places])
        found[f"{prefix}.time_s"] = torch.from_numpy(frames[places] / np.float32(case.config["fps"])).float()
    lines = []
    for name, line in zip(case.part("out"), compare(case, found), strict=True):
        ending = name.rsplit(".", 1)[-1]
        atol = {"time_s": TIME_ATOL, "score": SIMILARITY_ATOL, "similarity": SIMILARITY_ATOL}.get(ending, 0.0)
        strict = replace(case, tolerance={"rtol": 0.0, "atol": atol})
        lines += [each for each in compare(strict, found) if each.name == line.name]
    return lines
