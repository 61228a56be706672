"""CLIP4Clip: what each head sees of time, what is kept, and every layout that its weights come in."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import choose
from core.video_retrieval import clip4clip
from core.video_retrieval.clip4clip import Clip4Clip, open_clip4clip
from core.video_retrieval.heads import HEADS, LOOSE, VideoHeads
from core.video_retrieval.patches import inflated
from tests.tiny import RESNET, VIT, tiny_backbone

TEXTS = ("a red ball rising", "a blue cube falling", "a green car")
TUBE_3D = "clip.visual.conv2.weight"
SIZE = dataclasses.replace(VIT, context_length=16)


def heads() -> VideoHeads:
    torch.manual_seed(1)
    made = VideoHeads(SIZE.embed_dim, layers=2, heads=2, positions=16)
    for parameter in made.parameters():  # positions and biases must show
        parameter.data += 0.3 * torch.randn_like(parameter)
    made.input_norm.fill_(4.0)
    return made


@pytest.fixture(scope="module")
def model():
    return Clip4Clip(tiny_backbone(SIZE), Weights(name="tiny", system="clip4clip", licence="none"), heads())


@pytest.fixture(scope="module")
def films():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (count, 24, 40, 3), dtype=np.uint8) for count in (5, 3, 1)]


@pytest.fixture(scope="module")
def features(model, films):
    return model.encode(films)


def test_the_mean_of_frames_is_blind_to_order_to_the_last_bit(model, features):
    turned = [each[::-1] for each in features]
    assert np.array_equal(model.clip_vectors(features, "meanP"), model.clip_vectors(turned, "meanP"))
    assert np.array_equal(model.scores(features, TEXTS, "meanP"), model.scores(turned, TEXTS, "meanP"))


@pytest.mark.parametrize("head", HEADS[1:])
def test_temporal_heads_see_order(model, features, head):
    turned = [each[::-1] for each in features]
    change = np.abs(model.scores(features, TEXTS, head) - model.scores(turned, TEXTS, head))
    assert change[:, 0].min() > 1e-3
    assert change[:, 2].max() < 1e-5  # a clip of one frame has no order


def test_kept_features_backwards_are_those_of_the_clip_backwards(model, films, features):
    again = model.encode([film[::-1] for film in films])
    assert all(np.allclose(kept[::-1], seen, atol=1e-5) for kept, seen in zip(features, again, strict=True))


def test_a_file_is_looked_at_once_for_each_network_and_for_its_bytes(model, films, tmp_path, monkeypatch):
    monkeypatch.setenv("CLIP_FAMILY_CACHE", str(tmp_path / "cache"))
    path, looks = tmp_path / "clip.mp4", []

    def look(asked: Clip4Clip = model, looked_at: str = "5 uniform") -> np.ndarray:
        return asked.encode_file(path, lambda: looks.append(looked_at) or films[0], looked_at=looked_at)

    path.write_bytes(b"the bytes of a clip")
    first = look()
    assert (first == model.encode(films[:1])[0]).all()
    assert (look() == first).all()
    assert (look(Clip4Clip(model.backbone, Weights(name="heads do not look", system="clip4clip"))) == first).all()
    assert len(looks) == 1
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:-3])
    assert (look() == first).all()
    look(looked_at="5 head")
    path.write_bytes(b"other bytes")
    look()
    torch.manual_seed(5)
    other = tiny_backbone(SIZE)
    next(other.model.parameters()).data += 0.01
    look(Clip4Clip(other, Weights(name="other", system="clip4clip")))
    assert len(looks) == 5


@pytest.mark.parametrize("head", HEADS)
def test_what_pads_a_shorter_clip_changes_nothing(model, features, head):
    together = model.scores(features, TEXTS, head)
    alone = np.concatenate([model.scores([each], TEXTS, head) for each in features], 1)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_the_tight_head_scores_pairs_together_as_one_by_one(model, features, monkeypatch):
    whole = model.scores(features, TEXTS, "tightTransf")
    loop = [[model.scores([each], [text], "tightTransf")[0, 0] for each in features] for text in TEXTS]
    np.testing.assert_allclose(whole, loop, rtol=1e-4, atol=1e-5)
    monkeypatch.setattr("core.video_retrieval.heads.PAIR_TOKENS", {"cpu": 13})
    np.testing.assert_allclose(whole, model.scores(features, TEXTS, "tightTransf"), rtol=1e-4, atol=1e-5)


def test_a_loose_score_is_the_scaled_cosine_of_the_clips_vector(model, features):
    words = model.backbone.encode_texts(list(TEXTS)).numpy()
    cosines = words @ model.clip_vectors(features, "seqLSTM").T
    np.testing.assert_allclose(model.scores(features, TEXTS, "seqLSTM"), model.logit_scale * cosines, rtol=1e-4)


def test_the_film_strip_is_the_cosine_of_each_frame(model, films, features):
    strip = model.film_strip(features[0], TEXTS)
    pictures = model.backbone.encode_images(list(films[0]))
    np.testing.assert_allclose(strip, (pictures @ model.backbone.encode_texts(list(TEXTS)).T).numpy(), atol=1e-5)


def test_without_positions_the_transformer_is_blind_to_order(model, features):
    deaf, turned = model.with_positions_scaled(0.0), [each[::-1] for each in features]
    before, after = deaf.scores(features, TEXTS, "seqTransf"), deaf.scores(turned, TEXTS, "seqTransf")
    np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-4)
    assert model.with_positions_scaled(1.0).scores(features, TEXTS, "seqTransf") == pytest.approx(
        model.scores(features, TEXTS, "seqTransf")
    )


def test_a_black_frame_of_nothing_but_zeros_is_no_nan(model):
    nothing = np.zeros((3, SIZE.embed_dim), np.float32)
    assert all(np.isfinite(model.scores([nothing], TEXTS, head)).all() for head in HEADS)


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda m, f: m.scores([], TEXTS), "Give at least one clip."),
        (lambda m, f: m.scores(f, []), "Write at least one sentence."),
        (lambda m, f: m.scores(f, TEXTS, "maxP"), "wanted one of the heads meanP"),
        (lambda m, f: m.encode([np.zeros((0, 8, 8, 3), np.uint8)]), "wanted 1 to 1000 frames a clip, got 0"),
        (lambda m, f: m.scores([np.ones((17, 16), np.float32)], TEXTS, "seqTransf"), "at most 16 frames"),
        (lambda m, f: m.scores([np.ones((16, 16), np.float32)], TEXTS, "tightTransf"), "at most 15 frames"),
    ],
)
def test_bad_input_gets_one_sentence(model, features, ask, sentence):
    with pytest.raises(ValueError, match=sentence):
        ask(model, features)


def test_any_clip_is_meanp_without_a_head_of_its_own(films):
    model = Clip4Clip(tiny_backbone(RESNET), Weights(name="tiny", system="clip4clip"))
    assert model.heads == ("meanP",)
    assert model.default_head == "meanP"
    assert model.scores(model.encode(films), TEXTS).shape == (3, 3)


def save(path, tensors):
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, path)
    return {WEIGHTS_FILE: path}


def test_the_layout_of_transformers_gives_the_numbers_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    shared = {"num_hidden_layers": 2, "num_attention_heads": 1, "hidden_size": 64, "intermediate_size": 256}
    config = transformers.CLIPConfig(
        text_config=shared | {"vocab_size": 49408, "max_position_embeddings": 16, "eos_token_id": 49407},
        vision_config=shared | {"image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    theirs = transformers.CLIPModel(config).eval()
    files = save(tmp_path / "model.safetensors", theirs.state_dict())
    ours = open_clip4clip(Weights(name="webvid", system="clip4clip"), choose("cpu"), files)
    film = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    pixels = torch.stack([ours.backbone.preprocess(frame) for frame in film])
    with torch.no_grad():
        frames = theirs.get_image_features(pixel_values=pixels).pooler_output
        words = theirs.get_text_features(input_ids=ours.backbone.tokenize(list(TEXTS))).pooler_output
    np.testing.assert_allclose(ours.encode([film])[0], frames.numpy(), atol=1e-5)
    mean = torch.nn.functional.normalize(torch.nn.functional.normalize(frames, dim=-1).mean(0), dim=-1)
    cosines = torch.nn.functional.normalize(words, dim=-1) @ mean
    scale = theirs.logit_scale.exp().item()
    np.testing.assert_allclose(ours.scores(ours.encode([film]), TEXTS)[:, 0], scale * cosines.numpy(), atol=1e-3)


def test_a_tensor_that_no_layout_has_is_named(tmp_path):
    tensors = {"text_projection.weight": torch.zeros(4, 4), "visual_projection.weight": torch.zeros(4, 4)}
    files = save(tmp_path / "model.safetensors", tensors | {"text_model.mystery": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"got a file with text_model\.mystery"):
        open_clip4clip(Weights(name="odd", system="clip4clip"), choose("cpu"), files)


def test_the_release_s_layout_opens_with_its_heads(model, features, tmp_path):
    clip = {f"clip.{key}": value for key, value in model.backbone.model.state_dict().items()}
    own = {key: value for key, value in heads().state_dict().items() if not key.startswith("lstm_visual")}
    wide = open_clip4clip(
        Weights(name="released", system="clip4clip"), choose("cpu"), save(tmp_path / "best.safetensors", clip | own)
    )
    assert wide.heads == ("meanP", "seqTransf", "tightTransf")
    assert wide.scores(features, TEXTS) == pytest.approx(model.scores(features, TEXTS), rel=1e-4)


def test_a_released_file_with_a_3d_patch_looks_along_time(model, films, features, tmp_path):
    clip = {f"clip.{key}": value for key, value in model.backbone.model.state_dict().items()}
    kernel = inflated(clip["clip.visual.conv1.weight"])
    card = Weights(name="released", system="clip4clip")
    same = open_clip4clip(card, choose("cpu"), save(tmp_path / "start.bin.safetensors", clip | {TUBE_3D: kernel}))
    for found, wanted in zip(same.encode(films), features, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    kernel[:, :, 0] = kernel[:, :, 1]  # the frame before counts as much
    other = open_clip4clip(card, choose("cpu"), save(tmp_path / "later.bin.safetensors", clip | {TUBE_3D: kernel}))
    turned = other.encode([film[::-1] for film in films])
    assert np.abs(turned[0][::-1] - other.encode(films)[0]).max() > 1e-2


@pytest.fixture
def embedded(model, tmp_path):
    clip = {f"clip.{k}": v for k, v in model.backbone.model.state_dict().items() if not k.startswith("visual.")}
    return save(tmp_path / "heads.safetensors", clip | heads().state_dict())


def test_heads_without_an_image_tower_need_a_card(embedded):
    with pytest.raises(ValueError, match="has no image tower"):
        open_clip4clip(Weights(name="heads", system="clip4clip"), choose("cpu"), embedded)


def test_heads_of_another_image_tower_are_refused(embedded):
    card = {"backbone": "toybox-resnet", "backbone_sha256": "0" * 64}
    embedded[WEIGHTS_FILE].with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="trained on another toybox-resnet"):
        open_clip4clip(Weights(name="heads", system="clip4clip"), choose("cpu"), embedded)


def test_heads_borrow_the_image_tower_that_their_card_names(embedded, model, features, tmp_path, monkeypatch):
    tower = tmp_path / "clip.safetensors"
    save(tower, {k: v for k, v in model.backbone.model.state_dict().items() if k.startswith("visual.")})
    digest = clip4clip.hashlib.sha256(tower.read_bytes()).hexdigest()
    card = {"backbone": "toybox-resnet", "backbone_sha256": digest}
    embedded[WEIGHTS_FILE].with_suffix(".json").write_text(json.dumps(card))
    monkeypatch.setattr(clip4clip.checkpoints, "fetch", lambda weights: tower)
    found = open_clip4clip(Weights(name="heads", system="clip4clip"), choose("cpu"), embedded)
    for head in LOOSE:
        # one attention head for 64 numbers where a file does not say: here too few numbers for two
        if head != "seqTransf":
            assert found.scores(features, TEXTS, head) == pytest.approx(model.scores(features, TEXTS, head), rel=1e-4)
    assert "visual.conv1.weight" not in load_file(embedded[WEIGHTS_FILE])


def test_heads_that_do_not_fit_are_refused(embedded):
    tensors = load_file(embedded[WEIGHTS_FILE])
    with pytest.raises(ValueError, match="These heads do not fit"):
        clip4clip.heads_from_tensors(tensors | {"similarity_dense.bias": torch.zeros(2)}, width=SIZE.embed_dim)
