"""The sketch tab's comparisons: each changes one thing, and the CLIP that did not draw says what that did."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import gradio as gr
import numpy as np

from demos import sketch_show
from demos.shell import QUIET, guarded, load, note
from demos.sketch_drawing import STREAM, Cell, Sitting, begin, buttons, padded, stop, streamed
from demos.sketch_kept import LOSSES, SYSTEM, Asked, Judge, Thing, Verdict, ask, judge_for, prepare
from demos.text import say, t

COUNTS = (32, 16, 8, 4)
START_SEEDS = 3
COMPARED = ("saliency", "random")
YES, NO = " ✓", " ✗"


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """Sketches that differ in one thing, the picture they should be like, and how the verdict is worded."""

    runs: Sequence[Any]
    cells: tuple[Cell, ...]
    target: np.ndarray  # (S, S, 3) uint8
    columns: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What became of one sketch, by its own loss and to the judge, before the first step and now."""

    caption: str
    losses: tuple[float, float]
    likeness: tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class LessonAbout:
    """What a comparison was asked, and how its sketches began."""

    lesson: str
    model: Any
    judge: Judge
    columns: int
    at_start: list[Verdict]


def build(asked: Sequence[Any], thing: gr.State, language: gr.State) -> None:
    """Add the choice of a comparison, its button, its sketches and its verdict."""
    sitting = gr.State(None)
    names = [(t(label) if label.startswith("sk_") else label, name) for name, (label, *_) in LESSONS.items()]
    lesson = gr.Radio(names, value="counts", show_label=False, container=False, elem_id="sketch-lesson")
    about = gr.HTML(sketch_show.small(say("en", "sk_about_counts")), padding=False, elem_id="sketch-lesson-about")
    with gr.Row():
        run = gr.Button(t("sk_compare_run"), variant="primary", min_width=100, scale=2, elem_id="sketch-compare-run")
        halt = gr.Button(t("sk_stop"), variant="stop", interactive=False, min_width=80, elem_id="sketch-compare-stop")
        unused = gr.Button(visible=False)  # where the answer has its Resume
    said = gr.HTML(padding=False, elem_id="sketch-compare-said")
    figures = gr.HTML(padding=False, elem_id="sketch-compare-figures")
    cost = gr.HTML(padding=False, elem_id="sketch-compare-cost")
    gr.on([lesson.change, language.change], describe, [lesson, language], about, **QUIET)
    run.click(guarded(get_ready), [sitting, language], [sitting, said, halt, unused], **QUIET).success(
        streamed(compare),
        [*asked, lesson, language, thing, sitting],
        [figures, said, cost],
        show_progress_on=said,
        **STREAM,
    ).then(buttons, sitting, [halt, unused], **QUIET)
    halt.click(guarded(stop), [sitting, language], None, **QUIET)


def describe(lesson: str, language: str) -> str:
    """Return what a comparison claims."""
    return sketch_show.small(say(language, LESSONS[lesson][1]))


def get_ready(before: Sitting | None, language: str) -> tuple[Any, ...]:
    """Return a new sitting, a word to wait by, and Stop."""
    sitting = begin(before)
    return sitting, note(say(language, "sk_ready")), *buttons(sitting)


def compare(
    picture: Any,
    strokes: float | None,
    preset: str,
    seeds: float | None,
    iterations: float | None,
    start: str,
    losses: str,
    views: float | None,
    cut: str,
    weights: str,
    lesson: str,
    language: str,
    thing: Thing | None,
    sitting: Sitting,
) -> Iterator[tuple[str, str, str]]:
    """Yield the sketches side by side, what is to be said and the cost, every moment anew."""
    try:
        asked = ask(picture, thing, strokes, preset, seeds, iterations, start, losses, views, cut, weights)
        model = load(SYSTEM, weights)
        made = LESSONS[lesson][2](asked, model)
        judge = judge_for(weights, made.target, asked.truth)
        at_start = judge([cell.drawn(cell.run.progress) for cell in made.cells])
        about = LessonAbout(lesson=lesson, model=model, judge=judge, columns=made.columns, at_start=at_start)
        sitting.draws(made.runs, made.cells, about)
        yield _now(sitting, at_start, language), "", sketch_show.cost(sitting, model, language)
        for _ in sitting.moments():
            yield _now(sitting, None, language), "", sketch_show.cost(sitting, model, language)
        if sitting.replaced:
            return
        judged = judge([cell.drawn(cell.run.progress) for cell in made.cells])
        said = note(verdict(lesson, outcomes(sitting, judged), judge.model.weights, language))
        if sitting.stopped.is_set():
            said = sketch_show.small(say(language, "sk_compare_stopped")) + said
        yield _now(sitting, judged, language), said, sketch_show.cost(sitting, model, language)
    except ValueError:
        sitting.fall_back()
        raise
    finally:
        sitting.busy = False


def of_counts(asked: Asked, model: Any) -> Lesson:
    """Compare stroke counts, drawn as one batch; the fewer are the first of the many."""
    settings = replace(asked.settings(model), strokes=max(COUNTS), seeds=1)
    prepared = prepare(asked, model, settings)
    run = model.run([padded(prepared, count, max(COUNTS)) for count in COUNTS], settings)
    cells = tuple(Cell(run=run, index=i, caption=f"{count}", strokes=count) for i, count in enumerate(COUNTS))
    return Lesson(runs=[run], cells=cells, target=prepared.picture, columns=len(COUNTS))


def of_losses(asked: Asked, model: Any) -> Lesson:
    """Compare each loss alone and both, from the same starts."""
    settings = replace(asked.settings(model), seeds=1)
    prepared = prepare(asked, model, settings)
    runs = [
        model.run([prepared], replace(settings, semantic=semantic, geometric=geometric))
        for semantic, geometric in LOSSES.values()
    ]
    cells = tuple(Cell(run=run, index=0, caption=name) for run, name in zip(runs, LOSSES, strict=True))
    return Lesson(runs=runs, cells=cells, target=prepared.picture, columns=len(cells))


def of_starts(asked: Asked, model: Any) -> Lesson:
    """Compare where strokes begin, over several seeds, drawn as one batch."""
    settings = replace(asked.settings(model), seeds=START_SEEDS)
    prepared = [prepare(asked, model, replace(settings, start=start)) for start in COMPARED]
    run = model.run(prepared, settings)
    names = [start for start in COMPARED for _ in range(START_SEEDS)]
    cells = tuple(Cell(run=run, index=i, caption=name) for i, name in enumerate(names))
    return Lesson(runs=[run], cells=cells, target=prepared[0].picture, columns=len(names))


def of_views(asked: Asked, model: Any) -> Lesson:
    """Compare drawing with random views and without, from the same starts."""
    settings = replace(asked.settings(model), seeds=1)
    prepared = prepare(asked, model, settings)
    with_views = replace(settings, augmentations=max(1, settings.augmentations))
    runs = [model.run([prepared], each) for each in (with_views, replace(settings, augmentations=0))]
    cells = tuple(
        Cell(run=run, index=0, caption=name) for run, name in zip(runs, ("sk_with", "sk_without"), strict=True)
    )
    return Lesson(runs=runs, cells=cells, target=prepared.picture, columns=3)


def of_backgrounds(asked: Asked, model: Any) -> Lesson:
    """Compare a picture as it is with its object cut out; of a Toybox thing the true mask is known too."""
    settings = replace(asked.settings(model), seeds=1, cut_out=False)
    scene = asked.thing.scene if asked.thing else asked.picture
    cut = model.prepare(scene, replace(settings, cut_out=True))
    if cut.cut.how == "paper":
        raise ValueError("This picture is on white already: choose one with a background, or take a Toybox thing.")
    prepared = {"sk_as_it_is": model.prepare(scene, settings), "sk_cut_out": cut}
    if asked.thing:
        prepared["sk_true_mask"] = model.prepare(scene, settings, asked.thing.mask)
    run = model.run(list(prepared.values()), settings)
    cells = tuple(Cell(run=run, index=i, caption=name) for i, name in enumerate(prepared))
    return Lesson(runs=[run], cells=cells, target=list(prepared.values())[-1].picture, columns=3)


LESSONS: dict[str, tuple[str, str, Callable[[Asked, Any], Lesson]]] = {  # label, claim, and how it is made
    "counts": ("32 · 16 · 8 · 4", "sk_about_counts", of_counts),
    "losses": ("L_s · L_g", "sk_about_losses", of_losses),
    "starts": ("sk_lesson_starts", "sk_about_starts", of_starts),
    "views": ("sk_lesson_views", "sk_about_views", of_views),
    "backgrounds": ("sk_lesson_backgrounds", "sk_about_backgrounds", of_backgrounds),
}


def outcomes(sitting: Sitting, judged: Sequence[Verdict]) -> list[Outcome]:
    """Return what became of each sketch of a comparison."""
    found = []
    for cell, before, after in zip(sitting.cells, sitting.about.at_start, judged, strict=True):
        losses = cell.losses()
        first = float(losses[0]) if len(losses) else float("nan")
        found.append(
            Outcome(
                caption=cell.caption,
                losses=(first, cell.loss(cell.run.progress)),
                likeness=(before.likeness, after.likeness),
            )
        )
    return found


def verdict(lesson: str, found: Sequence[Outcome], judge: str, language: str) -> str:
    """Say what the numbers say of the claim, whichever way they point."""
    values = [each.likeness[1] for each in found]
    if lesson == "counts":
        rises = all(many >= few for many, few in pairwise(values))
        return say(language, "sk_said_rises" if rises else "sk_said_not_rises", judge=judge, values=_listed(found))
    if lesson == "starts":
        half = len(found) // 2
        parts = {"a": found[:half], "b": found[half:]}
        numbers = {}
        for name, part in parts.items():
            losses = np.array([each.losses[1] for each in part])
            numbers |= {f"{name}_loss": losses.mean(), f"{name}_spread": losses.std()}
            numbers[f"{name}_like"] = float(np.mean([each.likeness[1] for each in part]))
        return say(language, "sk_said_starts", judge=judge, **numbers)
    if lesson == "views":
        numbers = {}
        for name, each in zip("ab", found, strict=True):
            numbers |= {f"{name}_fell": 1 - each.losses[1] / each.losses[0], f"{name}_from": each.likeness[0]}
            numbers[f"{name}_to"] = each.likeness[1]
        return say(language, "sk_said_views", judge=judge, **numbers)
    best = found[int(np.argmax(values))]
    name = _name(best.caption, language)
    return say(language, "sk_said_best", judge=judge, best=name, values=_listed(found, language))


def _listed(found: Sequence[Outcome], language: str = "en") -> str:
    return ", ".join(f"{_name(each.caption, language)}: {each.likeness[1]:+.3f}" for each in found)


def _name(caption: str, language: str) -> str:
    return say(language, caption) if caption.startswith("sk_") else caption


def _now(sitting: Sitting, judged: Sequence[Verdict] | None, language: str) -> str:
    """Return the sketches with their captions; what the judge says only where it was asked."""
    figures = []
    for index, cell in enumerate(sitting.cells):
        progress, losses = cell.run.progress, cell.losses()
        lines = [_name(cell.caption, language)]
        if len(losses):
            values = {"first": losses[0], "now": cell.loss(progress)}
            lines.append(say(language, "sk_loss_from_to", **values))
        if judged is not None:
            said = judged[index]
            mark = "" if said.right is None else YES if said.right else NO
            lines += [f"{said.best} {said.share:.0%}{mark}", say(language, "sk_likeness", value=said.likeness)]
        figures.append((sitting.strokes(cell), lines))
    return sketch_show.strip(figures, columns=sitting.about.columns)
