"""Templates, and scores of labels in them."""

import numpy as np
import pytest

from core.action.scores import ClipFeatures, TemplateScores
from core.action.templates import TEMPLATE_SETS, TEMPLATES, kind

LABELS = ("rising", "falling")


def scores(*rows: tuple[float, float], scale: float = 1.0) -> TemplateScores:
    templates = tuple(f"{{}} {i}" for i in range(len(rows)))
    return TemplateScores(labels=LABELS, templates=templates, cosines=np.array(rows, np.float32), logit_scale=scale)


def test_there_are_sixteen_templates_and_their_kinds_are_where_the_label_stands():
    assert len(set(TEMPLATES)) == 16
    assert [kind(t) for t in ("A video of {}", "{}, an action", "Can you recognize the action of {}?", "{}")] == [
        "prefix",
        "suffix",
        "cloze",
        "bare",
    ]
    assert [len(templates) for templates in TEMPLATE_SETS.values()] == [1, 4, 16]


def test_probabilities_are_the_mean_of_each_templates_softmax():
    both = scores((np.log(3), 0), (0, np.log(7)))  # 3/4 and 1/8 for the first label
    assert both.probabilities().tolist() == pytest.approx([7 / 16, 9 / 16])
    assert both.ranking().best == "falling"


def test_the_ranking_gives_those_probabilities():
    both = scores((0.3, 0.1), (0.0, 0.25), scale=100.0)
    assert both.ranking().probabilities() == pytest.approx(both.probabilities(), abs=1e-5)
    assert both.ranking().cosines.mean() == pytest.approx(both.cosines.mean(), abs=1e-6)


def test_with_one_template_the_rankings_cosines_are_the_true_ones():
    assert scores((0.3, 0.1), scale=100.0).ranking().cosines.tolist() == pytest.approx([0.3, 0.1], abs=1e-6)


def test_a_label_without_any_chance_does_not_break_the_ranking():
    far = scores((1.0, -1.0), (1.0, -1.0), scale=1000.0)
    assert far.probabilities().tolist() == [1, 0]
    assert np.isfinite(far.ranking().cosines).all()


def test_each_templates_own_ranking_is_there():
    assert [each.best for each in scores((0.3, 0.1), (0.0, 0.25)).by_template()] == ["rising", "falling"]


@pytest.mark.parametrize("cosines", [np.zeros((1, 3)), np.full((1, 2), np.nan)])
def test_cosines_that_do_not_fit_are_refused(cosines):
    with pytest.raises(ValueError, match="wanted"):
        TemplateScores(labels=LABELS, templates=("{}",), cosines=cosines.astype(np.float32), logit_scale=1.0)


def test_frames_can_be_played_in_any_order():
    kept = ClipFeatures(frames=np.arange(6, dtype=np.float32).reshape(3, 2))
    assert kept.ordered([2, 1, 0]).frames.tolist() == [[4, 5], [2, 3], [0, 1]]
    assert kept.ordered([0, 0, 0]).frames.tolist() == [[0, 1]] * 3


def test_frames_that_looked_at_each_other_cannot_be_frozen_but_reversed():
    kept = ClipFeatures(frames=np.ones((2, 2), np.float32), surroundings=np.ones((3, 2), np.float32))
    assert kept.ordered([1, 0]).surroundings is kept.surroundings
    with pytest.raises(ValueError, match="must look again"):
        kept.ordered([0, 0])


def test_a_clip_of_no_frames_is_refused():
    with pytest.raises(ValueError, match="at least one frame"):
        ClipFeatures(frames=np.zeros((0, 4), np.float32))
