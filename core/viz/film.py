"""Films as pictures: a strip of frames with their scores, scores over time, and a box around what a patch found.

Legend: T frames or places on a curve, H height, W width.
"""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from core.results import Film
from core.viz.charts import styled
from core.viz.palette import MARK, color_of, rgb, sequential

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

STRIP_PIXELS = 120  # height of a frame in a strip
BAR_PIXELS = 10  # of the score below it
GAP_PIXELS = 3
CURVE_HEIGHT = 280
WHITE = 255


def film_strip(
    film: Film, scores: Float[np.ndarray, " T"] | None = None, *, height: int = STRIP_PIXELS
) -> UInt8[np.ndarray, "H W 3"]:
    """Return the frames side by side; below each a bar whose colour, dark to bright, is its score among these."""
    if scores is not None and len(scores) != len(film.frames):
        raise ValueError(f"wanted a score for each of {len(film.frames)} frames, got {len(scores)}")
    if not len(film.frames):
        raise ValueError("wanted at least one frame, got none")
    width = max(1, round(height * film.frames.shape[2] / film.frames.shape[1]))
    bar = 0 if scores is None else BAR_PIXELS
    strip = np.full((height + bar, len(film.frames) * (width + GAP_PIXELS) - GAP_PIXELS, 3), WHITE, np.uint8)
    for place, picture in enumerate(film.frames):
        left = place * (width + GAP_PIXELS)
        small = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        strip[:height, left : left + width] = np.asarray(small)
    if scores is not None:
        low, high = float(scores.min()), float(scores.max())
        colors = sequential(((scores - low) / max(high - low, 1e-6)).astype(np.float32)[None])[0]
        for place, color in enumerate(colors):
            left = place * (width + GAP_PIXELS)
            strip[height:, left : left + width] = color.astype(np.uint8)
    return strip


def curve_figure(
    seconds: Float[np.ndarray, " T"],
    scores: Float[np.ndarray, " T"],
    spans: Sequence[tuple[float, float]] = (),
    *,
    threshold: float | None = None,
    title: str,
    axes: tuple[str, str],
) -> "Figure":
    """Return a score over time, with the stretches that were found and the threshold; `axes` name time and score."""
    import plotly.graph_objects as go

    line = {"color": color_of(0), "width": 3, "shape": "hv"}
    figure = go.Figure(go.Scatter(x=seconds, y=scores, mode="lines+markers", line=line, name=escape(axes[1])))
    for start, end in spans:
        figure.add_vrect(x0=start, x1=end, fillcolor=color_of(1), opacity=0.25, line_width=0)
    if threshold is not None:
        figure.add_hline(y=threshold, line={"color": MARK, "dash": "dash"})
    figure.update_xaxes(title=axes[0]).update_yaxes(title=axes[1])
    return styled(figure, title, height=CURVE_HEIGHT).update_layout(showlegend=False)


def boxed(picture: UInt8[np.ndarray, "H W 3"], box_xyxy: Sequence[float]) -> UInt8[np.ndarray, "H W 3"]:
    """Return the picture with a frame around a box, edged in white so that it shows on anything."""
    image = Image.fromarray(picture)
    draw, thick = ImageDraw.Draw(image), 2 + max(picture.shape[:2]) // 200
    x0, y0, x1, y1 = (round(side) for side in box_xyxy)
    x1, y1 = max(x0, x1 - 1), max(y0, y1 - 1)  # the end is exclusive
    draw.rectangle((x0, y0, x1, y1), outline="white", width=thick + 2)
    draw.rectangle((x0, y0, x1, y1), outline=rgb(MARK), width=thick)
    return np.asarray(image)
