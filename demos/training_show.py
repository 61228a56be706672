"""What the training tab shows of a run: where it stands, its curves, the matrix, figures before and after."""

import time
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from core.train.offers import OFFERS
from core.train.runs_list import Run, Seen, read_json, read_seen
from core.viz import charts
from core.viz.learning import WIDE, Curve, chart, is_right, matrix, samples
from demos.errors import translate
from demos.shell import note
from demos.text_training import WORDS, say

NOT_FIGURES = ("step", "samples", "seconds", "loss", "learning_rate", "progress", "eta")
BEFORE = "_before"  # ends the name of a figure as it was before the training
MOST_LISTED = 30  # runs
MOST_ACCURACIES = 4  # in one chart
CURVES = ("loss", "learning_rate", "figures")
# sent with the tab alone, so that no page but this one's holds its names
STYLE = """<style>
.chart svg { display: block; width: 100%; color: var(--body-text-color); }
.chart p { margin: 0; font-size: .72em; line-height: 1.35; font-variant-numeric: tabular-nums; }
.charts { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 10px; }
.learning { display: grid; --row: clamp(19px, 1.9vw, 40px); column-gap: 4px; align-items: start;
  grid-template-columns: var(--row) calc(var(--n) * var(--row)) minmax(0, 1fr) minmax(0, 1fr); }
.learning.few { --row: clamp(34px, 3.6vw, 72px); }
.chart p span { display: block; }
.learning img { display: block; width: 100%; height: calc(var(--n) * var(--row)); margin: 0; }
.learning .heat { image-rendering: pixelated; outline: 1px solid var(--border-color-primary); }
.learning .words { grid-column: 3 / 5; display: grid; grid-template-columns: 1fr 1fr; column-gap: 4px;
  grid-auto-rows: var(--row); align-items: center; font-size: min(.82em, calc(.72 * var(--row))); }
.learning .words > * { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; padding-left: .3em; }
.learning .words b { font-weight: 400; }
.learning small { color: var(--body-text-color-subdued); font-size: .72em; padding-left: .5em; white-space: nowrap; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(120px, 1fr)); gap: 10px; }
.samples figure { margin: 0; font-size: .8em; line-height: 1.3; }
.samples img { width: 100%; margin: 0; image-rendering: pixelated; border-radius: 4px; }
.samples figcaption b { font-weight: 400; }
.where .bar { height: 8px; background: var(--background-fill-secondary); border-radius: 4px; overflow: hidden; }
.where .bar i { display: block; height: 100%; background: #0072B2; }
.where p { margin: .2em 0; } .where { line-height: 1.35; }
#training-room table.bars tbody th { font-size: 1em; font-weight: 400; }
#training-upload .wrap { font-size: .8em; line-height: 1.25; padding-top: 24px; }
[id^=training-] .html-container { padding: 0 !important; }
#training-run-row > * { min-width: 0 !important; } #training-run-row button { padding: 4px 6px !important; }
</style>"""


def recipe_name(recipe: str, language: str) -> str:
    """Return a recipe in words; one without words under its own name."""
    key = f"tr_recipe_{recipe.replace('-', '_')}"
    return say(language, key) if key in WORDS else recipe


def figure_name(figure: str, language: str, *, finetuned: bool = False) -> str:
    """Return a figure in words; the Toybox is the unrelated set of whoever learnt from other pictures."""
    key = f"tr_figure_{figure}"
    key = f"{key}_forgotten" if finetuned and f"{key}_forgotten" in WORDS else key
    return say(language, key) if key in WORDS else figure


def title_of(run: Run, language: str) -> str:
    """Return a run's number and recipe in words."""
    return f"{run.name.split('-')[0].lstrip('0')} · {recipe_name(run.job.order.recipe, language)}"


def short_title(run: Run, language: str = "") -> str:
    """Return a run's number and the recipe's own name, with its state in a language: short enough for a list."""
    words = [run.name.split("-")[0].lstrip("0"), run.job.order.recipe]
    return " · ".join([*words, say(language, f"tr_{run.state}")] if language else words)


def where(run: Run | None, runs: Sequence[Run], lines: Sequence[dict[str, Any]], language: str) -> str:
    """Say where a run stands: its step, how long it has taken, how long it will, and how it ended."""
    if run is None:
        return note(say(language, "tr_no_runs"))
    words, share = [say(language, f"tr_{run.state}")], 0.0
    if run.state == "queued":
        ahead = sum(other.state in ("running", "stopping") for other in runs)
        ahead += sum(other.state == "queued" and other.job.queued < run.job.queued for other in runs)
        words.append(say(language, "tr_waiting", ahead=ahead))
    elif not lines and run.state == "running":
        words.append(say(language, "tr_preparing"))
    elif lines:
        words.append(say(language, "tr_step", step=lines[-1]["step"], elapsed=clock(lines[-1].get("seconds", 0))))
        if run.state == "running" and (left := _left(run)) is not None:
            words.append(say(language, "tr_eta", eta=clock(left)))
        share = _progress(run, lines)
    number = run.name.split("-")[0].lstrip("0")
    said = note(f"{number} · {' · '.join(words)}") + (note(translate(run.sentence, language)) if run.sentence else "")
    return f'<div class="where">{said}<div class="bar"><i style="width:{share:.1%}"></i></div></div>'


def curves(lines: Sequence[dict[str, Any]], language: str, *, finetuned: bool) -> str:
    """Return loss, learning rate and accuracies against time."""
    axis = say(language, "tr_axis_seconds")
    parts = []
    for index, key in enumerate(("loss", "learning_rate")):
        curve = curve_of(lines, key, "seconds", name="", color=index)
        parts.append(chart([curve], title=say(language, f"tr_{key}"), axis=axis))
    several = [
        curve_of(lines, figure, "seconds", name=figure_name(figure, language, finetuned=finetuned), color=2 + index)
        for index, figure in enumerate(shares_of(lines)[:MOST_ACCURACIES])
    ]
    parts.append(chart(several, title=say(language, "tr_figures"), axis=axis, percent=True))
    return f'<div class="charts">{"".join(parts)}</div>'


def curve_of(lines: Sequence[dict[str, Any]], key: str, along: str, *, name: str, color: int) -> Curve:
    """Return one value of the log against seconds or steps."""
    points = [(line[along], line[key]) for line in lines if _is_number(line.get(key)) and _is_number(line.get(along))]
    table = np.array(points, np.float64).reshape(-1, 2)
    return Curve(name=name, x=table[:, 0], y=table[:, 1], color=color)


def figures_of(lines: Iterable[dict[str, Any]]) -> list[str]:
    """Return the names of what was measured, in the order of the log."""
    found: dict[str, None] = {}
    for line in lines:
        found |= {key: None for key, value in line.items() if key not in NOT_FIGURES and _is_number(value)}
    return [key for key in found if not key.endswith(BEFORE)]


def shares_of(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of the figures that are shares of 1, as accuracies are."""
    values = {name: [line[name] for line in lines if _is_number(line.get(name))] for name in figures_of(lines)}
    return [name for name, each in values.items() if min(each) >= 0 and max(each) <= 1]


def similarity(seen: Seen | None, language: str) -> str:
    """Return the matrix of pictures and captions as it is now."""
    if seen is None:
        return f'<p class="cost">{escape(say(language, "tr_no_matrix"))}</p>'
    headings = (say(language, "tr_caption"), say(language, "tr_prediction"))
    picture = matrix(seen.similarity, seen.pictures, seen.captions, seen.predictions, headings=headings)
    right = int((seen.similarity.argmax(1) == np.arange(len(seen.similarity))).sum())
    low, high = seen.similarity.min(), seen.similarity.max()
    words = say(language, "tr_matrix_note", low=low, high=high, right=right, count=len(seen.captions))
    return f'{picture}<p class="cost">{escape(words)}</p>'


def sample_pictures(seen: Seen | None, language: str) -> str:
    """Return pictures with what each shows and what it is taken for, those taken wrongly first."""
    if seen is None:
        return f'<p class="cost">{escape(say(language, "tr_no_matrix"))}</p>'
    verdicts = [is_right(p, c) for p, c in zip(seen.predictions, seen.captions, strict=True)]
    order = np.argsort(verdicts, kind="stable")
    captions, predictions = ([each[i] for i in order] for each in (seen.captions, seen.predictions))
    return samples(seen.pictures[order], captions, predictions)


def before_and_after(run: Run | None, lines: Sequence[dict[str, Any]], language: str) -> str:
    """Return each figure at the start, now, and the difference."""
    names = figures_of(lines)
    if run is None or not names:
        return note(say(language, "tr_no_figures"))
    finetuned, shares = is_finetune(run), shares_of(lines)
    rows = []
    for figure in names:
        values = [line[figure] for line in lines if _is_number(line.get(figure))]
        first = next((line[figure + BEFORE] for line in lines if _is_number(line.get(figure + BEFORE))), values[0])
        change, form = values[-1] - first, ".1%" if figure in shares else ".4g"
        cells = (format(first, form), format(values[-1], form), f"{100 * change:+.1f}" if figure in shares else "")
        rows.append((figure_name(figure, language, finetuned=finetuned), *cells))
    heads = [say(language, f"tr_head_{name}") for name in ("figure", "before", "now", "change")]
    said = [say(language, "tr_figures_note"), *_data_report(run, language)]
    return charts.table(heads, rows) + "".join(f'<p class="cost">{escape(words)}</p>' for words in said)


def table(runs: Sequence[Run], language: str) -> str:
    """Return every run with what it learnt from and how far it came."""
    if not runs:
        return note(say(language, "tr_no_runs"))
    rows = []
    for run in runs[:MOST_LISTED]:
        data = run.job.order.data
        name = title_of(run, language)
        rows.append((name, say(language, f"tr_{run.state}"), _base(data) or say(language, "tr_toybox"), str(run.step)))
    heads = [say(language, f"tr_head_{name}") for name in ("run", "state", "data", "step")]
    left = len(runs) - len(rows)
    more = f'<p class="more">{escape(say(language, "tr_truncated", count=MOST_LISTED))}</p>' if left > 0 else ""
    return charts.table(heads, rows) + more


def compared(runs: Sequence[Run], key: str, along: str, language: str) -> str:
    """Return one curve of several runs over one axis; of the accuracies the first that all of them have."""
    logs = [(run, run.lines()) for run in runs]
    if len(logs) < 2:
        return note(say(language, "tr_chosen_none"))
    title = say(language, f"tr_{key}")
    if key == "figures":
        shared = [name for name in shares_of(logs[0][1]) if all(name in shares_of(lines) for _, lines in logs)]
        if not shared:
            return note(say(language, "tr_no_figures"))
        key, title = shared[0], figure_name(shared[0], language)
    several = [
        curve_of(lines, key, along, name=title_of(run, language), color=index)
        for index, (run, lines) in enumerate(logs)
    ]
    axis = say(language, f"tr_axis_{along}")
    return chart(several, title=title, axis=axis, percent=key not in ("loss", "learning_rate"), size=WIDE)


def look(run: Run | None) -> tuple[list[dict[str, Any]], Seen | None]:
    """Return a run's log and what it last made of its pictures."""
    return ([], None) if run is None else (run.lines(), read_seen(run.folder))


def signature(run: Run | None, runs: Sequence[Run]) -> tuple[Any, ...]:
    """Return what changes whenever anything on show does."""
    files = [run.folder / name for name in ("log.jsonl", "seen.npz", "status.json")] if run else []
    times = [path.stat().st_mtime_ns if path.exists() else 0 for path in files]
    return (run.name if run else "", *times, *((each.name, each.state) for each in runs))


def is_finetune(run: Run) -> bool:
    """Say whether a run goes on from weights that knew something before."""
    offer = OFFERS.get(run.job.order.recipe)
    return offer is not None and bool(offer.starts_from)


def clock(seconds: float) -> str:
    """Return a time as minutes and seconds, hours where there are some."""
    minutes, rest = divmod(round(max(0.0, float(seconds))), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _data_report(run: Run, language: str) -> list[str]:
    """Say how many of the user's pictures were read, and why others were not; known when the weights are written."""
    cards = [read_json(path.with_suffix(".json")) for path in run.weights]
    found = next((card["data"] for card in cards if isinstance(card.get("data"), dict)), None)
    if found is None:
        return []
    counts = {"read": found.get("read", 0), "skipped": found.get("skipped", 0)}
    return [say(language, "tr_data_report", **counts), *map(str, found.get("reasons") or ())]


def _left(run: Run) -> float | None:
    """Return the seconds that are left, counted on from when the engine said so."""
    status = read_json(run.folder / "status.json")
    eta, updated = status.get("eta"), status.get("updated", time.time())
    if not _is_number(eta) or not _is_number(updated):
        return None
    return max(0.0, eta - (time.time() - updated))


def _progress(run: Run, lines: Sequence[dict[str, Any]]) -> float:
    if run.state == "finished":
        return 1.0
    return next((float(line["progress"]) for line in reversed(lines) if _is_number(line.get("progress"))), 0.0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _base(path: str | None) -> str:
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] if path else ""
