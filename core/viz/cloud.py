"""Point clouds as figures that can be turned.

Legend: P points.
"""

from typing import TYPE_CHECKING

from core.results import Cloud
from core.viz.palette import SEQUENTIAL

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_POINTS = 20_000  # that a browser turns smoothly as Scatter3d
HEIGHT = 420
DOT = 3  # pixels


def cloud_figure(cloud: Cloud, *, up: str = "y") -> "Figure":
    """Return the points in 3D in their own colours, or coloured by height; no more than MOST_POINTS of them.

    `up` names the axis that points upwards on the page: 'y' or 'z'.
    """
    import plotly.graph_objects as go

    step = -(-len(cloud.points) // MOST_POINTS)
    points = cloud.points[:: max(1, step)]
    x, y, z = points.T
    marker: dict[str, object] = {"size": DOT}
    if cloud.colors is not None:
        marker["color"] = [f"rgb({r},{g},{b})" for r, g, b in cloud.colors[:: max(1, step)]]
    else:
        scale = [(i / (len(SEQUENTIAL) - 1), color) for i, color in enumerate(SEQUENTIAL)]
        marker |= {"color": points[:, "xyz".index(up)].astype(float), "colorscale": scale}
    figure = go.Figure(go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, hoverinfo="skip"))
    axis = {"visible": False}
    eye = {"x": 1.1, "y": 0.7, "z": 1.1} if up == "y" else {"x": 1.1, "y": 1.1, "z": 0.7}
    camera = {"up": {name: float(name == up) for name in "xyz"}, "eye": eye}
    return figure.update_layout(
        scene={"xaxis": axis, "yaxis": axis, "zaxis": axis, "aspectmode": "data", "camera": camera},
        paper_bgcolor="rgba(0,0,0,0)",
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        height=HEIGHT,
    )
