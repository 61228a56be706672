"""Labels and masks laid over pictures, their legend, prompts, and what the places of a network look like in colours.

A label's colour comes from its index in the user's list. Where the palette begins anew its colours are paler, then
darker, so that the first 24 labels differ; whatever the number, a line runs between neighbours. The picture given is
never written to.

Legend: H W the picture, h w a grid of places, N labels, M masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageDraw

from core.results import LabelMap
from core.viz.palette import MARK, OKABE_ITO, color_of, rgb, sequential

TINTS = ((0, 0.0), (255, 0.5), (0, 0.45))  # what a round of the palette is mixed with, and how much of it
NOTHING = "#7f8792"  # of pixels without a label, in the legend; readable on white and on black
LINE = (24, 24, 28)
INSIDE, OUTSIDE = "#009E73", MARK  # of clicks
MOST_ROWS = 14


@dataclass(frozen=True, kw_only=True)
class LegendRow:
    """One label with its numbers; a number that is not known is None."""

    index: int  # in the user's list; -1 for what has no label
    label: str
    share: float  # of the picture, 0 to 1
    iou: float | None = None
    score: float | None = None  # at one pixel, 0 to 1


def label_color(index: int) -> str:
    """Return the colour of a label by its index in the user's list, as #rrggbb."""
    base, (other, share) = rgb(color_of(index)), TINTS[index // len(OKABE_ITO) % len(TINTS)]
    return "#" + "".join(f"{round(value + share * (other - value)):02X}" for value in base)


def label_colors(count: int) -> UInt8[np.ndarray, "N 3"]:
    """Return the colours of the first labels."""
    return np.array([rgb(label_color(index)) for index in range(count)], np.uint8).reshape(-1, 3)


def borders(ids: Int[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Mark the pixels whose right or lower neighbour has another label."""
    found = np.zeros(ids.shape, bool)
    found[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    found[:-1] |= ids[:-1] != ids[1:]
    return found


def labelled(
    picture: UInt8[np.ndarray, "H W 3"], label_map: LabelMap, *, opacity: float = 0.6
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay the labels' colours over a picture, lines between them; pixels without a label stay as they are.

    Raises ValueError where sizes differ or the opacity is not between 0 and 1.
    """
    if label_map.ids.shape != picture.shape[:2]:
        raise ValueError(f"wanted labels for {picture.shape[:2]}, got {label_map.ids.shape}")
    if not 0 <= opacity <= 1:
        raise ValueError(f"wanted an opacity from 0 to 1, got {opacity}")
    colors = np.concatenate([label_colors(len(label_map.labels)), np.zeros((1, 3), np.uint8)])[label_map.ids]
    share = np.where(label_map.ids[..., None] >= 0, opacity, 0)
    mixed = (1 - share) * picture + share * colors
    line = borders(label_map.ids)[..., None] * min(1.0, 2 * opacity)
    return np.round((1 - line) * mixed + line * np.array(LINE)).astype(np.uint8)


def edged(picture: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "_ _"]) -> UInt8[np.ndarray, "H W 3"]:
    """Draw a mask's edge; ValueError where sizes differ."""
    if mask.shape != picture.shape[:2]:
        raise ValueError(f"wanted a mask of {picture.shape[:2]}, got {mask.shape}")
    return np.where(borders(mask.astype(np.int32))[..., None], np.uint8(rgb(MARK)), picture)


def outlined(picture: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "_ _"]) -> UInt8[np.ndarray, "H W 3"]:
    """Darken what lies outside a mask and draw its edge; ValueError where sizes differ."""
    dark = (picture * 0.35).astype(np.uint8)
    return np.where(mask[..., None], edged(picture, mask), edged(dark, mask))


def prompted(
    picture: UInt8[np.ndarray, "H W 3"],
    clicks: Sequence[tuple[int, int, int]] = (),
    box_xyxy: Sequence[float] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw clicks, x, y and 1 for inside or 0 for outside, as discs with a plus or a minus, and a box's frame."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    radius = max(5, max(picture.shape[:2]) // 40)
    if box_xyxy is not None:
        x0, y0, x1, y1 = box_xyxy
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline="white", width=max(3, radius // 2))
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=MARK, width=max(1, radius // 4))
    for x, y, inside in clicks:
        around = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(around, fill=INSIDE if inside else OUTSIDE, outline="white", width=max(1, radius // 4))
        arm, thick = radius * 0.55, max(1, radius // 4)
        draw.line((x - arm, y, x + arm, y), fill="white", width=thick)
        if inside:
            draw.line((x, y - arm, x, y + arm), fill="white", width=thick)
    return np.asarray(image)


def places(colors: UInt8[np.ndarray, "h w 3"], size_hw: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """Return a grid of colours at a picture's size, each place a block."""
    return np.asarray(Image.fromarray(colors).resize(size_hw[::-1], Image.Resampling.NEAREST))


def scores(
    values: Float[np.ndarray, "H W"], low: float | None = None, high: float | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """Return values in the sequential colours between two of them, by default the least, dark, and the most, bright."""
    low, high = (float(values.min()) if low is None else low), (float(values.max()) if high is None else high)
    share = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    return np.round(sequential(share.astype(np.float32))).astype(np.uint8)


def legend(rows: Sequence[LegendRow], headings: tuple[str, str, str, str]) -> str:
    """Return a table as HTML: each label with its colour, its share, its IoU and its score where there are some.

    `headings` name label, share, IoU and score. The largest shares stand first, what has no label last; labels that
    would make the table too long are counted under it.
    """
    order = sorted(rows, key=lambda row: (row.index < 0, -row.share, -(row.score or 0)))
    kept = [row for row in order if row.index >= 0][:MOST_ROWS] + [row for row in order if row.index < 0]
    with_iou, with_score = (any(getattr(row, name) is not None for row in rows) for name in ("iou", "score"))
    label, share, iou, score = (f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    head = label + share.replace("<th ", '<th colspan="2" ') + iou * with_iou + score * with_score
    body = "".join(_row(row, with_iou=with_iou, with_score=with_score) for row in kept)
    more = f'<p class="more">+ {len(rows) - len(kept)}</p>' if len(rows) > len(kept) else ""
    return f'<table class="bars"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}'


def _row(row: LegendRow, *, with_iou: bool, with_score: bool) -> str:
    color = label_color(row.index) if row.index >= 0 else NOTHING
    name = escape(row.label if len(row.label) <= 24 else row.label[:23] + "…")
    swatch = f'<span style="display:inline-block;width:.8em;height:.8em;border-radius:2px;background:{color}"></span>'
    cells = [
        f'<th scope="row" title="{escape(row.label)}">{swatch} {name}</th>',
        f'<td class="bar"><span style="width:{100 * row.share:.2f}%;background:{color}"></span></td>',
        f"<td>{row.share:.1%}</td>",
    ]
    cells += [f"<td>{_number(row.iou)}</td>"] if with_iou else []
    cells += [f"<td>{_number(row.score)}</td>"] if with_score else []
    return f"<tr>{''.join(cells)}</tr>"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
