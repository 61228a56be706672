"""How a training goes, as HTML that is light enough to be sent every other second and follows the page's theme.

Legend: N pictures with a caption each, H and W their sides, T points of a curve.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from core.viz.palette import color_of, sequential

SMALL, WIDE = (220, 122), (560, 200)  # width and height of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 22, 20
LETTER_PIXELS = 12.5
MOST_POINTS = 240
PICTURE_PIXELS = 48
FEW = 6  # pictures of a matrix that have room for larger rows
RIGHT_COLOR, WRONG_COLOR = color_of(2), color_of(5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A line of a chart, its colour given by its place in the user's list."""

    name: str
    x: Float[np.ndarray, " T"]
    y: Float[np.ndarray, " T"]
    color: int = 0


def chart(
    curves: Sequence[Curve], *, title: str, axis: str, percent: bool = False, size: tuple[int, int] = SMALL
) -> str:
    """Return curves over one axis as SVG, with names and last values below; a nameless one's value is in the title."""
    curves = [_finite(curve) for curve in curves]
    known = [curve for curve in curves if len(curve.x)]
    values = np.concatenate([curve.y for curve in known]) if known else np.zeros(0)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    low, high = (0.0, 1.0) if percent else (low, high)
    last = max((float(curve.x[-1]) for curve in known), default=0.0)
    lines = "".join(_line(curve, low, high, last, size) for curve in known)
    if len(known) == 1 and not known[0].name:
        title = f"{title} {_number(float(known[0].y[-1]), percent)}"
    ends = (_number(low, percent), _number(high, percent)) if high > low else ("", _number(high, percent))
    figure = _frame(*ends, f"{last:.0f}" if known else "", title, axis, lines, size)
    names = "".join(
        f'<span><b style="color:{color_of(curve.color)}">━</b> {escape(curve.name)} '
        f"<b>{_number(float(curve.y[-1]), percent)}</b></span> "
        for curve in known
        if curve.name
    )
    return f'<div class="chart">{figure}{f"<p>{names}</p>" if names else ""}</div>'


def matrix(
    similarity: Float[np.ndarray, "N N"],
    pictures: UInt8[np.ndarray, "N H W 3"],
    captions: Sequence[str],
    predictions: Sequence[str],
    *,
    headings: tuple[str, str],
) -> str:
    """Return pictures (rows) against their captions (columns), bright where they agree, each row with its words.

    A caption stands in its row, for the right one of a row is on the diagonal. `headings` name caption and prediction.
    """
    low, high = float(np.nanmin(similarity)), float(np.nanmax(similarity))
    shares = np.nan_to_num((similarity - low) / max(high - low, 1e-9))
    heat = address(sequential(shares.astype(np.float32)).round().astype(np.uint8))
    strip = address(np.concatenate([_square(picture) for picture in pictures]), "JPEG")
    kind = "learning few" if len(similarity) <= FEW else "learning"
    rows = "".join(
        f"<span>{escape(caption)}</span>{_verdict(predicted, is_right(predicted, caption))}"
        for caption, predicted in zip(captions, predictions, strict=True)
    )
    return (
        f'<div class="{kind}" style="--n:{len(similarity)}"><i></i><i></i><small>{escape(headings[0])}</small>'
        f'<small>{escape(headings[1])}</small><img class="strip" src="{strip}" alt="">'
        f'<img class="heat" src="{heat}" alt="{low:.2f} … {high:.2f}"><div class="words">{rows}</div></div>'
    )


def samples(pictures: UInt8[np.ndarray, "N H W 3"], captions: Sequence[str], predictions: Sequence[str]) -> str:
    """Return pictures with what they show and what they are taken for."""
    figures = "".join(
        f'<figure><img src="{address(picture)}" alt=""><figcaption>{escape(caption)}<br>'
        f"{_verdict(predicted, is_right(predicted, caption))}</figcaption></figure>"
        for picture, caption, predicted in zip(pictures, captions, predictions, strict=True)
    )
    return f'<div class="samples">{figures}</div>'


def is_right(predicted: str, caption: str) -> bool:
    """Say whether a prediction is the caption, or its last words: 'cube' for 'a photo of a red cube.'."""
    predicted, caption = predicted.rstrip("."), caption.rstrip(".")
    return caption == predicted or caption.endswith(f" {predicted}")


def address(picture: UInt8[np.ndarray, "H W 3"], kind: str = "PNG") -> str:
    """Return a picture as an address that holds the data itself."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(data.getvalue()).decode()}"


def _verdict(predicted: str, right: bool) -> str:
    sign, color = ("✓", RIGHT_COLOR) if right else ("✗", WRONG_COLOR)
    return f'<b><b style="color:{color}">{sign}</b> {escape(predicted)}</b>'


def _square(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "P P 3"]:
    return np.asarray(Image.fromarray(picture).resize((PICTURE_PIXELS, PICTURE_PIXELS), Image.Resampling.BILINEAR))


def _finite(curve: Curve) -> Curve:
    kept = np.isfinite(curve.x) & np.isfinite(curve.y)
    return Curve(name=curve.name, x=curve.x[kept], y=curve.y[kept], color=curve.color)


def _line(curve: Curve, low: float, high: float, last: float, size: tuple[int, int]) -> str:
    """Return a curve thinned to what can be told apart, its last point marked."""
    step = max(1, -(-len(curve.x) // MOST_POINTS))
    kept = np.unique(np.append(np.arange(0, len(curve.x), step), len(curve.x) - 1))
    (width, height), span = size, max(high - low, 1e-12)
    across = LEFT + curve.x[kept] / max(last, 1e-9) * (width - LEFT - RIGHT)
    down = TOP + (1 - (curve.y[kept] - low) / span) * (height - TOP - BOTTOM)
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    color = color_of(curve.color)
    return (
        f'<polyline points="{places}" fill="none" stroke="{color}" stroke-width="2.5"/>'
        f'<circle cx="{across[-1]:.1f}" cy="{down[-1]:.1f}" r="4" fill="{color}"/>'
    )


def _number(value: float, percent: bool) -> str:
    """Return a value in few letters."""
    if percent:
        return f"{value:.0%}"
    return (f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}").replace("e-0", "e-").replace("e+0", "e")


def _frame(low: str, high: str, last: str, title: str, axis: str, lines: str, size: tuple[int, int]) -> str:
    width, height = size
    right, bottom = width - RIGHT, height - BOTTOM
    letters = [
        (LEFT, 14, "start", title),
        (LEFT - 5, TOP + 8, "end", high if lines else ""),
        (LEFT - 5, bottom, "end", low if lines else ""),
        (right, height - 5, "end", f"{axis} {last}"),
    ]
    words = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>' for x, y, anchor, text in letters if text
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'font-size="{LETTER_PIXELS}" fill="currentColor">{words}'
        f'<path d="M {LEFT} {TOP} V {bottom} H {right}" fill="none" stroke="currentColor" stroke-opacity="0.5"/>'
        f"{lines}</svg>"
    )
