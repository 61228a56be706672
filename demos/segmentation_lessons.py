"""The lessons of the segmentation tab: look inside, side by side, claims with truth, files, code."""

from typing import Any

import gradio as gr

from demos import segmentation_show as show
from demos.segmentation_claims import CLAIMS, measure
from demos.segmentation_files import as_python, write_files
from demos.segmentation_inside import COLUMNS, ROW_PIXELS, look_inside, side_by_side
from demos.segmentation_kept import SYSTEMS, Models
from demos.shell import MODEL, QUIET, guarded
from demos.text import t

SCENES, MOST_SCENES = 12, 60


def build(kept: gr.State, pixel: gr.State, threshold: gr.Slider, models: list[Any], language: gr.State) -> None:
    """Add a tab for each lesson; `models` are the inputs that name the weights."""
    with gr.Tab(t("sg_inside_lesson"), id="sg-inside"):
        gr.Markdown(t("sg_inside_note"))
        look = gr.Button(t("sg_look"), variant="primary", elem_id="sg-look")
        maps = gr.Gallery(
            columns=COLUMNS, object_fit="contain", height=ROW_PIXELS, show_label=False, buttons=[], elem_id="sg-maps"
        )
        figure = gr.Plot(visible=False, show_label=False, elem_id="sg-figure")
        numbers = gr.HTML(padding=False, elem_id="sg-numbers")
    with gr.Tab(t("sg_side"), id="sg-side"):
        gr.Markdown(t("sg_side_note"))
        with gr.Row():
            first, second = (
                gr.Dropdown(show.names_of_systems(), value=system, label=t(key), min_width=130, elem_id=elem_id)
                for system, key, elem_id in (
                    ("lseg", "sg_left", "sg-left"),
                    ("plain_clip", "sg_right_side", "sg-right"),
                )
            )
            compare = gr.Button(t("sg_compare"), variant="primary", elem_classes="low", elem_id="sg-compare")
        pair = gr.ImageSlider(
            show_label=False, interactive=False, buttons=["fullscreen"], max_height=330, elem_id="sg-pair"
        )
        pair_said = gr.HTML(padding=False, elem_id="sg-pair-said")
        pair_table = gr.HTML(padding=False, elem_id="sg-pair-table")
    with gr.Tab(t("sg_claims"), id="sg-claims"):
        claim, seed, size, test, claim_table = _build_claims()
    with gr.Tab(t("sg_files_lesson"), id="sg-files-lesson"):
        gr.Markdown(t("sg_files_note"))
        write = gr.Button(t("sg_write"), variant="primary", elem_id="sg-write")
        files = gr.File(file_count="multiple", interactive=False, show_label=False, elem_id="sg-files")
    with gr.Tab(t("as_python"), id="sg-code"):
        gr.Markdown(t("sg_code_note"))
        code = gr.Code(language="python", interactive=False, wrap_lines=True, show_label=False, elem_id="sg-python")
    private = {"api_visibility": "private", **MODEL}
    look.click(guarded(look_inside), [kept, pixel, language], [maps, figure, numbers], **private)
    compare.click(guarded(side_by_side), [kept, first, second, language], [pair, pair_table, pair_said], **private)
    test.click(guarded(_measured), [claim, seed, size, language, *models], claim_table, **private)
    write.click(guarded(write_files), [kept, threshold, language], files, api_visibility="private")
    gr.on([kept.change, threshold.change], as_python, [kept, threshold], code, **QUIET, trigger_mode="always_last")
    kept.change(lambda: ([], gr.update(visible=False), "", None), None, [maps, figure, numbers, files], **QUIET)


def _build_claims() -> tuple[gr.Dropdown, gr.Number, gr.Slider, gr.Button, gr.HTML]:
    gr.Markdown(t("sg_claims_note"))
    claim = gr.Dropdown(
        [(t(key), name) for name, (key, _) in CLAIMS.items()], value="blocks", label=t("sg_claim"), elem_id="sg-claim"
    )
    with gr.Row():
        seed = gr.Number(0, label=t("sg_seed"), precision=0, min_width=80, scale=1, elem_id="sg-claim-seed")
        size = gr.Slider(
            4,
            MOST_SCENES,
            value=SCENES,
            step=4,
            label=t("sg_size"),
            min_width=220,
            scale=3,
            buttons=[],
            elem_id="sg-size",
        )
        test = gr.Button(t("sg_test"), variant="primary", min_width=110, scale=1, elem_classes="low", elem_id="sg-test")
    return claim, seed, size, test, gr.HTML(padding=False, elem_id="sg-claim-table")


def _measured(claim: str, seed: float | None, size: float, language: str, *weights: Any) -> str:
    *names, namer, agreed = weights
    assert len(names) == len(SYSTEMS)
    return measure(claim, Models(names=tuple(names), namer=namer, agreed=bool(agreed)), seed, size, language)
