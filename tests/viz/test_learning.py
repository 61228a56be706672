"""Charts and matrices of a training: small, honest about their range, and safe with any text."""

import numpy as np

from core.viz.learning import Curve, chart, is_right, matrix, samples


def curve(*values, name="a"):
    return Curve(name=name, x=np.arange(len(values), dtype=float), y=np.array(values, float))


def test_a_curve_ends_in_a_dot_with_its_last_value():
    drawn = chart([curve(3.0, 2.0, 1.0)], title="Loss", axis="steps")
    assert drawn.count("<polyline") == drawn.count("<circle") == 1
    assert "<b>1</b>" in drawn
    assert ">3<" in drawn


def test_a_nameless_curve_tells_its_value_in_the_title():
    assert "Loss 0.25" in chart([curve(1.0, 0.25, name="")], title="Loss", axis="steps")


def test_values_that_are_not_finite_are_left_out():
    assert "nan" not in chart([curve(1.0, np.nan, np.inf, 2.0)], title="Loss", axis="steps").lower()
    assert chart([curve(np.nan)], title="Loss", axis="steps").count("<polyline") == 0
    assert chart([], title="Loss", axis="steps").count("<polyline") == 0


def test_shares_lie_between_none_and_all():
    drawn = chart([curve(0.5, 0.75)], title="Accuracy", axis="steps", percent=True)
    assert ">100%<" in drawn
    assert "<b>75%</b>" in drawn


def test_a_long_curve_is_thinned_and_keeps_its_end():
    drawn = chart([curve(*range(10_000))], title="x", axis="steps")
    assert len(drawn) < 8000
    assert "1e4" in drawn


PICTURES = np.zeros((2, 8, 6, 3), np.uint8)


def test_the_matrix_escapes_words_and_marks_what_is_right():
    drawn = matrix(np.eye(2, dtype=np.float32), PICTURES, ("a <i>", "a cat"), ("dog", "cat"), headings=("c", "p"))
    assert "a &lt;i&gt;" in drawn
    assert drawn.count("✓") == drawn.count("✗") == 1
    assert "0.00 … 1.00" in drawn
    assert drawn.count("data:image/") == 2


def test_a_matrix_without_contrast_is_drawn():
    assert matrix(np.ones((2, 2), np.float32), PICTURES, ("a", "b"), ("a", "b"), headings=("c", "p"))


def test_each_sample_has_its_picture():
    assert samples(PICTURES, ("a cat", "a dog"), ("cat", "cat")).count("<img") == 2


def test_a_name_within_its_caption_is_right():
    assert is_right("cube", "a red cube")
    assert is_right("a red cube", "a red cube")
    assert is_right("airplane", "a photo of a airplane.")
    assert not is_right("cub", "a red cube")
    assert not is_right("red", "a red cube")
