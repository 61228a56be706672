"""Random views: torchvision's perspective, the crop's size, and the same view for sketch and picture."""

import pytest
import torch
from torchvision.transforms.functional import perspective

from core.sketch.augment import CLIPASSO_VIEWS, CLIPDRAW_VIEWS, Views, draw_views, homographies, show


def smooth(size: int = 64) -> torch.Tensor:
    places = torch.linspace(0, 6, size)
    return (0.5 + 0.25 * (places.sin()[:, None] + (1.3 * places).cos()[None])).expand(1, 3, -1, -1).clone()


def test_the_identity_shows_the_picture_itself():
    picture = smooth()
    assert torch.allclose(show(picture, torch.eye(3)[None], fill=0.0), picture, atol=1e-5)


def test_the_perspective_is_torchvisions():
    corners = torch.tensor([[0.0, 0.0], [63.0, 0.0], [63.0, 63.0], [0.0, 63.0]])
    ends = torch.tensor([[5.0, 9.0], [60.0, 2.0], [50.0, 58.0], [8.0, 55.0]])
    ours = show(smooth(), homographies(ends[None].double(), corners[None].double()).float(), fill=0.0)
    theirs = perspective(smooth(), corners.int().tolist(), ends.int().tolist(), fill=[0.0])
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[12:50, 12:48] = True
    assert (ours - theirs).abs()[..., inside].max() < 0.01
    assert (ours - theirs).abs().mean() < 0.01


def test_clipasso_crops_four_fifths_of_the_area_and_nothing_else_without_distortion():
    maps = draw_views(20, 64, Views(distortion=0.0), torch.Generator().manual_seed(0))
    corners = torch.tensor([[0.0, 0.0, 1.0], [64.0, 64.0, 1.0]])
    seen = torch.einsum("vij,kj->vki", maps, corners)[..., :2]
    sides = (seen[:, 1] - seen[:, 0]) / 64
    assert torch.allclose(sides, torch.tensor(0.8**0.5), atol=1e-4)
    assert seen.min() >= -1e-3
    assert seen.max() <= 64 + 1e-3
    assert seen[:, 0].std(0).min() > 1


def test_beyond_the_edge_clipasso_shows_black_and_clipdraw_white():
    for views, beyond in ((CLIPASSO_VIEWS, 0.0), (CLIPDRAW_VIEWS, 1.0)):
        far = torch.tensor([[[1.0, 0, 640], [0, 1, 640], [0, 0, 1]]])
        assert torch.allclose(show(smooth(), far, fill=views.fill), torch.tensor(beyond))


def test_views_of_one_picture_lie_one_after_another():
    pictures = torch.cat([torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8)])
    shown = show(pictures, torch.eye(3).repeat(3, 1, 1), fill=0.0)
    assert shown.mean((1, 2, 3)).tolist() == pytest.approx([0, 0, 0, 1, 1, 1])


def test_the_same_generator_draws_the_same_views():
    first, second = (draw_views(4, 64, CLIPASSO_VIEWS, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, draw_views(4, 64, CLIPASSO_VIEWS, torch.Generator().manual_seed(4)))
