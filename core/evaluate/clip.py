"""The figures of a CLIP: fresh Toybox seeds and a folder of photographs, with what CLIPs are known to be bad at.

Every share comes with its 95 % interval and with what chance would give.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core import media, registry
from core.metrics.ranking import top1_accuracy, wilson_interval
from core.prompts import TEMPLATES
from core.results import Ranking
from core.world.captions import relation, shown
from core.world.looks import LOOKS, view_as
from core.world.picture import picture
from core.world.render import View
from core.world.scene import BASE, COLORS
from core.world.shapes import CATEGORIES

PICTURE_PIXELS = 128
FIRST_SEED = 1_000_000  # training draws from other generators, validation from 5,000,000 on
ONE_TEMPLATE = TEMPLATES["one template"]
PAIR_LABELS = tuple(f"{color} {name}" for color in COLORS for name in CATEGORIES)
COUNT_WORDS = {1: "one", 2: "two", 3: "three", 4: "four"}


def evaluate_clip(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a CLIP: categories, unseen pairs, colours, looks, prompts, and what CLIP is known to be bad at."""
    model = registry.load("clip", arguments.weights)
    size, first = arguments.size, FIRST_SEED + 10_000 * arguments.seed
    seen = [_single(first + i, "seen") for i in range(size)]
    hidden = [_single(first + i, "held-out") for i in range(size)]
    found: dict[str, Any] = {"system": "clip", "weights": model.weights, "seed": arguments.seed, "size": size}
    names = [_category(view) for view in seen]
    pictures = [view.rgb for view in seen]
    category = model.rank_many(pictures, CATEGORIES, templates=ONE_TEMPLATE)
    found["toy_top1"] = top1_accuracy(category, names)
    found["toy_top1_interval"] = _interval(found["toy_top1"], size)
    found["toy_top1_base"], found["toy_top1_novel"] = _by_split(category, names)
    among_pairs = model.rank_many([view.rgb for view in hidden], PAIR_LABELS, templates=ONE_TEMPLATE)
    pairs = [f"{view.scene.things[0].color} {_category(view)}" for view in hidden]
    found["toy_heldout_top1"] = top1_accuracy(among_pairs, pairs)
    found["toy_heldout_top1_interval"] = _interval(found["toy_heldout_top1"], size)
    found["color_top1"] = _color_accuracy(model, seen)
    found["color_top1_interval"] = _interval(found["color_top1"], size)
    found |= _photo_accuracy(model, arguments.photos)
    found["toy_top1_by_prompt"] = _by_prompt(model, pictures, names)
    found["toy_top1_by_look"] = _by_look(model, seen[: max(1, size // 4)])
    found |= _weak_spots(model, first, max(20, size // 4))
    found["pointing"] = _pointing(model, seen[: max(1, size // 10)])
    found["chance"] = {
        "toy_top1": 1 / len(CATEGORIES),
        "toy_heldout_top1": 1 / len(PAIR_LABELS),
        "color_top1": 0.1,
    }
    return found


def _single(seed: int, pairs: str) -> View:
    return picture(seed, PICTURE_PIXELS, count=1, pairs=pairs, samples=2)


def _category(view: View) -> str:
    return view.scene.things[0].category


def _interval(share: float, count: int) -> list[float]:
    return [round(end, 4) for end in wilson_interval(share, count)]


def _by_split(rankings: Sequence[Ranking], truths: Sequence[str]) -> tuple[float | None, float | None]:
    """Return the accuracies on base and novel categories, all categories being in the race."""
    shares = []
    for wanted in (True, False):
        chosen = [i for i, name in enumerate(truths) if (name in BASE) == wanted]
        shares.append(top1_accuracy([rankings[i] for i in chosen], [truths[i] for i in chosen]) if chosen else None)
    return shares[0], shares[1]


def _color_accuracy(model: Any, views: Sequence[View]) -> float:
    """Return how often the right colour wins among ten, the category being given."""
    rankings = model.rank_many([view.rgb for view in views], PAIR_LABELS, templates=ONE_TEMPLATE)
    truths = [f"{view.scene.things[0].color} {_category(view)}" for view in views]
    among = [tuple(f"{color} {_category(view)}" for color in COLORS) for view in views]
    return top1_accuracy(rankings, truths, among=among)


def _photo_accuracy(model: Any, source: Path | None) -> dict[str, Any]:
    """Return the accuracy on photographs whose folder names their class, or None for each figure without any."""
    if source is None:
        return {"photo_top1": None, "photo_top1_by_prompt": None, "photo_count": 0}
    truths, pictures = _labelled_photos(source)
    classes = tuple(sorted(set(truths)))
    rankings = model.rank_many(pictures, classes, templates=ONE_TEMPLATE)
    share = top1_accuracy(rankings, truths)
    return {
        "photo_top1": share,
        "photo_top1_interval": _interval(share, len(truths)),
        "photo_top1_by_prompt": _by_prompt(model, pictures, truths),
        "photo_count": len(truths),
        "photo_classes": list(classes),
    }


def _labelled_photos(source: Path) -> tuple[list[str], list[np.ndarray]]:
    """Read CLASS/picture files; where the source has test/ and train/, only those under test/."""
    names = media.picture_names(source)
    tests = [name for name in names if "test" in Path(name).parts[:-2]]
    chosen = [name for name in (tests or names) if len(Path(name).parts) >= 2]
    if not chosen:
        raise ValueError(f"wanted CLASS/picture files in {source}, found none")
    pictures = [picture for _, picture in media.read_named(source, chosen)]
    return [Path(name).parts[-2] for name in chosen], pictures


def _by_prompt(model: Any, pictures: Sequence[np.ndarray], truths: Sequence[str]) -> dict[str, float]:
    """Return the accuracy with each set of templates (Radford et al. 2021, Sec. 3.1.4)."""
    labels = tuple(dict.fromkeys(truths))
    features = model.encode(pictures)
    return {
        name: top1_accuracy(model.rank_encoded(features, labels, templates=templates), truths)
        for name, templates in TEMPLATES.items()
    }


def _by_look(model: Any, views: Sequence[View]) -> dict[str, float]:
    """Return the category accuracy on each look of the same scenes."""
    names = [_category(view) for view in views]
    return {
        look: top1_accuracy(
            model.rank_many([view_as(view, look) for view in views], CATEGORIES, templates=ONE_TEMPLATE),
            names,
        )
        for look in LOOKS
    }


def _pointing(model: Any, views: Sequence[View]) -> dict[str, float]:
    """Return how often the heat map of the true label is highest on the thing itself, and what a random pixel gives.

    The pointing game of Zhang et al. 2018, Top-down Neural Attention by Excitation Backprop, IJCV.
    """
    hits: dict[str, list[float]] = {"gradient": [], "occlusion": [], "chance": []}
    for view in views:
        mask = view.instances.ids >= 0
        hits["chance"].append(float(mask.mean()))
        for method in ("gradient", "occlusion"):
            values = model.heat_maps(view.rgb, [_category(view)], templates=ONE_TEMPLATE, method=method)[0].values
            hits[method].append(float(mask.flat[int(values.argmax())]))
    return {name: round(float(np.mean(shares)), 4) for name, shares in hits.items()}


def _weak_spots(model: Any, first: int, count: int) -> dict[str, Any]:
    """Measure left against right, counting and negation, where CLIPs are known to be near chance."""
    sides = [found for i in range(6 * count) if (found := _side(first + i))][:count]
    left_right = [model.rank(rgb, labels).best == labels[0] for rgb, labels in sides]
    counted = [_counted(first + i) for i in range(count)]
    counting = [model.rank(rgb, labels).best == truth for rgb, labels, truth in counted]
    absent = [_negated(first + i) for i in range(count)]
    negation = [model.rank(rgb, labels).best == labels[0] for rgb, labels in absent]
    return {
        "left_right_top1": float(np.mean(left_right)) if left_right else None,
        "counting_top1": float(np.mean(counting)),
        "negation_top1": float(np.mean(negation)),
        "weak_spot_chance": {
            "left_right_top1": 0.5,
            "counting_top1": 1 / len(COUNT_WORDS),
            "negation_top1": 0.5,
        },
    }


def _side(seed: int) -> tuple[np.ndarray, tuple[str, str]] | None:
    """Return a picture of two things with the true and the swapped sentence, or None where no side is clear."""
    view = picture(seed, PICTURE_PIXELS, count=2, samples=2)
    seen = shown(view)
    words = relation(view, seen[0], seen[1]) if len(seen) == 2 else None
    if words not in ("to the left of", "to the right of"):
        return None
    a, b = (view.scene.things[i] for i in seen)
    first, second = f"a {a.color} {a.category}", f"a {b.color} {b.category}"
    return view.rgb, (f"{first} {words} {second}", f"{second} {words} {first}")


def _counted(seed: int) -> tuple[np.ndarray, tuple[str, ...], str]:
    """Return a picture of one to four balls with the four sentences and the true one."""
    number = 1 + seed % len(COUNT_WORDS)
    view = picture(seed, PICTURE_PIXELS, count=number, pairs="balls", samples=2)
    visible = len(shown(view))
    labels = tuple(f"{word} ball" if n == 1 else f"{word} balls" for n, word in COUNT_WORDS.items())
    return view.rgb, labels, labels[visible - 1]


def _negated(seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    """Return a picture with 'a photo without X', X absent, against 'a photo with X'."""
    view = _single(seed, "seen")
    other = CATEGORIES[(CATEGORIES.index(_category(view)) + 1 + seed % (len(CATEGORIES) - 1)) % len(CATEGORIES)]
    return view.rgb, (f"a photo without a {other}", f"a photo with a {other}")
