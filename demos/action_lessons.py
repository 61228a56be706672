"""The action tab's lessons: heads side by side, templates, single frames, the files of an answer, the code."""

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from demos.action_kept import Kept, frame_shares, ranking_of
from demos.action_show import frames_table, heads_table, templates_table
from demos.shell import MODEL, QUIET, guarded
from demos.text import t

CLIP_NAME = "clip.mp4"


def build(kept: gr.State, language: gr.State) -> None:
    """Add a tab for each lesson; each starts from the answer that is kept."""
    for key, about, show in (
        ("act_heads", "act_heads_note", heads_table),
        ("act_by_template", "act_by_template_note", templates_table),
        ("act_by_frame", "act_by_frame_note", frames_table),
    ):
        name = key.replace("_", "-")
        with gr.Tab(t(key), id=name):
            gr.Markdown(t(about))
            button = gr.Button(t("act_show"), variant="primary", elem_id=f"{name}-button")
            table = gr.HTML(padding=False, elem_id=f"{name}-table")
            button.click(guarded(_needing(show)), [kept, language], table, **QUIET, **MODEL)
    with gr.Tab(t("act_files"), id="act-files"):
        gr.Markdown(t("act_files_note"))
        button = gr.Button(t("act_write"), variant="primary", elem_id="act-write")
        files = gr.File(file_count="multiple", interactive=False, show_label=False, elem_id="act-files-list")
        button.click(guarded(write_files), [kept, language], files, **QUIET, **MODEL)
    with gr.Tab(t("as_python"), id="act-python"):
        gr.Markdown(t("act_python_note"))
        code = gr.Code(language="python", interactive=False, wrap_lines=True, elem_id="act-code")
        kept.change(as_python, kept, code, **QUIET)


def write_files(kept: Kept | None, language: str) -> list[str]:
    """Write the ranking as CSV and everything that is known as JSON, and return the paths."""
    kept = needed(kept)
    ranking = ranking_of(kept)
    folder = Path(tempfile.mkdtemp(prefix="action-"))
    shares = ranking.probabilities()
    with (folder / "actions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("label", "probability"))
        writer.writerows((ranking.labels[i], f"{shares[i]:.6f}") for i in ranking.order())
    facts = {
        "clip": kept.name,
        "weights": kept.weights,
        "head": kept.head,
        "order": kept.order,
        "seconds": [round(float(second), 3) for second in kept.film.seconds],
        "labels": {label: float(share) for label, share in zip(ranking.labels, shares, strict=True)},
        "frames": frame_shares(kept, int(ranking.order()[0])).round(6).tolist(),
    }
    (folder / "actions.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1), "utf-8")
    return [str(folder / "actions.csv"), str(folder / "actions.json")]


def as_python(kept: Kept | None) -> str:
    """Return the lines of Python that give the ranking on show."""
    if kept is None:
        return ""
    if kept.truth is not None:
        first = f'film = read_film({kept.name!r}, frames=model.frames, sampling="segments")  # the Toybox clip'
    else:
        first = f'film = read_film({kept.name!r}, frames=model.frames, sampling="segments")  # your clip'
    return "\n".join(
        (
            "import numpy as np",
            "",
            "from core import registry",
            "from core.media_video import read_film, reorder, tsn_segment_indices",
            "",
            f'model = registry.load("actionclip", {kept.weights!r})',
            first,
            "places = tsn_segment_indices(len(film.frames), model.frames)",
            "features = model.clip_features(film.frames[places])",
            f"order = reorder(model.frames, {kept.order!r}, np.random.default_rng(0))",
            "scores = model.score(",
            "    features.ordered(order),",
            f"    {kept.labels!r},",
            f"    templates=model.templates[{kept.templates!r}],",
            f"    head={kept.head!r},",
            ")",
            "ranking = scores.ranking()",
            "for i in ranking.order():",
            '    print(f"{ranking.probabilities()[i]:7.2%}  {ranking.labels[i]}")',
            "",
        )
    )


def needed(kept: Kept | None) -> Kept:
    """Return what was kept; ValueError where there is nothing yet."""
    if kept is None:
        raise ValueError("Name an action first: then there is something to take apart.")
    return kept


def _needing(show: Any) -> Any:
    def run(kept: Kept | None, language: str) -> str:
        return show(needed(kept), language)

    return run
