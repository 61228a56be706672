"""The action tab: a clip, labels for what happens in it, and what the order of its frames is worth."""

from typing import Any

import gradio as gr

from demos import action_lessons as lessons
from demos.action_kept import (
    ACTIONS_TEXT,
    ORDERS,
    SYSTEM,
    TEMPLATE_SETS,
    Kept,
    Toy,
    draw_toy,
    kept_again,
    look,
    ranking_of,
)
from demos.action_show import bars, said, strip
from demos.shell import MODEL, QUIET, Built, Stopwatch, badge, guarded, load, model_picker, note
from demos.text import say, t

ID = "action"
HEIGHT = 150
HEADS = ("Transf", "meanP", "Conv_1D", "Conv_1D_fixed", "LSTM", "Transf_cls")  # a test compares them with the model's


def build(language: gr.State) -> Built:
    """Lay the tab out and connect it."""
    kept, toy = gr.State(None), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            asked = _inputs(language)
        with (
            gr.Column(scale=3, min_width=420),
            gr.Tabs(elem_id="act-lessons", elem_classes="lessons", overflow_behavior="wrap"),
        ):
            with gr.Tab(t("answer"), id="act-answer"):
                shown = _answer_outputs()
            lessons.build(kept, language)
    results = [kept, *(shown[name] for name in ("bars", "strip", "said", "cost"))]
    question = [asked[name] for name in ("video", "labels", "templates", "head", "order", "weights")]
    answering = {"fn": guarded(answer), "inputs": [*question, language, toy], "outputs": results}
    public = {"api_name": "action", "api_description": "Rank labels for what happens in a clip."}
    gr.on([asked["run"].click, asked["labels"].submit], **answering, **public, **MODEL)
    drawing = asked["draw"].click(
        guarded(draw_toy), [asked["action"], asked["seed"], language], [toy, asked["video"], shown["preview"]], **QUIET
    )
    drawing.success(**answering, **QUIET, **MODEL)
    asked["video"].upload(lambda: None, None, toy, **QUIET)
    asked["video"].change(lambda path: path or gr.skip(), asked["video"], shown["preview"], **QUIET)
    again = [kept, asked["templates"], asked["head"], asked["order"], language]
    moved = [asked[name].input for name in ("templates", "head", "order")]
    gr.on([*moved, language.change], guarded(answer_again), again, results, **QUIET, **MODEL)
    asked["backwards"].click(turned, asked["order"], asked["order"], **QUIET).then(
        guarded(answer_again), again, results, **QUIET, **MODEL
    )
    language.change(lambda language: note(say(language, "act_nothing_yet")), language, shown["said"], **QUIET)
    return Built()


def answer(
    path: str | None,
    labels: str,
    templates: str,
    head: str,
    order: str,
    weights: str,
    language: str,
    toy: Toy | None = None,
) -> tuple[Kept, str, Any, str, str]:
    """Return the answer to keep, the bars, the film strip, what there is to say about it, and its cost."""
    model, watch = load(SYSTEM, weights), Stopwatch.start()
    kept = look(model, path, labels, toy, weights=weights, templates=templates, head=head, order=order)
    ranking = ranking_of(kept)
    return (
        kept,
        bars(ranking, language),
        strip(kept, ranking),
        said(kept, ranking, language),
        watch.badge(model, language),
    )


def answer_again(kept: Kept | None, templates: str, head: str, order: str, language: str) -> tuple[Any, ...]:
    """Return the answer by another head, in other templates or another order, without looking at the frames again."""
    if kept is None:
        return (gr.skip(),) * 5
    model, watch = load(SYSTEM, kept.weights), Stopwatch.start()
    again = kept_again(kept, templates=templates, head=head, order=order)
    ranking = ranking_of(again)
    cost = badge(watch.cost(model), language)
    return again, bars(ranking, language), strip(again, ranking), said(again, ranking, language), cost


def turned(order: str) -> str:
    """Return the order that the button 'play it backwards' chooses."""
    return ORDERS[0] if order == ORDERS[1] else ORDERS[1]


def _inputs(language: gr.State) -> dict[str, Any]:
    video = gr.Video(label=t("act_video"), sources=["upload"], height=HEIGHT, buttons=[], elem_id="act-video")
    with gr.Row():
        action = gr.Dropdown(
            ACTIONS_TEXT.split(", "), value="rising", label=t("act_toy"), min_width=140, scale=4, elem_id="act-toy"
        )
        seed = gr.Number(3, label=t("act_seed"), precision=0, min_width=90, scale=2, elem_id="act-seed")
        draw = gr.Button(t("act_take"), min_width=60, scale=2, size="sm", elem_classes="low", elem_id="act-take")
    labels = gr.Textbox(
        ACTIONS_TEXT, label=t("act_labels"), lines=2, max_lines=4, submit_btn=False, elem_id="act-labels"
    )
    run = gr.Button(t("act_run"), variant="primary", elem_classes="run", elem_id="act-run")
    backwards = gr.Button(t("act_backwards"), size="sm", elem_id="act-backwards")
    with gr.Row():
        head = gr.Dropdown(list(HEADS), value=HEADS[0], label=t("act_head"), min_width=140, elem_id="act-head")
        order = gr.Dropdown(list(ORDERS), value=ORDERS[0], label=t("act_order"), min_width=140, elem_id="act-order")
        templates = gr.Dropdown(
            list(TEMPLATE_SETS),
            value=TEMPLATE_SETS[-1],
            label=t("act_templates"),
            min_width=110,
            elem_id="act-templates",
        )
    return {
        "video": video,
        "action": action,
        "seed": seed,
        "draw": draw,
        "labels": labels,
        "run": run,
        "backwards": backwards,
        "head": head,
        "order": order,
        "templates": templates,
        "weights": model_picker(SYSTEM, language),
    }


def _answer_outputs() -> dict[str, Any]:
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=160):
            preview = gr.Video(
                show_label=False,
                interactive=False,
                autoplay=True,
                loop=True,
                height=170,
                buttons=[],
                elem_id="act-preview",
            )
        with gr.Column(scale=3, min_width=260):
            said_ = gr.HTML(note(say("en", "act_nothing_yet")), padding=False, elem_id="act-said")
    strip_ = gr.Image(show_label=False, interactive=False, buttons=[], format="png", elem_id="act-strip")
    bars_ = gr.HTML(padding=False, elem_id="act-bars")
    cost = gr.HTML(padding=False, elem_id="act-cost")
    return {"preview": preview, "said": said_, "strip": strip_, "bars": bars_, "cost": cost}
