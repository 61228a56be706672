"""The figures of DepthCLIP: every variant beside the answers that need no picture, on fresh Toybox scenes.

A constant cannot rank pixels, so its rank accuracy is 0.5, which is chance. The errors are those of Eigen et al. 2014
over pixels whose true depth is below MOST_METRES; the baselines are fitted on other scenes, once on every depth up to
the horizon and once on the depths that are scored, without which they would lose by what nobody asks them.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from core import registry
from core.depth.depthclip import BINS_METRES, DepthClip, DepthSettings
from core.metrics.depth import nyu_errors, rank_accuracy
from core.results import DepthMap
from core.world.picture import picture
from core.world.render import View

FIRST_SEED = 12_000_000  # far from training's and validation's
FITTED_SCENES = 100
PIXELS = 128
MOST_METRES = 20.0
NONSENSE = ("table", "seven", "green", "music", "because", "spoon", "quickly")  # words without a distance
FIFTEEN = (  # the seven words with others between them, most of which no embedded CLIP has heard
    *("giant", "huge", "extremely close", "very close", "close", "near", "not in distance", "a short way off"),
    *("a little remote", "remote", "rather far", "far", "very far", "extremely far", "unseen"),
)
LESSON_PICTURES = 30
Answer = Callable[[View], DepthMap]


def evaluate_depthclip(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure rank accuracy and the errors in metres of each variant, control and baseline."""
    model: DepthClip = registry.load("depthclip", arguments.weights)
    first = FIRST_SEED + 10_000 * arguments.seed
    views = [picture(first + i, PIXELS, samples=2) for i in range(arguments.size)]
    depths = [picture(first - 1 - i, PIXELS // 2, samples=1).depth for i in range(FITTED_SCENES)]
    scored = [DepthMap(metres=np.where(each.metres < MOST_METRES, each.metres, np.float32(np.inf))) for each in depths]
    baselines = model.fit_baselines(depths)
    baselines |= {f"{name}, below {MOST_METRES:g} m": each for name, each in model.fit_baselines(scored).items()}
    answers = _answers(model, baselines)
    rows = {name: _measure(answer, views) for name, answer in answers.items()}
    chosen = max(model.variants, key=lambda name: rows[name]["rank_accuracy"])
    lessons = _lessons(model, replace(model.defaults, variant=chosen))
    return {
        "system": "depthclip",
        "weights": model.weights,
        "seed": arguments.seed,
        "size": arguments.size,
        "variant": chosen,
        "rank_accuracy": rows[chosen]["rank_accuracy"],
        "delta1": rows[chosen]["d1"],
        "abs_rel": rows[chosen]["abs_rel"],
        "by_answer": rows,
        "by_question": {name: _measure(answer, views[:LESSON_PICTURES]) for name, answer in lessons.items()},
        "lesson_size": min(arguments.size, LESSON_PICTURES),
        "settings": {"temperature": model.defaults.temperature, "bins_metres": list(model.defaults.bins_metres)},
        "chance": {"rank_accuracy": 0.5},
    }


def _answers(model: DepthClip, baselines: dict[str, Any]) -> dict[str, Answer]:
    """Return every way to answer, by name: the variants, their controls, the baselines."""
    answers: dict[str, Answer] = {}
    for variant in model.variants:
        settings = replace(model.defaults, variant=variant)
        answers[variant] = _asked(model, settings)
        answers[f"{variant}, nonsense words"] = _asked(model, replace(settings, words=NONSENSE))
        answers[f"{variant}, words reversed"] = _asked(model, replace(settings, words=settings.words[::-1]))
    for name, baseline in baselines.items():
        answers[name] = lambda view, kept=baseline: kept.predict(view.rgb.shape[:2])
    return answers


def _lessons(model: DepthClip, settings: DepthSettings) -> dict[str, Answer]:
    """Return the best variant asked otherwise: other numbers and places of bins, temperatures, wrong words."""
    words, bins = settings.words, settings.bins_metres
    even = tuple(float(metres) for metres in np.linspace(min(bins), max(bins), len(bins)))
    swapped = list(words)
    near, far = words.index("close"), words.index("far")
    swapped[near], swapped[far] = words[far], words[near]
    shuffled = tuple(np.random.default_rng(0).permutation(words).tolist())
    fifteen = tuple(float(metres) for metres in np.geomspace(min(bins), max(bins), len(FIFTEEN)))
    asked = {
        "3 bins": replace(settings, words=words[::3], bins_metres=bins[::3]),
        "5 bins": replace(settings, words=words[1:6], bins_metres=bins[1:6]),
        "7 bins": settings,
        "15 bins": replace(settings, words=FIFTEEN, bins_metres=fifteen),
        "7 bins, evenly spaced": replace(settings, bins_metres=even),
        "7 bins, those of NYU": replace(settings, bins_metres=BINS_METRES),
        "temperature / 10": replace(settings, temperature=settings.temperature / 10),
        "temperature x 10": replace(settings, temperature=settings.temperature * 10),
        "close and far swapped": replace(settings, words=tuple(swapped)),
        "words shuffled": replace(settings, words=shuffled),
    }
    return {name: _asked(model, each) for name, each in asked.items()}


def _asked(model: DepthClip, settings: DepthSettings) -> Answer:
    return lambda view: model.estimate(view.rgb, settings).depth


def _measure(answer: Answer, views: list[View]) -> dict[str, float]:
    """Return the mean of each figure over the pictures."""
    rows = []
    for index, view in enumerate(views):
        guess, true = answer(view).metres, view.depth.metres
        errors = nyu_errors(guess, true, max=MOST_METRES)
        ranked = rank_accuracy(guess, true, np.random.default_rng(index))
        rows.append({"rank_accuracy": ranked, **{name: errors[name] for name in ("d1", "abs_rel", "rmse")}})
    return {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}
