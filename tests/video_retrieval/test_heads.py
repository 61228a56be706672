"""The parts of CLIP4Clip's heads whose answers are known by hand, and the patch that looks along time."""

import math

import pytest
import torch

from core.video_retrieval.heads import VideoHeads, heads_from_tensors, masked_mean, symmetric_loss
from core.video_retrieval.patches import TubePatch, inflated, see_along_time
from tests.tiny import RESNET, VIT, tiny_backbone

FRAMES = 3


def test_padding_is_no_part_of_the_mean():
    frames = torch.tensor([[[1.0, 0.0], [3.0, 2.0], [9.0, 9.0]]])
    assert masked_mean(frames, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 1.0]]


def test_the_mean_of_any_order_is_the_same_to_the_last_bit():
    frames = torch.randn(4, 12, 64, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(4, 12, dtype=torch.long)
    for seed in range(5):
        order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(masked_mean(frames, mask), masked_mean(frames[:, order], mask))


def test_the_loss_of_equal_scores_is_the_logarithm_of_their_number():
    assert symmetric_loss(torch.zeros(5, 5)).item() == pytest.approx(math.log(5))
    assert symmetric_loss(100 * torch.eye(5)).item() == pytest.approx(0.0, abs=1e-6)


def test_an_unknown_head_is_refused():
    with pytest.raises(ValueError, match="wanted heads of meanP, seqLSTM, seqTransf, tightTransf, got 'maxP'"):
        VideoHeads(16, names=("maxP",))


def test_a_clip_without_frames_is_refused():
    heads = VideoHeads(16, names=())
    with pytest.raises(ValueError, match="at least one frame"):
        heads.clip_vectors("meanP", torch.zeros(1, 2, 16), torch.zeros(1, 2, dtype=torch.long))


@pytest.mark.parametrize("names", [("seqLSTM",), ("seqTransf",), ("tightTransf",), ("seqLSTM", "tightTransf"), ()])
def test_the_heads_of_a_file_are_read_off_its_keys(names):
    made = VideoHeads(16, layers=2, heads=2, positions=9, names=names)
    found = heads_from_tensors(made.state_dict(), width=16, heads=2)
    assert found.names == ("meanP", *names)
    assert all(torch.equal(found.state_dict()[key], value) for key, value in made.state_dict().items())


def pixels() -> torch.Tensor:
    return torch.randn(2 * FRAMES, 3, VIT.image_size, VIT.image_size, generator=torch.Generator().manual_seed(0))


def test_a_3d_patch_starts_as_the_2d_one():
    before = tiny_backbone(VIT).encode_inputs(pixels())
    backbone = tiny_backbone(VIT)
    see_along_time(backbone.model.visual, FRAMES)
    torch.testing.assert_close(backbone.encode_inputs(pixels()), before, rtol=1e-5, atol=1e-6)


def test_a_3d_patch_sees_the_neighbours_of_its_own_clip_alone():
    kernel = torch.randn(4, 3, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    patch, shown = TubePatch(kernel, FRAMES), pixels()
    before = patch(shown)
    shown[0] += 1.0
    changed = (patch(shown) - before).abs().amax((1, 2, 3)) > 1e-4
    assert changed.tolist() == [True, True, False, False, False, False]


def test_frames_that_make_no_whole_clips_are_refused():
    patch = TubePatch(inflated(torch.zeros(4, 3, 8, 8)), FRAMES)
    with pytest.raises(ValueError, match="wanted a multiple of 3 frames, got 4"):
        patch(pixels()[:4])


def test_a_resnet_has_no_patches_to_look_along_time():
    with pytest.raises(ValueError, match="wanted a ViT"):
        see_along_time(tiny_backbone(RESNET).model.visual, FRAMES)
