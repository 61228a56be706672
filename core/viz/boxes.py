"""Boxes over pictures: as pixels, and as SVG whose boxes light up with their words, without a program in the page.

A label's colour comes from its index in the user's list, the same that its mask and its legend have. A caption stands
at its box, inside the picture whatever the box; one that would cover others waits until its word or box is hovered
over, and one that no picture of this size can hold is shortened, then left out. The picture given is never written to.

Legend: H W the picture, M marks.
"""

import base64
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from core.results import Boxes
from core.viz.palette import MARK, rgb, sequential
from core.viz.segments import label_color

STAGE_HW = (292, 430)  # pixels of a page that a picture gets, about: letters and lines are made for it
STAGE_PIXELS = 860  # longest side of what is sent to the page: twice what it shows, for fine screens
LETTERS = 14  # pixels of the page
LETTER_WIDTH, WIDE_LETTER = 0.58, 1.05  # of a Latin and of a Chinese letter, in letter heights
PADDING = 0.3  # around a caption's letters, in letter heights
LEAST_LETTERS = 2  # of a shortened caption
MOST_COVERED = 0.1  # of a caption's place, by captions before it
RASTER_PIXELS = 640  # a smaller picture is enlarged to about this before it is drawn on
BRIGHT = 150  # from which a colour takes black letters
QUALITY = 90
SHOWN_WORDS = 16  # of a list, as words to hover over
STYLE = """
.boxes svg{display:block;width:100%;height:auto;margin:auto;user-select:none}
.boxes svg text{font-family:inherit;font-weight:700}
.boxes .b{transition:opacity .12s}
.boxes .late{display:none}
.boxes .b:hover .late{display:inline}
.boxes .words{margin:0 0 .35em;line-height:1.9}
.boxes .w{background:var(--c);color:var(--ink);border-radius:4px;padding:.1em .4em;cursor:default;font-weight:700}
.boxes .w b{font-size:.82em;margin-left:.4em;color:inherit}
.boxes .w.none{background:none;color:inherit;font-weight:400;box-shadow:inset 0 -3px var(--c)}
"""  # of every picture on the page; the rest follows the page's own

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One box with its caption; `word` is the index of what lights up with it, -1 for nothing."""

    box_xyxy: Box
    caption: str
    color: str
    word: int = -1


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A caption's letters and where they stand; a crowded one would cover others, and waits until it is asked for."""

    text: str
    box_xyxy: Box
    crowded: bool


def marks_of(boxes: Boxes, labels: Sequence[str], *, scores: bool = True) -> list[Mark]:
    """Return a mark for each box, in the colour of its label's place among all `labels`."""
    index = {label: place for place, label in enumerate(labels)}
    return [
        Mark(
            box_xyxy=tuple(box),
            caption=f"{label} {score:.2f}" if scores else label,
            color=label_color(index[label]),
            word=index[label],
        )
        for box, label, score in zip(boxes.boxes_xyxy.tolist(), boxes.labels, boxes.scores.tolist(), strict=True)
    ]


def graded(boxes_xyxy: Sequence[Box], values: Sequence[float], captions: Sequence[str]) -> list[Mark]:
    """Return marks in the sequential colours, bright for 1; the highest values last, so that they lie on top."""
    colors = sequential(np.clip(np.asarray(values, np.float32), 0, 1)[None])[0].round().astype(int)
    order = np.argsort(np.asarray(values), kind="stable")
    return [
        Mark(
            box_xyxy=tuple(float(edge) for edge in boxes_xyxy[i]),
            caption=captions[i],
            color="#" + "".join(f"{value:02X}" for value in colors[i]),
        )
        for i in order
    ]


def place_captions(marks: Sequence[Mark], size_hw: tuple[int, int], letters: float) -> list[Caption | None]:
    """Return each mark's caption, shortened where it must be, with its rectangle; None where there is no room.

    Rectangles lie in the picture. Marks that stand first have the first choice.
    """
    taken: list[Box] = []
    found = []
    for mark in marks:
        text = _fitting(mark.caption, size_hw, letters)
        if not text:
            found.append(None)
            continue
        width, height = _extent(text, letters)
        places = [_moved_in(x, y, width, height, size_hw) for x, y in _choices(mark.box_xyxy, width, height)]
        covered = [sum(_overlap(place, other) for other in taken) for place in places]
        best = places[int(np.argmin(covered))]
        crowded = min(covered) > MOST_COVERED * width * height
        taken += [] if crowded else [best]
        found.append(Caption(text=text, box_xyxy=best, crowded=crowded))
    return found


def drawn(picture: UInt8[np.ndarray, "H W 3"], marks: Sequence[Mark]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Draw marks over a picture, which is enlarged first where it is small; the first mark lies on top."""
    image, scale = _roomy(picture)
    size_hw = image.size[::-1]
    letters = LETTERS * max(size_hw[0] / STAGE_HW[0], size_hw[1] / STAGE_HW[1])
    scaled = [
        Mark(box_xyxy=tuple(scale * edge for edge in mark.box_xyxy), caption=mark.caption, color=mark.color)
        for mark in marks
    ]
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=letters)
    line = max(2, round(letters / 6))
    captions = place_captions(scaled, size_hw, letters)
    for mark in reversed(scaled):
        x0, y0, x1, y1 = _inside(mark.box_xyxy, size_hw)
        draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=mark.color, width=line)
    for mark, caption in reversed(list(zip(scaled, captions, strict=True))):
        if caption is not None and not caption.crowded:
            x0, y0, x1, y1 = caption.box_xyxy
            draw.rectangle((x0, y0, x1, y1), fill=mark.color)
            middle, narrow = ((x0 + x1) / 2, (y0 + y1) / 2), _narrow(font, caption.text, x1 - x0, letters)
            draw.text(middle, caption.text, fill=_ink(mark.color), font=narrow, anchor="mm")
    return np.asarray(image)


def enlargement(picture: UInt8[np.ndarray, "H W 3"]) -> int:
    """Return how many pixels of `drawn` a pixel of the picture is wide."""
    return max(1, RASTER_PIXELS // max(picture.shape[:2]))


def stage(
    picture: UInt8[np.ndarray, "H W 3"],
    marks: Sequence[Mark],
    words: str = "",
    *,
    name: str,
    small: bool = False,
) -> str:
    """Return a picture with its marks as HTML, under `words` that `word_list` or `sentence` made.

    What the mouse is over, or has the focus, keeps its boxes and dims the others; `name` keeps pictures of one page
    apart, and is a CSS name.
    """
    height, width = picture.shape[:2]
    per_pixel = max(height / STAGE_HW[0], width / STAGE_HW[1])
    letters = LETTERS * per_pixel * (1.5 if small else 1.0)
    captions = place_captions(marks, (height, width), letters)
    groups = "".join(
        _group(mark, caption, letters) for mark, caption in reversed(list(zip(marks, captions, strict=True)))
    )
    kind = "JPEG" if max(height, width) > RASTER_PIXELS else "PNG"
    return (
        f'<div class="boxes boxes-{name}"><style>{STYLE}{_hovers(marks, name)}</style>{words}'
        f'<svg viewBox="0 0 {width} {height}" role="img" preserveAspectRatio="xMidYMid meet" '
        f'style="max-height:{STAGE_HW[0] if not small else STAGE_HW[0] // 2}px">'
        f'<image href="{_address(picture, kind)}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
        f"{groups}</svg></div>"
    )


def word_list(labels: Sequence[str], counts: Sequence[int]) -> str:
    """Return words to hover over, each in its colour with how many boxes it has; those with most boxes where many."""
    order = range(len(labels))
    if len(labels) > SHOWN_WORDS:
        order = sorted(sorted(order, key=lambda i: -counts[i])[:SHOWN_WORDS])
    shown = " ".join(_word(labels[i], i, counts[i]) for i in order)
    more = f"<small>+ {len(labels) - SHOWN_WORDS}</small>" if len(labels) > SHOWN_WORDS else ""
    return f'<p class="words">{shown} {more}</p>'


def sentence(text: str, spans: Sequence[tuple[int, int]], counts: Sequence[int]) -> str:
    """Return a sentence whose phrases can be hovered over, each in its colour; spans that overlap: the first counts."""
    parts, at = [], 0
    for index in sorted(range(len(spans)), key=lambda i: spans[i]):
        first, last = spans[index]
        if first >= at:
            parts += [escape(text[at:first]), _word(text[first:last], index, counts[index])]
            at = last
    return f'<p class="words said">{"".join(parts)}{escape(text[at:])}</p>'


def _word(text: str, index: int, count: int) -> str:
    color = label_color(index)
    short = text if len(text) <= 40 else text[:39] + "…"
    none = "" if count else " none"
    return (
        f'<span class="w w{index}{none}" tabindex="0" title="{escape(text)}" '
        f'style="--c:{color};--ink:{_ink(color)}">{escape(short)}<b>{count}</b></span>'
    )


def _hovers(marks: Sequence[Mark], name: str) -> str:
    """Return a rule for each word that has a box: while it is hovered over, or a box of it is, others fade."""
    rules = [f".boxes-{name}:has(.w.none:hover,.w.none:focus) .b{{opacity:.07}}"]
    for word in sorted({mark.word for mark in marks if mark.word >= 0}):
        over = f".boxes-{name}:has(.w{word}:hover,.w{word}:focus,.b{word}:hover)"
        rules += [
            f"{over} .b:not(.b{word}){{opacity:.07}}",
            f"{over} .b{word} rect.area{{fill-opacity:.3}}",
            f"{over} .b{word} .late{{display:inline}}",
            f"{over} .w{word}{{outline:3px solid {MARK}}}",
        ]
    return "".join(rules)


def _group(mark: Mark, caption: Caption | None, letters: float) -> str:
    x0, y0, x1, y1 = mark.box_xyxy
    shape = f'x="{x0:.2f}" y="{y0:.2f}" width="{x1 - x0:.2f}" height="{y1 - y0:.2f}"'
    line = letters / 6
    drawing = (
        f'<rect class="area" {shape} fill="{mark.color}" fill-opacity="0" stroke="#fff" stroke-opacity="0.85" '
        f'stroke-width="{1.9 * line:.3f}"/>'
        f'<rect {shape} fill="none" stroke="{mark.color}" stroke-width="{line:.3f}" pointer-events="none"/>'
    )
    drawing += "" if caption is None else _caption(caption, mark.color, letters)
    owner = f" b{mark.word}" if mark.word >= 0 else ""
    return f'<g class="b{owner}"><title>{escape(mark.caption)}</title>{drawing}</g>'


def _caption(caption: Caption, color: str, letters: float) -> str:
    left, top, right, bottom = caption.box_xyxy
    crowded = ' class="late"' if caption.crowded else ""
    return (
        f'<g{crowded} pointer-events="none"><rect x="{left:.2f}" y="{top:.2f}" width="{right - left:.2f}" '
        f'height="{bottom - top:.2f}" rx="{letters / 7:.2f}" fill="{color}"/>'
        f'<text x="{left + PADDING * letters:.2f}" y="{bottom - 0.42 * letters:.2f}" font-size="{letters:.2f}" '
        f'textLength="{right - left - 2 * PADDING * letters:.2f}" lengthAdjust="spacingAndGlyphs" '
        f'fill="{_ink(color)}">{escape(caption.text)}</text></g>'
    )


def _choices(box: Box, width: float, height: float) -> list[tuple[float, float]]:
    """Return where a caption can begin: over the box, inside at its top, under it, inside at its bottom; right too."""
    x0, y0, x1, y1 = box
    rows = (y0 - height, y0, y1, y1 - height)
    return [(x, y) for x in (x0, x1 - width) for y in rows]


def _moved_in(x: float, y: float, width: float, height: float, size_hw: tuple[int, int]) -> Box:
    rows, columns = size_hw
    x, y = min(max(0.0, x), columns - width), min(max(0.0, y), rows - height)
    return x, y, x + width, y + height


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)


def _fitting(text: str, size_hw: tuple[int, int], letters: float) -> str:
    """Return a caption that is no wider than the picture; nothing where not even a few letters are."""
    rows, columns = size_hw
    if _extent(text, letters)[1] > rows:
        return ""
    shown = text
    while len(shown) > LEAST_LETTERS and _extent(shown, letters)[0] > columns:
        text = text[:-1]
        shown = text.rstrip() + "…"
    return shown if text and _extent(shown, letters)[0] <= columns else ""


def _extent(text: str, letters: float) -> tuple[float, float]:
    wide = sum(WIDE_LETTER if unicodedata.east_asian_width(sign) in "WF" else LETTER_WIDTH for sign in text)
    return (wide + 2 * PADDING) * letters, (1 + PADDING) * letters


def _inside(box: Box, size_hw: tuple[int, int]) -> Box:
    rows, columns = size_hw
    x0, y0, x1, y1 = box
    return min(max(0, x0), columns), min(max(0, y0), rows), min(max(0, x1), columns), min(max(0, y1), rows)


def _roomy(picture: UInt8[np.ndarray, "H W 3"]) -> tuple[Image.Image, int]:
    scale = enlargement(picture)
    image = Image.fromarray(picture)
    height, width = picture.shape[:2]
    return (
        image.resize((scale * width, scale * height), Image.Resampling.BICUBIC) if scale > 1 else image.copy()
    ), scale


def _narrow(font: ImageFont.FreeTypeFont, text: str, width: float, letters: float) -> ImageFont.FreeTypeFont:
    """Return the font, smaller where a text of these letters is wider than was reckoned."""
    needed = font.getlength(text)
    return font if needed <= width else ImageFont.load_default(size=letters * width / needed)


def _ink(color: str) -> str:
    red, green, blue = rgb(color)
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > BRIGHT else "#FFFFFF"


def _address(picture: UInt8[np.ndarray, "H W 3"], kind: str) -> str:
    data, image = io.BytesIO(), Image.fromarray(picture)
    image.thumbnail((STAGE_PIXELS, STAGE_PIXELS))
    image.save(data, kind, quality=QUALITY)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"
