"""LSeg: words and places, blocks, looks that are remembered, what it refuses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.backbones.dpt import double
from core.segmentation.lseg import PUBLISHED, LsegSettings
from core.segmentation.lseg_evaluator import EvaluatorSettings, count_windows
from core.segmentation.lseg_model import LOGIT_SCALE, NO_BLOCKS, Kernel, Regulariser, products
from tests.segmentation.tiny_lseg import BESIDE, OWN, SETTINGS, tiny_lseg, tiny_network

WORDS = ("dog", "cat", "grass")


def some_picture(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def model():
    return tiny_lseg()


def count_looks(model, monkeypatch) -> list[int]:
    """Return a list that grows by the number of pictures each time the image tower runs."""
    looks: list[int] = []
    features = model.network.features
    monkeypatch.setattr(model.network, "features", lambda x: looks.append(len(x)) or features(x))
    return looks


def test_the_scale_is_the_constant_of_the_released_code():
    assert pytest.approx(14.2857, abs=1e-4) == LOGIT_SCALE


def test_scores_are_scaled_cosines_of_words_and_places(model):
    answer = model.segment(some_picture(64, 64), WORDS)
    inputs = torch.from_numpy(some_picture(64, 64)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        place = model.network.scratch.head1(model.network.scratch(model.network.pretrained(inputs)))[0, :, 5, 7]
        cosines = F.cosine_similarity(place[None], model.texts.encode_texts(WORDS))
    assert answer.before[:, 5, 7] == pytest.approx((LOGIT_SCALE * cosines).numpy(), abs=1e-4)


def test_one_look_is_what_the_released_network_gives_before_it_doubles(model):
    image = some_picture(64, 64)
    inputs = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        whole = model.network(inputs, model.texts.encode_texts(WORDS))[0].numpy()
    answer = model.segment(image, WORDS)
    assert np.stack([answer.word_map(i) for i in range(3)]) == pytest.approx(whole, abs=1e-3)


def test_new_words_on_the_same_picture_cost_no_look(model, monkeypatch):
    looks = count_looks(model, monkeypatch)
    model.forget()
    first = model.segment(some_picture(seed=5), WORDS)
    model.segment(some_picture(seed=5), ("something", "else"))
    model.segment(some_picture(seed=5), WORDS, LsegSettings(pixels=64, regulariser=NO_BLOCKS))
    model.feature_colors(some_picture(seed=5))
    assert looks == [1]
    model.segment(some_picture(seed=5), WORDS, LsegSettings(pixels=96))
    model.segment(some_picture(seed=6), WORDS)
    model.segment(some_picture(seed=7), WORDS)
    again = model.segment(some_picture(seed=5), WORDS)  # forgotten by now
    assert looks == [1] * 5
    assert np.array_equal(first.logits, again.logits)


def test_a_changed_pixel_is_another_picture(model, monkeypatch):
    looks = count_looks(model, monkeypatch)
    model.forget()
    image = some_picture(seed=8)
    model.segment(image, WORDS)
    image[0, 0] ^= 255
    model.segment(image, WORDS)
    assert len(looks) == 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (70, 3), (40, 64), (64, 64), (130, 200)])
def test_a_picture_of_any_size_gets_a_label_for_each_of_its_pixels(model, shape):
    answer = model.segment(some_picture(*shape), WORDS)
    assert answer.label_map().ids.shape == shape
    places = [32 * side / max(shape) for side in shape]
    assert answer.logits.shape[1:] == pytest.approx(places, abs=1)


def test_a_border_that_is_added_is_taken_away_again():
    """A picture twice as wide as the network's multiple allows is read where it is, not squeezed or shifted."""
    model = tiny_lseg()
    image = np.zeros((40, 64, 3), np.uint8)
    image[:, 32:] = 255  # only the right half is bright
    seen = []
    features = model.network.features
    model.network.features = lambda x: (seen.append(x), features(x))[1]
    answer = model.segment(image, WORDS)
    assert seen[0].shape == (1, 3, 64, 64)
    assert torch.equal(seen[0][:, :, 40:], seen[0][:, :, 39:40].expand(-1, -1, 24, -1))
    whole = products(features(seen[0]), model.texts.encode_texts(WORDS))[0]
    stretched = F.interpolate(whole[None], size=(64, 64), mode="bilinear", align_corners=True)[0]
    assert answer.before.shape == (3, 20, 32)
    assert answer.before[:, 0, -1] == pytest.approx(stretched[:, 0, -1].detach().numpy(), abs=1e-3)
    assert answer.before[:, -1, 0] == pytest.approx(stretched[:, 39, 0].detach().numpy(), abs=0.2)


def test_the_mirror_image_makes_a_mirrored_picture_s_answer_the_mirrored_answer(model):
    settings = LsegSettings(pixels=64, flip=True)
    there = model.segment(some_picture(64, 64), WORDS, settings).before
    back = model.segment(some_picture(64, 64)[:, ::-1].copy(), WORDS, settings).before
    assert back[..., ::-1] == pytest.approx(there, abs=1e-3)
    assert model.segment(some_picture(64, 64), WORDS).before != pytest.approx(there, abs=1e-3)


def test_scores_of_several_scales_are_their_mean(model):
    image = some_picture(64, 64)
    parts = [model.segment(image, WORDS, LsegSettings(pixels=pixels)).before for pixels in (64, 96)]
    both = model.segment(image, WORDS, LsegSettings(pixels=64, scales=(1.0, 1.5))).before
    larger = F.interpolate(torch.from_numpy(parts[1])[None], size=(32, 32), mode="bilinear", align_corners=True)[0]
    assert both == pytest.approx((parts[0] + larger.numpy()) / 2, abs=1e-3)


def test_the_released_windows_look_as_often_as_they_say(model, monkeypatch):
    looks = count_looks(model, monkeypatch)
    answer = model.segment_windows(some_picture(48, 64), WORDS)
    assert sum(looks) == count_windows((48, 64), model.windows())
    assert answer.label_map().ids.shape == (48, 64)


def test_the_released_app_s_picture_costs_thirty_six_looks():
    assert count_windows((360, 480), EvaluatorSettings()) == 36


def test_one_scale_one_window_and_no_mirror_is_one_look_at_the_whole(model):
    image = some_picture(64, 64)
    evaluator = EvaluatorSettings(scales=(1.0,), flip=False, base=64, crop=64)
    windows = model.segment_windows(image, WORDS, evaluator=evaluator)
    once = model.segment(image, WORDS)
    stretched = np.stack([once.word_map(i) for i in range(3)])
    assert windows.logits == pytest.approx(stretched, abs=1e-3)


@pytest.mark.parametrize("kind", ["bottleneck", "depthwise"])
def test_blocks_do_not_care_in_which_order_words_stand(model, kind):
    logits, order = torch.randn(1, 5, 6, 7), torch.tensor([3, 0, 4, 1, 2])
    kernel = model.network.scratch.head_block
    regulariser = Regulariser(kind=kind, blocks=3)
    assert torch.allclose(kernel(logits, regulariser)[:, order], kernel(logits[:, order], regulariser), atol=1e-5)


def test_a_fresh_kernel_changes_no_label():
    logits = torch.randn(1, 4, 5, 5)
    for kind in ("bottleneck", "depthwise"):
        found = Kernel()(logits, Regulariser(kind=kind, blocks=1))
        assert torch.equal(found.argmax(1), logits.argmax(1))


def test_the_last_block_has_no_activation():
    logits = torch.full((1, 2, 3, 3), -1.0)
    assert (Kernel()(logits, Regulariser(kind="depthwise", blocks=1, activation="relu")) == -1).all()
    assert (Kernel()(logits, Regulariser(kind="depthwise", blocks=2, activation="relu")) == 0).all()


def test_blocks_that_were_asked_for_are_applied_and_what_was_before_is_kept(model):
    answers = {
        blocks.name: model.segment(some_picture(), WORDS, LsegSettings(pixels=64, regulariser=blocks))
        for blocks in model.regularisers.values()
    }
    assert list(answers) == ["bottleneck 2", "none", "depthwise 1"]
    none = answers["none"]
    assert np.array_equal(none.logits, none.before)
    for name in ("bottleneck 2", "depthwise 1"):
        assert np.array_equal(answers[name].before, none.before)
        assert np.abs(answers[name].logits - none.logits).max() > 0.01
    assert np.array_equal(model.segment(some_picture(), WORDS).logits, answers["bottleneck 2"].logits)


def test_blocks_without_a_kernel_are_refused():
    with pytest.raises(ValueError, match="no kernel for the blocks 'depthwise 1'; they have: none"):
        tiny_lseg(own=None, ablation=()).segment(some_picture(), WORDS, LsegSettings(pixels=64, regulariser=BESIDE))


def test_one_word_gets_every_pixel(model):
    answer = model.segment(some_picture(), ["dog"])
    assert (answer.label_map().ids == 0).all()
    assert answer.probabilities_at(3, 4) == pytest.approx([1])


def test_two_hundred_words_are_answered(model):
    answer = model.segment(some_picture(), [f"word {i}" for i in range(200)])
    assert answer.shares().sum() == pytest.approx(1)
    assert len(answer.words) == 200


def test_a_word_twice_leaves_the_labels_and_halves_what_the_word_has_of_the_probability():
    model = tiny_lseg(own=None)
    once, twice = (model.segment(some_picture(), words) for words in (("dog", "cat"), ("dog", "dog", "cat")))
    assert not (twice.label_map().ids == 1).any()
    assert np.array_equal(np.array([0, 0, 1])[twice.label_map().ids], once.label_map().ids)
    assert twice.probabilities_at(0, 0)[0] == twice.probabilities_at(0, 0)[1]


def test_empty_words_are_left_out_and_none_is_refused(model):
    assert model.segment(some_picture(), [" dog ", "", "  ", "black  cat"]).words == ("dog", "black cat")
    with pytest.raises(ValueError, match="at least one word"):
        model.segment(some_picture(), ["", "  "])


def test_the_colours_of_places_tell_two_halves_apart():
    model = tiny_lseg()
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = 255
    colors = model.feature_colors(image)
    assert colors.shape == (32, 32, 3)
    left, right = colors[:, :8].reshape(-1, 3).mean(0), colors[:, -8:].reshape(-1, 3).mean(0)
    assert np.abs(left - right).max() > 60
    assert np.array_equal(colors, tiny_lseg().feature_colors(image))


def test_a_picture_of_one_pixel_has_a_colour(model):
    assert model.feature_colors(some_picture(1, 1)).shape == (32, 32, 3)


@pytest.mark.parametrize(
    "change", [{"pixels": 16}, {"pixels": 5000}, {"scales": ()}, {"scales": (0.0,)}, {"scales": (9.0,)}]
)
def test_looks_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="wanted"):
        LsegSettings(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "magic"},
        {"activation": "none"},
        {"blocks": 5},
        {"blocks": 0},
        {"kind": "none", "blocks": 2},
    ],
)
def test_blocks_that_make_no_sense_are_refused(change):
    with pytest.raises(ValueError, match="wanted"):
        Regulariser(**change)


def test_published_weights_look_once_at_480_pixels():
    assert (PUBLISHED.pixels, PUBLISHED.scales, PUBLISHED.flip) == (480, (1.0,), False)
    assert SETTINGS != PUBLISHED


def test_the_released_network_has_one_kernel_of_ten_numbers():
    kernel = tiny_network().scratch.head_block
    assert sum(parameter.numel() for parameter in kernel.parameters()) == 10
    assert tiny_network().regulariser == OWN


def test_doubled_scores_are_those_of_the_network(model):
    with torch.inference_mode():
        inputs, texts = torch.randn(1, 3, 32, 64), torch.randn(4, 12)
        half = model.network.regularise(products(model.network.features(inputs), F.normalize(texts, dim=-1)), OWN)
        assert torch.equal(model.network(inputs, texts), double(half))
