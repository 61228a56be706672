"""Heads over frames, against numbers known by hand."""

import pytest
import torch

from core.action.fusion import HEADS, Conv1d, Lstm, MeanPool, Transf, TransfCls, head_from_tensors

WIDTH, FRAMES = 8, 4
# One clip of two frames and four channels: the first frame holds 1 to 4, the second 5 to 8.
COUNTED = torch.arange(1.0, 9).view(1, 2, 4)


def random_frames(clips: int = 3, frames: int = FRAMES) -> torch.Tensor:
    return torch.randn((clips, frames, WIDTH), generator=torch.Generator().manual_seed(0))


def made() -> dict[str, torch.nn.Module]:
    torch.manual_seed(1)
    heads = {
        "meanP": MeanPool(),
        "Conv_1D": Conv1d(WIDTH),
        "Conv_1D_fixed": Conv1d(WIDTH, as_released=False),
        "LSTM": Lstm(WIDTH),
        "Transf": Transf(WIDTH, 2, layers=2, positions=FRAMES),
        "Transf_cls": TransfCls(WIDTH, FRAMES, layers=2, heads=8, feed_forward=16),
    }
    for head in heads.values():
        for parameter in head.parameters():  # no branch may be switched off by a zero
            parameter.data += 0.1 * torch.randn_like(parameter)
    return {name: head.eval() for name, head in heads.items()}


def test_the_mean_of_frames_is_exactly_blind_to_their_order():
    frames = random_frames(50, 77) * 1000
    for order in (frames.flip(1), frames[:, torch.randperm(77, generator=torch.Generator().manual_seed(0))]):
        assert torch.equal(MeanPool()(frames), MeanPool()(order))


@pytest.mark.parametrize("name", HEADS[1:])
def test_every_other_head_sees_the_order(name):
    head, frames = made()[name], random_frames()
    assert (head(frames) - head(frames.flip(1))).abs().max() > 1e-3


def test_a_fresh_convolution_is_a_shift_of_the_outer_channels():
    fixed = Conv1d(4, as_released=False)
    # channel 0 looks at the frame before, 1 and 2 stay, 3 looks at the frame after; zero beyond the ends
    shifted = torch.tensor([[[0.0, 2, 3, 8], [1, 6, 7, 0]]])
    assert torch.equal(fixed.per_frame(COUNTED) - COUNTED, shifted)


def test_the_released_convolution_reads_time_as_channels():
    assert Conv1d(4).columns(COUNTED).tolist() == [[[1, 2], [3, 4], [5, 6], [7, 8]]]
    assert Conv1d(4, as_released=False).columns(COUNTED).tolist() == [[[1, 5], [2, 6], [3, 7], [4, 8]]]


def test_what_a_transformer_adds_to_the_frames_leaves_the_places_in_time_out():
    head = Transf(WIDTH, 2, layers=0, positions=FRAMES)
    frames = random_frames()
    places = head.frame_position_embeddings.weight
    assert torch.allclose(head.per_frame(frames), 2 * frames + places)


def test_a_transformer_needs_a_place_for_every_frame():
    with pytest.raises(ValueError, match="places for 4 frames; these are 5"):
        made()["Transf"](random_frames(frames=5))


def test_a_transformer_takes_fewer_frames_than_it_has_places_for():
    assert made()["Transf"](random_frames(frames=2)).shape == (3, WIDTH)


def test_the_head_with_a_token_takes_its_own_number_of_frames_only():
    with pytest.raises(ValueError, match="exactly 4 frames; these are 3"):
        made()["Transf_cls"](random_frames(frames=3))


@pytest.mark.parametrize("name", HEADS)
def test_a_head_comes_back_from_its_tensors(name):
    head, frames = made()[name], random_frames()
    again = head_from_tensors(name, head.state_dict(), heads=2)
    assert torch.equal(head(frames), again(frames))


def test_positions_that_a_head_never_uses_are_left_out():
    tensors = made()["LSTM"].state_dict() | {"frame_position_embeddings.weight": torch.ones(77, WIDTH)}
    assert "frame_position_embeddings.weight" not in head_from_tensors("LSTM", tensors, heads=2).state_dict()


@pytest.mark.parametrize("name", HEADS[1:])
def test_tensors_of_something_else_are_refused(name):
    with pytest.raises(ValueError, match=f"not a head of the kind {name}"):
        head_from_tensors(name, {"something": torch.ones(2)}, heads=1)


def test_a_head_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match=r"wanted one of meanP, .*, got 'best'"):
        head_from_tensors("best", {}, heads=1)
