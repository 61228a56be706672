"""The point cloud tab: a mesh or scan seen from several sides, the sides' votes, and what changes them."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from core import registry
from core.prompts import parse_labels
from core.results import Cloud, Ranking, ViewScores
from core.viz import charts, overlay
from core.viz.cloud import cloud_figure
from demos import point_cloud_lessons as lessons
from demos import point_cloud_more as more
from demos.point_cloud_lessons import SYSTEM, Asked
from demos.shell import MODEL, QUIET, Built, Stopwatch, badge, guarded, model_picker, note
from demos.text import say, t

ID = "point-cloud"
LABELS = "chair, table, lamp, car, airplane, boat, house, tree, mug, bottle, dog, person"
PRESETS = (
    "bright",
    "released zero-shot",
    "bright few-shot",
    "released few-shot",
    "V2",
)  # a test compares them with the model's
MOST_VIEWS = 10
MOST_BARS = 5
SEED = 5  # of the Toybox thing that is there first
DOT_PIXELS = 2  # of the cloud that turns
HEIGHT = 225  # of the cloud and its views
VIEW_PIXELS = 192  # at least, so that the pixels of a small network stay sharp


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """The scores on show and what they answer, so that sliders need no model."""

    asked: Asked
    scores: ViewScores
    code: str  # that makes the scores


def build(language: gr.State) -> Built:
    """Lay the tab out and connect it."""
    answer = gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            inputs, classify, take = _inputs(language)
        with (
            gr.Column(scale=3, min_width=420),
            gr.Tabs(elem_id="pc-lessons", elem_classes="lessons", overflow_behavior="wrap"),
        ):
            with gr.Tab(t("answer"), id="pc-answer"):
                results, sliders = _answer_outputs(answer)
            for each in (lessons, more):
                each.build(
                    lambda button, lesson, outputs: button.click(asking(lesson), inputs, outputs, **QUIET, **MODEL)
                )
            with gr.Tab(t("as_python"), id="pc-python"):
                gr.Markdown(t("pc_python_note"))
                code = gr.Code(language="python", interactive=False, wrap_lines=True, elem_id="pc-code")
    file, _, seed, labels, _, _, *changes = inputs
    ask = asking(answer_question)
    public = {"api_name": "point_cloud", "api_description": "Score labels against a cloud of points."}
    gr.on([classify.click, labels.submit], ask, inputs, results, **public, **MODEL)
    moved = [each.release if isinstance(each, gr.Slider) else each.input for each in changes]
    gr.on(moved, ask, inputs, results, trigger_mode="always_last", **QUIET, **MODEL)
    gr.on([take.click, seed.submit], lambda: None, None, file, **QUIET).then(ask, inputs, results, **QUIET, **MODEL)
    weighed = {"fn": reweigh, "inputs": [answer, language, *sliders], "outputs": [results[3], code]}
    answer.change(equal_weights, answer, sliders, **QUIET).then(**weighed, **QUIET)
    gr.on([*(slider.input for slider in sliders), language.change], **weighed, trigger_mode="always_last", **QUIET)
    return Built()


def asking(function: Callable[[Asked], Any]) -> Callable[..., Any]:
    """Make a function of what was asked one of the controls' values, in their order; errors become one sentence."""

    def run(
        file: str | None,
        up: str,
        seed: float | None,
        labels: str,
        weights: str,
        language: str,
        preset: str,
        dot_pixels: int,
        count: float,
        turn: float,
        tilt: float,
        noise: float,
        half: bool,
    ) -> Any:
        if not file and seed is None:
            raise ValueError("Upload a file, or give the Toybox thing a number, for example 3.")
        return function(
            Asked(
                file=file,
                up=up,
                seed=int(seed or 0),
                labels=parse_labels(labels),
                weights=weights,
                language=language,
                preset=preset,
                dot_pixels=int(dot_pixels),
                count=int(count),
                turn_degrees=turn,
                tilt_degrees=tilt,
                noise=noise,
                half=half,
            )
        )

    return guarded(run)


def answer_question(asked: Asked) -> tuple[Answer, Any, Any, str, str, str]:
    """Return the answer to keep, the cloud, its views, the bars, what there is to say about it, and its cost."""
    model, watch = asked.model, Stopwatch.start()
    cloud = asked.cloud()
    answer = Answer(asked=asked, scores=asked.scores(cloud)[0], code=lessons.as_python(asked))
    cost = badge(watch.cost(model), asked.language)
    figure = cloud_figure(cloud).update_layout(height=HEIGHT).update_traces(marker_size=DOT_PIXELS)
    return (
        answer,
        figure,
        _gallery(answer, cloud),
        show(answer.scores.ranking(), asked.language),
        _said(answer, cloud),
        cost,
    )


def show(ranking: Ranking, language: str) -> str:
    """Return a ranking as bars with the rule that made the probabilities."""
    headings = tuple(say(language, key) for key in ("head_label", "head_probability", "head_cosine", "head_logit"))
    rule = say(language, "rule_softmax", count=len(ranking.labels))
    reading = say(language, "reading", scale=ranking.logit_scale, bias="", temperature=1.0, rule=rule)
    return f'{charts.bars(ranking, headings=headings, most=MOST_BARS)}<p class="cost">{escape(reading)}</p>'


@guarded
def reweigh(answer: Answer | None, language: str, *view_weights: float) -> tuple[str, str]:
    """Count the sides' votes anew, without any forward pass; return the bars, and the lines that give them."""
    if answer is None:
        return note(say(language, "pc_nothing_yet")), ""
    weights = view_weights[: len(answer.scores.cosines)]
    if not any(weights):
        raise ValueError("Give at least one side a weight above 0.")
    return show(answer.scores.ranking(weights), language), answer.code + lessons.votes_as_python(weights)


def equal_weights(answer: Answer | None) -> list[dict[str, Any]]:
    """Return a slider at 1 for each side of the answer, the others hidden."""
    views = len(answer.scores.cosines) if answer else 0
    return [gr.update(value=1, visible=view < views) for view in range(MOST_VIEWS)]


def preset_for(weights: str) -> str:
    """Return how clouds are best drawn for these weights: the embedded ones have seen bright dots."""
    listed = weights in registry.weights_names(SYSTEM)
    return PRESETS[0] if listed and registry.weights_card(SYSTEM, weights).small else PRESETS[1]


def _gallery(answer: Answer, cloud: Cloud) -> dict[str, Any]:
    views = answer.asked.model.views(cloud, answer.asked.settings)
    labels, cosines = answer.scores.labels, answer.scores.cosines
    captions = [f"{view + 1} · {labels[int(row.argmax())]} {row.max():+.2f}" for view, row in enumerate(cosines)]
    pictures = [overlay.enlarged(view[..., None].repeat(3, 2), VIEW_PIXELS) for view in views]
    return gr.update(value=list(zip(pictures, captions, strict=True)), columns=-(-len(pictures) // 2))


def _said(answer: Answer, cloud: Cloud) -> str:
    """Return what is true of a Toybox thing, and what the numbers alone would not tell."""
    asked, language = answer.asked, answer.asked.language
    said = [] if asked.file else [say(language, "pc_said_truth", category=asked.thing().category)]
    if len(asked.labels) == 1:
        said.append(say(language, "one_label"))
    if unseen := asked.model.backbone.unseen_words(asked.labels):
        said.append(say(language, "unseen_words", words=", ".join(unseen[:10])))
    if len(cloud.points) != asked.count:
        said.append(say(language, "pc_said_seen", seen=len(cloud.points), wanted=asked.count))
    if asked.settings.dot_pixels != asked.dot_pixels:
        said.append(say(language, "pc_said_dots"))
    if asked.adapted:
        said.append(say(language, "pc_said_parts"))
    return "".join(map(note, said))


def _inputs(language: gr.State) -> tuple[list[Any], gr.Button, gr.Button]:
    """Add the controls in the order of `asking`, and the buttons that classify and that take a Toybox thing."""
    file = gr.File(label=t("pc_file"), height=120, elem_id="pc-file")
    with gr.Row():
        up = gr.Radio(["y", "z"], value="y", label=t("pc_up"), min_width=120, scale=4, elem_id="pc-up")
        seed = gr.Number(SEED, label=t("pc_seed"), precision=0, minimum=0, min_width=100, scale=3, elem_id="pc-seed")
        take = gr.Button(t("pc_take"), min_width=60, scale=2, size="sm", elem_classes="low", elem_id="pc-take")
    labels = gr.Textbox(LABELS, label=t("labels"), lines=2, max_lines=4, submit_btn=False, elem_id="pc-labels")
    classify = gr.Button(t("classify"), variant="primary", elem_classes="run", elem_id="pc-classify")
    with gr.Accordion(t("pc_change"), open=True, elem_id="pc-change"):
        changes = _changes()
    weights = model_picker(SYSTEM, language)
    weights.change(preset_for, weights, changes[0], **QUIET)
    return [file, up, seed, labels, weights, language, *changes], classify, take


def _changes() -> list[Any]:
    """Add what changes the cloud and how it is drawn, in the order of `asking`."""
    narrow: dict[str, Any] = {"min_width": 120}
    with gr.Row():
        preset = gr.Dropdown(list(PRESETS), value=PRESETS[0], label=t("pc_preset"), elem_id="pc-preset", **narrow)
        dots = gr.Slider(1, 5, value=1, step=2, label=t("pc_dots"), elem_id="pc-dots", buttons=[], **narrow)
    with gr.Row():
        count = gr.Slider(64, 4096, value=1024, step=64, label=t("pc_count"), elem_id="pc-count", buttons=[], **narrow)
        turn = gr.Slider(0, 360, value=0, step=15, label=t("pc_turn"), elem_id="pc-turn", buttons=[], **narrow)
    with gr.Row():
        tilt = gr.Slider(0, 90, value=0, step=5, label=t("pc_tilt"), elem_id="pc-tilt", buttons=[], **narrow)
        noise = gr.Slider(0, 0.2, value=0, step=0.01, label=t("pc_noise"), elem_id="pc-noise", buttons=[], **narrow)
    half = gr.Checkbox(label=t("pc_half"), container=False, elem_id="pc-half")
    return [preset, dots, count, turn, tilt, noise, half]


def _answer_outputs(answer: gr.State) -> tuple[list[Any], list[gr.Slider]]:
    """Add the answer's components in the order of `answer_question`, and a slider for each side."""
    gr.Markdown(t("pc_views"), elem_classes="small-heading")
    with gr.Row(equal_height=False):
        figure = gr.Plot(show_label=False, min_width=180, scale=2, elem_id="pc-figure")
        views = gr.Gallery(
            show_label=False,
            columns=3,
            height=HEIGHT,
            min_width=240,
            scale=3,
            object_fit="contain",
            format="png",
            buttons=[],
            elem_id="pc-views",
        )
    said = gr.HTML(padding=False, elem_id="pc-said")
    bars = gr.HTML(note(say("en", "pc_nothing_yet")), padding=False, elem_id="pc-bars")
    cost = gr.HTML(padding=False, elem_id="pc-cost")
    with gr.Accordion(t("pc_weights"), open=False, elem_id="pc-weights"):
        gr.Markdown(t("pc_weights_note"))
        with gr.Row(elem_id="pc-sliders"):
            sliders = [
                gr.Slider(0, 1, value=1, step=0.05, label=f"{view + 1}", min_width=90, visible=False, buttons=[])
                for view in range(MOST_VIEWS)
            ]
    return [answer, figure, views, bars, said, cost], sliders
