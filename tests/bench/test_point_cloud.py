"""The benchmarks of clouds: both ways draw the same pictures, and a scan has its three ratios."""

import pytest

from core.bench import measure, point_cloud


@pytest.fixture(autouse=True)
def without_tidying(monkeypatch):
    monkeypatch.setattr(measure.gc, "collect", lambda: None)  # slow among the objects of a test run


def test_all_at_once_and_one_by_one_draw_the_same(monkeypatch):
    monkeypatch.setattr(point_cloud, "CLOUDS", 6)
    monkeypatch.setattr(point_cloud, "POINTS", 50)
    found = point_cloud.projection()
    assert found["largest_difference"] <= 1e-6
    assert min(found["ratio"], found["ratio_released"], found["ratio_released_resized"]) > 0


def test_a_scan_is_measured_against_its_loading_alone_and_read(monkeypatch):
    monkeypatch.setattr(point_cloud, "SCAN_POINTS", 5000)
    found = point_cloud.scan()
    assert found["points"] == 5000
    assert found["ratio"] == pytest.approx(found["ours_median_seconds"] / found["alternative_median_seconds"])
    assert min(found["ratio_unread"], found["ratio_reading"]) > 0
