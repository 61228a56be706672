"""CLIPDraw on a tiny CLIP: paths and their segments, what is clamped, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core.checkpoints import Weights
from core.sketch.clipdraw import PAPER, PRESETS, ClipDraw, ClipDrawSettings, slower, strokes_of
from tests.tiny import RESNET, VIT, tiny_backbone

CARD = Weights(name="tiny", system="clip", licence="none")
SMALL = ClipDrawSettings(paths=4, iterations=6, augmentations=2, evaluate_every=3)


@pytest.fixture(scope="module")
def model() -> ClipDraw:
    return ClipDraw(tiny_backbone(VIT), CARD)


def test_the_defaults_are_the_papers():
    assert PRESETS["paper"] == PAPER == ClipDrawSettings()
    assert (PAPER.paths, PAPER.segments, PAPER.iterations, PAPER.augmentations) == (256, (1, 3), 1000, 4)


def test_segments_of_a_path_share_their_ends():
    corners, owner = strokes_of(np.array([1, 2]))
    assert corners.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [7, 8, 9, 10]]
    assert owner.tolist() == [0, 1, 1]


def test_points_slow_down_at_half_and_at_three_quarters():
    assert [slower(share) for share in (0, 0.49, 0.5, 0.74, 0.75, 1)] == [1, 1, 0.4, 0.4, 0.1, 0.1]


@pytest.mark.parametrize("size", [VIT, RESNET])
def test_a_text_is_drawn_by_any_clip(size):
    run = ClipDraw(tiny_backbone(size), CARD).start("a red  car", SMALL)
    begun, progress = run.progress, run.step(6)
    assert progress.state == "done"
    assert not np.allclose(progress.best.points, begun.best.points)
    assert progress.best is progress.strokes[0]
    assert -1 <= progress.losses["text"][0] <= 1


def test_negative_texts_push_away(model):
    run = model.start("a car", SMALL, negatives=("a tree", " "))
    assert set(run.step(3).losses) == {"text", "negatives", "total", "training"}


def test_widths_and_colours_stay_in_their_bounds(model):
    run = model.start("a car", replace(SMALL, widths_rate=50.0, colors_rate=5.0))
    strokes = run.step(6).best
    assert strokes.widths.min() >= 2
    assert strokes.widths.max() <= 100
    assert strokes.colors.min() >= 0
    assert strokes.colors.max() <= 1


def test_the_same_seed_draws_the_same_and_another_does_not(model):
    first, again = (model.start("a car", SMALL).step(3).best.points for _ in range(2))
    assert np.array_equal(first, again)
    other = model.start("a car", replace(SMALL, first_seed=1)).step(3).best.points
    assert other.shape != first.shape or not np.allclose(other, first)


def test_seeds_are_drawn_side_by_side(model):
    progress = model.start("a car", replace(SMALL, seeds=2)).step(3)
    assert len(progress.strokes) == 2
    assert not np.allclose(progress.strokes[0].points, progress.strokes[1].points)


def test_strokes_off_the_canvas_are_never_nan(model):
    run = model.start("a car", SMALL)
    with torch.no_grad():
        run._drawing.points += 1e4
    assert np.isfinite(run.step(3).best.points).all()


@pytest.mark.parametrize("text", ["", "  \n "])
def test_no_text_is_refused(model, text):
    with pytest.raises(ValueError, match="Write what is to be drawn"):
        model.start(text, SMALL)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"paths": 0}, "1 to 512 strokes, got 0"),
        ({"paths": 1000}, "1 to 512 strokes, got 1000"),
        ({"segments": (3, 1)}, "least first"),
        ({"iterations": 0}, "at least 1 iteration"),
        ({"seeds": 9}, "1 to 8 seeds"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        ClipDrawSettings(**change)
