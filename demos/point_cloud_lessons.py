"""What the point cloud tab asks, and its lessons: dots against dense, how many points, tilted, the code.

Each lesson starts from what the controls say and changes one thing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import UInt8

from core.results import Cloud, ViewScores
from core.viz import charts, overlay
from core.viz.palette import color_of
from demos.shell import load
from demos.text import say, t

SYSTEM = "pointclip"
FEW_SHOT = "few-shot"  # how the presets end whose views an adapter has learned
OVERSAMPLING = 4  # points drawn on a Toybox thing for each that is kept, as on a mesh from a file
TOYBOX_PIXELS = 64  # of the picture that decides which scene a seed stands for
COUNTS = (64, 128, 256, 512, 1024)
TILTS_DEGREES = tuple(range(0, 91, 15))
TURNS_DEGREES = tuple(range(0, 360, 45))
VIEW_PIXELS = 128  # of each side in a sheet of them, at least
GAP_PIXELS = 1  # between the sides of a sheet, before it is enlarged
SHEET_COLUMNS = 5
FIGURE_HEIGHT = 340


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the controls said when something was pressed."""

    file: str | None  # a Toybox thing is taken where there is none
    up: str
    seed: int
    labels: tuple[str, ...]
    weights: str
    language: str
    preset: str
    dot_pixels: int
    count: int
    turn_degrees: float
    tilt_degrees: float
    noise: float
    half: bool

    @property
    def model(self) -> Any:
        """The model, from memory when it was loaded before."""
        return load(SYSTEM, self.weights)

    @property
    def settings(self) -> Any:
        """How the cloud is drawn; V2 has no dots to enlarge."""
        preset = self.model.presets[self.preset]
        return replace(preset, dot_pixels=self.dot_pixels if preset.variant == "v1" else 1)

    @property
    def templates(self) -> tuple[str, ...]:
        """The prompts of the release that the preset belongs to."""
        return self.model.templates[FEW_SHOT if self.preset.endswith(FEW_SHOT) else "zero-shot"]

    @property
    def adapted(self) -> bool:
        """Whether the few-shot adapter answers: where there is one and its views are drawn."""
        return self.preset.endswith(FEW_SHOT) and self.model.adapter is not None

    def cloud(self) -> Cloud:
        """Return the points, changed as asked; `as_python` writes the same steps."""
        from trimesh.transformations import euler_matrix

        points = self._unchanged().points
        if self.half:
            points = points[points[:, 0] <= 0]
        if self.noise:
            points = points + np.random.default_rng(0).normal(0, self.noise, points.shape)
        if self.turn_degrees or self.tilt_degrees:
            turn, tilt = np.radians([self.turn_degrees, self.tilt_degrees])
            points = points @ euler_matrix(turn, tilt, 0, "syxz")[:3, :3].T  # about y, then about x
        return Cloud(points=points.astype(np.float32))

    def scores(self, *clouds: Cloud) -> tuple[ViewScores, ...]:
        """Score every label against every side of each cloud."""
        model = self.model
        features = model.view_features(clouds, self.settings)
        return model.score(features, self.labels, templates=self.templates, adapted=self.adapted)

    def thing(self) -> Any:
        """Return the only thing of the seed's Toybox scene."""
        from core.world.picture import picture

        return picture(self.seed, TOYBOX_PIXELS, count=1).scene.things[0]

    def _unchanged(self) -> Cloud:
        from core.media3d import read_cloud, unit_cloud
        from core.world.render import surface_cloud

        if self.file:
            return read_cloud(self.file, up=self.up, count=self.count)
        rng = np.random.default_rng(0)
        points = surface_cloud(self.thing(), OVERSAMPLING * self.count, rng).points
        return unit_cloud(points, up="z", count=self.count, rng=rng)


Connect = Callable[[gr.Button, Callable[[Asked], Any], Any], Any]


def build(connect: Connect) -> None:
    """Add a tab for each lesson; `connect` makes a button run one on what the controls say."""
    with gr.Tab(t("pc_dense"), id="pc-dense"):
        gr.Markdown(t("pc_dense_note"))
        button = gr.Button(t("pc_show"), variant="primary", elem_id="pc-dense-button")
        sheets = gr.Gallery(
            columns=2, height=520, show_label=False, object_fit="contain", format="png", buttons=[], elem_id="pc-sheets"
        )
        connect(button, dots_against_dense, sheets)
    for key, about, lesson in (
        ("pc_points", "pc_points_note", how_many_points),
        ("pc_tilted", "pc_tilted_note", tilted),
        ("pc_turned", "pc_turned_note", turned),
    ):
        name = key.replace("_", "-")
        with gr.Tab(t(key), id=name):
            gr.Markdown(t(about))
            button = gr.Button(t("pc_show"), variant="primary", elem_id=f"{name}-button")
            connect(button, lesson, gr.Plot(visible=False, show_label=False, elem_id=f"{name}-figure"))


def dots_against_dense(asked: Asked) -> list[tuple[np.ndarray, str]]:
    """Return all sides of the cloud under each preset, with the best label and its probability."""
    cloud, shown = asked.cloud(), []
    for preset in asked.model.presets:
        each = replace(asked, preset=preset)
        ranking = each.scores(cloud)[0].ranking()
        share = float(ranking.probabilities().max())
        words = say(asked.language, "pc_dense_caption", preset=preset, label=ranking.best, share=share)
        shown.append((sheet(asked.model.views(cloud, each.settings)), words))
    return shown


def how_many_points(asked: Asked) -> Any:
    """Return the probability of the first label, and of the winner, against the number of points, as a figure."""
    import plotly.graph_objects as go

    clouds = {len(cloud.points): cloud for cloud in (replace(asked, count=count).cloud() for count in COUNTS)}
    rankings = [scores.ranking() for scores in asked.scores(*clouds.values())]
    shares = np.stack([ranking.probabilities() for ranking in rankings])
    figure = go.Figure()
    for index, dash in zip(dict.fromkeys((0, int(rankings[-1].order()[0]))), ("solid", "dash"), strict=False):
        line = {"color": color_of(index), "width": 3, "dash": dash}  # two labels can share a colour
        look = {"line": line, "marker": {"size": 9}, "mode": "lines+markers"}
        figure.add_scatter(x=[str(count) for count in clouds], y=shares[:, index], name=asked.labels[index], **look)
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})
    figure.update_xaxes(title=say(asked.language, "pc_axis_points"), type="category")
    styled(figure, say(asked.language, "pc_points_title")).update_layout(margin_t=80)  # room for the legend
    return gr.update(value=figure, visible=True)


def tilted(asked: Asked) -> Any:
    """Return the best label, its probability and the side that is surest of it at each tilt, as a figure."""
    clouds = [replace(asked, tilt_degrees=degrees).cloud() for degrees in TILTS_DEGREES]
    return _by_angle(asked, TILTS_DEGREES, clouds, "pc_axis_tilt")


def turned(asked: Asked) -> Any:
    """Return the same at each turn."""
    clouds = [replace(asked, turn_degrees=degrees).cloud() for degrees in TURNS_DEGREES]
    return _by_angle(asked, TURNS_DEGREES, clouds, "pc_axis_turn")


def _by_angle(asked: Asked, angles: Sequence[int], clouds: Sequence[Cloud], axis: str) -> Any:
    import plotly.graph_objects as go

    scores = asked.scores(*clouds)
    rankings = [each.ranking() for each in scores]
    best = [int(ranking.order()[0]) for ranking in rankings]
    sides = [int(each.cosines[:, label].argmax()) + 1 for each, label in zip(scores, best, strict=True)]
    bars = go.Bar(
        x=[str(degrees) for degrees in angles],
        y=[float(ranking.probabilities().max()) for ranking in rankings],
        text=[f"{ranking.best}<br>{side}" for ranking, side in zip(rankings, sides, strict=True)],
        textposition="outside",
        cliponaxis=False,
        marker_color=[color_of(label) for label in best],
    )
    figure = go.Figure(bars).update_xaxes(title=say(asked.language, axis), type="category")
    styled(figure, say(asked.language, "pc_angle_title")).update_yaxes(range=[-0.03, 1.25])  # room for two lines
    return gr.update(value=figure, visible=True)


def sheet(views: UInt8[np.ndarray, "V S S"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Return the sides on one sheet, row by row."""
    grey = int(np.median(views[:, 0, 0]) < 128) * 128 + 64  # gaps that show on black and on white
    framed = np.pad(views, ((0, 0), (GAP_PIXELS, GAP_PIXELS), (GAP_PIXELS, GAP_PIXELS)), constant_values=grey)
    columns = min(SHEET_COLUMNS, -(-len(views) // 2))
    rows = [np.concatenate(framed[i : i + columns], 1) for i in range(0, len(framed), columns)]
    whole = np.concatenate(rows)[..., None].repeat(3, 2)
    return overlay.enlarged(whole, len(rows) * VIEW_PIXELS)


def as_python(asked: Asked) -> str:
    """Return the lines of Python that score every label against every side of the cloud."""
    parts = (_imports(asked), _reading(asked), _changing(asked), _scoring(asked))
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def votes_as_python(view_weights: Sequence[float]) -> str:
    """Return the lines that count the sides' votes and print the numbers on show."""
    weights = "" if set(view_weights) <= {1} else repr([round(float(weight), 2) for weight in view_weights])
    return (
        f"ranking = scores.ranking({weights})\n"
        "for i in ranking.order():\n"
        '    print(f"{ranking.probabilities()[i]:7.2%}  {ranking.cosines[i]:+.3f}  {ranking.labels[i]}")\n'
    )


def _imports(asked: Asked) -> list[str]:
    lines = ["from dataclasses import replace", ""]
    changed = bool(_changing(asked))
    if changed or not asked.file:
        lines.append("import numpy as np")
    if asked.turn_degrees or asked.tilt_degrees:
        lines.append("from trimesh.transformations import euler_matrix")
    lines += ["", "from core import registry"] if lines[-1] else ["from core import registry"]
    lines.append(f"from core.media3d import {'read_cloud' if asked.file else 'unit_cloud'}")
    lines += ["from core.results import Cloud"] if changed else []
    if not asked.file:
        lines += ["from core.world.picture import picture", "from core.world.render import surface_cloud"]
    return lines


def _reading(asked: Asked) -> list[str]:
    """Return the lines that make the cloud."""
    if asked.file:
        name = asked.file.replace("\\", "/").rsplit("/", 1)[-1]
        return [f"cloud = read_cloud({name!r}, up={asked.up!r}, count={asked.count})  # your file"]
    return [
        "rng = np.random.default_rng(0)",
        f"thing = picture({asked.seed}, {TOYBOX_PIXELS}, count=1).scene.things[0]",
        f"points = surface_cloud(thing, {OVERSAMPLING * asked.count}, rng).points",
        f'cloud = unit_cloud(points, up="z", count={asked.count}, rng=rng)',
    ]


def _changing(asked: Asked) -> list[str]:
    """Return the lines that change the cloud, as `Asked.cloud` does."""
    lines = []
    if asked.half:
        lines.append("points = points[points[:, 0] <= 0]")
    if asked.noise:
        lines.append(f"points = points + np.random.default_rng(0).normal(0, {asked.noise}, points.shape)")
    if asked.turn_degrees or asked.tilt_degrees:
        lines.append(f"turn, tilt = np.radians([{asked.turn_degrees}, {asked.tilt_degrees}])  # about y, then about x")
        lines.append('points = points @ euler_matrix(turn, tilt, 0, "syxz")[:3, :3].T')
    return ["points = cloud.points", *lines, "cloud = Cloud(points=points.astype(np.float32))"] if lines else []


def _scoring(asked: Asked) -> list[str]:
    """Return the lines that ask the model."""
    return [
        f"model = registry.load({SYSTEM!r}, {asked.weights!r})",
        f"settings = replace(model.presets[{asked.preset!r}], dot_pixels={asked.settings.dot_pixels})",
        "scores = model.classify(",
        "    cloud,",
        f"    {asked.labels!r},",
        f"    templates={asked.templates!r},",
        "    settings=settings,",
        *(["    adapted=True,"] if asked.adapted else []),
        ")",
    ]


def styled(figure: Any, title: str) -> Any:
    """Give a figure of shares the look of the others."""
    figure.update_xaxes(showgrid=False)
    figure.update_yaxes(
        gridcolor=charts.GREY, range=[-0.03, 1.1], zeroline=False, tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1]
    )
    return charts.styled(figure, title, height=FIGURE_HEIGHT)
