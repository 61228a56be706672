"""The segmentation tab: words in, a labelled mask for each out, from three families and the baseline beside them."""

import functools
from typing import Any

import gradio as gr
import numpy as np

from core import media, registry
from core.results import Cost
from demos import segmentation_lessons as lessons
from demos import segmentation_show as show
from demos.segmentation_kept import (
    MODES,
    NAMER,
    SYSTEMS,
    Asked,
    Click,
    Kept,
    Models,
    Scene,
    ask,
    needs_consent,
    shrunk,
    split_words,
)
from demos.segmentation_show import Pixel
from demos.shell import MODEL, QUIET, Built, Stopwatch, badge, guarded, model_picker, note, picture_input
from demos.text import say, t

ID = "segmentation"
WORDS = "table, hammer, person, chair, dog"
SEED = 21  # of the scene that is drawn where there is no picture; a test looks whether WORDS name what it shows
MOST_SEED = 999_999
TOYBOX_PIXELS = 256
HEIGHT, SIDE_HEIGHT, SMALL_HEIGHT = 170, 260, 125
OPACITY = 0.65
PROMPT_WORDS = {"everything": "sg_everything", "points": "sg_points", "box": "sg_box"}
LOOK_WORDS = {"once": "sg_once", "mirrored": "sg_mirrored", "scaled": "sg_scaled"}
FORM = ("picture", "words", "system", "rest", "opacity", "threshold", "prompt", "mode", "seed", "look")


def build(language: gr.State) -> Built:
    """Lay the tab out and connect it."""
    kept, scene, clicks, pixel = gr.State(None), gr.State(None), gr.State(()), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            asked = _inputs()
            asked["look"], models, panels = _models(language)
        with (
            gr.Column(scale=3, min_width=420),
            gr.Tabs(elem_id="sg-lessons", elem_classes="lessons", overflow_behavior="wrap"),
        ):
            with gr.Tab(t("answer"), id="sg-answer"):
                shown = _answer_outputs()
            lessons.build(kept, pixel, shown["threshold"], models, language)
    asked |= {name: shown[name] for name in ("opacity", "threshold")}
    states = [language, kept, scene, clicks, pixel]
    form = [*(asked[name] for name in FORM), *models]
    pictures = [shown[name] for name in ("view", "plain", "truth", "legend", "said")]
    results = [asked["picture"], scene, asked["words"], kept, clicks, asked["threshold"], *pictures, shown["cost"]]
    gr.on(
        [asked["run"].click, asked["words"].submit],
        guarded(answer),
        [*states, *form],
        results,
        api_name="segmentation",
        api_description="Give each pixel of a picture one of the words, or none.",
        show_progress_on=shown["said"],
        **MODEL,
    )
    asked["system"].input(_panels, asked["system"], [asked["sam"], *panels], **QUIET)
    changed = [asked[name].input for name in ("system", "rest", "prompt", "mode", "look")]
    busy = {"api_visibility": "private", "show_progress_on": shown["said"], **MODEL}
    gr.on(changed, guarded(answer_again), [*states, *form], results, **busy)
    asked["clear"].click(lambda: (), None, clicks, **QUIET).then(
        guarded(answer_again), [*states, *form], results, **QUIET, **MODEL
    )
    shown["view"].select(_clicked, None, pixel, **QUIET).then(
        guarded(after_click), [asked["inside"], *states, *form], results, **QUIET, **MODEL
    )
    redrawn = [language, kept, pixel, asked["opacity"], asked["threshold"]]
    moved = [asked["opacity"].input, asked["threshold"].input, language.change]
    gr.on(moved, redraw, redrawn, pictures, **QUIET, trigger_mode="always_last")
    drawing = [asked["seed"], asked["words"], scene, language]
    asked["draw"].click(guarded(draw_scene), drawing, [asked["picture"], scene, asked["words"], shown["said"]], **QUIET)
    return Built(picture=asked["picture"])


def draw_scene(
    seed: float | None, words: str, scene: Scene | None, language: str
) -> tuple[np.ndarray, Scene, str, str]:
    """Return a Toybox scene, its truth to keep, the words with those of what it shows, and what they are.

    Words that an earlier scene or the tab filled in go; words that somebody typed stay.
    """
    from core.world.captions import shown
    from core.world.picture import picture

    if seed is None or not 0 <= seed <= MOST_SEED:
        raise ValueError(f"Give the scene a number from 0 to {MOST_SEED}, for example 3.")
    view = picture(int(seed), TOYBOX_PIXELS)
    there = list(dict.fromkeys(view.scene.things[index].category for index in shown(view)))
    mine = () if words in (WORDS, "" if scene is None else scene.words) else _typed(words)
    others = [word for word in split_words(WORDS)[0] if word not in there][:2] if not mine else []
    filled = ", ".join(dict.fromkeys((*mine, *there, *others)))
    said = note(say(language, "sg_drawn", words=", ".join(there)))
    return view.rgb, Scene(picture=view.rgb, truth=view.categories, words=filled), filled, said


def answer(
    language: str,
    kept: Kept | None,
    scene: Scene | None,
    clicks: tuple[Click, ...],
    pixel: Pixel | None,
    picture: Any,
    words: str,
    system: str,
    rest: bool,
    opacity: float,
    threshold: float,
    prompt: str,
    mode: str,
    seed: float | None,
    look: str,
    *weights: Any,
) -> tuple[Any, ...]:
    """Return what the picture, scene, words, kept answer, clicks, threshold, pictures, legend, remarks and cost become.

    `weights` are the names for each of SYSTEMS, that of the CLIP that names masks, and whether licences are accepted.
    Where there is no picture, the scene of the seed is drawn.
    """
    drawn = (gr.skip(), gr.skip(), gr.skip())
    split_words(words)  # before anything is drawn
    if picture is None:
        pixels, scene, words, _ = draw_scene(seed, words, scene, language)
        drawn, picture = (pixels, scene, words), pixels
    pixels = shrunk(media.read_image(picture))
    same = kept is not None and np.array_equal(kept.picture, pixels)
    clicks = clicks if same or kept is None else ()
    *names, namer, agreed = weights
    asked = Asked(
        system=system,
        words=(),
        rest=rest,
        prompt=prompt,
        mode=mode,
        clicks=clicks,
        look=look,
        models=Models(names=tuple(names), namer=namer, agreed=bool(agreed)),
    )
    watch = Stopwatch.start()
    found = ask(pixels, words, asked, scene)
    cost = _cost(watch, found, language)
    usual = kept is None or (kept.asked.system, kept.least) != (system, found.least)
    threshold = found.least if usual else threshold
    shown = redraw(language, found, pixel, opacity, threshold)
    return *drawn, found, clicks, threshold, *shown, cost


@functools.wraps(answer)
def answer_again(language: str, kept: Kept | None, *others: Any) -> tuple[Any, ...]:
    """Answer once more, where there is an answer already."""
    return (gr.skip(),) * RESULTS if kept is None else answer(language, kept, *others)


def after_click(
    inside: str,
    language: str,
    kept: Kept | None,
    scene: Scene | None,
    clicks: tuple[Click, ...],
    pixel: Pixel | None,
    *form: Any,
) -> tuple[Any, ...]:
    """Ask SAM with one click more, or show the scores at the pixel; the picture asked about is the one on show."""
    if kept is None or pixel is None:
        return (gr.skip(),) * RESULTS
    _, words, system, rest, opacity, threshold, *others = form
    if kept.asked.system != "sam" or kept.asked.prompt == "everything":
        kept_as_is = (gr.skip(),) * (RESULTS - SHOWN - 1)
        return *kept_as_is, *redraw(language, kept, pixel, opacity, threshold), gr.skip()
    held = () if kept.asked.prompt == "box" and len(clicks) > 1 else clicks
    more = (*held, (*pixel, int(inside == CLICKS[0])))
    return answer(language, kept, scene, more, pixel, kept.picture, words, system, rest, opacity, threshold, *others)


def redraw(
    language: str, kept: Kept | None, pixel: Pixel | None, opacity: float, threshold: float
) -> tuple[Any, Any, Any, Any, str]:
    """Return the pictures, the legend and the remarks under another opacity or threshold; no model runs."""
    if kept is None:
        return *(gr.skip(),) * (SHOWN - 1), note(say(language, "sg_nothing_yet"))
    return (
        *show.pictures(kept, opacity, threshold, pixel, language),
        show.legend(kept, threshold, pixel, language),
        show.said(kept, threshold, pixel, language),
    )


RESULTS, SHOWN = 12, 5  # outputs of `answer` and of `redraw`
CLICKS = ("inside", "outside")


def _cost(watch: Stopwatch, kept: Kept, language: str) -> str:
    """Return the cost of an answer, the baseline's included, as HTML."""
    asked = kept.asked
    model = asked.models.open(asked.system)
    beside = {"sam": [asked.models.namer], "plain_clip": []}.get(asked.system, [])
    beside += [] if asked.system == "plain_clip" else [asked.models.name("plain_clip")]
    cost = watch.cost(model)
    names = " + ".join(dict.fromkeys([model.weights, *beside]))
    return badge(
        Cost(milliseconds=cost.milliseconds, device=cost.device, model=names, licence=cost.licence),
        language,
    )


def _typed(words: str) -> tuple[str, ...]:
    return split_words(words)[0] if words.strip(" ,;\n") else ()


def _clicked(event: gr.SelectData) -> Pixel:
    return int(event.index[0]), int(event.index[1])


def _panels(system: str) -> list[dict[str, Any]]:
    """Show what belongs to a system and hide the rest."""
    return [gr.update(visible=system == each) for each in ("sam", *SYSTEMS)]


def _inputs() -> dict[str, Any]:
    picture = picture_input("sg-picture", height=HEIGHT)
    words = gr.Textbox(WORDS, label=t("sg_words"), lines=1, max_lines=4, submit_btn=False, elem_id="sg-words")
    system = gr.Radio(show.names_of_systems(), value=SYSTEMS[0], label=t("sg_system"), elem_id="sg-system")
    run = gr.Button(t("sg_run"), variant="primary", elem_classes="run", elem_id="sg-run")
    with gr.Group(visible=False) as sam:
        prompt = gr.Radio(
            [(t(key), name) for name, key in PROMPT_WORDS.items()],
            value="everything",
            label=t("sg_prompt"),
            elem_id="sg-prompt",
        )
        inside = gr.Radio(
            [(t("sg_inside"), CLICKS[0]), (t("sg_outside"), CLICKS[1])],
            value=CLICKS[0],
            label=t("sg_click_means"),
            elem_id="sg-inside",
        )
        mode = gr.Dropdown(list(MODES), value=MODES[0], label=t("sg_mode"), elem_id="sg-mode")
        clear = gr.Button(t("sg_clear"), size="sm", elem_id="sg-clear")
    with gr.Row(elem_id="sg-toybox"):
        seed = gr.Number(SEED, label=t("toybox_seed"), precision=0, min_width=110, scale=3, elem_id="sg-seed")
        draw = gr.Button(t("toybox_draw"), min_width=80, scale=2, size="sm", elem_classes="low", elem_id="sg-draw")
    rest = gr.Checkbox(True, label=t("sg_rest"), elem_id="sg-rest")
    return {
        "picture": picture,
        "words": words,
        "system": system,
        "sam": sam,
        "prompt": prompt,
        "inside": inside,
        "mode": mode,
        "clear": clear,
        "run": run,
        "rest": rest,
        "seed": seed,
        "draw": draw,
    }


def _models(language: gr.State) -> tuple[gr.Radio, list[Any], list[gr.Column]]:
    """Build LSeg's looks, a picker for each system, the CLIP that names masks, the box that accepts a licence."""
    pickers, panels = [], []
    for system in SYSTEMS:
        with gr.Column(visible=system == SYSTEMS[0]) as panel:
            pickers.append(model_picker(system, language))
            if system == "lseg":
                look = gr.Radio(
                    [(t(key), name) for name, key in LOOK_WORDS.items()],
                    value="once",
                    label=t("sg_looks"),
                    elem_id="sg-looks",
                )
            if system == "sam":
                namer = gr.Dropdown(
                    list(registry.weights_names(NAMER)), label=t("sg_namer"), elem_id="sg-namer", interactive=True
                )
                namer.focus(lambda: gr.update(choices=list(registry.weights_names(NAMER))), None, namer, **QUIET)
            if system == "groupvit":
                agreed = gr.Checkbox(False, label=t("sg_agree"), visible=False, elem_id="sg-agree")
        panels.append(panel)
    asking = pickers[SYSTEMS.index("groupvit")]
    asking.change(lambda name: gr.update(visible=needs_consent("groupvit", name)), asking, agreed, **QUIET)
    return look, [*pickers, namer, agreed], panels


def _answer_outputs() -> dict[str, Any]:
    still = {"interactive": False, "buttons": [], "format": "png"}
    with gr.Row(equal_height=False):
        view = gr.Image(label=t("sg_view"), height=SIDE_HEIGHT, scale=2, min_width=260, elem_id="sg-view", **still)
        with gr.Column(scale=1, min_width=130):
            plain = gr.Image(label=t("sg_plain_label"), height=SMALL_HEIGHT, min_width=120, elem_id="sg-plain", **still)
            truth = gr.Image(
                label=t("sg_truth"), height=SMALL_HEIGHT, min_width=120, visible=False, elem_id="sg-truth", **still
            )
    with gr.Row():
        opacity = gr.Slider(
            0, 1, value=OPACITY, step=0.05, label=t("sg_opacity"), min_width=150, buttons=[], elem_id="sg-opacity"
        )
        threshold = gr.Slider(
            0, 1, value=0, step=0.01, label=t("sg_threshold"), min_width=150, buttons=[], elem_id="sg-threshold"
        )
    said = gr.HTML(note(say("en", "sg_nothing_yet")), padding=False, elem_id="sg-said")
    legend = gr.HTML(padding=False, elem_id="sg-legend")
    cost = gr.HTML(padding=False, elem_id="sg-cost")
    return {
        "view": view,
        "plain": plain,
        "truth": truth,
        "opacity": opacity,
        "threshold": threshold,
        "said": said,
        "legend": legend,
        "cost": cost,
    }
