"""More lessons of the point cloud tab: the whole scan, weights for the sides, and how many labelled clouds it takes."""

import json
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from core import registry
from core.results import Cloud
from core.viz import charts
from core.viz.cloud import MOST_POINTS, cloud_figure
from demos.point_cloud_lessons import SYSTEM, Asked, Connect, styled
from demos.text import say, t

SEARCHED_CLOUDS = 48  # two of each category
SEARCH_SEED, TEST_SEED = 21_000_000, 22_000_000  # far from those of training and of the figures
SHOTS_KEY = "adapter_top1_by_shots"


def build(connect: Connect) -> None:
    """Add a tab for each lesson; `connect` makes a button run one on what the controls say."""
    with gr.Tab(t("pc_scan"), id="pc-scan"):
        gr.Markdown(t("pc_scan_note"))
        button = gr.Button(t("pc_show"), variant="primary", elem_id="pc-scan-button")
        said = gr.Markdown(elem_id="pc-scan-said")
        figure = gr.Plot(visible=False, show_label=False, elem_id="pc-scan-figure")
        model = gr.Model3D(
            visible=False, show_label=False, display_mode="point_cloud", height=420, elem_id="pc-scan-model"
        )
        connect(button, whole_scan, [said, figure, model])
    with gr.Tab(t("pc_search"), id="pc-search"):
        gr.Markdown(t("pc_search_note"))
        button = gr.Button(t("pc_search_button"), variant="primary", elem_id="pc-search-button")
        table = gr.HTML(padding=False, elem_id="pc-search-table")
        connect(button, search_weights, table)
    with gr.Tab(t("pc_shots"), id="pc-shots"):
        gr.Markdown(t("pc_shots_note"))
        button = gr.Button(t("pc_show"), variant="primary", elem_id="pc-shots-button")
        connect(button, few_shots, gr.Plot(visible=False, show_label=False, elem_id="pc-shots-figure"))


def whole_scan(asked: Asked) -> tuple[str, Any, Any]:
    """Return a sentence, and every point of the user's file: as a figure, or as a PLY where there are too many."""
    from core.media3d import read_whole_cloud, write_ply

    cloud = read_whole_cloud(asked.file, up=asked.up) if asked.file else asked.cloud()
    count = len(cloud.points)
    if count <= MOST_POINTS:
        figure = cloud_figure(cloud)
        return say(asked.language, "pc_scan_plotted", count=count), gr.update(value=figure, visible=True), _hidden()
    path = Path(tempfile.mkdtemp()) / "scan.ply"
    write_ply(cloud, path)
    return say(asked.language, "pc_scan_model", count=count), _hidden(), gr.update(value=str(path), visible=True)


def search_weights(asked: Asked) -> str:
    """Return the accuracy on fresh Toybox clouds of equal weights, weights searched elsewhere, and on these clouds."""
    model, settings, templates = asked.model, asked.settings, asked.templates
    others, labels, categories = _labelled(SEARCH_SEED)
    clouds, truth, _ = _labelled(TEST_SEED)
    scored = {"templates": templates, "settings": settings}
    honest, seen = model.search_weights(others, labels, categories, **scored)
    flattering, best = model.search_weights(clouds, truth, categories, **scored)
    equal = np.ones(settings.views, np.float32)
    rows = (
        ("pc_search_equal", equal, model.weighted_top1(clouds, truth, categories, equal, **scored)),
        ("pc_search_honest", honest, model.weighted_top1(clouds, truth, categories, honest, **scored)),
        ("pc_search_test", flattering, best),
    )
    head = tuple(say(asked.language, key) for key in ("pc_search_how", "pc_weights", "pc_search_right"))
    body = [
        (say(asked.language, key), " ".join(f"{weight:.2f}" for weight in weights), f"{right:.0%}")
        for key, weights, right in rows
    ]
    return charts.table(head, body) + say(asked.language, "pc_search_said", seen=f"{seen:.0%}", count=len(clouds))


def few_shots(asked: Asked) -> Any:
    """Return the accuracy of adapters trained on 1 to 16 clouds a category, as measured for these weights."""
    import plotly.graph_objects as go

    weights = registry.weights_card(SYSTEM, asked.weights)
    path = weights.path.with_name(f"{weights.path.stem}-{SYSTEM}.json") if weights.path else None
    curve = json.loads(path.read_text())["metrics"].get(SHOTS_KEY, {}) if path and path.exists() else {}
    if not curve:
        raise ValueError("There is no few-shot curve for these weights; the embedded ResNet has one.")
    bars = go.Bar(x=list(curve), y=list(curve.values()), text=[f"{share:.0%}" for share in curve.values()])
    figure = go.Figure(bars).update_xaxes(title=say(asked.language, "pc_axis_shots"), type="category")
    return gr.update(value=styled(figure, say(asked.language, "pc_shots_title")), visible=True)


def _labelled(seed: int) -> tuple[list[Cloud], np.ndarray, tuple[str, ...]]:
    """Draw fresh Toybox clouds with the index of each one's category, and the categories."""
    from core.media3d import unit_cloud
    from core.world.clouds import sample_cloud
    from core.world.shapes import CATEGORIES

    truth = np.arange(SEARCHED_CLOUDS) % len(CATEGORIES)
    clouds = []
    for i, place in enumerate(truth):
        rng = np.random.default_rng((seed, i))
        clouds.append(unit_cloud(sample_cloud(rng, CATEGORIES[place])[0].points, up="z", rng=rng))
    return clouds, truth, CATEGORIES


def _hidden() -> dict[str, Any]:
    return gr.update(value=None, visible=False)
