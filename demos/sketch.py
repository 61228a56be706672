"""The sketch tab: a picture becomes a few strokes before one's eyes; stop it, go on, and take the SVG home."""

from collections.abc import Iterator
from typing import Any

import gradio as gr
import numpy as np

from demos import sketch_files, sketch_lessons, sketch_show, sketch_words
from demos.shell import QUIET, Built, guarded, load, note
from demos.sketch_drawing import STREAM, Cell, Sitting, begin, buttons, stop, streamed, take_up
from demos.sketch_inputs import ASKED, NUMBERS, example_paths, inputs
from demos.sketch_kept import (
    LOSSES,
    PRESETS,
    SYSTEM,
    About,
    Thing,
    as_python,
    ask,
    check_seed,
    judge_for,
    prepare,
    toybox_thing,
)
from demos.text import say, t

ID = "sketch"


def build(language: gr.State) -> Built:
    """Lay the tab out and connect it."""
    sitting, thing = gr.State(None), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            asked = inputs(language)
        with (
            gr.Column(scale=3, min_width=420),
            gr.Tabs(elem_id="sketch-lessons", elem_classes="lessons", overflow_behavior="wrap"),
        ):
            with gr.Tab(t("answer"), id="sketch-answer"):
                shown = _answer_outputs()
            with gr.Tab(t("sk_looked"), id="sketch-looked"):
                gr.Markdown(t("sk_looked_note"))
                looked = gr.Gallery(
                    columns=3, object_fit="contain", height=420, show_label=False, elem_id="sketch-maps"
                )
            with gr.Tab(t("sk_compare"), id="sketch-compare"):
                sketch_lessons.build([asked[name] for name in ASKED], thing, language)
            with gr.Tab(t("sk_words"), id="sketch-words"):
                sketch_words.build(language)
            with gr.Tab(t("sk_files"), id="sketch-files"):
                sketch_files.build(sitting, language)
            with gr.Tab(t("as_python"), id="sketch-code"):
                gr.Markdown(t("sk_code_note"))
                code = gr.Code(
                    language="python", interactive=False, wrap_lines=True, show_label=False, elem_id="sketch-python"
                )
    _connect(asked, shown, looked, code, sitting, thing, language)
    return Built(picture=asked["picture"])


def _connect(
    asked: dict[str, Any],
    shown: dict[str, Any],
    looked: gr.Gallery,
    code: gr.Code,
    sitting: gr.State,
    thing: gr.State,
    language: gr.State,
) -> None:
    """Connect what is asked with what is shown."""
    changing = [shown[name] for name in ("board", "curves", "seeds", "said", "cost")]
    resting = {"fn": buttons, "inputs": sitting, "outputs": [asked["stop"], asked["resume"]], **QUIET}
    pen = [shown["width"], shown["color"]]
    code_of = {"fn": code_for, "inputs": sitting, "outputs": code, **QUIET}
    begun = asked["draw"].click(
        guarded(get_ready),
        [asked["picture"], asked["seed"], thing, sitting, language],
        [asked["picture"], thing, sitting, shown["said"], asked["stop"], asked["resume"]],
        **QUIET,
    )
    public = {"api_visibility": "public", "api_name": "sketch", "api_description": "Draw a picture in a few strokes."}
    drawing = begun.success(
        streamed(draw),
        [*(asked[name] for name in ASKED), *pen, language, thing, sitting],
        [*changing, looked],
        show_progress_on=shown["said"],
        **STREAM | public,
    )
    drawing.failure(after_failure, [sitting, language], shown["said"], **QUIET)
    drawing.then(**resting).then(**code_of)
    taken = asked["resume"].click(guarded(take_up), [sitting, language], None, **QUIET)
    taken.success(**resting)
    taken.success(streamed(go_on), [sitting, language], changing, **STREAM).then(**resting).then(**code_of)
    asked["stop"].click(guarded(stop), [sitting, language], None, **QUIET)
    asked["take"].click(guarded(take_thing), [asked["seed"], language], [asked["picture"], thing], **QUIET)
    asked["examples"].select(_example, None, asked["picture"], **QUIET)
    asked["preset"].input(lambda name: PRESETS[name], asked["preset"], [asked[n] for n in NUMBERS], **QUIET)
    restyled = {**QUIET, "trigger_mode": "always_last"}
    gr.on(
        [each.input for each in pen],
        guarded(restyle),
        [sitting, *pen, language],
        [shown["board"], shown["seeds"]],
        **restyled,
    )
    shown["replay"].click(
        guarded(replay), [sitting, shown["presses"], language], [shown["board"], shown["presses"]], **QUIET
    )
    language.change(lambda language: note(say(language, "sk_nothing_yet")), language, shown["said"], **QUIET)


def get_ready(
    picture: Any, seed: float | None, thing: Thing | None, before: Sitting | None, language: str
) -> tuple[Any, ...]:
    """Return picture (else a Toybox thing's), thing, a new sitting, a word to wait by, and Stop and Resume."""
    shown, drawn = gr.skip(), thing
    if picture is None:
        drawn = toybox_thing(check_seed(seed))
        shown = drawn.picture
    sitting = begin(before)
    return shown, drawn, sitting, note(say(language, "sk_ready")), *buttons(sitting)


def draw(
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
    factor: float,
    color: str | None,
    language: str,
    thing: Thing | None = None,
    sitting: Sitting | None = None,
) -> Iterator[tuple[Any, ...]]:
    """Yield the sketch, loss curves, all seeds, what is to be said, the cost and the maps, every moment anew."""
    sitting = sitting or Sitting()
    try:
        asked = ask(picture, thing, strokes, preset, seeds, iterations, start, losses, views, cut, weights)
        sitting.pen = sketch_show.pen_of(factor, color)
        model = load(SYSTEM, weights)
        settings = asked.settings(model)
        prepared = prepare(asked, model, settings)
        judge = judge_for(weights, prepared.picture, asked.truth)
        run = model.run([prepared], settings)
        about = About(asked=asked, model=model, prepared=prepared, judge=judge)
        sitting.draws([run], [Cell(run=run, index=index) for index in range(asked.seeds)], about)
        yield *_now(sitting, language), sketch_show.maps(about, language)
        for _ in sitting.moments():
            yield *_now(sitting, language), gr.skip()
        if not sitting.replaced:
            yield *_now(sitting, language), gr.skip()
    except ValueError:
        sitting.fall_back()
        raise
    finally:
        sitting.busy = False


def go_on(sitting: Sitting, language: str) -> Iterator[tuple[Any, ...]]:
    """Yield what `draw` yields, but for the maps, from where the drawing stopped."""
    try:
        for _ in sitting.moments():
            yield _now(sitting, language)
        if not sitting.replaced:
            yield _now(sitting, language)
    finally:
        sitting.busy = False


def after_failure(sitting: Sitting | None, language: str) -> str:
    """Return what is to be said of the drawing that is still on show after another one failed."""
    if sitting is None or not sitting.runs:
        return note(say(language, "sk_nothing_yet"))
    return _now(sitting, language)[3]


def take_thing(seed: float | None, language: str) -> tuple[np.ndarray, Thing]:
    """Return a Toybox thing on white as picture, and itself to keep."""
    thing = toybox_thing(check_seed(seed))
    return thing.picture, thing


def restyle(sitting: Sitting | None, factor: float, color: str | None, language: str) -> tuple[Any, Any]:
    """Return the sketch and the seeds drawn with another pen, without the model; a drawing in progress takes it up."""
    pen = sketch_show.pen_of(factor, color)
    if sitting is None or not sitting.runs:
        return gr.skip(), gr.skip()
    sitting.pen = pen
    return sketch_show.board(sitting), sketch_show.seeds_strip(sitting, language)


def replay(sitting: Sitting | None, presses: int, language: str) -> tuple[str, int]:
    """Return the sketch as it draws itself, the salient strokes first, and how often that was asked for."""
    sitting = sketch_files.needed_at_rest(sitting)
    title = say(language, "sk_replay")
    return sketch_show.replayed(sitting, sketch_show.order_of(sitting), presses, title), presses + 1


def code_for(sitting: Sitting | None) -> str:
    """Return the lines of Python that draw the sketch on show."""
    if sitting is None or not sitting.runs:
        return ""
    progress = sitting.runs[0].progress
    return as_python(sitting.about, progress.iteration, progress.finished)


def _now(sitting: Sitting, language: str) -> tuple[str, str, str, str, str]:
    """Return sketch, curves, seeds, words and cost as they are."""
    about: About = sitting.about
    cell = sketch_show.best_cell(sitting)
    sketch = cell.drawn(cell.run.progress)
    (verdict,) = about.judge([sketch])
    said = note(sketch_show.verdict_line(about.judge.model.weights, verdict, about.asked.truth, language))
    said += sketch_show.where_it_stands(sitting, language) + sketch_show.remarks(about.prepared.remarks, language)
    semantic, geometric = LOSSES[about.asked.losses]
    if geometric and semantic and not about.model.has_stages:
        said += note(say(language, "sk_no_stages", model=about.model.weights))
    return (
        sketch_show.board(sitting),
        sketch_show.curves(sitting, language),
        sketch_show.seeds_strip(sitting, language),
        said,
        sketch_show.cost(sitting, about.model, language),
    )


def _example(event: gr.SelectData) -> str:
    return example_paths()[int(event.index)]


def _answer_outputs() -> dict[str, Any]:
    """Add the sketch, its curves, what is said of it, the pen and the seeds."""
    with gr.Row(equal_height=False):
        board = gr.HTML(sketch_show.on_paper(""), padding=False, elem_id="sketch-board", elem_classes="sketch-board")
        with gr.Column(scale=1, min_width=200):
            curves = gr.HTML(padding=False, elem_id="sketch-curves")
            seeds = gr.HTML(padding=False, elem_id="sketch-seeds-strip")
    said = gr.HTML(note(say("en", "sk_nothing_yet")), padding=False, elem_id="sketch-said")
    cost = gr.HTML(padding=False, elem_id="sketch-cost")
    with gr.Row(elem_id="sketch-pen"):
        narrow: dict[str, Any] = {"min_width": 100}
        width = gr.Slider(
            0.25, 4, value=1, step=0.05, label=t("sk_width"), buttons=[], scale=3, elem_id="sketch-width", **narrow
        )
        color = gr.ColorPicker("#000000", label=t("sk_color"), scale=2, elem_id="sketch-color", **narrow)
        replaying = gr.Button(t("sk_replay"), size="sm", elem_classes="low", scale=2, elem_id="sketch-replay", **narrow)
    return {
        "board": board,
        "curves": curves,
        "said": said,
        "cost": cost,
        "width": width,
        "color": color,
        "replay": replaying,
        "presses": gr.State(0),
        "seeds": seeds,
    }
