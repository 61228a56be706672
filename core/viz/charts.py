"""Bars, matrices and curves. Bars are HTML, so that they follow the page's theme; figures are Plotly's.

Plotly is imported where a figure is made: it would double the time that the app takes to start.
"""

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from core.results import PairMatrix, Ranking
from core.viz.palette import MARK, OKABE_ITO, SEQUENTIAL, color_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_BARS = 12
FONT_PIXELS = 16
LONGEST_TICK = 28  # characters
MOST_NUMBERS = 144  # in a heat map; more cannot be read
ROW_PIXELS = 44  # of a heat map
SLANT_PIXELS = 4.4  # that a slanted character rises
THUMBNAIL_PIXELS = 88
GRID = "rgba(127,135,146,0.25)"
GREY = "#7f8792"  # readable on white and on black


def bars(
    ranking: Ranking, *, temperature: float = 1.0, headings: tuple[str, str, str, str], most: int = MOST_BARS
) -> str:
    """Return a table of the best labels with a bar for each probability, as HTML.

    `headings` name the columns: label, probability, cosine, logit.
    """
    shares, logits = ranking.probabilities(temperature), ranking.logits(temperature)
    rows = [
        f'<tr><th scope="row" title="{escape(ranking.labels[i])}">{_short(ranking.labels[i])}</th>'
        f'<td class="bar"><span style="width:{100 * shares[i]:.2f}%;background:{color_of(int(i))}"></span></td>'
        f"<td>{shares[i]:.1%}</td><td>{ranking.cosines[i]:+.3f}</td><td>{logits[i]:+.2f}</td></tr>"
        for i in ranking.order()[:most]
    ]
    label, share, cosine, logit = (escape(heading) for heading in headings)
    head = (
        f'<tr><th scope="col">{label}</th><th scope="col" colspan="2">{share}</th>'
        f'<th scope="col">{cosine}</th><th scope="col">{logit}</th></tr>'
    )
    left = len(ranking.labels) - len(rows)
    more = f'<p class="more">+ {left}</p>' if left > 0 else ""
    return f'<table class="bars"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>{more}'


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as HTML; the first cell of a row names it."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f'<table class="bars"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def pair_figure(matrix: PairMatrix, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, title: str) -> "Figure":
    """Return pictures (rows) against captions (columns), the diagonal framed, as in CLIP's Figure 1."""
    figure = _heat_figure(matrix.cosines, matrix.captions, [""] * len(pictures), title)
    for i in range(min(matrix.cosines.shape)):
        figure.add_shape(type="rect", x0=i - 0.5, x1=i + 0.5, y0=i - 0.5, y1=i + 0.5, line={"color": MARK, "width": 4})
    for i, picture in enumerate(pictures):
        place = {"xref": "paper", "yref": "y", "x": -0.01, "y": i, "sizex": 0.2, "sizey": 0.9, "xanchor": "right"}
        figure.add_layout_image(source=_thumbnail(picture), yanchor="middle", **place)
    return figure.update_layout(margin_l=ROW_PIXELS + 20)


def label_figure(
    values: Float[np.ndarray, "R L"], labels: Sequence[str], rows: Sequence[str], *, title: str, percent: bool = False
) -> "Figure":
    """Return a value for each label (column) under each prompt or set of prompts (row)."""
    return _heat_figure(values, labels, rows, title, digits=".0%" if percent else ".2f")


def temperature_figure(ranking: Ranking, *, chosen: float, title: str, axes: tuple[str, str]) -> "Figure":
    """Return how each label's probability changes with the temperature, the chosen one marked.

    `axes` name the temperature and the probability.
    """
    import plotly.graph_objects as go

    temperatures = np.geomspace(0.1, 10, 41)
    curves = np.stack([ranking.probabilities(float(t)) for t in temperatures])  # (41, L)
    figure = go.Figure()
    for i in ranking.order()[: len(OKABE_ITO)]:
        line = {"color": color_of(int(i)), "width": 3}
        figure.add_scatter(x=temperatures, y=curves[:, i], name=_short(ranking.labels[i]), mode="lines", line=line)
    figure.add_vline(x=chosen, line={"color": MARK, "dash": "dash"})
    figure.update_xaxes(type="log", title=axes[0], tickvals=[0.1, 0.3, 1, 3, 10])
    figure.update_yaxes(title=axes[1], range=[0, 1], tickformat=".0%")
    return styled(figure, title, height=320)


def _heat_figure(
    values: np.ndarray, columns: Sequence[str], rows: Sequence[str], title: str, *, digits: str = ".2f"
) -> "Figure":
    import plotly.graph_objects as go

    scale = [(i / (len(SEQUENTIAL) - 1), color) for i, color in enumerate(SEQUENTIAL)]
    text = np.vectorize(lambda value: format(value, digits))(values) if values.size <= MOST_NUMBERS else None
    figure = go.Figure(
        go.Heatmap(
            z=values.astype(float),
            colorscale=scale,
            text=text,
            texttemplate="%{text}" if text is not None else None,
            hovertemplate="%{z:.3f}<extra></extra>",
            showscale=False,
        )
    )
    above = max((len(_short(text)) for text in columns), default=0)
    figure.update_xaxes(
        tickvals=list(range(len(columns))), ticktext=[_short(text) for text in columns], tickangle=-35, side="top"
    )
    figure.update_yaxes(
        tickvals=list(range(len(rows))), ticktext=[_short(text) for text in rows], range=[len(rows) - 0.5, -0.5]
    )
    top = 50 + round(SLANT_PIXELS * above)  # slanted captions start at their column and rise to the right
    styled(figure, title, height=min(1000, top + 20 + ROW_PIXELS * len(rows)))
    return figure.update_layout(margin={"t": top, "r": 20 + round(1.3 * SLANT_PIXELS * above)})


def styled(figure: "Figure", title: str, *, height: int) -> "Figure":
    """Make a figure readable on a light and on a dark page and from the last row."""
    figure.update_xaxes(gridcolor=GRID).update_yaxes(gridcolor=GRID)
    return figure.update_layout(
        title={"text": escape(title), "font": {"size": FONT_PIXELS}, "x": 0.01, "y": 0.985, "yanchor": "top"},
        font={"size": FONT_PIXELS - 2, "color": GREY},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 10, "r": 10, "t": 40, "b": 10},
        height=height,
    )


def _thumbnail(picture: UInt8[np.ndarray, "H W 3"]) -> str:
    """Return a small copy of the picture as an address that holds the data itself."""
    image = Image.fromarray(picture)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    data = io.BytesIO()
    image.save(data, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"


def _short(text: str) -> str:
    text = escape(text)
    return text if len(text) <= LONGEST_TICK else text[: LONGEST_TICK - 1] + "…"
