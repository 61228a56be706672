"""The depth tab: a picture, words about distance, how far away each pixel is, and why one should not believe it."""

import time
from dataclasses import replace
from math import log10
from typing import Any

import gradio as gr
import numpy as np

from core import media, registry
from core.prompts import check_templates
from core.viz import depth as viz
from demos import depth_lessons as lessons
from demos.depth_kept import SYSTEM, Kept, Scene, check_counts, shrunk, split_bins, split_words, true_bins
from demos.depth_lessons import MOST_SEED, THUMBNAIL_PIXELS
from demos.shell import MODEL, QUIET, Built, Stopwatch, badge, guarded, load, model_picker, note, picture_input
from demos.text import say, t

ID = "depth"
# DepthCLIP's monoclip.py, module globals, as in the model's defaults; a test compares them
WORDS = "giant, extremely close, close, not in distance, a little remote, far, unseen"
BINS = "1, 1.5, 2, 2.25, 2.5, 2.75, 3"
TEMPLATE = "This object is {}"
TEMPERATURE = 0.1
# what the embedded networks are asked, whose captions used these words for these distances; the test compares it too
TOYBOX_BINS = "1, 1.6, 2.6, 4, 6.5, 11, 20"
TOYBOX_TEMPLATE = "a thing that is {}"
TOYBOX_TEMPERATURE = 10.0
TEMPERATURES = (0.01, 100.0)
VARIANTS = {  # what each one needs: the sentence's key, and the embedded model that has it
    "released": ("depth_resnet", "toybox-resnet"),
    "attention_pooled": ("depth_resnet", "toybox-resnet"),
    "patches": ("depth_vit", "toybox-vit"),
}
TOYBOX_PIXELS = 256
HEIGHT = 230
SURE = 0.99  # a word with more than this has a place for itself


def build(language: gr.State) -> Built:
    """Lay the tab out and connect it."""
    kept, scene, pixel = gr.State(None), gr.State(None), gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            asked = _inputs(language)
        with (
            gr.Column(scale=3, min_width=420),
            gr.Tabs(elem_id="depth-lessons", elem_classes="lessons", overflow_behavior="wrap"),
        ):
            with gr.Tab(t("answer"), id="depth-answer"):
                shown = _answer_outputs()
            with gr.Tab(t("depth_responses"), id="depth-responses"):
                gr.Markdown(t("depth_responses_note"))
                responses = gr.Gallery(
                    columns=4, object_fit="contain", height=330, show_label=False, elem_id="depth-responses-maps"
                )
            lessons.build(kept, language)
    variant, slider, said, cost = (shown[name] for name in ("variant", "slider", "said", "cost"))
    results = [kept, slider, said, cost, variant]
    again = [kept, asked["words"], asked["bins"], asked["temperature"], language]
    quiet = {**QUIET, "trigger_mode": "always_last"}
    estimating = {
        "fn": guarded(estimate),
        "inputs": [
            *(asked[name] for name in ("picture", "words", "bins", "template", "temperature")),
            *(variant, asked["weights"], language, scene, asked["flip"]),
        ],
        "outputs": results,
        "show_progress_on": said,
    }
    asked["run"].click(
        **estimating,
        api_name="depth",
        api_description="Estimate depth from words; the temperature is given as its logarithm to base 10.",
        **MODEL,
    )
    variant.input(**estimating, api_visibility="private", **MODEL)
    gr.on([asked["temperature"].change, asked["bins"].submit], guarded(answer_again), again, results[:-1], **quiet)
    asked["bins"].blur(_answer_if_right, again, results[:-1], **quiet)
    asked["weights"].change(question_for, asked["weights"], _question(asked), **QUIET)
    asked["as_released"].click(released_question, None, [asked["words"], *_question(asked)], **QUIET)
    asked["draw"].click(guarded(draw_scene), [asked["seed"], language], [asked["picture"], scene, said], **QUIET)
    cheated = asked["cheat"].click(guarded(true_bins), [scene, asked["words"], language], asked["bins"], **QUIET)
    cheated.success(guarded(answer_again), again, results[:-1], **QUIET)
    shown["point"].select(_clicked, None, pixel, **QUIET).then(
        show_pixel, [kept, pixel, language], [shown["point"], shown["bins"]], **QUIET
    )
    kept.change(show_pixel, [kept, pixel, language], [shown["point"], shown["bins"]], **QUIET)
    kept.change(show_responses, [kept, language], responses, **quiet)
    kept.change(lessons.beside, [kept, language], shown["beside"], **quiet)
    language.change(lambda language: note(say(language, "depth_nothing_yet")), language, said, **QUIET)
    return Built(picture=asked["picture"])


def question_for(weights: str) -> tuple[str, str, float, bool]:
    """Return what these weights are best asked: distances, template, log temperature, and the mirror image too."""
    listed = weights in registry.weights_names(SYSTEM)
    if listed and registry.weights_card(SYSTEM, weights).small:
        return TOYBOX_BINS, TOYBOX_TEMPLATE, log10(TOYBOX_TEMPERATURE), False
    return released_question()[1:]


def released_question() -> tuple[str, str, str, float, bool]:
    """Return what the released code asks: the words, and what `question_for` returns."""
    return WORDS, BINS, TEMPLATE, log10(TEMPERATURE), True


def draw_scene(seed: float | None, language: str) -> tuple[np.ndarray, Scene, str]:
    """Return a Toybox scene, its truth to keep, and how far it reaches."""
    from core.world.picture import picture

    if seed is None or not 0 <= seed <= MOST_SEED:
        raise ValueError(f"Give the scene a number from 0 to {MOST_SEED}, for example 3.")
    view = picture(int(seed), TOYBOX_PIXELS)
    known = view.depth.metres[np.isfinite(view.depth.metres)]
    said = say(language, "depth_truth", near=known.min(), middle=np.median(known), far=known.max())
    return view.rgb, (view.rgb, view.depth), note(said)


def estimate(
    source: Any,
    words: str,
    bins: str,
    template: str,
    log_temperature: float,
    variant: str,
    weights: str,
    language: str,
    scene: Scene | None = None,
    flip: bool = False,
) -> tuple[Kept, tuple[np.ndarray, np.ndarray], str, str, str]:
    """Return the answer to keep, picture and depth, what there is to say, the cost, and the variant that was used."""
    picture = shrunk(media.read_image(source))
    asked, metres = split_words(words), split_bins(bins)
    check_counts(asked, metres)
    (template,) = check_templates([template])
    model = load(SYSTEM, weights)
    if not model.variants:
        raise ValueError("This model is neither a CLIP ResNet nor a plain ViT: it has no places to ask.")
    used = variant if variant in model.variants else model.defaults.variant
    settings = replace(
        model.defaults,
        words=asked,
        bins_metres=metres,
        template=template,
        temperature=10.0**log_temperature,
        variant=used,
        flip=flip,
    )
    watch = Stopwatch.start()
    answer = model.estimate(picture, settings)
    cost = badge(watch.cost(model), language)
    truth = scene[1] if scene is not None and np.array_equal(scene[0], picture) else None
    kept = Kept(
        picture=picture, answer=answer, template=template, variant=used, flip=flip, weights=weights, truth=truth
    )
    said = remarks(kept, language)
    if used != variant:
        kind, example = VARIANTS[variant]
        said += note(say(language, "depth_unsupported", wanted=variant, kind=say(language, kind), example=example))
    if unseen := model.backbone.unseen_words(asked):
        said += note(say(language, "unseen_words", words=", ".join(unseen)))
    return kept, _pair(kept), said, cost, used


def answer_again(
    kept: Kept | None, words: str, bins: str, log_temperature: float, language: str
) -> tuple[Any, Any, Any, Any]:
    """Return the answer under other distances and another temperature, from the products that were kept."""
    if kept is None:
        return (gr.skip(),) * 4
    asked, metres = split_words(words), split_bins(bins)
    check_counts(asked, metres)
    if asked != kept.answer.words:  # typed, and not asked yet: the old words keep their own distances
        metres = kept.answer.bins_metres
    temperature = 10.0**log_temperature
    if (metres, temperature) == (kept.answer.bins_metres, kept.answer.temperature):
        return (gr.skip(),) * 4
    started = time.perf_counter()
    again = replace(kept, answer=kept.answer.with_bins(metres, temperature))
    spent = say(language, "depth_again", ms=1000 * (time.perf_counter() - started))
    return again, _pair(again), remarks(again, language), lessons.small(spent)


def remarks(kept: Kept, language: str) -> str:
    """Say between which depths the answer lies, by which rule, and how sure the words are of their places."""
    metres, answer = kept.answer.depth.metres, kept.answer
    numbers = say(
        language,
        "depth_reading",
        variant=kept.variant,
        near=metres.min(),
        middle=np.median(metres),
        far=metres.max(),
        temperature=answer.temperature,
        least=min(answer.bins_metres),
        most=max(answer.bins_metres),
    )
    sure = float((answer.responses.max(0) > SURE).mean())
    said = lessons.small(numbers)
    return said + note(say(language, "depth_saturated", share=sure)) if sure > 0.5 else said


def show_responses(kept: Kept | None, language: str) -> list[tuple[np.ndarray, str]]:
    """Return how probable each word is at each place, with its distance and its mean."""
    if kept is None:
        return []
    height, width = kept.picture.shape[:2]
    scale = min(1.0, THUMBNAIL_PIXELS / max(height, width))
    size_hw = max(1, round(height * scale)), max(1, round(width * scale))
    answer = kept.answer
    return [
        (viz.response_picture(response, size_hw), f"{word} · {metres:g} m · {response.mean():.1%}")
        for response, word, metres in zip(answer.responses, answer.words, answer.bins_metres, strict=True)
    ]


def show_pixel(kept: Kept | None, pixel: tuple[int, int] | None, language: str) -> tuple[Any, Any]:
    """Return the picture with a pixel marked, at first the middle, and how the words share that pixel."""
    if kept is None:
        return None, None
    height, width = kept.picture.shape[:2]
    x, y = pixel if pixel and pixel[0] < width and pixel[1] < height else (width // 2, height // 2)
    answer = kept.answer
    title = say(language, "depth_pixel_title", x=x, y=y, metres=answer.depth.metres[y, x])
    figure = viz.bin_figure(answer.bin_distribution(x, y), answer.words, answer.bins_metres, title=title)
    return viz.marked(kept.picture, x, y), figure


def _answer_if_right(*asked: Any) -> tuple[Any, ...]:
    """Answer again when the box is left; a complaint is the business of the button that may have been pressed."""
    try:
        return answer_again(*asked)
    except ValueError:
        return (gr.skip(),) * 4


def _pair(kept: Kept) -> tuple[np.ndarray, np.ndarray]:
    return kept.picture, viz.depth_picture(kept.answer.depth)


def _clicked(event: gr.SelectData) -> tuple[int, int]:
    return int(event.index[0]), int(event.index[1])


def _inputs(language: gr.State) -> dict[str, Any]:
    picture = picture_input("depth-picture", height=HEIGHT)
    run = gr.Button(t("depth_run"), variant="primary", elem_classes="run", elem_id="depth-run")
    with gr.Row(elem_id="depth-toybox"):
        seed = gr.Number(3, label=t("toybox_seed"), precision=0, min_width=110, scale=3, elem_id="depth-seed")
        draw = gr.Button(t("toybox_draw"), min_width=80, scale=2, size="sm", elem_classes="low", elem_id="depth-draw")
    least, most = (log10(value) for value in TEMPERATURES)
    temperature = gr.Slider(
        least,
        most,
        value=log10(TOYBOX_TEMPERATURE),
        step=0.05,
        label=t("depth_temperature"),
        elem_id="depth-temperature",
    )
    with gr.Accordion(t("depth_settings"), open=False, elem_id="depth-settings"):
        words = gr.Textbox(WORDS, label=t("depth_words"), lines=2, max_lines=4, elem_id="depth-words-text")
        bins = gr.Textbox(TOYBOX_BINS, label=t("depth_bins"), lines=1, max_lines=1, elem_id="depth-bins")
        cheat = gr.Button(t("depth_cheat"), size="sm", elem_id="depth-cheat")
        template = gr.Textbox(
            TOYBOX_TEMPLATE, label=t("depth_template"), lines=1, max_lines=1, elem_id="depth-template"
        )
        flip = gr.Checkbox(label=t("depth_flip"), container=False, elem_id="depth-flip")
        as_released = gr.Button(t("depth_as_released"), size="sm", elem_id="depth-as-released")
    return {
        "picture": picture,
        "run": run,
        "seed": seed,
        "draw": draw,
        "temperature": temperature,
        "words": words,
        "bins": bins,
        "cheat": cheat,
        "template": template,
        "flip": flip,
        "as_released": as_released,
        "weights": model_picker(SYSTEM, language),
    }


def _answer_outputs() -> dict[str, Any]:
    variant = gr.Radio(list(VARIANTS), value="attention_pooled", label=t("depth_variant"), elem_id="depth-variant")
    slider = gr.ImageSlider(
        label=t("depth_slider"), interactive=False, buttons=["fullscreen"], max_height=280, elem_id="depth-slider"
    )
    said = gr.HTML(note(say("en", "depth_nothing_yet")), padding=False, elem_id="depth-said")
    cost = gr.HTML(padding=False, elem_id="depth-cost")
    beside = gr.HTML(padding=False, elem_id="depth-beside")
    gr.Markdown(t("depth_pixel_note"))
    with gr.Row():
        point = gr.Image(
            interactive=False,
            show_label=False,
            buttons=[],
            height=260,
            scale=2,
            min_width=200,
            elem_id="depth-point",
        )
        with gr.Column(scale=3, min_width=300):
            bins = gr.Plot(show_label=False, elem_id="depth-bin-figure")
    with gr.Accordion(t("depth_variants"), open=False, elem_id="depth-variants"):
        gr.Markdown(t("depth_variants_note"))
    return {
        "variant": variant,
        "slider": slider,
        "said": said,
        "cost": cost,
        "beside": beside,
        "point": point,
        "bins": bins,
    }


def _question(asked: dict[str, Any]) -> list[Any]:
    """Return the components of `question_for`, in its order."""
    return [asked[name] for name in ("bins", "template", "temperature", "flip")]
