"""Depth maps as pictures and figures: near is bright, and what has no depth is grey.

Legend: H height, W width, K bins, h and w of a coarse grid.
"""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw

from core.results import DepthMap
from core.viz.charts import styled
from core.viz.palette import MARK, SEQUENTIAL, color_of, rgb, sequential

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NOWHERE = 128  # grey of a pixel without depth
SURFACE_SIDE = 120  # points along the longer side of a surface
HEIGHT = 380


def depth_picture(
    depth: DepthMap, *, near_metres: float | None = None, far_metres: float | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """Return the depth in colour between two distances, by default the nearest and farthest there are."""
    known = np.isfinite(depth.metres)
    inside = depth.metres[known]
    near, far = (inside.min(), inside.max()) if inside.size else (0.0, 1.0)
    near = near if near_metres is None else near_metres
    far = far if far_metres is None else far_metres
    share = np.clip((far - np.where(known, depth.metres, far)) / max(float(far - near), 1e-6), 0, 1)
    colors = sequential(share.astype(np.float32))
    return np.where(known[..., None], colors, NOWHERE).astype(np.uint8)


def response_picture(response: Float[np.ndarray, "h w"], size_hw: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Return how probable one distance word is at each place of a coarse grid, each cell a block; bright is 1."""
    height, width = size_hw
    blocks = Image.fromarray(response.astype(np.float32)).resize((width, height), Image.Resampling.NEAREST)
    return sequential(np.clip(np.asarray(blocks), 0, 1)).astype(np.uint8)


def bin_figure(
    shares: Float[np.ndarray, " K"], words: Sequence[str], metres: Sequence[float], *, title: str
) -> "Figure":
    """Return the probability of each distance word at one pixel, and where their mean lies."""
    import plotly.graph_objects as go

    names = [f"{escape(word)} · {distance:g} m" for word, distance in zip(words, metres, strict=True)]
    colors = [color_of(i) for i in range(len(names))]
    figure = go.Figure(go.Bar(x=shares, y=names, orientation="h", marker_color=colors))
    figure.update_xaxes(range=[0, 1], tickformat=".0%").update_yaxes(autorange="reversed")
    return styled(figure, title, height=HEIGHT)


def surface_figure(depth: DepthMap, *, title: str) -> "Figure":
    """Return the depth as a surface that can be turned, coloured by distance; places without depth are holes."""
    import plotly.graph_objects as go

    step = max(1, max(depth.metres.shape) // SURFACE_SIDE)
    metres = np.where(np.isfinite(depth.metres), depth.metres, np.nan)[::step, ::step]
    scale = [(i / (len(SEQUENTIAL) - 1), color) for i, color in enumerate(reversed(SEQUENTIAL))]
    figure = go.Figure(go.Surface(z=-metres, surfacecolor=metres, colorscale=scale, showscale=False))
    axis = {"visible": False}
    ratio = {"x": 1, "y": metres.shape[0] / metres.shape[1], "z": 0.6}
    figure.update_layout(
        scene={
            "xaxis": axis,
            "yaxis": axis | {"autorange": "reversed"},
            "zaxis": axis,
            "aspectratio": ratio,
            "camera": {"eye": {"x": 0.0, "y": -0.6, "z": 1.6}, "up": {"x": 0, "y": 1, "z": 0}},
        }
    )
    return styled(figure, title, height=HEIGHT)


def marked(picture: UInt8[np.ndarray, "H W 3"], x: int, y: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return the picture with a cross at a pixel, edged in white so that it shows on anything."""
    image = Image.fromarray(picture)
    draw, side = ImageDraw.Draw(image), max(picture.shape[:2])
    reach, thick = max(4, side // 25), 1 + side // 256
    for color, more in (("white", 2), (rgb(MARK), 0)):
        draw.line((x - reach - more / 2, y, x + reach + more / 2, y), fill=color, width=thick + more)
        draw.line((x, y - reach - more / 2, x, y + reach + more / 2), fill=color, width=thick + more)
    return np.asarray(image)
