"""Frames, box codes, windows of crops: there and back, and what lies outside the picture."""

import numpy as np
import pytest
import torch

from core.backbones.regions import window_of
from core.detection.proposals import Frame, clip_boxes, decode, encode, from_released, to_released
from core.detection.vild_crops import added, crops, encode_crops, enlarged, squared, whole_pixels
from core.detection.vild_model import from_tensors, size_of
from tests.detection.tiny_vild import SIZE, some_picture, tiny_network
from tests.tiny import tiny_backbone

BOXES = torch.tensor([[10.0, 20.0, 30.0, 60.0], [0.0, 0.0, 5.0, 5.0]])


@pytest.mark.parametrize("size_hw", [(60, 90), (128, 128), (1, 2000), (2000, 1), (1, 1)])
def test_boxes_go_into_the_frame_and_back(size_hw):
    frame = Frame.of(size_hw, 128)
    assert max(frame.inner_hw) == 128
    assert all(side % 32 == 0 for side in frame.padded_hw)
    whole = torch.tensor([[0.0, 0.0, size_hw[1], size_hw[0]]])
    assert frame.inside(whole)[0].tolist() == pytest.approx([0, 0, frame.inner_hw[1], frame.inner_hw[0]])
    assert torch.allclose(frame.outside(frame.inside(BOXES)), BOXES)


def test_the_border_repeats_the_last_row():
    inputs = Frame.of((60, 90), 90).inputs(some_picture(60, 90))
    assert inputs.shape == (1, 3, 64, 96)
    assert torch.equal(inputs[:, :, 60:], inputs[:, :, 59:60].expand(-1, -1, 4, -1))


def test_codes_turn_one_box_into_another_and_none_changes_nothing():
    other = torch.tensor([[12.0, 18.0, 40.0, 50.0], [1.0, 2.0, 9.0, 4.0]])
    assert torch.allclose(decode(encode(other, BOXES), BOXES), other, atol=1e-4)
    assert torch.allclose(decode(torch.zeros(2, 4), BOXES), BOXES)
    assert encode(BOXES + torch.tensor([2.0, 0, 2, 0]), BOXES)[0].tolist() == pytest.approx([1, 0, 0, 0])  # 10 x 2/20


def test_released_boxes_are_y_first_and_own_their_ends():
    assert from_released(torch.tensor([[20.0, 10.0, 59.0, 29.0]]))[0].tolist() == [10, 20, 30, 60]
    assert torch.equal(to_released(from_released(BOXES)), BOXES)


def test_a_box_far_outside_keeps_a_pixel_of_the_border():
    found = clip_boxes(torch.tensor([[-50.0, -50.0, -40.0, -40.0], [500.0, 500.0, 600.0, 600.0]]), (60, 90))
    assert found.tolist() == [[0, 0, 1, 1], [89, 59, 90, 60]]


def test_a_larger_box_has_the_same_middle():
    found = enlarged(BOXES.numpy())
    assert found[0].tolist() == [5, 10, 35, 70]
    assert squared(BOXES.numpy())[0].tolist() == [0, 20, 40, 60]


def test_windows_take_the_next_pixel_where_an_edge_is_whole_and_the_scorer_s_do_not():
    box = np.array([[2.0, 3.0, 5.0, 7.0]], np.float32)
    assert whole_pixels(box) == [(1, 2, 6, 8)]
    assert whole_pixels(box, (7, 5)) == [(1, 2, 5, 7)]
    assert window_of(box[0]) == (2, 3, 5, 7)
    assert whole_pixels(box + 0.5) == [window_of(box[0] + 0.5)]


def test_beyond_the_picture_a_crop_is_black_or_what_was_asked_for():
    white = np.full((8, 8, 3), 255, np.uint8)
    (shown,) = crops(white, np.array([[4.5, 0.5, 11.5, 7.5]], np.float32), 1.0)
    assert shown[0, -1].tolist() == [0, 0, 0]
    assert shown[0, 0].tolist() == [255, 255, 255]
    (shown,) = crops(white, np.array([[4.5, 0.5, 11.5, 7.5]], np.float32), 1.0, outside=(9, 9, 9))
    assert shown[0, -1].tolist() == [9, 9, 9]


def test_embeddings_of_both_crops_are_added_and_are_unit_again():
    assert added(torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]))[0].tolist() == pytest.approx([0.5**0.5] * 2)
    clip, picture = tiny_backbone(), some_picture()
    boxes = np.array([[3.5, 4.5, 30.2, 40.2], [20.5, 10.5, 80.2, 50.2]], np.float32)
    both = encode_crops(clip, picture, boxes)
    parts = torch.stack([encode_crops(clip, picture, boxes, scales=(scale,)) for scale in (1.0, 1.5)])
    assert torch.allclose(both, added(parts), atol=1e-5)
    assert encode_crops(clip, picture, boxes[:0]).shape == (0, 16)


def test_a_network_s_size_is_read_off_its_tensors():
    network = tiny_network()
    tensors = network.state_dict()
    found = size_of(tensors)
    assert found.head == SIZE.head
    assert (found.trunk_width, found.trunk_layers, found.mask_convs) == (4, (1, 1, 1, 1), 1)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        before, after = (each.pyramid(images)["0"] for each in (network, from_tensors(tensors)))
    assert torch.equal(before, after)


def test_other_tensors_are_refused():
    with pytest.raises(ValueError, match="not a ViLD of this project"):
        from_tensors({"visual.conv1.weight": torch.zeros(1)})


def test_the_trunk_s_normalisations_stay_as_the_clip_had_them():
    network = tiny_network().train()
    assert network.fpn.training
    before = {key: value.clone() for key, value in network.trunk.state_dict().items()}
    network.pyramid(torch.rand(2, 3, 64, 64))
    assert all(torch.equal(before[key], value) for key, value in network.trunk.state_dict().items())


def test_proposals_are_inside_and_best_first():
    network = tiny_network()
    with torch.no_grad():
        boxes, objectness = network.propose(network.pyramid(torch.rand(1, 3, 64, 96)), (60, 90), (64, 96))
    assert len(boxes) == SIZE.proposals
    assert (objectness.diff() <= 0).all()
    assert boxes.min() >= 0
    assert (boxes.amax(0)[2:] <= torch.tensor([90, 60])).all()
