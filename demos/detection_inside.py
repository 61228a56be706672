"""How an answer of the detection tab came about: ViLD's proposals and heads, GLIP's words against regions."""

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import UInt8

from core.viz import boxes as box_pictures
from core.viz import charts, segments
from demos.detection_kept import CROPS, FREE_HEADS, Kept, needed
from demos.shell import note
from demos.text import say

MOST_ROWS = 8  # words in the table of one box
MOST_PROMPT = 20  # words of a list whose tokens are compared
MOST_TOKENS = 24  # columns of the matrix
MOST_REGIONS = 8
MOST_MAPS = 12
PIECE = "##"  # what a token that goes on a word begins with
OPACITY = 0.65  # of a heat map
HEAD_WORDS = {"text": "dt_text", "image": "dt_image", "ensemble": "dt_ensemble", "vild": "dt_vild", CROPS: "dt_crops"}

Shown = tuple[Any, Any, Any, str, int | None]


def look_inside(kept: Kept | None, most: float, weight: float, language: str) -> Shown:
    """Return a picture of regions, a figure, maps, numbers, and the proposal that the numbers are about."""
    kept = needed(kept)
    nothing = gr.update(value=None, visible=False)
    if kept.asked.system == "vild":
        first = _likeliest(kept, weight)
        numbers = one_box(kept, first, weight, language)
        return proposals(kept, most, first, language), nothing, nothing, numbers, first
    if not hasattr(kept.asked.models.open(kept.asked.system), "alignment"):
        return nothing, nothing, nothing, note(say(language, "dt_no_inside")), None
    return *_alignment(kept, language), None


def proposals(kept: Kept, most: float, chosen: int | None, language: str) -> dict[str, Any]:
    """Return ViLD's likeliest proposals, bright where the objectness is high, and the chosen one on top of them."""
    parts = kept.parts
    count = min(int(most), len(parts.boxes_xyxy))
    places = list(range(count)) if chosen is None or chosen < count else [*range(count), chosen]
    captions = ["" if place != chosen else f"#{place + 1} {parts.objectness[place]:.2f}" for place in places]
    values = [float(parts.objectness[place]) for place in places]
    marks = box_pictures.graded([tuple(box) for box in parts.boxes_xyxy[places].tolist()], values, captions)
    mine = [replace(mark, color=box_pictures.MARK) for mark in marks if mark.caption]
    picture = box_pictures.drawn(kept.picture, [*mine, *(mark for mark in reversed(marks) if not mark.caption)])
    return gr.update(value=picture, visible=True, label=say(language, "dt_proposals", count=count))


def choose(
    kept: Kept | None, most: float, weight: float, language: str, event: gr.SelectData
) -> tuple[Any, Any, int | None]:
    """Return the picture and the numbers of the smallest proposal on show at a click."""
    if kept is None or kept.parts is None:
        return gr.skip(), gr.skip(), None
    scale = box_pictures.enlargement(kept.picture)
    x, y = event.index[0] / scale, event.index[1] / scale
    chosen = box_at(kept, x, y, int(most))
    if chosen is None:
        return gr.skip(), note(say(language, "dt_no_proposal")), None
    return proposals(kept, most, chosen, language), one_box(kept, chosen, weight, language), chosen


def redraw_inside(kept: Kept | None, most: float, weight: float, chosen: int | None, language: str) -> tuple[Any, Any]:
    """Return proposals and numbers under another count or another weight; no model runs."""
    if kept is None or kept.parts is None or chosen is None:
        return gr.skip(), gr.skip()
    return proposals(kept, most, chosen, language), one_box(kept, chosen, weight, language)


def box_at(kept: Kept, x: float, y: float, most: int) -> int | None:
    """Return the smallest of the likeliest proposals around a point."""
    boxes = kept.parts.boxes_xyxy[:most]
    around = [i for i, (x0, y0, x1, y1) in enumerate(boxes) if x0 <= x < x1 and y0 <= y < y1]
    return min(around, key=lambda i: float(np.prod(boxes[i, 2:] - boxes[i, :2])), default=None)


def one_box(kept: Kept, chosen: int, weight: float, language: str) -> str:
    """Return what each head says of one box, the likeliest words first, and how the mixture is made."""
    parts = kept.parts
    heads = [head for head in ("text", "image") if head in parts.scores]
    heads += ["ensemble"] if len(heads) == len(FREE_HEADS) - 1 else []
    heads += [head for head in ("vild", CROPS) if head in parts.scores]
    scores = {head: parts.of(head, weight)[chosen] for head in heads}
    order = np.argsort(-scores[kept.head], kind="stable")[:MOST_ROWS]
    known = [say(language, "dt_base" if parts.base[i] else "dt_novel") for i in order]
    rows = [
        [f"{parts.labels[i]} {kind}", *(f"{scores[head][i]:.3f}" for head in heads)]
        for i, kind in zip(order, known, strict=True)
    ]
    headings = [say(language, key) for key in ("dt_word", *(HEAD_WORDS[head] for head in heads))]
    about = say(language, "dt_box", number=chosen + 1, objectness=float(parts.objectness[chosen]))
    if parts.background is not None:
        about += " " + say(language, "dt_background", share=float(parts.background[chosen]))
    if "ensemble" in heads:
        about += " " + say(language, "dt_mixture", weight=weight, rest=1 - weight)
    return f'<div style="font-size:.85em">{note(about)}{charts.table(headings, rows)}</div>'


def _likeliest(kept: Kept, weight: float) -> int:
    """Return the box with the best score of any word."""
    scores = kept.found(weight).scores
    return int(scores.max(1).argmax()) if len(scores) else 0


def _alignment(kept: Kept, language: str) -> tuple[Any, Any, Any, str]:
    """Return GLIP's numbered regions, the matrix of words and regions, and a heat map for each word."""
    model = kept.asked.models.open(kept.asked.system)
    prompt = kept.asked.text.strip() if kept.spans else kept.labels[:MOST_PROMPT]
    found = model.alignment(kept.picture, prompt, most=MOST_REGIONS)
    words = token_words(found.tokens)
    names = [name for name, _ in words][:MOST_TOKENS]
    values = np.stack([found.probabilities[:, list(own)].mean(1) for _, own in words[:MOST_TOKENS]], 1)
    regions = [say(language, "dt_region", number=i + 1) for i in range(len(found.boxes_xyxy))]
    title = say(language, "dt_matrix")
    figure = charts.label_figure(values, names, regions, title=title) if values.size else None
    return (
        gr.update(value=_numbered(kept.picture, found.boxes_xyxy), visible=True, label=say(language, "dt_regions")),
        gr.update(value=figure, visible=figure is not None),
        gr.update(value=_maps(kept.picture, found, words), visible=True),
        note(say(language, "dt_alignment", prompt=found.prompt[:160])),
    )


def _maps(picture: UInt8[np.ndarray, "H W 3"], found: Any, words: list[tuple[str, tuple[int, ...]]]) -> list[Any]:
    """Return a heat map for each word that has letters, all on one scale, with its highest value."""
    named = [(name, own) for name, own in words if any(sign.isalnum() for sign in name)][:MOST_MAPS]
    maps = [(name, found.heat_map(own).values) for name, own in named]
    high = max((float(values.max()) for _, values in maps), default=1.0)
    grey = picture.mean(2, keepdims=True)
    return [
        (
            ((1 - OPACITY) * grey + OPACITY * segments.scores(values, 0, high)).astype(np.uint8),
            f"{name} · ≤ {float(values.max()):.2f}",
        )
        for name, values in maps
    ]


def _numbered(picture: UInt8[np.ndarray, "H W 3"], boxes_xyxy: np.ndarray) -> UInt8[np.ndarray, "_ _ 3"]:
    """Frame boxes, each in a colour of its own, with its number."""
    marks = [
        box_pictures.Mark(box_xyxy=tuple(box), caption=str(place + 1), color=segments.label_color(place))
        for place, box in enumerate(boxes_xyxy.tolist())
    ]
    return box_pictures.drawn(picture, marks)


def token_words(tokens: tuple[str, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """Return the words that tokens make, with the places of each word's tokens; special ones such as [CLS] are none."""
    words: list[tuple[str, tuple[int, ...]]] = []
    for place, token in enumerate(tokens):
        if token.startswith("[") and token.endswith("]") and token != "[UNK]":
            continue
        if token.startswith(PIECE) and words:
            name, own = words[-1]
            words[-1] = (name + token.removeprefix(PIECE), (*own, place))
        else:
            words.append((token, (place,)))
    return words
