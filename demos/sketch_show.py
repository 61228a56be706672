"""Sketches on the page: HTML with the SVG in it, captions below, and what can be said of them."""

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from core.results import Cost, HeatMap
from core.viz import strokes as drawing
from core.viz.loss_curves import loss_curves
from core.viz.palette import rgb
from demos.errors import translate
from demos.shell import badge, note
from demos.sketch_drawing import Cell, Pen, Sitting
from demos.sketch_kept import About, Verdict
from demos.text import say

SVG_PIXELS = 300
REPLAY_SECONDS = 6.0


def best_cell(sitting: Sitting) -> Cell:
    """Return the sketch on show: the seed with the lowest loss."""
    return sitting.cells[sitting.runs[0].progress.best_index]


def board(sitting: Sitting) -> str:
    """Return the sketch on show as HTML."""
    return on_paper(drawing.svg(sitting.strokes(best_cell(sitting)), pixels=SVG_PIXELS))


def on_paper(svg: str) -> str:
    """Return an SVG as HTML on white paper."""
    return f'<div class="sketch">{svg}</div>'


def replayed(sitting: Sitting, order: Sequence[int], press: int, title: str) -> str:
    """Return HTML in which the sketch draws itself; as a picture of its own it begins anew with each press.

    An SVG that is put into a page takes up the page's clock, at which its animation may be over.
    """
    strokes = sitting.strokes(best_cell(sitting))
    svg = drawing.replay_svg(strokes, order, seconds=REPLAY_SECONDS, pixels=SVG_PIXELS, title=f"{title} {press}")
    data = base64.b64encode(svg.encode()).decode()
    return on_paper(f'<img alt="{escape(title)}" src="data:image/svg+xml;base64,{data}">')


def order_of(sitting: Sitting) -> Sequence[int]:
    """Return the order a person would draw in: the salient first; words are drawn from the bottom up."""
    strokes = best_cell(sitting).drawn(best_cell(sitting).run.progress)
    if isinstance(sitting.about, About):
        return drawing.replay_order(strokes, sitting.about.prepared.saliency).tolist()
    return list(range(len(strokes)))


def curves(sitting: Sitting, language: str) -> str:
    """Return the loss curves of the first run as HTML."""
    run = sitting.runs[0]
    found = run.curves
    return loss_curves(
        found.iterations,
        found.evaluated,
        chosen=run.progress.best_index,
        title=say(language, "sk_loss"),
        axis=say(language, "sk_step"),
    )


def strip(figures: Sequence[tuple[Any, Sequence[str]]], *, columns: int, chosen: int | None = None) -> str:
    """Return sketches side by side as HTML, each with lines of text below; the chosen one is framed."""
    shown = []
    for index, (strokes, lines) in enumerate(figures):
        frame = ' class="chosen"' if index == chosen else ""
        words = "<br>".join(escape(line) for line in lines if line)
        svg = drawing.svg(strokes, pixels=SVG_PIXELS // 2)
        shown.append(f"<figure{frame}>{svg}<figcaption>{words}</figcaption></figure>")
    return f'<div class="sketches" style="--columns:{columns}">{"".join(shown)}</div>'


def seeds_strip(sitting: Sitting, language: str) -> str:
    """Return every seed's sketch side by side; nothing where there is one seed only."""
    if len(sitting.cells) < 2:
        return ""
    progress = sitting.runs[0].progress
    figures = []
    for index, cell in enumerate(sitting.cells):
        loss = say(language, "sk_seed", seed=index, loss=cell.loss(progress))
        figures.append((sitting.strokes(cell), [loss]))
    return strip(figures, columns=max(2, len(figures)), chosen=progress.best_index)


def where_it_stands(sitting: Sitting, language: str) -> str:
    """Say how far the drawing has come, and why it stands still if it does."""
    run = sitting.runs[0]
    progress = run.progress
    stopped = progress.state == "stopped" or sitting.stopped.is_set()
    if not progress.iteration and not stopped:
        return small(say(language, "sk_begins"))
    key = {"settled": "sk_settled", "done": "sk_done"}.get(progress.state, "sk_drawing")
    if stopped and not progress.finished:
        key = "sk_stopped" if progress.iteration else "sk_stopped_first"
    loss = best_cell(sitting).loss(progress)
    terms = {name: values[progress.best_index] for name, values in progress.losses.items()}
    parts = " + ".join(f"{name} {terms[name]:.3f}" for name in terms if name not in ("total", "training"))
    said = say(language, key, step=progress.iteration, steps=progress.iterations, loss=loss)
    return small(f"{said} {parts}" if parts and not progress.finished else said)


def verdict_line(judge_name: str, verdict: Verdict, truth: str, language: str) -> str:
    """Say what the judge sees in the sketch, beside the truth where it is known."""
    key = "sk_judged_truth" if truth else "sk_judged"
    return say(
        language, key, judge=judge_name, best=verdict.best, share=verdict.share, cosine=verdict.likeness, truth=truth
    )


def remarks(texts: Sequence[str], language: str) -> str:
    """Return the model's remarks as HTML in the user's language."""
    return "".join(note(translate(text, language)) for text in texts)


def cost(sitting: Sitting, model: Any, language: str) -> str:
    """Return what the drawing cost so far as HTML."""
    spent = Cost(
        milliseconds=1000 * sitting.seconds, device=model.device_name, model=model.weights, licence=model.licence
    )
    return badge(spent, language)


def maps(about: About, language: str) -> list[tuple[np.ndarray, str]]:
    """Return what the model looked at: the picture that is drawn, saliency, edges, chances, and the starts."""
    from core.viz.overlay import heat
    from core.viz.sketch_maps import edge_picture, starts_picture

    seen = about.prepared
    titles = [say(language, key) for key in ("sk_drawn_after", "sk_saliency", "sk_edges", "sk_chances", "sk_starts")]
    starts = [each[:, 0] for each in seen.starts]
    pictures = [
        seen.picture,
        heat(seen.picture, HeatMap(values=seen.saliency.astype(np.float32), label="")),
        edge_picture(seen.edges),
        heat(seen.picture, HeatMap(values=seen.chances.astype(np.float32), label="")),
        starts_picture(seen.picture, starts),
    ]
    return list(zip(pictures, titles, strict=True))


def pen_of(factor: float, color: str | None) -> Pen:
    """Return the pen for a slider and a colour picker."""
    return Pen(factor=factor, color=parse_color(color) if color else None)


def parse_color(color: str) -> tuple[float, float, float]:
    """Return red, green and blue, 0 to 1, of '#rrggbb' or 'rgb(r, g, b)'; ValueError for anything else."""
    text = color.strip().lower()
    try:
        if text.startswith("rgb"):
            found = [float(part) for part in text[text.index("(") + 1 : text.rindex(")")].split(",")[:3]]
        else:
            found = list(rgb(text[:7]))
        red, green, blue = (min(1.0, max(0.0, value / 255)) for value in found)
    except ValueError:
        raise ValueError(f"Choose a colour such as #0072B2; this is none: {color[:40]}") from None
    return red, green, blue


def small(text: str) -> str:
    """Return a sentence as HTML that does not stand out."""
    return f'<p class="cost">{escape(text)}</p>'
