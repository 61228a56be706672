"""The zero-shot tab: a picture, labels in free text, the answer, and the lessons behind the answer."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from core import media
from core.prompts import TEMPLATES, check_templates
from core.results import Ranking
from core.viz import charts
from demos import zero_shot_lessons as lessons
from demos.examples import TEMPLATE_SET, examples
from demos.shell import MODEL, QUIET, Built, Stopwatch, badge, guarded, load, model_picker, note, picture_input
from demos.text import say, t

ID = "zero-shot"
SYSTEM = "clip"
LABELS = "dog, cat, bird, car, truck, airplane, ship, horse, frog, deer"
TOYBOX_PIXELS = 384
LOOKS = ("photo", "line drawing", "silhouette", "depth map", "point cloud")
HEIGHT = 250
MOST_WORDS, LONGEST_WORD = 10, 40  # named in a remark


def build(language: gr.State) -> Built:
    """Lay the tab out and connect it."""
    answer = gr.State(None)  # the Ranking on show, so that sliders need no model
    templates = _template_editor()
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            picture, labels, classify = _inputs()
            gallery, scene = _example_inputs()
            weights = model_picker(SYSTEM, language)
        with (
            gr.Column(scale=3, min_width=420),
            gr.Tabs(elem_id="lessons", elem_classes="lessons", overflow_behavior="wrap"),
        ):
            with gr.Tab(t("answer"), id="answer"):
                shown = _answer_outputs(answer, language)
            said = shown["said"]
            inputs = lessons.Inputs(picture, labels, templates, weights, language, shown["none"])
            lessons.build(inputs, lessons.Outputs(answer, shown["bars"], said, shown["cost"]))
    asked = [picture, labels, templates, weights, language, shown["none"], shown["temperature"], shown["guess"]]
    results = [answer, shown["bars"], said, shown["cost"]]
    gr.on(
        [classify.click, labels.submit],
        guarded(answer_question),
        asked,
        results,
        api_name="zero_shot",
        api_description="Score labels against a picture.",
        **MODEL,
    )
    shown["none"].change(guarded(answer_question), asked, results, **QUIET, **MODEL)
    gr.on(
        [shown["add"].click, shown["extra"].submit],
        guarded(add_label),
        [shown["extra"], *asked],
        [labels, *results],
        **QUIET,
        **MODEL,
    )
    gallery.select(_stored, language, [picture, labels, *results], **QUIET)
    drawn = [scene["seed"], scene["look"], picture, shown["said"]]
    scene["draw"].click(draw_scene, [scene["seed"], scene["look"], language], drawn[2:], **QUIET)
    return Built(picture=picture, open_link=open_link, linked=(*drawn, labels))


@guarded
def open_link(language: str, request: gr.Request) -> tuple[Any, ...]:
    """Return seed, look, picture, truth and labels as the page's address asks: ?scene=3&look=photo&labels=dog,cat."""
    asked = dict(request.query_params)
    labels = asked.get("labels") or gr.skip()
    if "scene" not in asked:
        return *(gr.skip(),) * 4, labels
    if not asked["scene"].isdecimal():
        raise ValueError("Give the scene a number, for example 3.")
    seed, look = int(asked["scene"]), asked.get("look", LOOKS[0])
    return seed, look, *draw_scene(seed, look if look in LOOKS else LOOKS[0], language), labels


@guarded
def draw_scene(seed: float | None, look: str, language: str) -> tuple[Any, str]:
    """Return a Toybox scene and what is true of it."""
    from core.world.captions import sentences
    from core.world.looks import view_as
    from core.world.picture import picture

    if seed is None:
        raise ValueError("Give the scene a number, for example 3.")
    view = picture(int(seed), TOYBOX_PIXELS)
    true = "; ".join(sentences(view)[:8])
    link = f"?{urlencode({'tab': ID, 'scene': int(seed), 'look': look})}"
    words = escape(say(language, "link"))
    said = note(say(language, "truth", sentences=true)) + f'<p class="cost"><a href="{escape(link)}">{words}</a></p>'
    return view_as(view, look), said


def answer_question(
    source: Any,
    labels: str,
    templates: str,
    weights: str,
    language: str,
    none: bool,
    temperature: float,
    guess: bool = False,
) -> tuple[Ranking, str, str, str]:
    """Return the ranking, its bars, what there is to say about it, and its cost."""
    picture = media.read_image(source)
    asked = lessons.asked_labels(labels, none)
    kept = check_templates(templates.splitlines())
    model = load(SYSTEM, weights)
    watch = Stopwatch.start()
    ranking = model.rank(picture, asked, templates=kept)
    cost = badge(watch.cost(model), language)
    if none:
        ranking = replace(ranking, labels=(*asked[:-1], say(language, "none_label")))
    said = note(say(language, "one_label")) if len(ranking.labels) == 1 and ranking.kind == "softmax" else ""
    if unseen := model.unseen_words(asked):
        said += note(say(language, "unseen_words", words=_few(unseen)))
    if cut := model.too_long(asked, templates=kept):
        said += note(say(language, "cut_labels", labels=_few(cut)))
    return ranking, show(ranking, temperature, language, guess), said, cost


def add_label(
    extra: str,
    source: Any,
    labels: str,
    templates: str,
    weights: str,
    language: str,
    none: bool,
    temperature: float,
    guess: bool = False,
) -> tuple[str, Ranking, str, str, str]:
    """Ask with one more label, and say what that did to the best one; returns the new labels first."""
    if not extra.strip():
        raise ValueError("Write the label to add.")
    rest = (templates, weights, language, none, temperature, guess)
    before = answer_question(source, labels, *rest)[0]
    longer = f"{labels}, {extra.strip()}"
    after, table, _, cost = answer_question(source, longer, *rest)
    shares = [ranking.probabilities(temperature)[ranking.labels.index(before.best)] for ranking in (before, after)]
    words = say(language, "said_distractor", added=extra.strip(), best=before.best, before=shares[0], after=shares[1])
    return longer, after, table, note(words), cost


def show(ranking: Ranking | None, temperature: float, language: str, guess: bool = False) -> str:
    """Return a ranking as bars with the rule that made the probabilities, without any forward pass.

    `guess` folds them away under a line that opens them: the class says first what it expects.
    """
    if ranking is None:
        return note(say(language, "nothing_yet"))
    share = "head_probability" if ranking.kind == "softmax" else "head_sigmoid"
    headings = tuple(say(language, key) for key in ("head_label", share, "head_cosine", "head_logit"))
    rule = say(
        language,
        "reading",
        scale=ranking.logit_scale,
        bias=f" {ranking.logit_bias:+.1f}" if ranking.logit_bias else "",
        temperature=temperature,
        rule=say(language, f"rule_{ranking.kind}", count=len(ranking.labels)),
    )
    table = charts.bars(ranking, temperature=temperature, headings=headings)
    shown = f'{table}<p class="cost">{escape(rule)}</p>'
    question = escape(say(language, "reveal"))
    return f"<details><summary>{question}</summary>{shown}</details>" if guess else shown


def _few(words: Sequence[str]) -> str:
    """Return the first words, no more than a line or two of them."""
    shown = ", ".join(f"{word[:LONGEST_WORD]}…" if len(word) > LONGEST_WORD else word for word in words[:MOST_WORDS])
    return shown if len(words) <= MOST_WORDS else f"{shown}, …"


def _inputs() -> tuple[gr.Image, gr.Textbox, gr.Button]:
    picture = picture_input("picture", height=HEIGHT)
    labels = gr.Textbox(LABELS, label=t("labels"), lines=2, max_lines=4, submit_btn=False, elem_id="labels")
    classify = gr.Button(t("classify"), variant="primary", elem_classes="run", elem_id="classify")
    return picture, labels, classify


def _template_editor() -> gr.Textbox:
    """Return the editor that the prompt lab shows and every answer reads."""
    lines = "\n".join(TEMPLATES[TEMPLATE_SET])
    return gr.Textbox(lines, label=t("templates"), lines=3, max_lines=8, render=False, elem_id="templates")


def _answer_outputs(answer: gr.State, language: gr.State) -> dict[str, Any]:
    bars = gr.HTML(show(None, 1.0, "en"), padding=False, elem_id="bars")
    said = gr.HTML(padding=False, elem_id="said")
    cost = gr.HTML(padding=False, elem_id="cost")
    with gr.Row():
        temperature = gr.Slider(0.1, 10, value=1, step=0.1, label=t("temperature"), elem_id="temperature", scale=3)
        none = gr.Checkbox(label=t("none_of_these"), elem_id="none", scale=2)
        guess = gr.Checkbox(label=t("guess_first"), elem_id="guess", scale=2)
    with gr.Row():
        extra = gr.Textbox("", label=t("distractor"), scale=3, elem_id="extra")
        add = gr.Button(t("add"), size="sm", scale=2, elem_classes="low", elem_id="add")
    curve_button = gr.Button(t("score_curve"), size="sm", elem_id="curve-button")
    curve = gr.Plot(visible=False, show_label=False, elem_id="curve")
    asked = [answer, temperature, language, guess]
    gr.on([temperature.change, guess.change], show, asked, bars, trigger_mode="always_last", **QUIET)
    language.change(show, asked, bars, **QUIET)
    curve_button.click(guarded(_curve), [answer, temperature, language], curve, **QUIET)
    return {
        "bars": bars,
        "said": said,
        "cost": cost,
        "temperature": temperature,
        "none": none,
        "guess": guess,
        "extra": extra,
        "add": add,
    }


def _curve(ranking: Ranking | None, temperature: float, language: str) -> Any:
    if ranking is None:
        raise ValueError(say(language, "nothing_yet"))
    axes = say(language, "axis_temperature"), say(language, "head_probability")
    figure = charts.temperature_figure(ranking, chosen=temperature, title=say(language, "curve_title"), axes=axes)
    return gr.update(value=figure, visible=True)


def _example_inputs() -> tuple[gr.Gallery, dict[str, Any]]:
    """Add the examples, which answer from their stored cosines, and the Toybox."""
    gr.Markdown(t("examples"), elem_classes="small-heading")
    gallery = gr.Gallery(
        [str(example.path) for example in examples()],
        show_label=False,
        columns=len(examples()),
        height=72,
        allow_preview=False,
        object_fit="cover",
        buttons=[],
        elem_id="examples",
    )
    with gr.Row(elem_id="toybox"):
        seed = gr.Number(3, label=t("toybox_seed"), precision=0, minimum=0, min_width=110, scale=3, elem_id="seed")
        look = gr.Dropdown(list(LOOKS), value=LOOKS[0], label=t("toybox_look"), min_width=110, scale=3, elem_id="look")
        draw = gr.Button(t("toybox_draw"), min_width=80, scale=2, size="sm", elem_classes="low", elem_id="draw")
    return gallery, {"seed": seed, "look": look, "draw": draw}


def _stored(language: str, event: gr.SelectData) -> tuple[Any, ...]:
    return stored_answer(int(event.index), language)


def stored_answer(index: int, language: str) -> tuple[Any, ...]:
    """Return picture, labels, ranking, bars, remark and cost of a shipped example."""
    example = examples()[index % len(examples())]
    cost = say(language, "stored", model=example.weights, licence=example.licence)
    return (
        str(example.path),
        example.labels,
        example.ranking,
        show(example.ranking, 1.0, language),
        "",
        f'<p class="cost">{escape(cost)}</p>',
    )
