"""The lessons of the depth tab: side by side with the truth, in 3D, words swapped or without sense, files, code."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import Float

from core.metrics.depth import nyu_errors, rank_accuracy
from core.results import DepthAnswer, DepthMap
from core.viz import depth as viz
from demos.depth_kept import SYSTEM, Kept, as_python, needed, write_files
from demos.shell import MODEL, QUIET, guarded, load, note
from demos.text import say, t

MOST_SEED = 999_999
OTHER_SEEDS = range(1_000_000, 1_000_024)  # what the baselines learn from: seeds that nobody can ask for
BASELINE_PIXELS = 64
COLUMNS = {"d1": max, "abs_rel": min, "rmse": min, "rank": max}  # and which of two is better
BEST = " ★"
FAR_PERCENTILE = 95  # of a map: the end of the common colour scale
MOST_METRES = 30.0  # learned from and scored: the ground goes on to the horizon, and would be all that a mean shows
THUMBNAIL_PIXELS = 320
NONSENSE = ("wug", "blick", "dax", "toma", "fep", "zav", "lorp", "mib", "tulver", "gazzer")


def build(kept: gr.State, language: gr.State) -> None:
    """Add a tab for each lesson."""
    with gr.Tab(t("depth_side"), id="depth-side"):
        gr.Markdown(t("depth_side_note"))
        side = gr.Button(t("depth_side_run"), variant="primary", elem_id="depth-side-button")
        verdict = gr.HTML(padding=False, elem_id="depth-side-said")
        table = gr.Dataframe(
            visible=False,
            interactive=False,
            buttons=[],
            wrap=True,
            column_widths=["34%", "16%", "17%", "16%", "17%"],
            elem_id="depth-table",
        )
        maps = gr.Gallery(columns=3, object_fit="contain", height=360, show_label=False, elem_id="depth-maps")
    with gr.Tab(t("depth_surface"), id="depth-surface"):
        gr.Markdown(t("depth_surface_note"))
        figure = gr.Plot(show_label=False, elem_id="depth-figure")
    with gr.Tab(t("depth_words_lesson"), id="depth-words"):
        swapped, nonsense, words_outputs, pair = _build_words()
    with gr.Tab(t("depth_downloads"), id="depth-downloads"):
        gr.Markdown(t("depth_downloads_note"))
        write = gr.Button(t("depth_write"), variant="primary", elem_id="depth-write")
        files = gr.File(file_count="multiple", interactive=False, show_label=False, elem_id="depth-files")
    with gr.Tab(t("as_python"), id="depth-code"):
        gr.Markdown(t("depth_code_note"))
        code = gr.Code(language="python", interactive=False, wrap_lines=True, show_label=False, elem_id="depth-python")
    asked, quiet = [kept, language], {**QUIET, "trigger_mode": "always_last"}
    side.click(guarded(side_by_side), asked, [maps, table, verdict], api_visibility="private", **MODEL)
    swapped.click(guarded(swap), [*pair, *asked], words_outputs, **QUIET)
    nonsense.click(guarded(without_sense), asked, words_outputs, api_visibility="private", **MODEL)
    write.click(guarded(write_files), asked, files, api_visibility="private")
    kept.change(surface, asked, figure, **quiet)
    kept.change(as_python, kept, code, **QUIET)
    kept.change(lambda: ([], gr.update(visible=False), "", None), None, [maps, table, verdict, files], **QUIET)


@functools.cache
def other_depths() -> tuple[DepthMap, ...]:
    """Return the true depths that the baselines learn from."""
    from core.world.picture import picture

    return tuple(near_part(picture(seed, BASELINE_PIXELS, samples=1).depth) for seed in OTHER_SEEDS)


def near_part(depth: DepthMap) -> DepthMap:
    """Return the depth up to MOST_METRES; what is farther counts as not measured."""
    return DepthMap(metres=np.where(depth.metres <= MOST_METRES, depth.metres, np.float32(np.inf)))


def side_by_side(kept: Kept | None, language: str) -> tuple[list[tuple[np.ndarray, str]], Any, str]:
    """Return every variant, every baseline and the truth on one scale, the table of errors, and who wins."""
    kept = needed(kept)
    model = load(SYSTEM, kept.weights)
    settings = kept.settings(model)
    maps = {name: model.estimate(kept.picture, replace(settings, variant=name)).depth for name in model.variants}
    size_hw = kept.answer.depth.metres.shape
    baselines = model.fit_baselines(list(other_depths()))
    maps |= {_baseline_name(name, language): baseline.predict(size_hw) for name, baseline in baselines.items()}
    shown = maps if kept.truth is None else {say(language, "depth_true"): kept.truth} | maps
    near, far = scale_of(list(shown.values()))
    pictures, scale = on_one_scale(shown), say(language, "depth_scale", near=near, far=far)
    if kept.truth is None:
        return pictures, gr.update(visible=False), note(say(language, "depth_no_truth")) + small(scale)
    errors = {name: errors_of(depth, kept.truth) for name, depth in maps.items()}
    headings = [say(language, "depth_answer_of"), *COLUMNS]
    headings[-1] = say(language, "depth_rank")
    table = gr.update(value={"headers": headings, "data": marked_rows(errors)}, visible=True)
    scored = float((kept.truth.metres <= MOST_METRES).mean())
    rules = say(language, "depth_scored", metres=MOST_METRES, share=scored)
    return pictures, table, note(verdict(errors, len(model.variants), language)) + small(f"{rules} {scale}")


def beside(kept: Kept | None, language: str) -> str:
    """Say what the answers that never look at the picture give, and how all of them err where the truth is known."""
    if kept is None:
        return ""
    size_hw = kept.answer.depth.metres.shape
    model = load(SYSTEM, kept.weights)
    blind = {
        _baseline_name(name, language): baseline.predict(size_hw)
        for name, baseline in model.fit_baselines(list(other_depths())).items()
    }
    if kept.truth is None:
        ends = [(name, depth.metres.min(), depth.metres.max()) for name, depth in blind.items()]
        spans = [f"{name} {near:.1f}" + (f"–{far:.1f} m" if far > near else " m") for name, near, far in ends]
        return small(say(language, "depth_beside", answers=" · ".join(spans)))
    errors = {name: errors_of(depth, kept.truth) for name, depth in ({kept.variant: kept.answer.depth} | blind).items()}
    figures = [f"{name} {row['abs_rel']:.2f}, {row['rank']:.0%}" for name, row in errors.items()]
    return small(say(language, "depth_beside_truth", answers=" · ".join(figures)))


def errors_of(depth: DepthMap, truth: DepthMap) -> dict[str, float]:
    """Return a value for each of COLUMNS over every pixel with a true depth up to MOST_METRES."""
    true = near_part(truth).metres
    found = nyu_errors(depth.metres, true, max=MOST_METRES)
    errors = {name: found[name] for name in COLUMNS if name in found}
    return errors | {"rank": rank_accuracy(depth.metres, true, np.random.default_rng(0))}


def marked_rows(errors: dict[str, dict[str, float]]) -> list[list[str]]:
    """Return the errors as rows of a table, the best of each column with a star; equals share it."""
    best = {name: better(row[name] for row in errors.values()) for name, better in COLUMNS.items()}
    return [
        [label, *(f"{row[name]:.3f}{BEST if row[name] == best[name] else ''}" for name in COLUMNS)]
        for label, row in errors.items()
    ]


def verdict(errors: dict[str, dict[str, float]], num_variants: int, language: str) -> str:
    """Say in which columns an answer that never looks at the picture beats every variant, and by what numbers."""
    names = list(errors)
    duels = []
    for column, better in COLUMNS.items():
        seeing, blind = (
            better(part, key=lambda name: errors[name][column]) for part in (names[:num_variants], names[num_variants:])
        )
        sees, does_not = errors[seeing][column], errors[blind][column]
        if sees != better(sees, does_not):
            measure = say(language, "depth_rank") if column == "rank" else column
            duels.append(say(language, "depth_duel", measure=measure, blind=blind, a=does_not, seeing=seeing, b=sees))
    if not duels:
        return say(language, "depth_model_wins", count=len(COLUMNS))
    return say(language, "depth_baseline_wins", lost=len(duels), count=len(COLUMNS), duels="; ".join(duels))


def scale_of(depths: Sequence[DepthMap]) -> tuple[float, float]:
    """Return the metres that are brightest and darkest in pictures of these depths."""
    known = [depth.metres[np.isfinite(depth.metres)] for depth in depths]
    return min(float(each.min()) for each in known), max(float(np.percentile(each, FAR_PERCENTILE)) for each in known)


def on_one_scale(maps: dict[str, DepthMap]) -> list[tuple[np.ndarray, str]]:
    """Return depths as pictures whose colours mean the same logarithm of metres, with a caption each."""
    near, far = scale_of(list(maps.values()))
    known = [depth.metres[np.isfinite(depth.metres)] for depth in maps.values()]
    return [
        (
            viz.depth_picture(logarithm(depth, near), near_metres=1.0, far_metres=1 + float(np.log(far / near))),
            f"{name} · {values.min():.2f} to {values.max():.2f} m",
        )
        for (name, depth), values in zip(maps.items(), known, strict=True)
    ]


def logarithm(depth: DepthMap, near: float) -> DepthMap:
    """Return a thinned depth with 1 for the nearest and one more for each factor of e."""
    return DepthMap(metres=1 + np.log(np.maximum(thinned(depth) / np.float32(near), 1)))


def thinned(depth: DepthMap) -> Float[np.ndarray, "h w"]:
    """Return evenly chosen pixels, few enough for a picture among others."""
    step = max(1, max(depth.metres.shape) // THUMBNAIL_PIXELS)
    return depth.metres[::step, ::step]


def to_millimetres(metres: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Round to what anyone can mean: an answer that varies less than this has no order."""
    return np.round(metres, 3)


def small(text: str) -> str:
    """Return a sentence as HTML that does not stand out."""
    return f'<p class="cost">{escape(text)}</p>'


def swap(first: str, second: str, kept: Kept | None, language: str) -> tuple[list[tuple[np.ndarray, str]], str]:
    """Exchange two words' places in the list, and say how the order of the depths changed."""
    kept = needed(kept)
    words = list(kept.answer.words)
    first, second = first.strip(), second.strip()
    if first == second or not {first, second} <= set(words):
        raise ValueError("Name two different words of the list that was asked.")
    bins = list(kept.answer.bins_metres)
    i, j = words.index(first), words.index(second)
    bins[i], bins[j] = bins[j], bins[i]  # the same as exchanging the words, and needs no forward pass
    after = kept.answer.with_bins(tuple(bins), kept.answer.temperature)
    shares = kept.answer.responses.mean((1, 2))
    said = said_order("depth_said_swap", kept, after, language, first=first, second=second, share=shares[[i, j]].sum())
    return _compared(kept, say(language, "depth_swapped"), after, language), note(said)


def without_sense(kept: Kept | None, language: str) -> tuple[list[tuple[np.ndarray, str]], str]:
    """Ask with words that mean nothing in the place of those about distance, and say what that changed."""
    kept = needed(kept)
    model = load(SYSTEM, kept.weights)
    words = tuple(NONSENSE[i % len(NONSENSE)] * (1 + i // len(NONSENSE)) for i in range(len(kept.answer.words)))
    after = model.estimate(kept.picture, replace(kept.settings(model), words=words))
    metres = after.depth.metres
    said = note(say(language, "depth_said_asked", words=", ".join(words), near=metres.min(), far=metres.max()))
    said += note(said_order("depth_said_nonsense", kept, after, language))
    if kept.truth is not None:
        rounded = [DepthMap(metres=to_millimetres(answer.depth.metres)) for answer in (kept.answer, after)]
        values = [errors_of(depth, kept.truth)["rank"] for depth in rounded]
        said += note(say(language, "depth_said_ranks", before=values[0], after=values[1]))
    return _compared(kept, say(language, "depth_nonsense"), after, language), said


def said_order(key: str, kept: Kept, after: DepthAnswer, language: str, **values: Any) -> str:
    """Say how alike the orders of two answers are; one that is the same everywhere has no order."""
    found = rank_correlation(*(to_millimetres(thinned(depth)).ravel() for depth in (kept.answer.depth, after.depth)))
    if found is None:
        return say(language, "depth_no_order")
    return say(language, key, value=found, **values)


def rank_correlation(first: Float[np.ndarray, " N"], second: Float[np.ndarray, " N"]) -> float | None:
    """Return Spearman's correlation, equals sharing their mean rank; None where one of the two is constant."""
    ranks = []
    for values in (first, second):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[place])
    if min(rank.std() for rank in ranks) == 0:
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def surface(kept: Kept | None, language: str) -> Any:
    """Return the depth as a surface, nothing before there is one."""
    return None if kept is None else viz.surface_figure(kept.answer.depth, title=say(language, "depth_surface_title"))


def _build_words() -> tuple[gr.Button, gr.Button, list[Any], list[gr.Textbox]]:
    gr.Markdown(t("depth_words_note"))
    with gr.Row():
        pair = [
            gr.Textbox(word, label=t(f"depth_{place}"), min_width=110, elem_id=f"depth-{place}")
            for place, word in (("first", "close"), ("second", "far"))
        ]
        swapped = gr.Button(t("depth_swap"), size="sm", min_width=120, elem_classes="low", elem_id="depth-swap")
        nonsense = gr.Button(
            t("depth_nonsense_run"), size="sm", min_width=120, elem_classes="low", elem_id="depth-nonsense"
        )
    said = gr.HTML(padding=False, elem_id="depth-words-said")
    maps = gr.Gallery(columns=2, object_fit="contain", height=280, show_label=False, elem_id="depth-words-maps")
    return swapped, nonsense, [maps, said], pair


def _baseline_name(name: str, language: str) -> str:
    return say(language, {"constant": "depth_constant", "mean depth": "depth_mean"}.get(name, "depth_vertical"))


def _compared(kept: Kept, name: str, after: DepthAnswer, language: str) -> list[tuple[np.ndarray, str]]:
    return on_one_scale({say(language, "depth_as_asked"): kept.answer.depth, name: after.depth})
