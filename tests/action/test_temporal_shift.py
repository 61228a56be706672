"""Channels lent to neighbouring frames, and all frames as one sequence."""

import pytest
import torch

from core.action.temporal_shift import encode_joint, encode_shifted, joint_tokens, shift_maps, shift_tokens
from core.backbones.clip_model import encode_image
from tests.tiny import RESNET, VIT, tiny_backbone

# Two frames of eight channels; frame 0 holds 10 to 17, frame 1 holds 20 to 27.
MAPS = torch.stack([torch.arange(10.0, 18), torch.arange(20.0, 28)])[:, :, None, None]


def pictures(count: int, side: int) -> torch.Tensor:
    return torch.randn((count, 3, side, side), generator=torch.Generator().manual_seed(0))


def test_the_first_eighth_comes_from_the_next_frame_and_the_second_from_the_one_before():
    shifted = shift_maps(MAPS, 2)[:, :, 0, 0]
    assert shifted.tolist() == [[20, 0, 12, 13, 14, 15, 16, 17], [0, 11, 22, 23, 24, 25, 26, 27]]


def test_the_class_token_is_left_alone():
    tokens = MAPS[:, None, :, 0, 0].repeat(1, 3, 1)  # (2, 3 tokens, 8)
    shifted = shift_tokens(tokens, 2)
    assert torch.equal(shifted[:, 0], tokens[:, 0])
    assert torch.equal(shifted[:, 1], shift_maps(MAPS, 2)[:, :, 0, 0])


def test_nothing_passes_from_one_clip_to_the_next():
    shifted = shift_maps(torch.cat([MAPS, MAPS]), 2)
    assert torch.equal(shifted[:2], shifted[2:])


def test_pictures_that_are_no_whole_clips_are_refused():
    with pytest.raises(ValueError, match="wanted a multiple of 2 pictures, got 3"):
        shift_maps(torch.cat([MAPS, MAPS[:1]]), 2)


@pytest.mark.parametrize("size", [VIT, RESNET])
def test_a_share_too_small_for_a_channel_shifts_nothing(size):
    model, inputs = tiny_backbone(size).model, pictures(2, size.image_size)
    with torch.inference_mode():
        same = encode_shifted(model.visual, inputs, 2, share=10_000)
        assert torch.allclose(same, encode_image(model, inputs), atol=1e-5)
        assert (encode_shifted(model.visual, inputs, 2) - same).abs().max() > 1e-5


def test_another_kind_of_tower_cannot_be_shifted():
    with pytest.raises(ValueError, match="an image tower of CLIP's own kind"):
        encode_shifted(torch.nn.Identity(), pictures(2, 8), 2)


def test_joint_frames_are_one_class_token_and_each_patch_in_all_frames():
    visual = tiny_backbone(VIT).model.visual
    patches, width = (VIT.image_size // VIT.patch_size) ** 2, VIT.vision_width
    times = torch.tensor([[1.0], [2.0]]).expand(2, width)
    inputs = pictures(1, VIT.image_size).repeat(2, 1, 1, 1)  # the same picture twice: frames differ by their time only
    tokens = joint_tokens(visual, times, inputs)
    assert tokens.shape == (1, 1 + 2 * patches, width)
    assert torch.allclose(tokens[0, 2::2] - tokens[0, 1::2], torch.ones(patches, width), atol=1e-5)
    assert torch.allclose(tokens[0, 0], visual.class_embedding + visual.positional_embedding[0])


def test_joint_frames_become_one_feature_a_clip():
    visual = tiny_backbone(VIT).model.visual
    found = encode_joint(visual, torch.zeros(2, VIT.vision_width), pictures(6, VIT.image_size))
    assert found.shape == (3, VIT.embed_dim)
