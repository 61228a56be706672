"""Places of both kinds of tower in CLIP's joint space."""

import pytest
import torch
from torch import nn

from core.backbones.clip_model import encode_image
from core.backbones.dense import last_stage, place_features, pool_each_place, resize_positions, stride_of
from tests.tiny import RESNET, VIT, tiny_backbone

EITHER = pytest.mark.parametrize(("size", "stride"), [(RESNET, 32), (VIT, 8)])


@EITHER
def test_every_stride_pixels_there_is_a_place(size, stride):
    visual = tiny_backbone(size).model.visual
    with torch.inference_mode():
        found = place_features(visual, torch.randn(2, 3, 2 * stride, 3 * stride))
    assert stride_of(visual) == stride
    assert found.shape == (2, 2, 3, size.embed_dim)


def test_a_resnet_that_has_one_place_gives_what_clip_gives():
    """With one place the mean of the places is the place itself: both queries are the same but for their position."""
    visual = tiny_backbone(RESNET).model.visual
    visual.attnpool.positional_embedding.data[:] = 0
    with torch.inference_mode():
        picture = torch.randn(1, 3, 32, 32)
        place = pool_each_place(visual.attnpool, last_stage(visual, picture))[0, 0, 0]
        whole = visual.attnpool(last_stage(visual, picture))[0] if _fits(visual) else None
    assert place.shape == (RESNET.embed_dim,)
    assert whole is None or torch.allclose(place, whole, atol=1e-5)


def _fits(visual: nn.Module) -> bool:
    """Say whether open_clip's own pooling takes one place: its table of positions has the size of its training."""
    return len(visual.attnpool.positional_embedding) == 2


def test_a_change_far_away_moves_a_vit_place_less_than_one_within_it():
    visual = tiny_backbone(VIT).model.visual
    picture = torch.randn(1, 3, 32, 32)
    near, far = picture.clone(), picture.clone()
    near[:, :, :8, :8] += 1
    far[:, :, 24:, 24:] += 1
    with torch.inference_mode():
        own, by_near, by_far = (place_features(visual, each)[0, 0, 0] for each in (picture, near, far))
    assert (by_near - own).norm() > 2 * (by_far - own).norm()


def test_places_are_not_the_picture_s_one_feature():
    backbone = tiny_backbone(VIT)
    picture = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        places = place_features(backbone.model.visual, picture)[0].flatten(0, 1)
        whole = encode_image(backbone.model, picture)[0]
    assert (places - whole).norm(dim=-1).min() > 1e-3


def test_positions_keep_the_class_token_and_the_corners():
    table = torch.arange(10.0)[:, None].repeat(1, 3)
    stretched = resize_positions(table, (5, 5))
    assert stretched.shape == (26, 3)
    assert stretched[[0, 1, 5, 21, 25], 0].tolist() == [0, 1, 3, 7, 9]


def test_a_tower_without_places_is_refused():
    with pytest.raises(ValueError, match="it has no places to ask"):
        stride_of(nn.Linear(3, 3))
