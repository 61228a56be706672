"""CLIP as a classifier: the paper's ensemble, any labels, pairs with their loss."""

import numpy as np
import pytest
import torch

from core.results import PairMatrix
from core.train.losses import contrastive_loss
from tests.tiny import RESNET, VIT, tiny_clip

PICTURE = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)


def test_an_ensemble_is_the_normalised_mean_of_normalised_prompts():
    model = tiny_clip()
    templates = ("a {}.", "the {} here", "{}")
    cosines = model.prompt_cosines(PICTURE, ["dog", "cat"], templates)
    texts = model.backbone.encode_texts([t.format("dog") for t in templates])
    feature = model.backbone.encode_images([PICTURE])[0]
    mean = torch.nn.functional.normalize(texts.mean(0), dim=0)
    ranking = model.rank(PICTURE, ["dog", "cat"], templates=templates)
    assert cosines.shape == (2, 3)
    assert cosines[0] == pytest.approx((texts @ feature).numpy(), abs=1e-6)
    assert ranking.cosines[0] == pytest.approx(float(mean @ feature), abs=1e-6)


@pytest.mark.parametrize("size", [RESNET, VIT], ids=["resnet", "vit"])
def test_a_picture_ranks_the_same_alone_and_among_others(size):
    model = tiny_clip(size)
    others = [PICTURE[:, :30], PICTURE, 255 - PICTURE]
    alone = model.rank(PICTURE, ["dog", "cat", "cup"])
    assert model.rank_many(others, ["dog", "cat", "cup"])[1].cosines == pytest.approx(alone.cosines, abs=1e-5)


@pytest.mark.parametrize(
    "labels",
    [
        ["one"],
        [f"label {i}" for i in range(1000)],
        ["dog", "dog"],
        ["!!!", "?"],
        ["🐶", "🍕"],
        ["狗", "汽车"],
        ["{} braces"],
    ],
    ids=["one", "thousand", "twice", "punctuation", "emoji", "chinese", "braces"],
)
def test_any_labels_are_answered(labels):
    ranking = tiny_clip().rank(PICTURE, labels, templates=("a photo of a {}.",))
    assert len(ranking.labels) == len(labels)
    assert ranking.probabilities().sum() == pytest.approx(1, abs=1e-4)


def test_the_same_label_twice_gets_the_same_score():
    ranking = tiny_clip().rank(PICTURE, ["dog", "dog"])
    assert ranking.cosines[0] == ranking.cosines[1]


def test_five_hundred_words_are_cut_and_the_label_is_named():
    model, long = tiny_clip(), "word " * 500
    assert model.rank(PICTURE, [long, "dog"]).labels == (long, "dog")
    assert model.too_long([long, "dog"]) == (long,)
    assert model.too_long(["dog"], templates=("a photo of a {}.", "{}")) == ()


def test_no_labels_and_no_templates_are_refused():
    with pytest.raises(ValueError, match="at least one label"):
        tiny_clip().rank(PICTURE, [])
    with pytest.raises(ValueError, match="at least one template"):
        tiny_clip().rank(PICTURE, ["dog"], templates=())


def test_a_picture_of_one_pixel_is_answered():
    assert tiny_clip().rank(np.zeros((1, 1, 3), np.uint8), ["dog"]).best == "dog"


def test_the_loss_of_a_square_of_pairs_is_the_training_loss():
    model = tiny_clip()
    pictures, captions = [PICTURE, 255 - PICTURE], ["a dog", "a cat"]
    matrix = model.pair_matrix(pictures, captions)
    wanted = contrastive_loss(
        model.backbone.encode_images(pictures),
        model.backbone.encode_texts(captions),
        torch.tensor(model.backbone.logit_scale),
    )
    assert isinstance(matrix, PairMatrix)
    assert matrix.loss == pytest.approx(float(wanted), rel=1e-5)


def test_unequal_numbers_have_no_loss():
    assert tiny_clip().pair_matrix([PICTURE], ["a dog", "a cat"]).loss is None
