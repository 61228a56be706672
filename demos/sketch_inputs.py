"""What the sketch tab is told: a picture, how many strokes, and how they are drawn."""

from collections.abc import Iterable
from typing import Any

import gradio as gr

from demos.examples import examples
from demos.shell import model_picker, picture_input
from demos.sketch_kept import (
    CUTS,
    LOSSES,
    MOST_ITERATIONS,
    MOST_SEEDS,
    MOST_STROKES,
    MOST_VIEWS,
    PRESET,
    PRESETS,
    STARTS,
    STROKES,
    SYSTEM,
    THING,
    cuts,
)
from demos.text import t

HEIGHT = 190
SHOWN = ("car.jpg", "colors.jpg", "scene.jpg", "drawing.jpg")  # examples worth drawing
ASKED = ("picture", "strokes", "preset", "seeds", "iterations", "start", "losses", "views", "cut", "weights")
CHOICES = {  # names that are the same in the code and on the page in English only
    "CPU, quick": "sk_quick",
    "paper": "sk_paper",
    "off": "sk_off",
    "saliency": "sk_saliency",
    "attention": "sk_attention",
    "random": "sk_random",
}
NUMBERS = ("iterations", "seeds", "views")  # in the order of PRESETS


def example_paths() -> list[str]:
    """Return the shipped pictures that are worth drawing."""
    return [str(example.path) for example in examples() if example.path.name in SHOWN]


def inputs(language: gr.State) -> dict[str, Any]:
    """Add picture, examples, Toybox, strokes, the three buttons and how it is drawn."""
    picture = picture_input("sketch-picture", height=HEIGHT)
    gallery = gr.Gallery(
        example_paths(),
        show_label=False,
        columns=len(SHOWN),
        height=66,
        allow_preview=False,
        object_fit="cover",
        buttons=[],
        elem_id="sketch-examples",
    )
    with gr.Row(elem_id="sketch-toybox"):
        seed = gr.Number(THING, label=t("sk_thing"), precision=0, min_width=110, scale=3, elem_id="sketch-seed")
        take = gr.Button(t("sk_take"), min_width=80, scale=2, size="sm", elem_classes="low", elem_id="sketch-take")
    strokes = whole_slider(1, MOST_STROKES, STROKES, "sk_strokes", "sketch-strokes")
    with gr.Row(elem_id="sketch-buttons"):
        run = gr.Button(
            t("sk_draw"), variant="primary", elem_classes="run", min_width=90, scale=2, elem_id="sketch-draw"
        )
        halt = gr.Button(t("sk_stop"), variant="stop", interactive=False, min_width=80, elem_id="sketch-stop")
        resume = gr.Button(t("sk_resume"), interactive=False, min_width=80, elem_id="sketch-resume")
    with gr.Accordion(t("sk_how"), open=False, elem_id="sketch-how"):
        how = _how()
    return {
        "picture": picture,
        "examples": gallery,
        "seed": seed,
        "take": take,
        "strokes": strokes,
        "draw": run,
        "stop": halt,
        "resume": resume,
        "weights": model_picker(SYSTEM, language),
        **how,
    }


def _how() -> dict[str, Any]:
    """Add how a picture is drawn."""
    iterations, seeds, views = PRESETS[PRESET]
    return {
        "preset": _radio(PRESETS, PRESET, "sk_preset", "sketch-preset"),
        "iterations": whole_slider(1, MOST_ITERATIONS, iterations, "sk_iterations", "sketch-iterations"),
        "seeds": whole_slider(1, MOST_SEEDS, seeds, "sk_seeds", "sketch-seeds"),
        "views": whole_slider(0, MOST_VIEWS, views, "sk_views", "sketch-views"),
        "cut": _radio(cuts(), CUTS[1], "sk_cut", "sketch-cut"),
        "losses": _radio(LOSSES, next(iter(LOSSES)), "sk_losses", "sketch-losses"),
        "start": _radio(STARTS, STARTS[0], "sk_start", "sketch-start"),
    }


def _radio(choices: Iterable[str], chosen: str, key: str, elem_id: str) -> gr.Radio:
    """Build a choice whose names are translated where there is a word for them."""
    named = [(t(CHOICES[name]) if name in CHOICES else name, name) for name in choices]
    return gr.Radio(named, value=chosen, label=t(key), min_width=140, elem_id=elem_id)


def whole_slider(least: int, most: int, value: int, key: str, elem_id: str) -> gr.Slider:
    """Build a slider of whole numbers whose complaints are ours, in the user's language."""
    slider = gr.Slider(least, most, value=value, step=1, label=t(key), buttons=[], elem_id=elem_id)
    slider.preprocess = lambda payload: payload
    return slider
