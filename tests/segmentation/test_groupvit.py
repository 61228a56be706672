"""GroupViT: groups gather patches, words win groups, and what the network saw is kept."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import choose
from core.segmentation import groupvit_inference as inference
from core.segmentation.groupvit import GroupVitSettings, network_size, open_groupvit
from core.segmentation.groupvit_model import GroupVit, assignment, gumbel_noise
from core.segmentation.groupvit_weights import from_tensors, from_transformers, size_of
from tests.segmentation.tiny_groupvit import SIZE, tiny_groupvit, tiny_model

SETTINGS = GroupVitSettings(pixels=32, threshold=0.5)
WORDS = ("chair", "ball", "dog")


def some_picture(height: int = 32, width: int = 48, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    return tiny_groupvit()


@pytest.fixture(scope="module")
def answer(model):
    return model.segment(some_picture(), WORDS, SETTINGS)


@pytest.fixture
def forwards(model, monkeypatch):
    """Count how often a network runs on a picture; what it saw before is forgotten."""
    calls = []
    encode = model.model.encode_image
    monkeypatch.setattr(model.model, "encode_image", lambda images: calls.append(1) or encode(images))
    model.forget()
    return calls


def test_each_patch_goes_to_one_group_and_has_the_soft_assignments_gradient():
    logits = torch.randn(2, 4, 9, requires_grad=True)
    hard, soft = assignment(logits)
    assert hard.sum(1).allclose(torch.ones(2, 9))
    assert hard.argmax(1).equal(soft.argmax(1))
    upstream = torch.randn_like(hard)
    (gradient,) = torch.autograd.grad((hard * upstream).sum(), logits, retain_graph=True)
    (wanted,) = torch.autograd.grad((soft * upstream).sum(), logits)
    assert gradient.allclose(wanted)


def test_gumbel_noise_assigns_by_the_softmaxs_chances():
    torch.manual_seed(0)
    logits = torch.tensor([0.0, 1.0, -1.0])[:, None].expand(3, 20_000)
    hard, _ = assignment(logits, gumbel_noise(logits))
    assert hard.mean(1).tolist() == pytest.approx(logits[:, 0].softmax(0).tolist(), abs=0.02)


def test_training_draws_noise_and_evaluation_does_not():
    network, images = tiny_model(), torch.randn(2, 3, 32, 32)
    first, second = (network.img_encoder(images).hard[0] for _ in range(2))
    assert first.equal(second)
    network.train()
    first, second = (network.img_encoder(images).hard[0] for _ in range(2))
    assert not first.equal(second)


@pytest.mark.parametrize("size_hw", [(32, 32), (48, 24)], ids=["training's", "another"])
def test_weights_in_transformers_layout_give_transformers_features(size_hw):
    transformers = pytest.importorskip("transformers")
    towers = {
        "vision_config": {
            "image_size": 32,
            "patch_size": 8,
            "hidden_size": 128,
            "num_attention_heads": 2,
            "intermediate_size": 512,
            "depths": [1, 1, 1],
            "num_hidden_layers": 3,
            "num_group_tokens": [6, 3, 0],
            "num_output_groups": [6, 3, 0],
        },
        "text_config": {
            "hidden_size": 64,
            "intermediate_size": 256,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "max_position_embeddings": 12,
        },
        "projection_dim": 16,
        "projection_intermediate_dim": 24,
    }
    torch.manual_seed(0)
    theirs = transformers.GroupViTModel(transformers.GroupViTConfig(**towers)).eval()
    for parameter in theirs.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    ours = from_tensors(theirs.state_dict())
    images, tokens = torch.randn(2, 3, *size_hw), torch.tensor([[49406, 320, 1125, 49407, 0, 0, 0, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        found, grouped = ours.encode_image(images)
        vision = theirs.vision_model  # its own forward refuses every size but training's
        x = vision.embeddings(images, interpolate_pos_encoding=size_hw != (32, 32))
        x = vision.layernorm(vision.encoder(hidden_states=x, return_dict=True).last_hidden_state)
        texts = theirs.text_model(input_ids=tokens).pooler_output
        assert grouped.groups.allclose(x, atol=1e-5)
        assert found.allclose(theirs.visual_projection(x.mean(1)), atol=1e-5)
        assert ours.encode_text(tokens).allclose(theirs.text_projection(texts), atol=1e-5)


def test_the_published_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in GroupVit(type(SIZE)()).parameters())
    assert count == 55_726_609 + 1  # transformers leaves the multi-label temperature out


def test_sizes_are_read_off_the_tensors():
    found = size_of(tiny_model().state_dict())
    vocabulary = tiny_model().text_encoder.token_embedding.weight.shape[0]
    assert found == dataclasses.replace(SIZE, vocab_size=vocabulary)


def test_other_weights_are_named():
    with pytest.raises(ValueError, match="wanted a GroupViT"):
        from_tensors({"visual.conv1.weight": torch.zeros(1)})
    tensors = tiny_model().state_dict()
    del tensors["img_projector.linear_out.weight"]
    with pytest.raises(ValueError, match=r"img_projector\.linear_out\.weight"):
        from_tensors(tensors)
    tensors = tiny_model().state_dict() | {"img_encoder.norm.weight": torch.zeros(5)}
    with pytest.raises(ValueError, match="do not fit"):
        from_tensors(tensors)


def test_every_renamed_tensor_has_a_place():
    kept = from_transformers({"vision_model.layernorm.weight": torch.ones(4), "logit_scale": torch.ones(())})
    assert set(kept) == {"img_encoder.norm.weight", "logit_scale", "multi_label_logit_scale"}


def test_it_opens_from_half_precision(tmp_path, model):
    halves = {k: v.half() if v.is_floating_point() else v for k, v in tiny_model().state_dict().items()}
    save_file({key: value.contiguous() for key, value in halves.items()}, tmp_path / "tiny.safetensors")
    weights = Weights(name="tiny", system="groupvit", licence="none")
    opened = open_groupvit(weights, choose("cpu"), {WEIGHTS_FILE: tmp_path / "tiny.safetensors"})
    found = opened.segment(some_picture(), WORDS, SETTINGS)
    assert found.cosines == pytest.approx(model.segment(some_picture(), WORDS, SETTINGS).cosines, abs=0.02)


def test_groups_through_groups_are_the_product_of_both_assignments():
    first = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5]])  # two groups of three patches
    second = torch.tensor([[0.9, 0.2], [0.1, 0.8]])
    assert inference.joined(first, second).allclose(torch.tensor([[0.9, 0.2, 0.55], [0.1, 0.8, 0.45]]))


def test_a_groups_score_is_the_product_of_two_softmaxes():
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    kept = torch.tensor([True, False, True])
    among, overall = torch.tensor([2.0, 0.0]).softmax(0), logits[0].softmax(0)
    wanted = [float(among[0] * overall[0]), 0.0, float(among[1] * overall[2])]
    assert inference.group_scores(logits, kept)[0].tolist() == pytest.approx(wanted)


def test_only_the_pictures_likeliest_words_may_win():
    kept = inference.kept_words(torch.tensor([0.3, 0.9, 0.1, 0.8, 0.7, 0.2, 0.6]))
    assert kept.tolist() == [True, True, False, True, True, False, True]
    assert inference.kept_words(torch.tensor([0.1, 0.2])).all()


def test_background_is_what_scores_below_the_threshold_but_the_best_group_never_is():
    scores, group_of = torch.tensor([[0.6, 0.1], [0.2, 0.3]]), torch.tensor([[0, 1]])
    assert inference.class_scores(scores, group_of, 0.5)[0].tolist() == [[0.0, 1.0]]
    assert inference.class_scores(scores, group_of, 0.95)[0].tolist() == [[0.0, 1.0]]
    assert inference.class_scores(scores, group_of, 0.2)[0].tolist() == [[0.0, 0.0]]
    assert inference.class_scores(scores, group_of, None).shape == (2, 1, 2)


def test_the_label_map_is_the_official_argmax(answer):
    pixels = inference.class_scores(torch.from_numpy(answer.scores), torch.from_numpy(answer.groups.map), 0.5)
    assert (answer.label_map().ids == pixels.argmax(0).numpy() - 1).all()


def test_a_pixel_has_its_groups_scores_and_label(answer):
    for y, x in ((0, 0), (31, 47), (12, 30)):
        group = answer.groups.map[y, x]
        assert answer.scores_at(x, y).tolist() == answer.scores[group].tolist()
        assert answer.word_map(1)[y, x] == answer.scores[group, 1]
        assert answer.label_map().ids[y, x] == answer.group_words()[group]
    with pytest.raises(ValueError, match="inside 48 x 32"):
        answer.scores_at(48, 0)


def test_shares_and_background_make_the_picture(answer):
    for threshold in (0.0, 0.3, 1.0):
        background = float((answer.label_map(threshold).ids < 0).mean())
        assert answer.shares(threshold).sum() + background == pytest.approx(1)


def test_a_higher_threshold_leaves_more_background(answer):
    backgrounds = [float((answer.label_map(threshold).ids < 0).mean()) for threshold in (0.0, 0.2, 0.4, 1.0)]
    assert backgrounds == sorted(backgrounds)
    assert backgrounds[0] == 0
    assert backgrounds[-1] < 1


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_none_is_refused(answer, threshold):
    with pytest.raises(ValueError, match="threshold from 0 to 1"):
        answer.label_map(threshold)


def test_other_words_and_thresholds_cost_no_look(model, forwards):
    picture = some_picture(seed=5)
    first = model.segment(picture, WORDS, SETTINGS)
    first.label_map(0.9)
    second = model.segment(picture, ("cup",), dataclasses.replace(SETTINGS, threshold=0.1))
    assert len(forwards) == 1
    assert second.groups is first.groups
    model.segment(picture, WORDS, dataclasses.replace(SETTINGS, pixels=64))
    assert len(forwards) == 2


def test_there_are_never_more_segments_than_groups(model):
    assert model.most_groups == 3
    for seed in range(4):
        groups = model.look(some_picture(seed=seed), SETTINGS)
        assert len(np.unique(groups.map)) <= 3
        assert len(np.unique(groups.first_map)) <= 6


def test_stages_are_shown_as_labels_at_the_pictures_size(model):
    groups = model.look(some_picture(20, 70), SETTINGS)
    assert [len(groups.stage(number).labels) for number in (1, 2)] == [6, 3]
    assert groups.stage(1).ids.shape == (20, 70)
    assert (groups.stage(2).ids == groups.map).all()
    with pytest.raises(ValueError, match="stage 1 or 2"):
        groups.stage(3)


def test_the_kept_assignments_are_shares_of_each_patch(answer):
    assert answer.groups.first.sum(0) == pytest.approx(1, abs=1e-5)
    assert answer.groups.second.sum(0) == pytest.approx(1, abs=1e-5)


def test_a_picture_keeps_its_shape_in_the_network():
    assert network_size((100, 200), 448, 16) == (448, 896)
    assert network_size((200, 100), 448, 16) == (896, 448)
    assert network_size((10, 3000), 448, 16) == (16, 2048)
    assert network_size((1, 1), 32, 8) == (32, 32)


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 300), (50, 33)])
def test_pictures_of_any_shape_are_labelled(model, size_hw):
    assert model.segment(some_picture(*size_hw), WORDS, SETTINGS).label_map().ids.shape == size_hw


def test_patches_are_read_row_by_row():
    soft = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0, 1.0, 1.0]])  # on a grid of 2 x 3
    stretched = inference.attention_map(soft, (2, 3), (8, 12)).argmax(0)
    assert (stretched[:4, 8:] == 0).float().mean() > 0.7
    assert (stretched[4:] == 1).all()
    assert (stretched[:, :7] == 1).all()


def test_a_word_twice_counts_once(model, answer):
    twice = model.segment(some_picture(), ("chair", "ball", " chair ", "dog"), SETTINGS)
    assert twice.words == WORDS
    assert (twice.scores == answer.scores).all()


def test_one_word_has_nothing_to_compete_with(model):
    found = model.segment(some_picture(), ("chair",), SETTINGS)
    assert (found.label_map().ids == 0).all()


def test_two_hundred_words_are_answered_and_five_may_win(model):
    found = model.segment(some_picture(), [f"chair {i}" for i in range(200)], SETTINGS)
    assert found.scores.shape == (3, 200)
    assert found.kept.sum() == 5


def test_no_word_is_named(model):
    with pytest.raises(ValueError, match="at least one word"):
        model.segment(some_picture(), (" ",), SETTINGS)


def test_templates_are_averaged_before_they_are_normalised(model):
    texts = model.text_features(("chair",), ("a photo of a {}.", "{}"))
    singles = torch.stack(model._encode(["a photo of a chair.", "chair"]))
    assert texts[0].allclose(torch.nn.functional.normalize(singles.mean(0), dim=-1), atol=1e-6)


def test_words_that_training_never_showed_and_that_are_cut_off_are_named(model):
    assert model.unseen_words(("red chair", "zebra chair")) == ("zebra",)
    assert model.too_long(("chair", "chair " * 30)) == ("chair " * 30,)


def test_settings_check_themselves():
    with pytest.raises(ValueError, match="at least 1 pixel"):
        GroupVitSettings(pixels=0)
    with pytest.raises(ValueError, match="threshold from 0 to 1"):
        GroupVitSettings(threshold=2)
