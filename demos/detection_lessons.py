"""The lessons of the detection tab: look inside, what is not here, one word in many sentences, files, code."""

from typing import Any

import gradio as gr

from demos.detection_absent import absent, moved, sentences_with
from demos.detection_files import as_python, write_files
from demos.detection_inside import choose, look_inside, redraw_inside
from demos.detection_kept import WEIGHT, Kept, Models
from demos.shell import MODEL, QUIET, guarded
from demos.text import t

PROPOSALS, MOST_PROPOSALS = 15, 100
MORE_WORDS = "rocket, ring, snowman"  # to ask for beside those on show
WORD = "chair"


def build(kept: gr.State, masked: gr.State, shown: dict[str, Any], models: list[Any], language: gr.State) -> gr.Slider:
    """Add a tab for each lesson and return the slider of ViLD's weight; `models` are inputs that name the weights."""
    least, overlap, own = shown["least"], shown["overlap"], shown["own"]
    with gr.Tab(t("dt_inside_lesson"), id="dt-inside"):
        weight = _inside(kept, language)
    with gr.Tab(t("dt_absent_lesson"), id="dt-absent"):
        _absent(kept, [least, overlap, weight], language)
    with gr.Tab(t("dt_moved_lesson"), id="dt-moved"):
        _moved(kept, models, language)
    with gr.Tab(t("dt_files_lesson"), id="dt-files-lesson"):
        gr.Markdown(t("dt_files_note"))
        write = gr.Button(t("dt_write"), variant="primary", elem_id="dt-write")
        files = gr.File(file_count="multiple", interactive=False, show_label=False, elem_id="dt-files")
    with gr.Tab(t("as_python"), id="dt-code"):
        gr.Markdown(t("dt_code_note"))
        code = gr.Code(language="python", interactive=False, wrap_lines=True, show_label=False, elem_id="dt-python")
    look = [least, overlap, weight, *own]
    write.click(guarded(write_files), [language, kept, masked, *look], files, api_visibility="private")
    moves = [kept.change, *(slider.change for slider in look)]
    gr.on(moves, as_python, [kept, *look], code, **QUIET, trigger_mode="always_last")
    kept.change(lambda: None, None, files, **QUIET)
    return weight


def _inside(kept: gr.State, language: gr.State) -> gr.Slider:
    chosen = gr.State(None)
    gr.Markdown(t("dt_inside_note"), elem_classes="small-heading")
    with gr.Row():
        look = gr.Button(t("dt_look"), variant="primary", min_width=90, elem_classes="low", elem_id="dt-look")
        most, weight = (
            gr.Slider(
                low, high, value=value, step=step, label=t(key), min_width=140, scale=2, buttons=[], elem_id=elem_id
            )
            for low, high, value, step, key, elem_id in (
                (1, MOST_PROPOSALS, PROPOSALS, 1, "dt_most", "dt-most"),
                (0, 1, round(WEIGHT, 2), 0.01, "dt_weight", "dt-weight"),
            )
        )
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=200):
            picture = gr.Image(
                interactive=False, buttons=[], format="png", height=230, visible=False, elem_id="dt-regions"
            )
        with gr.Column(scale=3, min_width=300):
            numbers = gr.HTML(padding=False, elem_id="dt-numbers")
    figure = gr.Plot(visible=False, show_label=False, elem_id="dt-figure")
    maps = gr.Gallery(columns=4, object_fit="contain", height=440, visible=False, show_label=False, elem_id="dt-maps")
    results = [picture, figure, maps, numbers, chosen]
    private = {"api_visibility": "private", **MODEL}
    look.click(guarded(look_inside), [kept, most, weight, language], results, **private)
    picture.select(guarded(choose), [kept, most, weight, language], [picture, numbers, chosen], **QUIET)
    moved_ = [most.input, weight.input]
    gr.on(
        moved_,
        redraw_inside,
        [kept, most, weight, chosen, language],
        [picture, numbers],
        **QUIET,
        trigger_mode="always_last",
    )
    hidden = [gr.update(value=None, visible=False)] * 3
    kept.change(lambda: (*hidden, "", None), None, results, **QUIET)
    return weight


def _absent(kept: gr.State, look: list[Any], language: gr.State) -> None:
    gr.Markdown(t("dt_absent_note"), elem_classes="small-heading")
    with gr.Row():
        more = gr.Textbox(MORE_WORDS, label=t("dt_more_words"), scale=3, min_width=200, elem_id="dt-more")
        check = gr.Button(t("dt_check"), variant="primary", min_width=100, elem_classes="low", elem_id="dt-check")
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=280):
            table = gr.HTML(padding=False, elem_id="dt-absent-table")
        with gr.Column(scale=2, min_width=150):
            blank = gr.HTML(padding=False, elem_id="dt-blank")
    private = {"api_visibility": "private", **MODEL}
    gr.on([check.click, more.submit], guarded(absent), [kept, more, *look, language], [blank, table], **private)
    kept.change(lambda: ("", ""), None, [blank, table], **QUIET)


def _moved(kept: gr.State, models: list[Any], language: gr.State) -> None:
    gr.Markdown(t("dt_moved_note"), elem_classes="small-heading")
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=150):
            word = gr.Textbox(WORD, label=t("dt_one_word"), elem_id="dt-one-word")
            compare = gr.Button(t("dt_compare"), variant="primary", elem_id="dt-compare")
        lines = gr.Textbox(
            sentences_with(WORD),
            label=t("dt_sentences"),
            lines=4,
            max_lines=8,
            scale=2,
            min_width=240,
            elem_id="dt-sentences",
        )
    table = gr.HTML(padding=False, elem_id="dt-moved-table")
    inputs = [kept, word, lines, language, *models]
    compare.click(guarded(_compared), inputs, table, api_visibility="private", **MODEL)
    kept.change(_first_word, kept, [word, lines], **QUIET)
    word.submit(lambda text: sentences_with(" ".join(text.split())), word, lines, **QUIET)


def _compared(kept: Kept | None, word: str, sentences: str, language: str, *weights: Any) -> str:
    return moved(kept, word, sentences, Models(names=tuple(weights)), language)


def _first_word(kept: Kept | None) -> tuple[Any, Any]:
    """Return the surest word of the answer on show, and sentences with it."""
    if kept is None:
        return gr.skip(), gr.skip()
    best = kept.labels[int(kept.candidates.best().argmax())]
    word = best.split()[-1].strip("().") if kept.asked.mode == "sentence" else best
    return word, sentences_with(word)
