"""A ViT with a DPT decoder: sizes known by hand, pictures of any size, the released key layout."""

from dataclasses import replace

import pytest
import torch

from core.backbones.dpt import (
    STRIDES,
    VIT_L16,
    Decoder,
    DptSize,
    Encoder,
    Fusion,
    double,
    quarters,
    reassemble,
    size_of,
)

TINY = DptSize(width=16, layers=4, patch=8, grid=4, channels=(4, 6, 8, 10), features=6, heads=2, hooks=(0, 1, 2, 3))


def tiny(size: DptSize = TINY) -> tuple[Encoder, Decoder]:
    torch.manual_seed(0)
    return Encoder(size).eval(), Decoder(size).eval()


@pytest.mark.parametrize("patch", [4, 8, 16, 32])
def test_maps_have_the_same_strides_whatever_the_patch(patch):
    encoder, decoder = tiny(replace(TINY, patch=patch))
    with torch.inference_mode():
        maps = encoder(torch.randn(2, 3, 64, 96))
        assert [each.shape[2:] for each in maps] == [(64 // stride, 96 // stride) for stride in STRIDES]
        assert [each.shape[1] for each in maps] == [4, 6, 8, 10]
        assert decoder(maps).shape == (2, 6, 32, 48)


def test_sides_that_the_decoder_cannot_halve_are_refused():
    with pytest.raises(ValueError, match=r"multiples of 32 pixels, got \(64, 80\)"):
        tiny()[0](torch.randn(1, 3, 64, 80))


def test_hooks_are_the_ends_of_the_quarters():
    assert quarters(24) == (5, 11, 17, 23)
    assert quarters(12) == (2, 5, 8, 11)
    assert quarters(5) == (0, 1, 2, 4)
    assert VIT_L16.hooks == (5, 11, 17, 23)


def test_hooked_blocks_are_those_that_are_read():
    encoder, _ = tiny(replace(TINY, hooks=(0, 0, 3, 3)))
    first, again, last, _ = encoder.model(torch.randn(1, 3, 32, 32))
    assert torch.equal(first, again)
    assert not torch.allclose(first, last)


def test_positions_of_the_learned_grid_are_left_alone_and_others_are_stretched():
    model = tiny()[0].model
    assert torch.allclose(model.positions((4, 4)), model.pos_embed, atol=1e-6)
    stretched = model.positions((4, 8))
    assert stretched.shape == (1, 33, 16)
    assert torch.equal(stretched[:, 0], model.pos_embed[:, 0])
    assert torch.allclose(stretched[0, 1], model.pos_embed[0, 1], atol=1e-6)  # a corner stays a corner


def test_the_class_token_reaches_every_patch():
    encoder, _ = tiny()
    readout = encoder.act_postprocess1["0"]
    tokens = torch.randn(1, 17, 16)
    other = tokens.clone()
    other[:, 0] += 1
    assert (readout(tokens) - readout(other)).abs().amax(-1).min() > 1e-4


def test_a_patch_as_large_as_the_stride_needs_no_resizing():
    assert set(reassemble(16, 4, patch=8, stride=8)) == {"0", "3"}
    assert isinstance(reassemble(16, 4, patch=8, stride=4)["4"], torch.nn.ConvTranspose2d)
    down = reassemble(16, 4, patch=16, stride=32)["4"]
    assert (down.kernel_size, down.stride, down.padding) == ((3, 3), (2, 2), (1, 1))  # as released


def test_doubling_keeps_the_corners():
    grid = torch.arange(6.0).reshape(1, 1, 2, 3)
    doubled = double(grid)
    assert doubled.shape == (1, 1, 4, 6)
    assert doubled[0, 0, ::3, ::5].tolist() == [[0, 2], [3, 5]]


def test_the_coarsest_fusion_never_uses_its_first_unit():
    fusion = Fusion(4).eval()
    x = torch.randn(1, 4, 3, 3)
    before = fusion(x)
    fusion.resConfUnit1.conv1.weight.data += 1
    assert torch.equal(fusion(x), before)
    assert not torch.allclose(fusion(x, x), before)


def test_sizes_are_read_off_tensors():
    encoder, decoder = tiny()
    tensors = {f"pretrained.{key}": value for key, value in encoder.state_dict().items()}
    tensors |= {f"scratch.{key}": value for key, value in decoder.state_dict().items()}
    assert size_of(tensors, heads=2) == TINY
    del tensors["scratch.layer1_rn.weight"]
    with pytest.raises(ValueError, match=r"got a file without 'scratch\.layer1_rn\.weight'"):
        size_of(tensors)


def test_the_published_size_has_the_released_number_of_parameters():
    with torch.device("meta"):
        encoder, decoder = Encoder(VIT_L16), Decoder(VIT_L16)
    assert (
        sum(value.numel() for value in encoder.model.parameters()) == 303_688_704
    )  # timm: 304_715_752, less norm and head
    assert encoder.state_dict()["act_postprocess1.4.weight"].shape == (256, 256, 4, 4)
    assert decoder.state_dict()["refinenet4.resConfUnit1.bn2.running_var"].shape == (256,)


@pytest.mark.parametrize("change", [{"patch": 7}, {"heads": 3}, {"hooks": (0, 1, 2, 4)}])
def test_sizes_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="wanted"):
        replace(TINY, **change)
