"""Plain CLIP as a segmenter: any tower with places, words at each of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from core.backbones.dense import place_features
from core.checkpoints import Weights
from core.device import choose
from core.segmentation import plain_clip
from core.segmentation.plain_clip import PlainClip, PlainSettings, open_plain_clip
from tests.tiny import RESNET, VIT, tiny_backbone

EITHER = pytest.mark.parametrize("size", [RESNET, VIT])


def tiny_plain(size=VIT):
    return PlainClip(tiny_backbone(size), Weights(name="tiny", system="clip", licence="none"))


def some_picture(height: int = 64, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@EITHER
def test_scores_are_clip_s_own_of_words_and_places(size):
    model = tiny_plain(size)
    image = some_picture(size.image_size, size.image_size)
    answer = model.segment(image, ("dog", "cat"))
    with torch.inference_mode():
        places = place_features(model.backbone.model.visual, model.backbone.preprocess(image)[None])[0]
        cosines = normalize(places[0, 1], dim=0) @ model.backbone.encode_texts(["dog", "cat"]).T
    assert answer.logits[:, 0, 1] == pytest.approx((model.backbone.logit_scale * cosines).numpy(), abs=1e-3)


@EITHER
@pytest.mark.parametrize("shape", [(1, 1), (50, 90), (200, 30)])
def test_a_picture_of_any_size_gets_a_label_for_each_of_its_pixels(size, shape):
    assert tiny_plain(size).segment(some_picture(*shape), ("dog", "cat")).label_map().ids.shape == shape


def test_more_pixels_make_more_places():
    model = tiny_plain()
    assert model.segment(some_picture(), ["dog"]).logits.shape == (1, 4, 4)
    assert model.segment(some_picture(), ["dog"], PlainSettings(pixels=64)).logits.shape == (1, 8, 8)


def test_the_vectors_of_several_templates_are_averaged():
    model, two = tiny_plain(), PlainSettings(templates=("a {}", "no {}"))
    parts = [model.segment(some_picture(), ["dog"], PlainSettings(templates=(each,))).logits for each in two.templates]
    both = model.segment(some_picture(), ["dog"], two).logits
    texts = model.backbone.encode_texts(["a dog", "no dog"])
    assert both == pytest.approx((parts[0] + parts[1]) / float((texts[0] + texts[1]).norm()), abs=1e-3)


def test_no_word_is_refused():
    with pytest.raises(ValueError, match="at least one word"):
        tiny_plain().segment(some_picture(), [" "])


@pytest.mark.parametrize("change", [{"pixels": 0}, {"pixels": 9999}, {"templates": ("nothing",)}, {"templates": ()}])
def test_settings_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError):  # noqa: PT011 -- each has its own sentence
        PlainSettings(**change)


def test_a_tower_without_places_is_refused_when_it_is_opened(monkeypatch):
    tower = SimpleNamespace(model=SimpleNamespace(visual=torch.nn.Linear(2, 2)))
    monkeypatch.setattr(plain_clip, "open_clip_backbone", lambda *_: tower)
    with pytest.raises(ValueError, match="no places to ask"):
        open_plain_clip(Weights(name="odd", system="clip"), choose("cpu"), {})
