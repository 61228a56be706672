"""Opening, preprocessing, encoding and remembering."""

import json

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from core.backbones.clip import Preprocess, open_clip_backbone
from core.backbones.clip_model import ClipSize, build, encode_image, encode_text, from_tensors, is_causal, size_of
from core.backbones.tokenizer import clip_tokenizer
from core.checkpoints import CONFIG_FILE, WEIGHTS_FILE, Weights
from core.device import choose
from tests.tiny import RESNET, VIT, tiny_backbone

PROMPTS = ["a photo of a dog.", "cat", "a very long sentence about a boat on the sea"]


def test_the_trimmed_text_tower_gives_the_untrimmed_features():
    backbone = tiny_backbone()
    whole = normalize(backbone.model.encode_text(backbone.tokenize(PROMPTS)), dim=-1)
    assert torch.allclose(backbone.encode_texts(PROMPTS), whole, atol=1e-6)


@pytest.mark.parametrize(
    "vision",
    [
        {"patch_size": 8},
        {"patch_size": 8, "ls_init_value": 0.3},
        {"patch_size": 8, "final_ln_after_pool": True},
        {"patch_size": 8, "pool_type": "avg"},
        {"patch_size": 8, "attentional_pool": True, "attn_pooler_heads": 1},
        {"layers": (1, 1, 1, 1), "width": 16, "head_width": 16},
    ],
    ids=["class token", "scaled", "normalised late", "average", "pooled by attention", "ResNet"],
)
def test_a_picture_has_the_same_feature_with_its_last_block_trimmed_or_not(vision):
    torch.manual_seed(0)
    texts = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
    model = open_clip.CLIP(16, {"layers": 3, "width": 64, "image_size": 32} | vision, texts).eval()
    inputs = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(encode_image(model, inputs), model.encode_image(inputs), atol=1e-6)


def test_a_text_tower_without_causal_mask_is_run_in_full():
    sizes = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1, "no_causal_mask": True}
    model = open_clip.CustomTextCLIP(16, {"layers": 1, "width": 64, "patch_size": 8, "image_size": 32}, sizes).eval()
    tokens = clip_tokenizer(16)(["a dog"])
    assert not is_causal(model)
    assert torch.equal(encode_text(model, tokens), model.encode_text(tokens))


def test_a_causal_custom_text_tower_is_trimmed_to_the_same_numbers():
    sizes = {"context_length": 16, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
    model = open_clip.CustomTextCLIP(16, {"layers": 1, "width": 64, "patch_size": 8, "image_size": 32}, sizes).eval()
    tokens = clip_tokenizer(16)(["a dog", "a cat on a mat"])
    assert is_causal(model)
    assert torch.allclose(encode_text(model, tokens), model.encode_text(tokens), atol=1e-5)


def test_a_text_is_encoded_once_and_an_eleventh_label_costs_one(monkeypatch):
    backbone = tiny_backbone()
    asked = []
    inner = backbone._encode
    monkeypatch.setattr(backbone, "_encode", lambda texts: asked.extend(texts) or inner(texts))
    labels = [f"label {i}" for i in range(10)]
    backbone.encode_texts(labels)
    backbone.encode_texts([*labels, "one more", labels[0]])
    assert asked == [*labels, "one more"]


def test_the_memory_of_texts_is_bounded(monkeypatch):
    monkeypatch.setattr("core.backbones.clip.KEPT_TEXTS", 5)
    backbone = tiny_backbone()
    found = backbone.encode_texts([f"label {i}" for i in range(9)])
    assert found.shape == (9, 16)
    assert len(backbone._texts) == 5


def test_sizes_are_read_off_the_tensors():
    for size in (RESNET, VIT):
        assert size_of(build(size).state_dict()) == size


def test_the_same_weights_open_again_to_the_same_features():
    for size in (RESNET, VIT):
        model = build(size).eval()
        images = torch.randn(2, 3, size.image_size, size.image_size)
        assert torch.allclose(from_tensors(model.state_dict()).encode_image(images), model.encode_image(images))


def test_vit_b_32_has_the_published_number_of_parameters():
    with torch.device("meta"):
        size = ClipSize(embed_dim=512, image_size=224, vision_layers=12, vision_width=768, patch_size=32)
        assert sum(p.numel() for p in build(size).parameters()) == 151_277_313


def test_words_outside_a_compact_vocabulary_are_named_and_share_one_row():
    known = sorted({token for text in ("a photo of a dog", "red") for token in clip_tokenizer(24).encode(text)})
    backbone = tiny_backbone(VIT, [*known, 49406, 49407])
    assert backbone.unseen_words(["a red dog", "a zebra", "Violin"]) == ("zebra", "Violin")
    zebra, violin, dog = backbone.encode_texts(["a zebra", "a violin", "a dog"])  # each one token
    assert torch.allclose(zebra, violin)
    assert not torch.allclose(zebra, dog)


def test_a_whole_vocabulary_has_no_unseen_words():
    assert tiny_backbone().unseen_words(["zebra"]) == ()


def test_only_texts_beyond_the_context_are_too_long():
    backbone = tiny_backbone()
    fits, cut = "word " * 22, "word " * 23  # 22 + start + end = 24
    assert backbone.too_long([fits, cut]) == (cut,)


@pytest.mark.parametrize(("height", "width"), [(40, 40), (80, 33), (20, 61), (1, 1), (1, 500)])
def test_preprocessing_is_torchvisions_on_pillow_pictures(height, width):
    from open_clip import image_transform
    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    wanted = image_transform(32, is_train=False)(Image.fromarray(picture))
    assert torch.allclose(Preprocess(size=32)(picture), wanted, atol=1e-6)


def test_the_crop_is_said_in_the_pictures_own_pixels():
    assert Preprocess(size=32).crop((100, 300)) == pytest.approx((100, 0, 200, 100), abs=2)
    assert Preprocess(size=32, squash=True).crop((100, 300)) == (0, 0, 300, 100)


def test_a_local_file_in_the_official_layout_opens(tmp_path):
    path = tmp_path / "mine.safetensors"
    model = build(RESNET)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    weights = Weights(name="mine", system="clip", path=path)
    backbone = open_clip_backbone(weights, choose("cpu"), {WEIGHTS_FILE: path})
    assert backbone.encode_images([np.zeros((10, 20, 3), np.uint8)]).shape == (1, 16)


def test_a_hub_config_decides_activation_and_preprocessing(tmp_path):
    model = build(VIT, quick_gelu=False).eval()
    path, config = tmp_path / WEIGHTS_FILE, tmp_path / CONFIG_FILE
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resize_mode": "squash"}
    config.write_text(json.dumps({"model_cfg": {"quick_gelu": False}, "preprocess_cfg": preprocess}))
    weights = Weights(name="hf-hub:some/one", system="clip", repo="some/one")
    backbone = open_clip_backbone(weights, choose("cpu"), {WEIGHTS_FILE: path, CONFIG_FILE: config})
    assert backbone.preprocess.squash
    inputs = torch.randn(1, 3, 32, 32)
    assert torch.allclose(backbone.encode_inputs(inputs), normalize(model.encode_image(inputs), dim=-1), atol=1e-6)
    quick = from_tensors(model.state_dict(), quick_gelu=True)
    assert not torch.allclose(quick.encode_image(inputs), model.encode_image(inputs), atol=1e-6)


def test_tensors_that_are_no_clip_are_refused_in_a_sentence(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="not a CLIP in OpenAI's key layout"):
        open_clip_backbone(Weights(name="x", system="clip", path=path), choose("cpu"), {WEIGHTS_FILE: path})
