"""The figures of CLIPasso: fresh Toybox things on white become sketches that another CLIP has to recognise.

The judge is the other embedded CLIP: it gives no gradient. It is no stranger, though: with `toybox-resnet` drawing, the
judge `toybox-vit` was taught by it, and its attention says where the strokes begin; so the figures of sketches that
nobody optimised (`random_16`: the specks that CLIPasso begins with) stand beside. Sketches are judged as the app shows
them, on their 224 pixel canvas. Strokes: 4 to 32; losses; backgrounds; starts; augmentation: each changes one thing.

Legend: P pictures, K seeds, N strokes.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from core import registry
from core.metrics.ranking import top1_accuracy, wilson_interval
from core.results import Strokes
from core.sketch.clipasso import Clipasso
from core.sketch.cutout import on_white
from core.sketch.run import Progress
from core.sketch.settings import ClipassoSettings
from core.viz.strokes import paint
from core.world.captions import LOOK_FRAMES
from core.world.render import View, render
from core.world.scene import SEEN_PAIRS, sample
from core.world.shapes import CATEGORIES

FIRST_SEED = 13_000_000  # far from training's and validation's
PIXELS = 192
LEAST_SHARE = 0.06  # of the picture that the thing covers
COUNTS = (4, 8, 16, 32)
LESSON_PICTURES = 24  # of the figures beside the main ones
LESSON_SEEDS = 3  # of each picture, where starts are compared
TEMPLATES = LOOK_FRAMES["line drawing"]
JUDGES = {"toybox-vit": "toybox-resnet"}  # every other CLIP is judged by toybox-vit
ITERATIONS = 60


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What the judge makes of P sketches."""

    names: tuple[str, ...]  # the best category of each
    recognised: float
    likeness: float  # mean cosine of each sketch with the picture it was drawn after


class Judge:
    """A CLIP that did not draw."""

    def __init__(self, weights: str) -> None:
        """Load the CLIP that did not draw with these weights."""
        self.model = registry.load("clip", JUDGES.get(weights, "toybox-vit"))

    def __call__(
        self, sketches: Sequence[Strokes], pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], truth: Sequence[str]
    ) -> Judged:
        """Name each sketch, and compare it with its picture."""
        drawn, seen = self.model.encode([paint(each) for each in sketches]), self.model.encode(list(pictures))
        rankings = self.model.rank_encoded(drawn, CATEGORIES, templates=TEMPLATES)
        return Judged(
            names=tuple(ranking.best for ranking in rankings),
            recognised=top1_accuracy(rankings, truth),
            likeness=float((drawn * seen).sum(1).mean()),
        )


def evaluate_clipasso(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure how well sketches are recognised, by strokes, losses, background, start and augmentation."""
    model: Clipasso = registry.load("clipasso", arguments.weights)
    judge = Judge(model.weights)
    settings = replace(model.defaults, iterations=ITERATIONS, seeds=1, augmentations=1, cut_out=False)
    views = [thing_alone(FIRST_SEED + 10_000 * arguments.seed + i, i) for i in range(arguments.size)]
    truth = [view.scene.things[0].category for view in views]
    white = [on_white(view.rgb, thing_mask(view)) for view in views]
    found: dict[str, Any] = {
        "system": "clipasso",
        "weights": model.weights,
        "judge": judge.model.weights,
        "seed": arguments.seed,
        "size": arguments.size,
        "iterations": settings.iterations,
    }
    found |= _by_count(model, judge, settings, white, truth)
    few = slice(0, min(arguments.size, LESSON_PICTURES))
    views, white, truth = views[few], white[few], truth[few]
    found["lesson_size"] = len(truth)
    found["by_loss"], without = _by_loss(model, judge, settings, white, truth)
    found["without_augmentation"] = without
    found["by_background"] = _by_background(model, judge, settings, views, truth)
    found["by_start"] = _by_start(model, judge, settings, white, truth)
    found["chance"] = 1 / len(CATEGORIES)
    return found


def thing_alone(seed: int, turn: int) -> View:
    """Render one thing, large enough to draw, of the category whose turn it is."""
    category, rng = CATEGORIES[turn % len(CATEGORIES)], np.random.default_rng(seed)
    pairs = tuple(pair for pair in SEEN_PAIRS if pair[1] == category)
    while True:
        view = render(sample(rng, count=1, pairs=pairs), (PIXELS, PIXELS), samples=2)
        if thing_mask(view).mean() >= LEAST_SHARE:
            return view


def thing_mask(view: View) -> Bool[np.ndarray, "H W"]:
    """Return the pixels of the things of a view."""
    return view.instances.ids >= 0


def draw(
    model: Clipasso, settings: ClipassoSettings, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]
) -> tuple[Progress, Progress]:
    """Draw every picture with every seed as one batch; return the beginning and the end."""
    run = model.run([model.prepare(picture, settings) for picture in pictures], settings)
    return run.progress, run.step(settings.iterations)


def _by_count(
    model: Clipasso,
    judge: Judge,
    settings: ClipassoSettings,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    truth: Sequence[str],
) -> dict[str, Any]:
    """Measure recognition with 4 to 32 strokes, and of strokes that nobody moved."""
    found: dict[str, Any] = {"picture_top1": top1_accuracy(judge.model.rank_many(pictures, CATEGORIES), truth)}
    shares, likeness = {}, {}
    for count in COUNTS:
        begin, end = draw(model, replace(settings, strokes=count), pictures)
        judged = judge(end.kept, pictures, truth)
        shares[count], likeness[str(count)] = judged.recognised, round(judged.likeness, 4)
        if count == settings.strokes:
            found["random_16"] = judge(begin.strokes, pictures, truth).recognised
            found["random_16_likeness"] = round(judge(begin.strokes, pictures, truth).likeness, 4)
            anywhere = [
                model.prepare(each, replace(settings, start="random", first_seed=place))
                for place, each in enumerate(pictures)
            ]
            specks = [Strokes.black(each.starts[0], settings.width, each.picture.shape[:2]) for each in anywhere]
            found["random_16_anywhere"] = judge(specks, pictures, truth).recognised
    for count, share in shares.items():
        found[f"recognised_{count}"] = share
    found["recognised_16_interval"] = [round(end, 4) for end in wilson_interval(shares[16], len(truth))]
    slope = float(np.polyfit(np.log2(COUNTS), list(shares.values()), 1)[0])
    found["gain_per_doubling"], found["curve_rises"] = round(slope, 4), slope > 0
    found["likeness_by_count"] = likeness
    return found


def _by_loss(
    model: Clipasso,
    judge: Judge,
    settings: ClipassoSettings,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    truth: Sequence[str],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure each loss alone and both, and the same without random views."""
    wanted = {"semantic only": {"geometric": False}}
    if model.has_stages:
        wanted |= {"geometric only": {"semantic": False}, "both": {}}
    by_loss, without = {}, {}
    for name, change in wanted.items():
        chosen = replace(settings, **change)
        by_loss[name] = _row(judge, *draw(model, chosen, pictures), pictures, truth)
        if name != "geometric only":
            bare = draw(model, replace(chosen, augmentations=0), pictures)
            without[name] = _row(judge, *bare, pictures, truth)
    return by_loss, without


def _row(
    judge: Judge,
    begin: Progress,
    end: Progress,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    truth: Sequence[str],
) -> dict[str, float]:
    """Return what the drawing CLIP and the judge say of some sketches, against those that nobody moved."""
    before, after = (judge(strokes, pictures, truth) for strokes in (begin.strokes, end.strokes))
    return {
        "recognised": round(after.recognised, 4),
        "recognised_at_start": round(before.recognised, 4),
        "likeness": round(after.likeness, 4),
        "likeness_at_start": round(before.likeness, 4),
        "loss": round(float(end.losses["total"].mean()), 4),
    }


def _by_background(
    model: Clipasso, judge: Judge, settings: ClipassoSettings, views: Sequence[View], truth: Sequence[str]
) -> dict[str, Any]:
    """Measure the same things on white, in their scene, and cut out of it; likeness is with the thing on white."""
    white = [on_white(view.rgb, thing_mask(view)) for view in views]
    scenes, rows = [view.rgb for view in views], {}
    for name, pictures, cut in (("white", white, False), ("background", scenes, False), ("cut out", scenes, True)):
        chosen = replace(settings, cut_out=cut)
        rows[name] = _row(judge, *draw(model, chosen, pictures), white, truth)
    cuts = [model.prepare(scene, replace(settings, cut_out=True)).cut for scene in scenes]
    masks = [_canvas_mask(view, cut.mask.shape) for view, cut in zip(views, cuts, strict=True)]
    overlaps = [(cut.mask & mask).sum() / (cut.mask | mask).sum() for cut, mask in zip(cuts, masks, strict=True)]
    rows["cut out"]["mask_iou"] = round(float(np.mean(overlaps)), 4)
    return rows


def _canvas_mask(view: View, size_hw: tuple[int, int]) -> Bool[np.ndarray, "S S"]:
    """Return the true mask at the canvas' size."""
    rows, columns = (np.arange(size) * side // size for size, side in zip(size_hw, (PIXELS, PIXELS), strict=True))
    return thing_mask(view)[np.ix_(rows, columns)]


def _by_start(
    model: Clipasso,
    judge: Judge,
    settings: ClipassoSettings,
    pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    truth: Sequence[str],
) -> dict[str, Any]:
    """Measure where strokes begin, over seeds: the loss, its spread over the seeds of a picture, and recognition."""
    rows = {}
    half = max(1, len(pictures) // 2)
    for start in ("saliency", "random"):
        _, end = draw(model, replace(settings, start=start, seeds=LESSON_SEEDS), pictures[:half])
        losses: Float[np.ndarray, "P K"] = end.losses["total"].reshape(half, LESSON_SEEDS)
        repeated = [picture for picture in pictures[:half] for _ in range(LESSON_SEEDS)]
        judged = judge(end.kept, repeated, [name for name in truth[:half] for _ in range(LESSON_SEEDS)])
        rows[start] = {
            "loss": round(float(losses.mean()), 4),
            "loss_spread": round(float(losses.std(1).mean()), 4),
            "recognised": round(judged.recognised, 4),
            "likeness": round(judged.likeness, 4),
        }
    return rows
