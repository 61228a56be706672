"""The detection tab: words or a sentence in, boxes out, whose thresholds move without a model."""

import functools
from collections.abc import Sequence
from typing import Any

import gradio as gr
import numpy as np

from core import media, registry
from core.results import Boxes, Cost
from demos import detection_lessons as lessons
from demos import detection_show as show
from demos.detection_kept import (
    HEADS,
    LEAST,
    MODES,
    OVERLAP,
    SYSTEMS,
    Asked,
    Kept,
    Masked,
    Models,
    Scene,
    Thing,
    ask,
    needed,
    split_words,
)
from demos.detection_show import MOST_OWN, Look
from demos.segmentation_kept import shrunk
from demos.shell import MODEL, QUIET, Built, Stopwatch, badge, guarded, load, model_picker, note, picture_input
from demos.text import say, t

ID = "detection"
WORDS = "mug, car, ball, chair, dog"
SENTENCE = "a yellow mug to the left of a blue car"
SEED = 115  # of the scene that is drawn where there is no picture
MOST_SEED = 999_999
TOYBOX_PIXELS = 256
HEIGHT = 170
MOST_MASKS = 24  # boxes that get a mask at once
VILD_MASKS = "vild"  # in the list of what makes masks
HEAD_WORDS = {
    "ensemble": "dt_head_ensemble",
    "vild": "dt_head_vild",
    "text": "dt_head_text",
    "image": "dt_head_image",
    "crops": "dt_head_crops",
}
FORM = ("picture", "mode", "words", "sentence", "system", "head", "seed")
SLIDERS = ("least", "overlap", "weight")


def build(language: gr.State) -> Built:
    """Lay the tab out and connect it."""
    kept, scene, masked = gr.State(None), gr.State(None), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            asked = _inputs()
            models, panels, asked["head"] = _models(language)
            asked["masker"] = gr.Dropdown(_maskers(), label=t("dt_masks_from"), elem_id="dt-masker")
        with (
            gr.Column(scale=3, min_width=420),
            gr.Tabs(elem_id="dt-lessons", elem_classes="lessons", overflow_behavior="wrap"),
        ):
            with gr.Tab(t("answer"), id="dt-answer"):
                shown = _answer_outputs()
            shown["weight"] = lessons.build(kept, masked, shown, models, language)
    sliders, own = [shown[name] for name in SLIDERS], shown["own"]
    form = [language, kept, scene, *(asked[name] for name in FORM), *sliders, *own, *models]
    pictures = [shown[name] for name in ("view", "truth", "said", "legend")]
    filled = [asked["picture"], scene, asked["words"], asked["sentence"]]
    results = [*filled, kept, masked, shown["least"], *own, *pictures, shown["cost"]]
    asking = {"show_progress_on": shown["view"], **MODEL}  # elsewhere it would cover what was typed
    gr.on(
        [asked["run"].click, asked["words"].submit, asked["sentence"].submit],
        guarded(answer),
        form,
        results,
        api_name="detection",
        api_description="Find boxes for words, or for the phrases of a sentence.",
        **asking,
    )
    asked["system"].input(_panels, asked["system"], panels, **QUIET)
    asked["mode"].input(_texts, asked["mode"], [asked["words"], asked["sentence"]], **QUIET)
    changed = [asked[name].input for name in ("system", "mode", "head")]
    gr.on(changed, guarded(answer_again), form, results, api_visibility="private", **asking)
    looked = [language, kept, masked, *sliders]
    moved = [shown["overlap"].input, shown["weight"].input, language.change, *(slider.input for slider in own)]
    gr.on(moved, redraw, [*looked, *own], pictures, **QUIET, trigger_mode="always_last")
    shown["least"].input(level, looked, [*own, *pictures], **QUIET, trigger_mode="always_last")
    shown["masks"].click(
        guarded(add_masks),
        [asked["masker"], *looked, *own],
        [masked, *pictures, shown["cost"]],
        api_visibility="private",
        **asking,
    )
    drawing = [asked["seed"], asked["words"], asked["sentence"], scene, language]
    asked["masker"].focus(lambda: gr.update(choices=_maskers()), None, asked["masker"], **QUIET)
    asked["draw"].click(guarded(draw_scene), drawing, [*filled, shown["said"]], **QUIET)
    return Built(picture=asked["picture"])


def draw_scene(
    seed: float | None, words: str, sentence: str, scene: Scene | None, language: str
) -> tuple[np.ndarray, Scene, str, str, str]:
    """Return a Toybox scene, its truth to keep, the words and the sentence with what it shows, and what that is.

    A text that an earlier scene or the tab filled in goes; one that somebody typed stays.
    """
    from core.world.captions import shown, size_word
    from core.world.picture import picture

    if seed is None or not 0 <= seed <= MOST_SEED:
        raise ValueError(f"Give the scene a number from 0 to {MOST_SEED}, for example 3.")
    view = picture(int(seed), TOYBOX_PIXELS)
    seen = shown(view)
    boxes = dict(zip(view.visible, view.boxes.boxes_xyxy.tolist(), strict=True))
    things = tuple(
        Thing(
            category=thing.category,
            color=thing.color,
            pattern=thing.pattern,
            size=size_word(thing.size_metres),
            box_xyxy=tuple(boxes[index]),
        )
        for index, thing in ((index, view.scene.things[index]) for index in seen)
    )
    there = list(dict.fromkeys(thing.category for thing in things))
    filled = words if words not in (WORDS, "" if scene is None else scene.words) else _word_text(there)
    told = sentence if sentence not in (SENTENCE, "" if scene is None else scene.sentence) else _sentence_of(view, seen)
    drawn = Scene(picture=view.rgb, things=things, words=filled, sentence=told)
    return view.rgb, drawn, filled, told, note(say(language, "dt_drawn", words=", ".join(there)))


def answer(
    language: str,
    kept: Kept | None,
    scene: Scene | None,
    picture: Any,
    mode: str,
    words: str,
    sentence: str,
    system: str,
    head: str,
    seed: float | None,
    least: float,
    overlap: float,
    weight: float,
    *others: Any,
) -> tuple[Any, ...]:
    """Return what picture, scene, texts, kept answer, masks, thresholds, pictures, remarks and cost become.

    `others` are the thresholds of single words and the names of the weights. Where there is no picture, the scene of
    the seed is drawn.
    """
    own, names = others[:MOST_OWN], others[MOST_OWN:]
    drawn = (gr.skip(),) * 4
    if picture is None:
        pixels, scene, words, sentence, _ = draw_scene(seed, words, sentence, scene, language)
        drawn, picture = (pixels, scene, words, sentence), pixels
    pixels = shrunk(media.read_image(picture))
    text = sentence if mode == "sentence" else words
    asked = Asked(system=system, mode=mode, text=text, head=head, models=Models(names=tuple(names)))
    watch = Stopwatch.start()
    found = ask(pixels, asked, scene)
    cost = watch.badge(asked.models.open(system), language)
    if kept is None or kept.asked.system != system:
        least = LEAST[system]
    same = kept is not None and (kept.asked.system, kept.labels) == (system, found.labels)
    sliders = [gr.skip()] * MOST_OWN if same else show.own_sliders(found.labels, least)
    look = Look(least=least, overlap=overlap, weight=weight, own=tuple(own) if same else ())
    return *drawn, found, None, least, *sliders, *_pictures(language, found, None, look), cost


@functools.wraps(answer)
def answer_again(language: str, kept: Kept | None, *others: Any) -> tuple[Any, ...]:
    """Answer once more, where there is an answer already."""
    return (gr.skip(),) * RESULTS if kept is None else answer(language, kept, *others)


def redraw(
    language: str, kept: Kept | None, masked: Masked | None, least: float, overlap: float, weight: float, *own: float
) -> tuple[Any, Any, Any, Any]:
    """Return boxes, truth, remarks and legend under other thresholds or another weight; no model runs."""
    if kept is None:
        return gr.skip(), gr.skip(), note(say(language, "dt_nothing_yet")), gr.skip()
    return _pictures(language, kept, masked, Look(least=least, overlap=overlap, weight=weight, own=own))


def level(
    language: str, kept: Kept | None, masked: Masked | None, least: float, overlap: float, weight: float
) -> tuple[Any, ...]:
    """Give every word the same threshold, and show what it lets through."""
    own = show.own_sliders(() if kept is None else kept.labels, least)
    return *own, *redraw(language, kept, masked, least, overlap, weight)


def add_masks(
    masker: str,
    language: str,
    kept: Kept | None,
    masked: Masked | None,
    least: float,
    overlap: float,
    weight: float,
    *own: float,
) -> tuple[Any, ...]:
    """Make a mask of each box on show, the surest ones where there are many, by SAM or by ViLD's own mask head."""
    kept = needed(kept)
    look = Look(least=least, overlap=overlap, weight=weight, own=own)
    boxes = _first(show.shown_boxes(kept, look), MOST_MASKS)
    if not boxes.labels:
        raise ValueError("No box is shown: lower a threshold first.")
    watch = Stopwatch.start()
    if masker == VILD_MASKS:
        model = kept.asked.models.open("vild")
        masks = model.masks_of(kept.picture, boxes.boxes_xyxy)
    else:
        model = load("sam", masker)
        masks = np.stack([model.box(kept.picture, box).masks[0] for box in boxes.boxes_xyxy.tolist()])
    cost = watch.cost(model)
    names = f"{kept.asked.weights} + {cost.model}"
    shown = badge(Cost(milliseconds=cost.milliseconds, device=cost.device, model=names, licence=cost.licence), language)
    made = Masked(boxes=boxes, masks=masks)
    return made, *_pictures(language, kept, made, look), shown


RESULTS = 12 + MOST_OWN  # outputs of `answer`


def _pictures(language: str, kept: Kept, masked: Masked | None, look: Look) -> tuple[Any, Any, Any, Any]:
    return (
        show.answer(kept, look, masked),
        show.truth(kept, language),
        show.said(kept, look, language),
        show.legend(kept, look, language),
    )


def _first(boxes: Boxes, most: int) -> Boxes:
    """Return the surest boxes that have an area of at least a pixel."""
    sides = boxes.boxes_xyxy[:, 2:] - boxes.boxes_xyxy[:, :2]
    kept = [place for place, side in enumerate(sides) if side.min() >= 1][:most]
    return Boxes(
        boxes_xyxy=boxes.boxes_xyxy[kept],
        labels=tuple(boxes.labels[place] for place in kept),
        scores=boxes.scores[kept],
        size_hw=boxes.size_hw,
    )


def _word_text(there: Sequence[str]) -> str:
    """Return the words of a scene with two that it does not show."""
    others = [word for word in split_words(WORDS)[0] if word not in there][:2]
    return ", ".join((*there, *others))


def _sentence_of(view: Any, seen: Sequence[int]) -> str:
    """Return a sentence with two or more phrases, where a scene has two things; their relation where one is clear."""
    from core.world.captions import noun_phrase, relation

    pairs = [(i, j) for i in seen for j in seen if i != j and relation(view, i, j)]
    if pairs:
        i, j = pairs[0]
        return f"{noun_phrase(view, i)} {relation(view, i, j)} {noun_phrase(view, j)}"
    names = [noun_phrase(view, i) for i in seen[:3]]
    return " and ".join(names)


def _panels(system: str) -> list[dict[str, Any]]:
    """Show what belongs to a system and hide the rest."""
    return [gr.update(visible=system == each) for each in SYSTEMS]


def _texts(mode: str) -> list[dict[str, Any]]:
    return [gr.update(visible=mode == each) for each in MODES]


def _inputs() -> dict[str, Any]:
    picture = picture_input("dt-picture", height=HEIGHT)
    mode = gr.Radio(
        [(t("dt_mode_words"), "words"), (t("dt_mode_sentence"), "sentence")],
        value="words",
        container=False,
        elem_id="dt-mode",
    )
    words = gr.Textbox(WORDS, label=t("dt_words"), lines=2, max_lines=4, submit_btn=False, elem_id="dt-words")
    sentence = gr.Textbox(SENTENCE, label=t("dt_sentence"), lines=2, max_lines=4, visible=False, elem_id="dt-sentence")
    system = gr.Radio(show.names_of_systems(), value=SYSTEMS[0], label=t("dt_system"), elem_id="dt-system")
    run = gr.Button(t("dt_run"), variant="primary", elem_classes="run", elem_id="dt-run")
    with gr.Row(elem_id="dt-toybox"):
        seed = gr.Number(SEED, label=t("toybox_seed"), precision=0, min_width=110, scale=3, elem_id="dt-seed")
        draw = gr.Button(t("toybox_draw"), min_width=80, scale=2, size="sm", elem_classes="low", elem_id="dt-draw")
    return {
        "picture": picture,
        "mode": mode,
        "words": words,
        "sentence": sentence,
        "system": system,
        "run": run,
        "seed": seed,
        "draw": draw,
    }


def _models(language: gr.State) -> tuple[list[Any], list[gr.Column], gr.Dropdown]:
    """Build a picker for each system, and what ViLD alone is asked."""
    pickers, panels, head = [], [], None
    for system in SYSTEMS:
        with gr.Column(visible=system == SYSTEMS[0]) as panel:
            if system == "vild":
                heads = [(t(HEAD_WORDS[each]), each) for each in HEADS]
                head = gr.Dropdown(heads, value=HEADS[0], label=t("dt_head"), elem_id="dt-head")
            pickers.append(model_picker(system, language))
        panels.append(panel)
    return pickers, panels, head


def _maskers() -> list[tuple[str, str]]:
    """Return what can make masks of boxes: every SAM, and ViLD's own head."""
    sams = [(f"SAM · {name}", name) for name in registry.weights_names("sam")]
    return [*sams, (registry.get("vild").title, VILD_MASKS)]


def _answer_outputs() -> dict[str, Any]:
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=260):
            view = gr.HTML(note(say("en", "dt_nothing_yet")), padding=False, elem_id="dt-view")
        with gr.Column(scale=1, min_width=140):
            truth = gr.HTML(visible=False, padding=False, elem_id="dt-truth")
            masks = gr.Button(t("dt_masks"), size="sm", min_width=110, elem_id="dt-masks")
    with gr.Row():
        least, overlap = (
            gr.Slider(0, 1, value=value, step=step, label=t(key), min_width=130, buttons=[], elem_id=elem_id)
            for value, step, key, elem_id in (
                (0.3, 0.01, "dt_least", "dt-least"),
                (OVERLAP, 0.05, "dt_overlap", "dt-overlap"),
            )
        )
    with gr.Accordion(t("dt_own"), open=False, elem_id="dt-own"), gr.Row():
        own = [
            gr.Slider(0, 1, value=0.3, step=0.01, visible=False, min_width=140, buttons=[], elem_id=f"dt-own-{i}")
            for i in range(MOST_OWN)
        ]
    said = gr.HTML(padding=False, elem_id="dt-said")
    legend = gr.HTML(padding=False, elem_id="dt-legend")
    cost = gr.HTML(padding=False, elem_id="dt-cost")
    return {
        "view": view,
        "least": least,
        "overlap": overlap,
        "masks": masks,
        "own": own,
        "said": said,
        "legend": legend,
        "truth": truth,
        "cost": cost,
    }
