"""GLIP's network: the published layout, what padding and folding leave alone, both ways of the offsets."""

from dataclasses import replace

import pytest
import torch

from core.detection.glip_dyhead import DeformableConv, DyConv, flat, h_sigmoid, sampled, stretched
from core.detection.glip_fusion import BiAttention, Fusion
from core.detection.glip_model import GLIP_T, GlipNetwork, decoded_words, encoded_words, glip_size_of
from tests.detection.tiny_glip import SIZE, WORDS, tiny_network


@pytest.fixture(scope="module")
def published():
    with torch.device("meta"):
        return GlipNetwork()


def test_glip_t_has_the_published_numbers_of_parameters(published):
    head = published.rpn["head"]
    assert len(head.state_dict()) == 340
    assert sum(p.numel() for p in head.parameters()) == 92_072_836
    assert sum(p.numel() for p in published.parameters()) == 231_780_222  # a published file holds four times as many


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("backbone.body.patch_embed.proj.weight", (96, 3, 4, 4)),
        ("backbone.body.layers.2.blocks.5.attn.relative_position_bias_table", (169, 12)),
        ("backbone.body.layers.0.downsample.reduction.weight", (192, 384)),
        ("backbone.body.norm3.weight", (768,)),
        ("backbone.fpn.fpn_inner2.weight", (256, 192, 1, 1)),
        ("backbone.fpn.fpn_layer4.bias", (256,)),
        ("backbone.fpn.top_blocks.p7.weight", (256, 256, 3, 3)),
        ("language_backbone.body.model.encoder.layer.11.output.LayerNorm.weight", (768,)),
        ("language_backbone.body.model.embeddings.word_embeddings.weight", (30_522, 768)),
        ("rpn.head.dyhead_tower.0.b_attn.attn.values_v_proj.weight", (2048, 256)),
        ("rpn.head.dyhead_tower.16.attention.self.query.weight", (768, 768)),
        ("rpn.head.dyhead_tower.17.DyConv.2.conv.weight", (256, 256, 3, 3)),
        ("rpn.head.dyhead_tower.17.relu.fc.2.weight", (1024, 64)),
        ("rpn.head.dyhead_tower.17.AttnConv.1.weight", (1, 256, 1, 1)),
        ("rpn.head.dyhead_tower.17.offset.weight", (27, 256, 3, 3)),
        ("rpn.head.dot_product_projection_text.weight", (256, 768)),
        ("rpn.head.scales.4.scale", (1,)),
        ("rpn.head.cls_logits.weight", (80, 256, 1, 1)),
    ],
)
def test_the_published_names_are_there(published, key, shape):
    assert tuple(published.state_dict()[key].shape) == shape


def test_glip_t_a_has_no_fusion_and_is_told_by_its_names():
    with torch.device("meta"):
        network = GlipNetwork(replace(GLIP_T, fused=False))
    names = list(network.state_dict())
    assert not any("b_attn" in name or ".attention." in name for name in names if name.startswith("rpn."))
    assert "rpn.head.dyhead_tower.5.offset.bias" in names
    assert glip_size_of(network.state_dict()) == replace(GLIP_T, fused=False)


@pytest.mark.parametrize("size", [GLIP_T, SIZE, replace(SIZE, fused=False, joint=2048)])
def test_sizes_are_read_off_the_tensors(size):
    with torch.device("meta"):
        network = GlipNetwork(size)
    assert glip_size_of(network.state_dict()) == size


def test_a_file_without_a_part_is_refused():
    tensors = {key: value for key, value in tiny_network().state_dict().items() if "centerness" not in key}
    with pytest.raises(ValueError, match=r"without 'rpn\.head\.centerness\.weight'"):
        glip_size_of(tensors)


def test_words_travel_as_bytes():
    assert decoded_words(encoded_words(("a", "café", "[PAD]"))) == ("a", "café", "[PAD]")
    assert tiny_network().vocabulary == WORDS
    assert tiny_network(own_words=False).vocabulary is None


@pytest.mark.parametrize("fused", [True, False])
def test_padding_a_prompt_changes_no_real_token(fused):
    network = tiny_network(fused=fused)
    maps = network.pyramid(torch.randn(1, 3, 64, 64))
    ids = torch.randint(4, len(WORDS), (1, 6))
    mask = torch.ones_like(ids)
    short = network(maps, ids, mask)
    long = network(maps, torch.nn.functional.pad(ids, (0, 10)), torch.nn.functional.pad(mask, (0, 10)))
    for own, padded in zip(short.tokens, long.tokens, strict=True):
        assert torch.allclose(own, padded[..., :6], atol=1e-4)
    for own, padded in zip(short.boxes, long.boxes, strict=True):
        assert torch.allclose(own, padded, atol=1e-4)


def test_few_tokens_are_folded_without_changing_the_answer():
    torch.manual_seed(0)
    attention = BiAttention(32, 24, joint=64, heads=4)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    places, hidden = torch.randn(2, 30, 32), torch.randn(2, 20, 24)  # 20 x 4 tokens and heads: not folded
    mask = (torch.arange(20) < torch.tensor([[20], [13]])).long()
    direct, folded = attention(places, hidden, mask), attention._few_tokens(places, hidden, mask)
    for one, other in zip(direct, folded, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_without_exchange_both_sides_are_normed_alone():
    torch.manual_seed(0)
    fusion = Fusion(16, 24, joint=32, heads=2)
    maps, hidden, mask = [torch.randn(1, 16, 3, 4)], torch.randn(1, 5, 24), torch.ones(1, 5, dtype=torch.long)
    fusion.exchange = False
    (level,), text = fusion(maps, hidden, mask)
    assert torch.allclose(level.movedim(1, -1), fusion.b_attn.layer_norm_v(maps[0].movedim(1, -1)), atol=1e-6)
    assert torch.allclose(text, fusion.b_attn.layer_norm_l(hidden))


@pytest.mark.parametrize(("stride", "size_hw"), [(1, (6, 7)), (2, (3, 4))])
def test_sampling_gives_torchvisions_deformable_convolution(stride, size_hw):
    torch.manual_seed(0)
    layer = DeformableConv(8, 16, stride)
    torch.nn.init.normal_(layer.conv.weight)
    torch.nn.init.normal_(layer.conv.bias)
    x, offsets, mask = torch.randn(2, 8, 6, 7), 3 * torch.randn(2, 18, *size_hw), torch.rand(2, 9, *size_hw)
    wanted = layer.convolved(x, offsets, mask)
    layer.by_sampling = True
    assert torch.allclose(layer.convolved(x, offsets, mask), wanted, atol=1e-4)


def test_without_offsets_it_is_an_ordinary_convolution():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(1, 4, 5, 5), torch.randn(3, 4, 3, 3), torch.randn(3)
    found = sampled(x, torch.zeros(1, 18, 5, 5), weight, bias, 1, torch.ones(1, 9, 5, 5))
    assert torch.allclose(found, torch.nn.functional.conv2d(x, weight, bias, padding=1), atol=1e-5)


def test_the_flat_reading_takes_the_first_quarter_of_the_memory():
    x = torch.arange(2 * 4 * 6.0).view(1, 2, 4, 6)
    assert flat(x, (2, 3)).flatten().tolist() == list(range(12))
    assert stretched(x, (2, 3)).shape == (1, 2, 2, 3)
    assert stretched(x, (2, 3))[0, 0, 0, 0] == 3.5  # the mean of the four in its corner: 0, 1, 6 and 7


def test_both_ways_of_offsets_agree_where_offsets_are_everywhere_the_same():
    torch.manual_seed(0)
    layer = DyConv(32)
    torch.nn.init.zeros_(layer.offset.weight)
    maps = [torch.randn(1, 32, 8, 8), torch.randn(1, 32, 4, 4)]
    first = layer(maps)
    layer.flat_offsets = False
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(first, layer(maps), strict=True))


def test_h_sigmoid_is_flat_beyond_three():
    assert h_sigmoid(torch.tensor([-4.0, -3.0, 0.0, 3.0, 4.0])).tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
