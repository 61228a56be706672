"""The video tab: clips searched in words and pictures, to the second; and whole clips ranked for a sentence."""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from core import media
from demos import video_lessons as lessons
from demos.shell import MODEL, QUIET, Built, Stopwatch, badge, guarded, load, model_picker, note, picture_input
from demos.text import say, t
from demos.video_kept import KINDS, SYSTEM, Found, Library, add, search, toy_clips, without_removed
from demos.video_show import curve, gallery, said

ID = "videos"
QUERY = "a red ball"
CUT = 0.5
ENDINGS = [".mp4", ".webm", ".mov", ".avi", ".gif", ".mkv", ".m4v"]


def build(language: gr.State) -> Built:
    """Lay the tab out and connect it."""
    library, found, seen, row = gr.State(None), gr.State(None), gr.State(None), gr.State(0)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=320):
            asked = _inputs(language)
        with (
            gr.Column(scale=3, min_width=420),
            gr.Tabs(elem_id="vid-lessons", elem_classes="lessons", overflow_behavior="wrap"),
        ):
            with gr.Tab(t("answer"), id="vid-answer"):
                shown = _answer_outputs()
            lessons.build(library, found, seen, language)
    outputs = [library, found, *(shown[name] for name in ("gallery", "said", "cost"))]
    names = ("files", "query", "picture", "weight", "kind", "cut", "weights")
    searching = {
        "fn": guarded(answer),
        "inputs": [library, *(asked[name] for name in names), language],
        "outputs": outputs,
        "show_progress": "hidden",
        "concurrency_id": "videos",
        "concurrency_limit": 2,
        "api_visibility": "private",
    }
    running = [
        gr.on([asked["run"].click, asked["query"].submit], **searching),
        asked["take"]
        .click(lambda language: note(say(language, "vid_drawing")), language, shown["said"], **QUIET)
        .then(guarded(take_toys), [library, language], [library, shown["said"]], **QUIET)
        .success(**searching),
    ]
    asked["stop"].click(
        lambda language: note(say(language, "vid_stopped")), language, shown["said"], cancels=running, **QUIET
    )
    again = [library, found, asked["query"], asked["picture"], asked["weight"], asked["kind"], asked["cut"], language]
    gr.on([asked["cut"].release, asked["kind"].input], guarded(answer_again), again, outputs[1:], **QUIET, **MODEL)
    shown["gallery"].select(_chosen, None, row, **QUIET).then(seek, [found, row], shown["player"], **QUIET)
    gr.on(
        [found.change, row.change], guarded(play), [found, row, language], [shown["player"], shown["curve"]], **QUIET
    ).then(seek, [found, row], shown["player"], **QUIET)
    found.change(lambda: 0, None, row, **QUIET)
    language.change(lambda language: note(say(language, "vid_nothing_yet")), language, shown["said"], **QUIET)
    return Built()


def take_toys(library: Library | None, language: str) -> tuple[Library, str]:
    """Draw the Toybox clips and put them with the visitor's own."""
    paths, truth = toy_clips()
    known = library or Library()
    held = [path for path in known.paths if path not in paths and not path.rsplit("/", 1)[-1].startswith("toybox-")]
    kept = Library(paths=(*held, *paths), keys=(), weights="", truth=known.truth | truth)
    return kept, note(say(language, "vid_added", count=len(kept.paths)))


def answer(
    library: Library | None,
    files: list[str] | None,
    query: str,
    picture: Any,
    weight: float,
    kind: str,
    cut: float,
    weights: str,
    language: str,
) -> Iterator[tuple[Any, ...]]:
    """Add what is new, telling how far it is, then search; yields library, what was found, gallery, words and cost.

    A file that was taken out of the list of uploads is not searched any more.
    """
    watch, failed = Stopwatch.start(), ()
    known = without_removed(library or Library(), files or ())
    new = [path for path in files or () if path not in known.paths]
    if new or not known.keys or known.weights != weights or kind == "patches":
        for step in add(known, new, {}, weights, kind == "patches"):
            if isinstance(step, tuple):
                known, failed = step[0], step[1].failed
            else:
                yield gr.skip(), gr.skip(), gr.skip(), note(_progress(step, language)), gr.skip()
    look = media.read_image(picture) if picture is not None else None
    found = search(known, query, look, weight, kind, cut)
    words = said(found, known, language)
    words += "".join(note(say(language, "vid_skipped", name=name, reason=reason)) for name, reason in failed)
    yield known, found, gallery(found), words, badge(watch.cost(load(SYSTEM, weights)), language)


def answer_again(
    library: Library | None,
    found: Found | None,
    query: str,
    picture: Any,
    weight: float,
    kind: str,
    cut: float,
    language: str,
) -> tuple[Any, ...]:
    """Search again among the clips that were added, without looking at any frame."""
    if library is None or found is None or kind == "patches":
        return (gr.skip(),) * 4
    watch = Stopwatch.start()
    look = media.read_image(picture) if picture is not None else None
    again = search(library, query, look, weight, kind, cut)
    cost = badge(watch.cost(load(SYSTEM, library.weights)), language)
    return again, gallery(again), said(again, library, language), cost


def play(found: Found | None, row: int, language: str) -> tuple[Any, Any]:
    """Return the clip of a moment for the player, and its score over time."""
    if found is None or not found.shown():
        return gr.skip(), gr.skip()
    row = min(row, len(found.shown()) - 1)
    return gr.update(value=found.shown()[row][0].path, visible=True), gr.update(
        value=curve(found, row, language), visible=True
    )


def seek(found: Found | None, row: int) -> Any:
    """Return where the player is to stand; together with a new clip Gradio would ignore it."""
    if found is None or not found.shown():
        return gr.skip()
    return gr.update(playback_position=found.shown()[min(row, len(found.shown()) - 1)][1].start_seconds)


def _progress(step: Any, language: str) -> str:
    return say(
        language,
        "vid_indexing",
        name=step.name,
        video=step.video + 1,
        videos=step.videos,
        done=step.seconds_done,
        all=step.seconds_all,
        eta=step.eta_seconds or 0.0,
    )


def _chosen(event: gr.SelectData) -> int:
    return int(event.index)


def _inputs(language: gr.State) -> dict[str, Any]:
    files = gr.File(label=t("vid_files"), file_count="multiple", file_types=ENDINGS, height=150, elem_id="vid-files")
    with gr.Row():
        take = gr.Button(t("vid_take"), size="sm", min_width=120, elem_id="vid-take")
        stop = gr.Button(t("vid_stop"), size="sm", min_width=90, elem_id="vid-stop")
    query = gr.Textbox(
        QUERY,
        label=t("vid_query"),
        info=t("vid_query_note"),
        lines=1,
        max_lines=2,
        submit_btn=False,
        elem_id="vid-query",
    )
    run = gr.Button(t("vid_search"), variant="primary", elem_classes="run", elem_id="vid-search")
    with gr.Row():
        kind = gr.Dropdown(list(KINDS), value=KINDS[0], label=t("vid_kind"), min_width=110, elem_id="vid-kind")
        cut = gr.Slider(0, 1, value=CUT, step=0.05, label=t("vid_cut"), min_width=150, buttons=[], elem_id="vid-cut")
    with gr.Accordion(t("vid_picture"), open=False, elem_id="vid-by-picture"):
        picture = picture_input("vid-picture", height=160)
        weight = gr.Slider(-1, 1, value=0.5, step=0.1, label=t("vid_picture_weight"), buttons=[], elem_id="vid-weight")
    return {
        "files": files,
        "take": take,
        "stop": stop,
        "query": query,
        "run": run,
        "kind": kind,
        "cut": cut,
        "picture": picture,
        "weight": weight,
        "weights": model_picker(SYSTEM, language),
    }


def _answer_outputs() -> dict[str, Any]:
    said_ = gr.HTML(note(say("en", "vid_nothing_yet")), padding=False, elem_id="vid-said")
    gr.Markdown(t("vid_moments"), elem_classes="small-heading")
    moments = gr.Gallery(
        columns=4,
        height=170,
        show_label=False,
        object_fit="contain",
        buttons=[],
        allow_preview=False,
        elem_id="vid-moments",
    )
    with gr.Row(equal_height=False):
        player = gr.Video(
            visible=False,
            show_label=False,
            interactive=False,
            height=220,
            min_width=200,
            buttons=[],
            elem_id="vid-player",
        )
        figure = gr.Plot(visible=False, show_label=False, min_width=240, elem_id="vid-curve")
    cost = gr.HTML(padding=False, elem_id="vid-cost")
    return {"said": said_, "gallery": moments, "player": player, "curve": figure, "cost": cost}
