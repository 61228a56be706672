"""Swin against torchvision's, whose own layout has other names, and on maps that windows do not divide."""

import pytest
import torch
from torchvision.models.swin_transformer import SwinTransformer

from core.backbones.swin import SWIN_T, Swin, SwinSize, relative_positions, seams, swin_size_of

SMALL = SwinSize(width=24, depths=(2, 2), heads=(2, 4), window=7)


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    model = SwinTransformer([4, 4], 24, [2, 2], [2, 4], [7, 7], stochastic_depth_prob=0.0, num_classes=2).eval()
    for name, parameter in model.named_parameters():
        if "norm" in name or "bias" in name:
            torch.nn.init.normal_(parameter, 0.5, 0.3)
    return model


def renamed(tensors):
    """Return torchvision's tensors under the names of the authors' detection code."""
    found = {}
    for key, value in tensors.items():
        if key.startswith("head.") or "relative_position_index" in key:
            continue
        if key.startswith("norm."):
            found[f"norm1.{key.removeprefix('norm.')}"] = value
            continue
        number, rest = key.removeprefix("features.").split(".", 1)
        if number == "0":
            found["patch_embed." + {"0": "proj", "2": "norm"}[rest[0]] + rest[1:]] = value
        elif int(number) % 2:
            rest = rest.replace("mlp.0.", "mlp.fc1.").replace("mlp.3.", "mlp.fc2.")
            found[f"layers.{int(number) // 2}.blocks.{rest}"] = value
        else:
            found[f"layers.{int(number) // 2 - 1}.downsample.{rest}"] = value
    return found


@pytest.mark.parametrize("size_hw", [(112, 112), (100, 148)])
def test_the_last_stage_is_torchvisions(theirs, size_hw):
    ours = Swin(SMALL).eval()
    ours.load_state_dict(renamed(theirs.state_dict()))
    inputs = torch.randn(2, 3, *size_hw)
    with torch.inference_mode():
        (found,) = ours(inputs)
        wanted = theirs.norm(theirs.features(inputs)).permute(0, 3, 1, 2)
    assert torch.allclose(found, wanted, atol=2e-4)


def test_the_maps_have_strides_8_16_and_32():
    size = SwinSize(width=16, depths=(1, 1, 1, 1), heads=(1, 1, 1, 1), window=4)
    maps = Swin(size)(torch.zeros(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in maps] == [(32, 8, 12), (64, 4, 6), (128, 2, 3)]


@pytest.mark.parametrize("size", [SWIN_T, SMALL, SwinSize(width=16, depths=(1, 3, 1, 2), heads=(1, 2, 4, 8), window=5)])
def test_sizes_are_read_off_the_tensors(size):
    with torch.device("meta"):
        tensors = Swin(size).state_dict()
    assert swin_size_of({f"body.{key}": value for key, value in tensors.items()}, "body.") == size


def test_a_place_is_in_the_middle_of_the_table_to_itself():
    index = relative_positions(3).view(9, 9)
    assert set(index.diagonal().tolist()) == {12}
    assert index[0, 8] == 0  # from the first corner to the last
    assert index[8, 0] == 24


def test_a_shift_parts_what_was_not_together():
    mask = seams(2, 2, 4, 2, torch.device("cpu"))
    assert (mask[0] == 0).all()  # the first window lies inside
    assert {float(value) for value in mask[3].unique()} == {-100.0, 0.0}
    assert (mask == mask.transpose(1, 2)).all()
