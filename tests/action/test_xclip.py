"""X-CLIP with random weights, against transformers' own forward on the same pixels and tokens."""

import numpy as np
import pytest
import torch
from transformers import XCLIPConfig, XCLIPModel

from core.action.actionclip import open_actionclip
from core.action.xclip import HEAD, XClip, config_of, is_xclip
from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import choose

FRAMES, SIDE = 3, 32
LABELS = ("rising", "falling down")


def tiny() -> XCLIPModel:
    torch.manual_seed(0)
    vision = {
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "patch_size": 16,
        "image_size": SIDE,
        "num_frames": FRAMES,
        "mit_hidden_size": 64,
        "mit_intermediate_size": 80,
        "mit_num_attention_heads": 1,
    }
    text = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1}
    config = XCLIPConfig(text_config=text, vision_config=vision, projection_dim=64)
    model = XCLIPModel(config).eval()
    for parameter in model.parameters():  # no branch may be switched off by a zero
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def theirs() -> XCLIPModel:
    return tiny()


@pytest.fixture(scope="module")
def ours(theirs, tmp_path_factory) -> XClip:
    path = tmp_path_factory.mktemp("xclip") / "xclip.bin"
    torch.save(theirs.state_dict(), path)
    weights = Weights(name="tiny X-CLIP", system="actionclip", path=path)
    return open_actionclip(weights, choose("cpu"), {WEIGHTS_FILE: path})


def clip_of(frames: int = FRAMES) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, SIDE, SIDE, 3), np.uint8)


def reference(theirs: XCLIPModel, ours: XClip, frames: np.ndarray) -> np.ndarray:
    pixels = torch.stack([ours.preprocess(frame) for frame in frames])[None]
    with torch.inference_mode():
        return theirs(input_ids=ours.tokenize(list(LABELS)), pixel_values=pixels).logits_per_video[0].numpy()


def test_sizes_are_read_off_the_tensors(theirs):
    tensors = theirs.state_dict()
    found = config_of(tensors)
    assert is_xclip(tensors)
    for part in ("vision_config", "text_config"):
        want, got = (getattr(config, part).to_dict() for config in (theirs.config, found))
        assert {k: v for k, v in want.items() if got.get(k) != v} == {}
    assert (found.projection_dim, found.prompt_layers) == (64, 2)


def test_scores_are_transformers_own(theirs, ours):
    scores = ours.score(ours.clip_features(clip_of()), LABELS)
    assert scores.ranking().logits() == pytest.approx(reference(theirs, ours, clip_of()), abs=1e-3)


def test_reversed_from_what_was_kept_is_the_reversed_clip_seen_anew(theirs, ours):
    kept = ours.clip_features(clip_of()).ordered([2, 1, 0])
    scores = ours.score(kept, LABELS).ranking().logits()
    assert scores == pytest.approx(reference(theirs, ours, clip_of()[::-1].copy()), abs=1e-3)
    assert scores != pytest.approx(reference(theirs, ours, clip_of()), abs=1e-3)


def test_each_frame_is_ranked(ours):
    assert len(ours.frame_rankings(ours.clip_features(clip_of()), LABELS)) == FRAMES


def test_bad_questions_get_one_sentence(ours):
    kept = ours.clip_features(clip_of())
    with pytest.raises(ValueError, match="takes exactly 3 frames; these are 2"):
        ours.clip_features(clip_of(2))
    with pytest.raises(ValueError, match="no temporal shift"):
        ours.clip_features(clip_of(), shifted=True)
    with pytest.raises(ValueError, match=f"there is: {HEAD}"):
        ours.score(kept, LABELS, head="Transf")
    with pytest.raises(ValueError, match="at least one label"):
        ours.score(kept, ())


def test_tensors_that_do_not_fit_are_refused(theirs):
    tensors = theirs.state_dict()
    del tensors["visual_projection.weight"]
    with pytest.raises(ValueError, match="bad is not an X-CLIP"):
        XClip.from_tensors(tensors, Weights(name="bad", system="actionclip"), choose("cpu"))
