"""ActionCLIP on a tiny CLIP with random weights: what is kept, what is scored, and what each file opens as."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from core.action.actionclip import ActionClip, open_actionclip
from core.action.fusion import MeanPool, Transf, TransfCls
from core.action.xclip import XClip
from core.backbones.clip_model import encode_image
from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import choose
from tests.tiny import VIT, tiny_backbone

LABELS = ("rising", "falling", "spinning")
FRAMES = 3
TINY = Weights(name="tiny", system="actionclip", licence="none")


def clip_of(frames: int = FRAMES, size: tuple[int, int] = (32, 32)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, *size, 3), np.uint8)


def make_model(**settings: float) -> ActionClip:
    torch.manual_seed(2)
    heads = {
        "Transf": Transf(VIT.embed_dim, 1, layers=2, positions=FRAMES),
        "Transf_cls": TransfCls(VIT.embed_dim, FRAMES, layers=1, heads=8, feed_forward=8),
        "meanP": MeanPool(),
    }
    heads["Transf"].frame_position_embeddings.weight.data *= 50
    heads["Transf_cls"].transformer.pos_embed.data *= 50
    return ActionClip(tiny_backbone(VIT), heads, TINY, frames=FRAMES, **settings)


@pytest.fixture(scope="module")
def model() -> ActionClip:
    return make_model()


@pytest.fixture(scope="module")
def kept(model):
    return model.clip_features(clip_of())


def test_heads_come_in_the_papers_order_and_its_best_is_the_default(model):
    assert model.heads == ("meanP", "Transf", "Transf_cls")
    assert model.default_head == "Transf"
    assert (model.weights, model.licence, model.device_name) == ("tiny", "none", "cpu")


def test_frames_are_kept_as_the_tower_gives_them_not_normalised(model, kept):
    inputs = torch.stack([model.backbone.preprocess(frame) for frame in clip_of()])
    with torch.inference_mode():
        wanted = encode_image(model.backbone.model, inputs)
    assert kept.frames == pytest.approx(wanted.numpy(), abs=1e-5)


def test_a_score_is_the_cosine_of_the_clip_with_each_label_in_each_template(model, kept):
    templates = ("a video of {}", "{}, an action")
    found = model.score(kept, LABELS, templates=templates, head="meanP")
    video = normalize(torch.from_numpy(kept.frames).mean(0), dim=-1)
    for row, template in zip(found.cosines, templates, strict=True):
        texts = model.backbone.encode_texts([template.format(label) for label in LABELS])
        assert row == pytest.approx((texts @ video).numpy(), abs=1e-5)
    assert found.logit_scale == 100


def test_reversed_the_mean_says_exactly_the_same_and_a_transformer_does_not(model, kept):
    backwards = kept.ordered([2, 1, 0])
    scored = {
        head: [model.score(each, LABELS, head=head).cosines for each in (kept, backwards)] for head in model.heads
    }
    assert np.array_equal(*scored["meanP"])
    assert not np.allclose(*scored["Transf"], atol=1e-4)
    assert not np.allclose(*scored["Transf_cls"], atol=1e-4)


def test_a_clip_scored_again_looks_at_no_picture(model, kept, monkeypatch):
    monkeypatch.setattr(model, "encode_inputs", lambda *_, **__: pytest.fail("looked again"))
    model.score(kept.ordered([0, 0, 0]), ("something else",), templates=("{} here",), head="meanP")


def test_each_frame_is_ranked_as_a_clip_of_its_own(model, kept):
    found = model.frame_rankings(kept, LABELS, templates=("{}",))
    alone = model.score(kept.ordered([1]), LABELS, templates=("{}",), head="meanP")
    assert len(found) == FRAMES
    assert found[1].cosines == pytest.approx(alone.cosines[0], abs=1e-6)


def test_ranking_a_clip_is_scoring_what_was_kept(model, kept):
    assert np.array_equal(model.rank(clip_of(), LABELS).cosines, model.score(kept, LABELS).ranking().cosines)


def test_a_long_clip_is_looked_at_in_batches(model):
    long = clip_of(40)
    assert model.clip_features(long).frames[-1] == pytest.approx(model.clip_features(long[-1:]).frames[0], abs=1e-4)


def test_the_shift_inside_the_tower_lets_frames_see_each_other(model, kept):
    other = clip_of()
    other[2] = 0
    plain, shifted = (
        [model.clip_features(frames, shifted=on).frames[1] for frames in (clip_of(), other)] for on in (False, True)
    )
    assert np.array_equal(*plain)
    assert not np.allclose(*shifted, atol=1e-5)


def test_a_published_file_sees_the_middle_of_a_larger_frame():
    wide = make_model(margin=2.0)
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[16:48, 16:48] = 200
    assert (wide.crop_seen(frame) == 200).all()
    assert not (make_model().crop_seen(frame) == 200).all()


def test_places_in_time_are_compared_with_the_features(model, kept):
    places = model._heads["Transf"].frame_position_embeddings.weight.detach()
    wanted = float(places.norm(dim=1).mean()) / float(np.linalg.norm(kept.frames, axis=1).mean())
    assert model.position_signal(kept) == pytest.approx(wanted)


def test_bad_questions_get_one_sentence(model, kept):
    with pytest.raises(ValueError, match="tiny has no head 'LSTM'; there are: meanP, Transf, Transf_cls"):
        model.score(kept, LABELS, head="LSTM")
    with pytest.raises(ValueError, match="at least one label"):
        model.score(kept, ())
    with pytest.raises(ValueError, match=r"needs \{\} exactly once"):
        model.score(kept, LABELS, templates=("a video",))
    with pytest.raises(ValueError, match="has no frames"):
        model.clip_features(np.zeros((0, 8, 8, 3), np.uint8))


def test_words_that_are_cut_off_are_named(model):
    assert model.too_long(("rising", "a very " * 30)) == ("a very " * 30,)
    assert model.unseen_words(("rising",)) == ()


def opened(tensors: dict[str, torch.Tensor], tmp_path) -> ActionClip | XClip:
    path = tmp_path / "tiny.pth"
    torch.save({"state_dict": tensors}, path)
    weights = Weights(name="tiny", system="actionclip", path=path)
    return open_actionclip(weights, choose("cpu"), {WEIGHTS_FILE: path})


def test_a_file_in_mmactions_layout_opens_as_the_model_it_was_made_from(tmp_path, kept):
    made = make_model()
    clip = {f"clip.{k}": v for k, v in made.backbone.model.state_dict().items()}
    adapter = {f"adapter.{k}": v for k, v in made._heads["Transf"].state_dict().items()}
    found = opened(clip | adapter, tmp_path)
    assert (found.heads, found.frames, found.margin) == (("meanP", "Transf"), FRAMES, pytest.approx(256 / 224))
    assert found.score(kept, LABELS).cosines == pytest.approx(made.score(kept, LABELS).cosines, abs=1e-5)


def test_any_clip_opens_as_the_zero_shot_mean(tmp_path):
    found = opened(tiny_backbone(VIT).model.state_dict(), tmp_path)
    assert (found.heads, found.default_head) == (("meanP",), "meanP")
    assert found.position_signal(found.clip_features(clip_of())) is None


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a CLIP in OpenAI's key layout"):
        opened({"something": torch.ones(2)}, tmp_path)
