"""What the claims of ViLD's paper are worth on the Toybox, where the truth is known."""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.detection.answer import THRESHOLD
from core.detection.vild import Vild, VildSettings
from core.detection.vild_crops import encode_crops
from core.detection.vild_head import word_logits
from core.detection.vild_parts import VildParts
from core.detection.vild_scores import ensemble, text_probabilities
from core.evaluate.vild import CROP_SCENES, Scene, aps, crops_baseline, overlaps, rounded
from core.train.vild import VildLesson, VildRecipe
from core.world.scene import NOVEL
from core.world.shapes import CATEGORIES

SHARES = tuple(round(0.1 * step, 1) for step in range(11))
CROPS = {
    "1x": ((1.0,), False),
    "1.5x": ((1.5,), False),
    "1x and 1.5x": ((1.0, 1.5), False),
    "1x, squares": ((1.0,), True),
    "1.5x, squares": ((1.5,), True),
    "1x and 1.5x, squares": ((1.0, 1.5), True),
}
SIDES = (128, 192, 256)
TIMED_STEPS = 3


def claims(model: Vild, few: Sequence[Scene], parts: Sequence[VildParts]) -> dict[str, Any]:
    """Measure every claim on some scenes, whose heads' scores are given."""
    truths = [scene.truth for scene in few]
    crop_scenes = few[:CROP_SCENES]
    return {
        "by_text_share": {
            share: aps(parts, truths, lambda each, share=share: mixture(each, share)) for share in SHARES
        },
        "image_with_objectness": aps(parts, truths, lambda each: np.sqrt(each.of("image") * each.objectness[:, None])),
        "named": named(few, parts),
        "absent": absent(few, parts),
        "background": backgrounds(model, few, parts),
        "by_pixels": by_pixels(model, few),
        "prompts": prompts(model, few),
        "crop_accuracy": crop_accuracy(model, few),
        "crops": crops_baseline(model, crop_scenes),
        "teacher": teacher_times(),
    }


def mixture(parts: VildParts, share: float) -> np.ndarray:
    """Return the geometric mean in which the text head has this share for every word."""
    text, image = (torch.from_numpy(parts.of(head)) for head in ("text", "image"))
    return ensemble(text, image, torch.ones(len(parts.labels), dtype=torch.bool), share).numpy()


def named(few: Sequence[Scene], parts: Sequence[VildParts]) -> dict[str, dict[str, float | None]]:
    """Return how often the box that fits a true thing best gets its name, by head: naming without finding."""
    found = {}
    for head in ("text", "image", "vild", "ensemble"):
        right: dict[str, list[bool]] = {"base": [], "novel": []}
        for scene, each in zip(few, parts, strict=True):
            scores = each.of(head)
            for label, box in zip(scene.truth.labels, scene.truth.boxes_xyxy, strict=True):
                best = scores[int(overlaps(box, each.boxes_xyxy).argmax())]
                right["novel" if label in NOVEL else "base"].append(CATEGORIES[int(best.argmax())] == label)
        found[head] = {kind: rounded(np.mean(values)) if values else None for kind, values in right.items()}
    return found


def absent(few: Sequence[Scene], parts: Sequence[VildParts]) -> dict[str, float | None]:
    """Return how often a word whose thing is there scores above the usual threshold, and one whose thing is not."""
    there: dict[str, list[float]] = {"base": [], "novel": []}
    missing: dict[str, list[float]] = {"base": [], "novel": []}
    for scene, each in zip(few, parts, strict=True):
        for word, best in zip(CATEGORIES, each.ensemble().max(0), strict=True):
            group = there if word in scene.truth.labels else missing
            group["novel" if word in NOVEL else "base"].append(float(best))
    found: dict[str, float | None] = {"threshold": THRESHOLD}
    for kind in there:
        for name, group in (("there", there), ("not there", missing)):
            over = [best >= THRESHOLD for best in group[kind]]
            found[f"{kind} {name}"] = rounded(np.mean(over)) if over else None
    return found


def backgrounds(model: Vild, few: Sequence[Scene], parts: Sequence[VildParts]) -> dict[str, Any]:
    """Give the text head the learned background, the word 'background', or none."""
    truths, texts = [scene.truth for scene in few], model.classifier(CATEGORIES)
    word = model.classifier(["background"])[0]
    said, none = [], []
    for scene in few:
        rows = torch.from_numpy(model.look(scene.view.rgb).text)
        said.append(text_probabilities(word_logits(rows, texts, word)).numpy())
        none.append(word_logits(rows, texts).softmax(-1).numpy())
    places = {id(each): place for place, each in enumerate(parts)}
    return {
        "learned": aps(parts, truths, lambda each: each.of("text")),
        "the word": aps(parts, truths, lambda each: said[places[id(each)]]),
        "none": aps(parts, truths, lambda each: none[places[id(each)]]),
        "the word is known": not model.unseen_words(["background"]),
    }


def by_pixels(model: Vild, few: Sequence[Scene]) -> dict[str, dict[str, float | None]]:
    """Show the network the pictures at the size that it learned from, and larger."""
    truths, found = [scene.truth for scene in few], {}
    for pixels in SIDES:
        settings = VildSettings(pixels=pixels)
        parts = [model.parts(scene.view.rgb, CATEGORIES, settings, heads=("ensemble",)) for scene in few]
        found[f"{pixels} pixels"] = aps(parts, truths, lambda each: each.ensemble())
    return found


def prompts(model: Vild, few: Sequence[Scene]) -> dict[str, dict[str, float | None]]:
    """Say the words in one sentence, five or the paper's 63."""
    truths = [scene.truth for scene in few]
    found = {}
    for name in ("one", "scene", "paper"):
        settings = VildSettings(templates=name)
        parts = [model.parts(scene.view.rgb, CATEGORIES, settings, heads=("ensemble",)) for scene in few]
        found[name] = aps(parts, truths, lambda each: each.ensemble())
    return found


def crop_accuracy(model: Vild, few: Sequence[Scene]) -> dict[str, dict[str, float | None]]:
    """Cut true boxes out in every way and count how often the teacher's best word is right."""
    texts = model.classifier(CATEGORIES)
    found = {}
    for name, (scales, square) in CROPS.items():
        right: dict[str, list[bool]] = {"all": [], "novel": []}
        for scene in few:
            rows = encode_crops(model.clip, scene.view.rgb, scene.truth.boxes_xyxy, scales=scales, square=square)
            best = (rows @ texts.T).argmax(1).tolist()
            for label, guess in zip(scene.truth.labels, best, strict=True):
                right["all"].append(CATEGORIES[guess] == label)
                right["novel"] += [CATEGORIES[guess] == label] if label in NOVEL else []
        found[name] = {kind: rounded(np.mean(values)) if values else None for kind, values in right.items()}
    return found


def teacher_times() -> dict[str, float]:
    """Return the seconds of a training step with stored embeddings and with the teacher in the loop, and the ratio."""
    recipe = VildRecipe(pictures=16, proposal_steps=1)
    seconds: dict[str, list[float]] = {"stored": [], "in the loop": []}
    with tempfile.TemporaryDirectory() as folder:
        lessons = {
            name: VildLesson(dataclasses.replace(recipe, stored=name == "stored"), Path(folder), None)
            for name in seconds
        }
        for step in range(TIMED_STEPS + 1):
            for name, lesson in lessons.items():
                lesson.model.train()
                started = time.perf_counter()
                lesson.loss(step).backward()
                seconds[name] += [time.perf_counter() - started] if step else []
    stored, asked = (statistics.median(seconds[name]) for name in seconds)
    return {
        "seconds_per_step_stored": round(stored, 4),
        "seconds_per_step_in_the_loop": round(asked, 4),
        "ratio": round(asked / stored, 3),
    }
