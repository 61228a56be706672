"""The rasterisers that ours is timed against draw the same strokes."""

import pytest
import torch

from core.bench import sketch
from core.sketch.rasterizer import draw_ink


@pytest.fixture
def points(monkeypatch) -> torch.Tensor:
    monkeypatch.setattr(sketch, "SIDE", 40)
    monkeypatch.setattr(sketch, "STEP_PIXELS", 10.0)
    return sketch.scene(3)


@pytest.mark.parametrize("draw", [sketch.dense_ink, sketch.newton_ink], ids=["dense", "Newton"])
def test_the_alternatives_draw_what_is_true_and_their_gradients_point_our_way(draw, points):
    truth = sketch.sampled(points, 4)
    assert (draw(points) - truth).abs()[truth > 0].mean() < 0.04
    weight = torch.linspace(0, 1, 40).expand(40, 40)
    ours = sketch.forward_and_back(
        lambda p: draw_ink(p[None], torch.full((1, 3), sketch.WIDTH), (40, 40))[0], points, weight
    )
    theirs = sketch.forward_and_back(draw, points, weight)
    assert torch.cosine_similarity(ours.flatten(), theirs.flatten(), 0) > 0.85


def test_samples_count_a_bar_exactly(monkeypatch):
    monkeypatch.setattr(sketch, "SIDE", 16)
    bar = torch.stack([torch.full((4,), 8.25), torch.linspace(-9, 30, 4)], -1)[None]
    assert sketch.sampled(bar, 8)[5, 5:11].tolist() == [0, 0.25, 1, 1, 0.75, 0]


def test_our_gradient_is_near_finite_differences(points):
    draw = lambda p: draw_ink(p[None], torch.full((1, len(p)), sketch.WIDTH), (40, 40))[0]  # noqa: E731
    assert sketch.gradient_error(draw, points, torch.rand(40, 40, generator=torch.Generator().manual_seed(0))) < 0.05
