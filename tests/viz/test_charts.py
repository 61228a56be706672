"""Charts show the numbers they are given, and escape what users type."""

import numpy as np

from core.results import PairMatrix, Ranking
from core.viz import charts

HEADINGS = ("label", "probability", "cosine", "logit")


def ranking(labels: tuple[str, ...]) -> Ranking:
    cosines = np.linspace(0.3, 0.1, len(labels)).astype(np.float32)
    return Ranking(labels=labels, cosines=cosines, logit_scale=10.0)


def test_bars_are_sorted_and_carry_probability_and_cosine():
    html = charts.bars(ranking(("cat", "dog")), headings=HEADINGS)
    assert html.index("cat") < html.index("dog")
    assert "+0.300" in html
    assert f"{1 / (1 + np.exp(-2)):.1%}" in html


def test_labels_are_escaped():
    html = charts.bars(ranking(("<script>alert(1)</script>", "b")), headings=HEADINGS)
    assert "<script>" not in html
    figure = charts.label_figure(np.zeros((1, 1), np.float32), ["<b>x</b>"], ["{}"], title="t")
    assert "<b>" not in figure.to_json()


def test_a_label_keeps_its_colour_whatever_its_rank():
    first = charts.bars(ranking(("cat", "dog")), headings=HEADINGS)
    swapped = Ranking(labels=("cat", "dog"), cosines=np.array([0.1, 0.3], np.float32), logit_scale=10.0)
    row = charts.bars(swapped, headings=HEADINGS).split("<tr>")[2]
    assert "cat" not in first.split("<tr>")[3]
    assert "dog" in row
    assert charts.color_of(1) in row


def test_many_labels_are_cut_with_their_number():
    assert "+ 8" in charts.bars(ranking(tuple(f"l{i}" for i in range(20))), headings=HEADINGS)


def test_the_matrix_marks_its_diagonal():
    matrix = PairMatrix(cosines=np.eye(3, dtype=np.float32), captions=("a", "b", "c"), logit_scale=1.0)
    figure = charts.pair_figure(matrix, [np.zeros((200, 100, 3), np.uint8)] * 3, title="t")
    assert len(figure.layout.shapes) == len(figure.layout.images) == 3
    assert figure.data[0].z[1][1] == 1


def test_shares_are_written_as_per_cent():
    figure = charts.label_figure(np.array([[0.25, 0.75]], np.float32), ["a", "b"], ["{}"], title="t", percent=True)
    assert figure.data[0].text[0].tolist() == ["25%", "75%"]


def test_the_temperature_curve_passes_through_the_probabilities():
    answer = ranking(("cat", "dog"))
    figure = charts.temperature_figure(answer, chosen=1.0, title="t", axes=("t", "p"))
    middle = int(np.argmin(np.abs(np.array(figure.data[0].x) - 1)))
    assert figure.data[0].y[middle] == np.float32(answer.probabilities()[0])


def test_a_table_escapes_its_cells():
    html = charts.table(("how", "share"), [("<b>", "3 %"), ("plain", "<i>")])
    assert "<b>" not in html
    assert "<i>" not in html
    assert html.count("<tr>") == 3
