"""The video tab's lessons: whole clips by CLIP4Clip, its heads side by side, frames on their own, files, the code."""

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demos.shell import MODEL, QUIET, Stopwatch, guarded, load, model_picker
from demos.text import say, t
from demos.video_kept import CLIPS_SYSTEM, Found, Library, Seen, frames_of, look
from demos.video_show import heads_table, ranked, strip

SENTENCE = "a red ball rising"
HEADS = ("seqTransf", "meanP", "seqLSTM", "tightTransf")  # a test compares them with the model's


def build(library: gr.State, found: gr.State, seen: gr.State, language: gr.State) -> None:
    """Add a tab for each lesson; `seen` is made outside, because beside tabs nothing else may stand among them."""
    with gr.Tab(t("vid_clips"), id="vid-clips"):
        gr.Markdown(t("vid_clips_note"))
        with gr.Row():
            sentence = gr.Textbox(SENTENCE, label=t("vid_sentence"), scale=4, min_width=200, elem_id="vid-sentence")
            head = gr.Dropdown(list(HEADS), value=HEADS[0], label=t("vid_head"), min_width=110, elem_id="vid-head")
        with gr.Row():
            run = gr.Button(t("vid_rank"), variant="primary", elem_id="vid-rank")
            backwards = gr.Checkbox(label=t("vid_backwards"), container=False, elem_id="vid-backwards")
        said = gr.Markdown(elem_id="vid-clips-said")
        clips = gr.Gallery(
            columns=4, height=300, show_label=False, object_fit="contain", buttons=[], elem_id="vid-ranked"
        )
        cost = gr.HTML(padding=False, elem_id="vid-clips-cost")
        weights = model_picker(CLIPS_SYSTEM, language)
    asked = [library, seen, sentence, head, backwards, weights, language]
    gr.on(
        [run.click, sentence.submit, backwards.input, head.input],
        guarded(rank_clips),
        asked,
        [seen, clips, said, cost],
        **QUIET,
        **MODEL,
    )
    with gr.Tab(t("vid_heads"), id="vid-heads"):
        gr.Markdown(t("vid_heads_note"))
        button = gr.Button(t("vid_show"), variant="primary", elem_id="vid-heads-button")
        table = gr.HTML(padding=False, elem_id="vid-heads-table")
        asked = [library, seen, sentence, weights, language]
        button.click(guarded(compare_heads), asked, [seen, table], **QUIET, **MODEL)
    with gr.Tab(t("vid_strip"), id="vid-strip"):
        gr.Markdown(t("vid_strip_note"))
        button = gr.Button(t("vid_show"), variant="primary", elem_id="vid-strip-button")
        picture = gr.Image(show_label=False, interactive=False, buttons=[], format="png", elem_id="vid-strip-picture")
        asked = [library, seen, sentence, head, weights, language]
        button.click(guarded(best_strip), asked, [seen, picture], **QUIET, **MODEL)
    with gr.Tab(t("vid_output"), id="vid-output"):
        gr.Markdown(t("vid_output_note"))
        button = gr.Button(t("vid_write"), variant="primary", elem_id="vid-write")
        files = gr.File(file_count="multiple", interactive=False, show_label=False, elem_id="vid-written")
        button.click(guarded(write_files), [found, language], files, **QUIET)
    with gr.Tab(t("as_python"), id="vid-python"):
        gr.Markdown(t("vid_python_note"))
        code = gr.Code(language="python", interactive=False, wrap_lines=True, elem_id="vid-code")
        found.change(as_python, found, code, **QUIET)


def rank_clips(
    library: Library | None,
    seen: Seen | None,
    sentence: str,
    head: str,
    backwards: bool,
    weights: str,
    language: str,
) -> tuple[Seen, Any, str, str]:
    """Return what was seen, the clips ranked for a sentence, whether backwards is any different, and the cost."""
    model, watch, seen, features = _looked(library, seen, weights)
    chosen = head if head in model.heads else model.default_head
    turned = [each[::-1] for each in features]
    forwards, reverse = (model.scores(each, [sentence.strip()], chosen)[0] for each in (features, turned))
    pictures = ranked(reverse if backwards else forwards, seen, library.truth if library and not backwards else {})
    blind = say(language, "vid_same") if np.array_equal(forwards, reverse) else ""
    return seen, pictures, blind, watch.badge(model, language)


def compare_heads(
    library: Library | None, seen: Seen | None, sentence: str, weights: str, language: str
) -> tuple[Seen, str]:
    """Return what was seen, and every head's best clip, forwards and backwards, as a table."""
    model, _, seen, features = _looked(library, seen, weights)
    return seen, heads_table(model, features, seen.names, sentence.strip(), language)


def best_strip(
    library: Library | None, seen: Seen | None, sentence: str, head: str, weights: str, language: str
) -> tuple[Seen, np.ndarray]:
    """Return what was seen, and the frames of the clip that fits a sentence best, each with its own score."""
    model, _, seen, features = _looked(library, seen, weights)
    chosen = head if head in model.heads else model.default_head
    best = int(model.scores(features, [sentence.strip()], chosen)[0].argmax())
    frames = frames_of(list(seen.features)[best])
    return seen, strip(frames, model.film_strip(features[best], [sentence.strip()])[:, 0])


def write_files(found: Found | None, language: str) -> list[str]:
    """Write the moments as CSV and JSON, and chapters for each clip; returns the paths."""
    from core.viz.chapters import moments_csv, moments_json, webvtt

    if found is None:
        raise ValueError("Search first: then there are moments to write.")
    folder = Path(tempfile.mkdtemp(prefix="moments-"))
    texts = {"moments.csv": moments_csv(found.moments), "moments.json": moments_json(found.moments)}
    for video in found.moments.videos:
        texts[f"{Path(video.name).stem}.vtt"] = webvtt(video, found.moments.query)
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return [str(folder / name) for name in texts]


def as_python(found: Found | None) -> str:
    """Return the lines of Python that find the moments on show."""
    if found is None:
        return ""
    names = [video.name for video in found.moments.videos]
    return "\n".join(
        (
            "from core import media_video, registry",
            "",
            f'model = registry.load("moments", {found.weights!r})',
            f"files = {names!r}  # your clips",
            "report = model.add(files, media_video, settings=model.frame_settings(step_seconds=0.5))",
            f"parts = model.parts({found.query!r})",
            f"found = model.search(parts, kind={found.moments.kind!r}, videos=report.keys, cut={found.cut})",
            "for video in found.videos:",
            "    for moment in video.moments:",
            '        print(f"{video.name} {moment.start_seconds:.2f} {moment.end_seconds:.2f} {moment.score:+.3f}")',
            "",
        )
    )


def _looked(
    library: Library | None, seen: Seen | None, weights: str
) -> tuple[Any, Stopwatch, Seen, tuple[np.ndarray, ...]]:
    """Return the model, a running watch, the clips as they were seen, and their features."""
    model, watch = load(CLIPS_SYSTEM, weights), Stopwatch.start()
    seen = look(library.paths if library else (), seen, weights)
    return model, watch, seen, tuple(seen.features.values())
