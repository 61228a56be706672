"""Loss curves as SVG: small, whole, and readable in numbers."""

import re

import numpy as np

from core.viz.loss_curves import MOST_POINTS, loss_curves
from core.viz.palette import color_of


def test_the_chosen_curve_is_thick_and_on_top():
    losses = np.array([[1.0, 2.0], [0.5, 1.5]], np.float32)
    drawn = loss_curves(np.array([0, 10]), losses, chosen=0, title="a < b", axis="step")
    lines = re.findall(r'<polyline points="([^"]+)".*?stroke="(#\w+)" stroke-width="([\d.]+)"', drawn)
    assert [(color, width) for _, color, width in lines] == [(color_of(1), "1.5"), (color_of(0), "3")]
    assert "a &lt; b" in drawn
    assert ">2.000<" in drawn
    assert ">0.500<" in drawn
    assert ">10<" in drawn


def test_the_highest_loss_is_at_the_top_and_the_last_at_the_right():
    drawn = loss_curves(np.array([0, 10, 20]), np.array([[3.0], [2.0], [1.0]], np.float32))
    places = [tuple(map(float, place.split(","))) for place in re.search(r'points="([^"]+)"', drawn)[1].split()]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)


def test_a_long_run_stays_small_and_keeps_its_last_point():
    count = 2000
    losses = np.linspace(2, 1, count, dtype=np.float32)[:, None]
    drawn = loss_curves(10 * np.arange(count), losses)
    places = re.search(r'points="([^"]+)"', drawn)[1].split()
    assert len(places) <= MOST_POINTS + 1
    assert float(places[-1].split(",")[1]) == max(float(place.split(",")[1]) for place in places)


def test_before_the_first_evaluation_there_are_axes_only():
    drawn = loss_curves(np.zeros(0, int), np.zeros((0, 2), np.float32))
    assert "polyline" not in drawn
    assert drawn.endswith("</svg>")


def test_a_single_evaluation_is_a_dot_and_what_is_not_finite_is_left_out():
    assert "<circle" in loss_curves(np.array([0]), np.ones((1, 1), np.float32))
    assert "nan" not in loss_curves(np.array([0, 1]), np.array([[np.nan], [1.0]], np.float32))
