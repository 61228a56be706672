"""More lessons of the point cloud tab: the whole scan, searched weights, the few-shot curve."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from demos import point_cloud_more as more
from tests.demos.test_point_cloud import THING


def scan(folder: Path, count: int) -> str:
    path = folder / "scan.ply"
    trimesh.PointCloud(np.random.default_rng(0).normal(size=(count, 3))).export(path)
    return str(path)


def test_a_small_scan_is_plotted_with_all_its_points(tmp_path):
    said, figure, model = more.whole_scan(replace(THING, file=scan(tmp_path, 300)))
    assert "300" in said
    assert figure["visible"]
    assert len(figure["value"].data[0].x) == 300
    assert not model["visible"]


def test_a_large_scan_becomes_a_ply_with_every_point(tmp_path):
    said, figure, model = more.whole_scan(replace(THING, file=scan(tmp_path, 20_001)))
    assert "20001" in said
    assert not figure["visible"]
    assert len(trimesh.load(model["value"]).vertices) == 20_001


def test_weights_searched_on_the_test_clouds_look_best(monkeypatch):
    monkeypatch.setattr(more, "SEARCHED_CLOUDS", 24)
    table = more.search_weights(THING)
    equal, honest, flattering = (int(share) for share in re.findall(r"<td>(\d+)%</td>", table))
    assert flattering >= max(equal, honest)
    assert equal > 60  # of the embedded network


def test_the_few_shot_curve_is_the_measured_one():
    bars = more.few_shots(THING)["value"].data[0]
    assert list(bars.x) == ["0", "1", "2", "4", "8", "16"]
    assert bars.y[-1] > bars.y[1]


def test_weights_without_a_curve_say_so():
    with pytest.raises(ValueError, match="There is no few-shot curve"):
        more.few_shots(replace(THING, weights="toybox-vit"))
