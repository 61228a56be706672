"""Strokes as SVG, as pixels, and as a film of somebody drawing them, the salient ones first.

Paths are as wide as the strokes say and end round; SVG keeps them editable in any drawing program.

Legend: N strokes, H W the saliency map, T frames, S side in pixels.
"""

import io
from collections.abc import Iterator, Sequence
from html import escape
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw

FINER = 6  # pixels are painted this many times finer along each side and averaged
LEAST_STRETCH = 6  # points along a stroke, however short
PIXELS_A_POINT = 3.0
FRAMES = 48
HOLD = 8  # frames for which a film shows the finished drawing


@runtime_checkable
class Strokes(Protocol):
    """Pen strokes on white paper."""

    points: np.ndarray  # (N, 4, 2)
    widths: np.ndarray  # (N,)
    colors: np.ndarray  # (N, 4)
    size_hw: tuple[int, int]


def svg(strokes: Strokes, *, pixels: int | None = None, title: str = "") -> str:
    """Return the drawing as SVG text, as wide as its canvas or `pixels`."""
    return _document(strokes, [_path(strokes, i) for i in range(len(strokes.points))], pixels, title)


def replay_svg(
    strokes: Strokes, order: Sequence[int], *, seconds: float = 6.0, pixels: int | None = None, title: str = ""
) -> str:
    """Return SVG text that draws itself in this order, each stroke as long as its length asks, and then stays."""
    lengths = stroke_lengths(strokes)[list(order)]
    ends = np.cumsum(lengths) / max(float(lengths.sum()), 1e-9) * seconds
    begins = [0.0, *ends]
    animated = {}
    for index, begin, end in zip(order, begins, ends, strict=False):
        animated[index] = (
            f'<set attributeName="visibility" to="visible" begin="{begin:.3f}s" fill="freeze"/>'
            f'<animate attributeName="stroke-dashoffset" from="1" to="0" begin="{begin:.3f}s" '
            f'dur="{max(float(end - begin), 0.01):.3f}s" fill="freeze"/>'
        )
    hidden = 'visibility="hidden" pathLength="1" stroke-dasharray="1 2" stroke-dashoffset="1"'
    paths = [_path(strokes, i, hidden, animated[i]) for i in range(len(strokes.points)) if i in animated]
    return _document(strokes, paths, pixels, title)


def replay_order(strokes: Strokes, saliency: Float[np.ndarray, "H W"]) -> Int[np.ndarray, " N"]:
    """Return the strokes' indices, those first that cover most saliency: its mean along the stroke times the length.

    Saliency outside the map is 0; the map may have another size than the canvas.
    """
    height, width = saliency.shape
    along = _along(strokes, 32)  # (N, 32, 2)
    scale = np.array([width / strokes.size_hw[1], height / strokes.size_hw[0]])
    column, row = np.floor(along * scale).astype(int).transpose(2, 0, 1)
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    values = np.where(inside, saliency[row.clip(0, height - 1), column.clip(0, width - 1)], 0)
    return np.argsort(-values.mean(1) * stroke_lengths(strokes), kind="stable")


def stroke_lengths(strokes: Strokes) -> Float[np.ndarray, " N"]:
    """Return the length of each stroke in pixels of the canvas."""
    return np.linalg.norm(np.diff(_along(strokes, 32), axis=1), axis=2).sum(1)


def paint(strokes: Strokes, pixels: int | None = None) -> UInt8[np.ndarray, "S S2 3"]:
    """Return the drawing in pixels, smooth at its edges, as wide as its canvas or `pixels`."""
    canvas, scale = _paper(strokes, pixels)
    for index, points in enumerate(strokes.points):
        _paint_stroke(canvas, points * scale, strokes.widths[index] * scale, strokes.colors[index])
    return _bytes(canvas)


def film(
    strokes: Strokes, order: Sequence[int], *, pixels: int | None = None, frames: int = FRAMES
) -> Iterator[UInt8[np.ndarray, "S S2 3"]]:
    """Yield `frames` pictures of the drawing coming about in this order, then the finished one for a while."""
    canvas, scale = _paper(strokes, pixels)
    ends = np.cumsum(stroke_lengths(strokes)[list(order)])
    total, done = max(float(ends[-1]) if len(ends) else 0.0, 1e-9), 0
    for frame in range(1, frames + 1):
        drawn = total * frame / frames
        while done < len(ends) and ends[done] <= drawn + 1e-6:
            _paint_one(canvas, strokes, int(order[done]), scale, 1.0)
            done += 1
        shown = canvas
        if done < len(ends):
            begin = ends[done - 1] if done else 0.0
            share = (drawn - begin) / max(ends[done] - begin, 1e-9)
            shown = canvas.copy()
            _paint_one(shown, strokes, int(order[done]), scale, float(share))
        yield _bytes(shown)
    finished = paint(strokes, pixels)
    for _ in range(HOLD):
        yield finished


def gif(frames: Sequence[UInt8[np.ndarray, "S S2 3"]], *, seconds: float = 6.0) -> bytes:
    """Return frames as an animated GIF that plays for so long, again and again."""
    if not frames:
        raise ValueError("wanted at least one frame, got none")
    images = [Image.fromarray(frame) for frame in frames]
    out = io.BytesIO()
    pause = max(20, round(1000 * seconds / len(images)))  # browsers slow down below 20 ms
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=pause, loop=0)
    return out.getvalue()


def _document(strokes: Strokes, paths: Sequence[str], pixels: int | None, title: str) -> str:
    height, width = strokes.size_hw
    shown = pixels or width
    named = f"<title>{escape(title)}</title>" if title else ""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{shown}" height="{round(shown * height / width)}" '
        f'viewBox="0 0 {width} {height}">{named}',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<g fill="none" stroke-linecap="round" stroke-linejoin="round">',
        *paths,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _path(strokes: Strokes, index: int, extra: str = "", inside: str = "") -> str:
    first, *rest = (f"{x:.2f} {y:.2f}" for x, y in strokes.points[index])
    red, green, blue = np.rint(255 * strokes.colors[index, :3]).astype(int)
    opacity = float(strokes.colors[index, 3])
    faint = "" if opacity >= 1 else f' stroke-opacity="{opacity:.3f}"'
    more = f" {extra}" if extra else ""
    start = (
        f'<path d="M {first} C {" ".join(rest)}" stroke="#{red:02x}{green:02x}{blue:02x}" '
        f'stroke-width="{float(strokes.widths[index]):.2f}"{faint}{more}'
    )
    return f"{start}>{inside}</path>" if inside else f"{start}/>"


def _along(strokes: Strokes, samples: int) -> Float[np.ndarray, "N T 2"]:
    """Return points along each stroke."""
    return np.einsum("tk,nkc->ntc", _bernstein(np.linspace(0, 1, samples)), strokes.points)


def _bernstein(t: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T 4"]:
    return np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)


def _paper(strokes: Strokes, pixels: int | None) -> tuple[Float[np.ndarray, "S S2 3"], float]:
    """Return a white canvas, 0 to 255, and how many of its pixels one of the strokes' canvas is."""
    height, width = strokes.size_hw
    scale = (pixels or width) / width
    return np.full((max(1, round(height * scale)), max(1, round(width * scale)), 3), 255.0, np.float32), scale


def _paint_one(canvas: np.ndarray, strokes: Strokes, index: int, scale: float, share: float) -> None:
    """Paint the first part of a stroke."""
    _paint_stroke(canvas, strokes.points[index] * scale, strokes.widths[index] * scale, strokes.colors[index], share)


def _paint_stroke(canvas: np.ndarray, points: np.ndarray, width: float, color: np.ndarray, share: float = 1.0) -> None:
    """Lay a stroke over the canvas, looking only at the box around it."""
    reach = np.linalg.norm(np.diff(points, axis=0), axis=1).sum()
    count = LEAST_STRETCH + int(min(reach, 4 * max(canvas.shape)) / PIXELS_A_POINT)
    line = _bernstein(np.linspace(0, share, count)) @ points  # (T, 2)
    low = np.floor(line.min(0) - width / 2 - 1).astype(int).clip(0)
    high = np.ceil(line.max(0) + width / 2 + 1).astype(int).clip(max=canvas.shape[1::-1])
    if (low >= high).any():
        return
    box = (high - low) * FINER
    mask = Image.new("L", (int(box[0]), int(box[1])))
    pen, radius = ImageDraw.Draw(mask), FINER * width / 2
    placed = [tuple(place) for place in ((line - low) * FINER).tolist()]
    pen.line(placed, fill=255, width=max(1, round(2 * radius)))
    for x, y in placed:  # round ends and bends
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    finer = np.asarray(mask, np.float32).reshape(high[1] - low[1], FINER, high[0] - low[0], FINER)
    alpha = finer.mean((1, 3))[..., None] / 255 * float(color[3])
    part = canvas[low[1] : high[1], low[0] : high[0]]
    part += alpha * (255 * color[:3] - part)


def _bytes(canvas: np.ndarray) -> UInt8[np.ndarray, "S S2 3"]:
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
