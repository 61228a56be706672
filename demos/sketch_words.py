"""CLIPDraw's lesson: a sentence becomes coloured strokes, with no picture to draw after."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from demos import sketch_show
from demos.shell import QUIET, guarded, load, model_picker, note
from demos.sketch_drawing import STREAM, Cell, Sitting, begin, buttons, stop, streamed, take_up
from demos.sketch_files import files_of
from demos.sketch_inputs import whole_slider
from demos.sketch_kept import MOST_ITERATIONS, check_number
from demos.text import say, t

SYSTEM = "clipdraw"
TEXT = "a big red ball"
PATHS, MOST_PATHS, ITERATIONS = 24, 256, 100


def build(language: gr.State) -> None:
    """Add the sentence, its three buttons, the drawing and its files."""
    sitting = gr.State(None)
    gr.Markdown(t("sk_words_note"))
    narrow: dict[str, Any] = {"min_width": 70, "elem_classes": "low"}
    with gr.Row(elem_id="sketch-words-asked"):
        text = gr.Textbox(TEXT, label=t("sk_text"), lines=1, max_lines=1, scale=4, min_width=200, elem_id="sketch-text")
        run = gr.Button(t("sk_draw"), variant="primary", elem_id="sketch-words-draw", **narrow)
        halt = gr.Button(t("sk_stop"), variant="stop", interactive=False, elem_id="sketch-words-stop", **narrow)
        resume = gr.Button(t("sk_resume"), interactive=False, elem_id="sketch-words-resume", **narrow)
    with gr.Row(equal_height=False):
        board = gr.HTML(
            sketch_show.on_paper(""), padding=False, elem_id="sketch-words-board", elem_classes="sketch-board"
        )
        with gr.Column(scale=1, min_width=200):
            curves = gr.HTML(padding=False, elem_id="sketch-words-curves")
            said = gr.HTML(padding=False, elem_id="sketch-words-said")
            cost = gr.HTML(padding=False, elem_id="sketch-words-cost")
    with gr.Accordion(t("sk_how"), open=False, elem_id="sketch-words-how"):
        paths = whole_slider(1, MOST_PATHS, PATHS, "sk_paths", "sketch-paths")
        steps = whole_slider(1, MOST_ITERATIONS, ITERATIONS, "sk_iterations", "sketch-words-steps")
        negatives = gr.Checkbox(label=t("sk_negatives"), container=False, elem_id="sketch-negatives")
        weights = model_picker(SYSTEM, language)
    with gr.Accordion(t("sk_files"), open=False, elem_id="sketch-words-files"):
        files_of("sketch-words", sitting, language)
    changing = [board, curves, said, cost]
    resting = {"fn": buttons, "inputs": sitting, "outputs": [halt, resume], **QUIET}
    gr.on([run.click, text.submit], get_ready, [sitting, language], [sitting, said, halt, resume], **QUIET).success(
        streamed(draw_words),
        [text, paths, steps, negatives, weights, language, sitting],
        changing,
        show_progress_on=said,
        **STREAM,
    ).then(**resting)
    taken = resume.click(guarded(take_up), [sitting, language], None, **QUIET)
    taken.success(**resting)
    taken.success(streamed(go_on), [sitting, language], changing, **STREAM).then(**resting)
    halt.click(guarded(stop), [sitting, language], None, **QUIET)


def get_ready(before: Sitting | None, language: str) -> tuple[Any, ...]:
    """Return a new sitting, a word to wait by, and Stop and Resume."""
    sitting = begin(before)
    return sitting, note(say(language, "sk_ready")), *buttons(sitting)


def draw_words(
    text: str, paths: float | None, steps: float | None, negatives: bool, weights: str, language: str, sitting: Sitting
) -> Iterator[tuple[str, str, str, str]]:
    """Yield the drawing, its curve, what is to be said and the cost, every moment anew."""
    try:
        count = check_number("strokes", paths, 1, MOST_PATHS)
        iterations = check_number("iterations", steps, 1, MOST_ITERATIONS)
        model = load(SYSTEM, weights)
        settings = replace(model.defaults, paths=count, iterations=iterations)
        run = model.start(text, settings, negatives=model.negatives if negatives else ())
        sitting.draws([run], [Cell(run=run, index=0)], WordsAbout(text=text, model=model))
        yield _now(sitting, language)
        yield from _moments(sitting, language)
    except ValueError:
        sitting.fall_back()
        raise
    finally:
        sitting.busy = False


def go_on(sitting: Sitting, language: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield what `draw_words` yields, from where the drawing stopped."""
    try:
        yield from _moments(sitting, language)
    finally:
        sitting.busy = False


@dataclass(frozen=True, kw_only=True, eq=False)
class WordsAbout:
    """The sentence that is drawn, and the CLIP that reads it."""

    text: str
    model: Any


def _moments(sitting: Sitting, language: str) -> Iterator[tuple[str, str, str, str]]:
    for _ in sitting.moments():
        yield _now(sitting, language)
    if not sitting.replaced:
        yield _now(sitting, language)


def _now(sitting: Sitting, language: str) -> tuple[str, str, str, str]:
    about: WordsAbout = sitting.about
    progress = sitting.runs[0].progress
    said = ""
    if progress.losses:
        cosine = -float(progress.losses["text"][0])
        said = note(say(language, "sk_words_cosine", text=about.text, model=about.model.weights, cosine=cosine))
    said += sketch_show.where_it_stands(sitting, language)
    if unseen := about.model.unseen_words(about.text):
        said += note(say(language, "unseen_words", words=", ".join(unseen)))
    return (
        sketch_show.board(sitting),
        sketch_show.curves(sitting, language),
        said,
        sketch_show.cost(sitting, about.model, language),
    )
