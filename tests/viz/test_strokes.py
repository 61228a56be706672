"""Strokes as SVG, pixels and film: places and colours known by hand."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from core.results import Strokes
from core.viz.strokes import FRAMES, HOLD, film, gif, paint, replay_order, replay_svg, stroke_lengths, svg

NAMESPACE = "{http://www.w3.org/2000/svg}"


def line(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    shares = np.array([0, 1 / 3, 2 / 3, 1])[:, None]
    return np.array([x0, y0]) + shares * np.array([x1 - x0, y1 - y0])


def two_lines() -> Strokes:
    return Strokes.black(np.stack([line(4, 10, 36, 10), line(30, 30, 36, 30)]), 4.0, (40, 40))


def test_svg_holds_each_stroke_with_its_width_and_colour():
    strokes = Strokes(
        points=two_lines().points,
        widths=np.array([4, 1.5], np.float32),
        colors=np.array([[0, 0, 0, 1], [1, 0.5, 0, 0.25]], np.float32),
        size_hw=(40, 60),
    )
    root = ET.fromstring(svg(strokes, pixels=300, title="a <cat>"))
    paths = list(root.iter(f"{NAMESPACE}path"))
    assert root.attrib["viewBox"] == "0 0 60 40"
    assert (root.attrib["width"], root.attrib["height"]) == ("300", "200")
    assert root.find(f"{NAMESPACE}title").text == "a <cat>"
    assert [path.attrib["stroke-width"] for path in paths] == ["4.00", "1.50"]
    assert [path.attrib["stroke"] for path in paths] == ["#000000", "#ff8000"]
    assert paths[1].attrib["stroke-opacity"] == "0.250"
    assert paths[0].attrib["d"].startswith("M 4.00 10.00 C ")


def test_a_drawing_of_nothing_is_an_empty_page():
    nothing = Strokes.black(np.zeros((0, 4, 2)), 1.0, (8, 8))
    assert "<path" not in svg(nothing)
    assert (paint(nothing) == 255).all()
    assert replay_order(nothing, np.ones((8, 8), np.float32)).tolist() == []
    assert "<path" not in replay_svg(nothing, [])
    assert len(list(film(nothing, []))) == FRAMES + HOLD


def test_a_line_is_black_within_its_width_and_white_beyond():
    picture = paint(two_lines())
    assert picture.shape == (40, 40, 3)
    assert (picture[9:11, 6:34] < 10).all()
    assert (picture[:7] == 255).all()
    assert (picture[14:26] == 255).all()
    assert paint(two_lines(), pixels=80).shape == (80, 80, 3)


def test_later_strokes_lie_over_earlier_ones():
    points = np.stack([line(4, 10, 36, 10)] * 2)
    colors = np.array([[1, 0, 0, 1], [0, 0, 1, 0.5]], np.float32)
    strokes = Strokes(
        points=points.astype(np.float32), widths=np.full(2, 6, np.float32), colors=colors, size_hw=(20, 40)
    )
    assert np.allclose(paint(strokes)[10, 20], (128, 0, 128), atol=2)


def test_strokes_off_the_canvas_leave_it_white():
    away = Strokes.black(np.stack([line(100, 100, 200, 200), line(-90, 5, -50, 5)]), 4.0, (40, 40))
    assert (paint(away) == 255).all()


def test_the_replay_begins_with_what_is_salient():
    saliency = np.zeros((20, 20), np.float32)
    saliency[14:17] = 1  # the lower line, at half the canvas' size
    assert replay_order(two_lines(), saliency).tolist() == [1, 0]
    assert replay_order(two_lines(), np.ones((20, 20), np.float32)).tolist() == [0, 1]
    assert stroke_lengths(two_lines()).tolist() == pytest.approx([32, 6])


def test_the_replayed_svg_draws_one_stroke_after_another():
    root = ET.fromstring(replay_svg(two_lines(), [1, 0], seconds=38))
    begins = [path.find(f"{NAMESPACE}animate").attrib["begin"] for path in root.iter(f"{NAMESPACE}path")]
    assert begins == ["6.000s", "0.000s"]


def test_a_film_ends_with_the_whole_drawing():
    frames = list(film(two_lines(), [1, 0], frames=10))
    ink = [int((frame < 128).sum()) for frame in frames]
    assert ink == sorted(ink)
    assert 0 < ink[0] < ink[-1] / 5
    assert (frames[-1] == paint(two_lines())).all()
    assert np.abs(frames[9].astype(int) - frames[-1]).max() <= 1


def test_a_gif_plays_all_frames():
    frames = list(film(two_lines(), [0, 1], frames=5))
    image = Image.open(io.BytesIO(gif(frames, seconds=2.0)))
    assert image.n_frames == 5  # the finished drawing, held, is one long frame
    with pytest.raises(ValueError, match="at least one frame"):
        gif([])
