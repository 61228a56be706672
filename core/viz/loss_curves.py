"""Loss curves small enough to be sent many times a second: an inline SVG that follows the page's theme.

Legend: T evaluations, B curves.
"""

from html import escape

import numpy as np
from jaxtyping import Float, Int

from core.viz.palette import color_of

WIDTH, HEIGHT = 240, 132
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 20, 20  # room for numbers and the title
MOST_POINTS = 120  # of a curve: more cannot be told apart at this width
LETTER_PIXELS = 12
FIRST_WIDE = 0x2E80  # where Chinese begins in Unicode


def loss_curves(
    iterations: Int[np.ndarray, " T"],
    losses: Float[np.ndarray, "T B"],
    *,
    chosen: int = 0,
    title: str = "",
    axis: str = "",
) -> str:
    """Return the curves as SVG text, the chosen one thick; axes and letters take the colour of the text around."""
    finite = losses[np.isfinite(losses)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    span, last = max(high - low, 1e-9), max(int(iterations[-1]), 1) if len(iterations) else 1
    step = max(1, -(-len(iterations) // MOST_POINTS))
    kept = np.unique(np.append(np.arange(0, len(iterations), step), len(iterations) - 1)) if len(iterations) else []
    lines = []
    order = [index for index in range(losses.shape[1]) if index != chosen] + [chosen]  # the chosen one on top
    for index in order if len(iterations) else []:
        places = [
            f"{_across(iterations[at] / last):.1f},{_down((losses[at, index] - low) / span):.1f}"
            for at in kept
            if np.isfinite(losses[at, index])
        ]
        thick = 3 if index == chosen else 1.5
        if len(places) == 1:
            x, y = places[0].split(",")
            lines.append(f'<circle cx="{x}" cy="{y}" r="{thick}" fill="{color_of(index)}"/>')
        else:
            lines.append(
                f'<polyline points="{" ".join(places)}" fill="none" stroke="{color_of(index)}" stroke-width="{thick}"/>'
            )
    return "".join([_frame(low, high, last, title, axis, bool(finite.size)), *lines, "</svg>"])


def _across(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _down(share: float) -> float:
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM)


def _breadth(text: str) -> float:
    """Return about how many pixels wide a text is; Chinese letters are twice as wide."""
    return LETTER_PIXELS * sum(1.0 if ord(letter) >= FIRST_WIDE else 0.55 for letter in text)


def _frame(low: float, high: float, last: int, title: str, axis: str, known: bool) -> str:
    """Return the opening of the SVG: title, the two axes, and the numbers at their ends."""
    x0, x1, y0, y1 = _across(0), _across(1), _down(0), _down(1)
    letters = [(LEFT, 13, "start", title), (x1, HEIGHT - 6, "end", axis)]
    if known:
        letters += [(x0 - 4, y1 + 4, "end", f"{high:.3f}"), (x0 - 4, y0, "end", f"{low:.3f}")]
        letters += [(x0, HEIGHT - 6, "middle", "0"), (x1 - _breadth(axis) - 6, HEIGHT - 6, "end", str(last))]
    words = "".join(
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>' for x, y, anchor, text in letters
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="losses" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-size="{LETTER_PIXELS}" fill="currentColor">{words}'
        f'<path d="M {x0:.0f} {y1:.0f} V {y0:.0f} H {x1:.0f}" fill="none" stroke="currentColor" stroke-opacity="0.5"/>'
    )
