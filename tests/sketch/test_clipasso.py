"""CLIPasso on tiny CLIPs: what is refused, what a run does, and that no run sees another."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from core import checkpoints
from core.backbones.clip import ClipBackbone
from core.checkpoints import Weights
from core.device import choose
from core.sketch import clipasso
from core.sketch.clipasso import Clipasso, open_clipasso
from core.sketch.preparing import fit_square
from core.sketch.settings import PAPER, PRESETS, ClipassoSettings
from tests.tiny import RESNET, VIT, tiny_backbone

CARD = Weights(name="tiny", system="clip", licence="none")
SMALL = ClipassoSettings(
    strokes=4, iterations=4, seeds=2, augmentations=1, evaluate_every=2, stretch=False, learning_rate=3.0
)


def disc(size: int = 60) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    inside = (rows - size / 2) ** 2 + (columns - size / 2) ** 2 < (size / 4) ** 2
    return np.where(inside[..., None], np.uint8(40), np.uint8(255)).repeat(3, 2)


def lively() -> ClipBackbone:
    """Return a tiny ResNet whose stages answer loudly enough for losses that end at differences of 1e-5."""
    backbone = tiny_backbone(RESNET)
    for name, parameter in backbone.model.visual.named_parameters():
        if parameter.dim() == 4:
            parameter.data *= 2
        elif "bn" in name and name.endswith("weight"):
            parameter.data.fill_(1.0)
    return backbone


@pytest.fixture(scope="module")
def model() -> Clipasso:
    return Clipasso(lively(), CARD, tiny_backbone(VIT))


def test_the_defaults_are_the_papers():
    assert PRESETS["paper"] == PAPER == ClipassoSettings()
    assert (PAPER.strokes, PAPER.iterations, PAPER.seeds, PAPER.augmentations) == (16, 2001, 3, 4)
    assert PAPER.layer_weights == (0, 0, 1, 1, 0)
    assert (PAPER.semantic_weight, PAPER.temperature, PAPER.width, PAPER.learning_rate) == (0.1, 0.3, 3.0, 1.0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"strokes": 0}, "wanted 1 to 256 strokes, got 0"),
        ({"strokes": 1000}, "wanted 1 to 256 strokes, got 1000"),
        ({"seeds": 0}, "1 to 16 seeds, got 0"),
        ({"width": 0.0}, "pixels of width, got 0"),
        ({"augmentations": -1}, "random views, got -1"),
        ({"start": "anywhere"}, "wanted one of saliency, attention, random"),
        ({"geometric": False, "semantic": False}, "at least one of the two losses"),
        ({"layers": ()}, "at least one of the layers"),
        ({"layers": (5,)}, "layers 0 \\(the stem\\) to 4"),
        ({"temperature": 0.0}, "above 0"),
        ({"iterations": 0}, "at least 1 iteration"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, complaint):
    with pytest.raises(ValueError, match=complaint):
        ClipassoSettings(**change)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_picture_is_refused_in_one_sentence(model, level):
    with pytest.raises(ValueError, match="blank: there is nothing to draw"):
        model.start(np.full((30, 40, 3), level, np.uint8), SMALL)


def test_a_picture_becomes_square_by_margins_or_by_stretching():
    wide = np.zeros((10, 20, 3), np.uint8)
    margins, stretched = (fit_square(wide, stretch=stretch) for stretch in (False, True))
    assert margins.shape == stretched.shape == (224, 224, 3)
    assert (margins[:50] == 255).all()
    assert (stretched == 0).all()


def test_everything_is_known_before_the_first_step(model):
    prepared = model.prepare(disc(), SMALL)
    assert prepared.chances.sum() == pytest.approx(1, abs=1e-5)
    assert [start.shape for start in prepared.starts] == [(4, 4, 2)] * 2
    columns, rows = np.floor(prepared.starts[0][:, 0]).astype(int).T
    assert prepared.edges[rows, columns].all()
    run = model.run([prepared], SMALL)
    assert np.allclose(run.progress.strokes[1].points, prepared.starts[1])


def test_the_start_decides_where_strokes_may_begin(model):
    saliency, attention, anywhere = (
        (model.prepare(disc(), replace(SMALL, start=start)).chances > 0).mean()
        for start in ("saliency", "attention", "random")
    )
    assert saliency < attention < anywhere == 1


def test_the_loss_falls_and_the_best_seed_is_kept(model):
    run = model.start(disc(), replace(SMALL, iterations=16, seeds=1))
    progress = run.step(16)
    assert progress.state == "done"
    assert set(progress.losses) == {"layer2", "layer3", "semantic", "total", "training"}
    evaluated = run.curves.evaluated[:, 0]
    assert evaluated.min() < evaluated[0]
    assert progress.losses["total"][0] == pytest.approx(evaluated[-1])


def test_stop_before_the_first_step_keeps_the_start(model):
    run = model.start(disc(), SMALL)
    run.stop()
    begun = run.progress
    assert (run.step(4).best.points == begun.best.points).all()
    run.resume()
    kept = begun.strokes[0].points.copy()
    assert not np.allclose(run.step(4).strokes[0].points, kept)
    assert (begun.strokes[0].points == kept).all()  # what was handed out moves no more


def test_two_runs_at_once_draw_what_each_draws_alone(model):
    alone = model.start(disc(), SMALL).step(4)
    other = replace(SMALL, first_seed=7, strokes=3)
    one, two = model.start(disc(), SMALL), model.start(disc(80), other)
    for _ in range(4):
        one.step()
        two.step()
    assert np.array_equal(one.progress.strokes[0].points, alone.strokes[0].points)
    assert len(two.progress.strokes[0]) == 3


def test_pictures_in_one_batch_are_drawn_as_each_is_alone(model):
    alone = model.start(disc(), SMALL).step(4)
    settings = replace(SMALL)
    both = model.run([model.prepare(disc(80), settings), model.prepare(disc(), settings)], settings).step(4)
    assert len(both.strokes) == 4
    assert np.allclose(both.strokes[2].points, alone.strokes[0].points, atol=0.05)


def test_strokes_pushed_off_the_canvas_are_never_nan(model):
    run = model.start(disc(), replace(SMALL, strokes=2, seeds=1))
    with torch.no_grad():
        run._drawing.points[0, 0] += 1e4
        run._drawing.points[0, 1] = 100.0  # all four points in one place
    progress = run.step(4)
    assert np.isfinite(progress.strokes[0].points).all()
    assert np.isfinite(progress.losses["total"]).all()


def test_without_views_the_training_loss_is_the_measured_one(model):
    run = model.start(disc(), replace(SMALL, augmentations=0, evaluate_every=1))
    run.step(1)
    assert np.allclose(run.curves.training[1], run.curves.evaluated[0], rtol=1e-4)


def test_a_vit_draws_with_the_semantic_loss_alone():
    model = Clipasso(tiny_backbone(VIT), CARD)
    assert not any(each.geometric for each in model.presets.values())
    assert set(model.start(disc(), replace(SMALL, geometric=False)).step(2).losses) == {"semantic", "total", "training"}
    with pytest.raises(ValueError, match="needs a CLIP ResNet"):
        model.start(disc(), SMALL)


def test_a_mask_puts_the_object_on_white(model):
    picture = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    mask = np.zeros((60, 60), bool)
    mask[20:40, 20:40] = True
    prepared = model.prepare(picture, SMALL, mask)
    assert prepared.cut.how == "given"
    assert (prepared.picture[:70] == 255).all()
    assert (prepared.picture[80:140, 80:140] < 255).any()
    with pytest.raises(ValueError, match="mask of the picture's size"):
        model.prepare(picture, SMALL, mask[:30])
    with pytest.raises(ValueError, match="blank"):
        model.prepare(picture, SMALL, np.zeros((60, 60), bool))


def test_no_picture_is_refused(model):
    with pytest.raises(ValueError, match="at least one picture"):
        model.run([], SMALL)


def test_the_clip_that_looks_is_paired_and_its_absence_is_said(monkeypatch):
    resnet = checkpoints.resolve("clip", "toybox-resnet")
    opened = open_clipasso(resnet, choose("cpu"), checkpoints.fetch_all(resnet))
    assert opened.attention is not opened.backbone
    assert opened.remarks == ()
    monkeypatch.setitem(clipasso.ATTENTION_OF, "toybox-resnet", "ViT-B-32-quickgelu/openai")
    alone = open_clipasso(resnet, choose("cpu"), checkpoints.fetch_all(resnet))
    assert alone.attention is alone.backbone
    assert "ViT-B-32-quickgelu/openai is not on this computer" in alone.prepare(disc(), SMALL).remarks[0]
