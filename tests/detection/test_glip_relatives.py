"""Published relatives of GLIP, at the size of a toy, through the files that transformers writes."""

import json

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    SwinConfig,
)

from core.checkpoints import TOKENIZER_FILES, TRANSFORMERS_CONFIG, WEIGHTS_FILE, Weights
from core.detection.glip_files import open_glip
from core.detection.glip_prompts import word_tokenizer
from core.detection.relatives import PREPROCESSOR, GroundingDino, Owl, is_relative, open_relative
from core.device import choose
from tests.detection.tiny_glip import PICTURE, WORDS


def files_of(folder):
    names = (TRANSFORMERS_CONFIG, PREPROCESSOR, TOKENIZER_FILES[0])
    return {name: folder / name for name in names} | {WEIGHTS_FILE: folder / "model.safetensors"}


@pytest.fixture(scope="module")
def dino_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dino")
    torch.manual_seed(0)
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, out_indices=[2, 3, 4]
        ),
        text_config=BertConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=40,
        ),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        num_queries=20,
        max_text_len=32,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 100}).save_pretrained(folder)
    word_tokenizer(WORDS).save(str(folder / TOKENIZER_FILES[0]))
    return files_of(folder)


@pytest.fixture(scope="module")
def owl_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("owl")
    torch.manual_seed(0)
    text = {"vocab_size": 49_408, "max_position_embeddings": 16}
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Owlv2Config(
        text_config=text | small, vision_config={"image_size": 64, "patch_size": 16} | small, projection_dim=16
    )
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    Owlv2ImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return {name: path for name, path in files_of(folder).items() if path.is_file()}  # without a tokenizer


def opened(files):
    return open_glip(Weights(name="relative", system="glip"), choose("cpu"), files)


def test_a_grounding_dino_answers_to_lists_and_sentences(dino_files):
    model = opened(dino_files)
    assert isinstance(model, GroundingDino)
    assert "relative of GLIP" in model.title
    found = model.detect(PICTURE, ["Dog", "red ball"])
    assert found.labels == ("Dog", "red ball")
    assert found.scores.shape == (len(found.boxes_xyxy), 2)
    assert 0 < len(found.boxes_xyxy) <= 20
    assert (found.boxes_xyxy[:, 2] <= 80).all()
    told = model.ground(PICTURE, "a dog on the ball")
    assert told.candidates.labels == ("a dog", "the ball")
    assert model.unseen_words(["dog zebra"]) == ("zebra",)
    assert [told.tokens[t] for t in told.phrase_tokens[1]] == ["the", "ball"]


def test_a_long_list_is_asked_in_several_prompts(dino_files):
    words = [f"dog{number}" for number in range(40)]
    found = opened(dino_files).detect(PICTURE, words)
    assert found.scores.shape[1] == 40
    assert (found.scores.max(0) > 0).all()


def test_an_owl_scores_each_word_by_itself(owl_files):
    model = opened(owl_files)
    assert isinstance(model, Owl)
    assert not hasattr(model, "ground")
    alone, both = model.detect(PICTURE, ["dog"]), model.detect(PICTURE, ["dog", "red cat"])
    assert np.allclose(np.sort(alone.scores[:, 0]), np.sort(both.scores[:, 0]), atol=1e-6)
    assert (both.boxes_xyxy <= np.array([80, 48, 80, 48])).all()
    assert model.unseen_words(["dog zebra"]) == ()


@pytest.mark.parametrize("words", [[], [" "]])
def test_no_words_are_refused(dino_files, owl_files, words):
    for files in (dino_files, owl_files):
        with pytest.raises(ValueError, match="Write at least one word"):
            opened(files).detect(PICTURE, words)


def test_sentences_that_cannot_be_grounded(dino_files):
    model = opened(dino_files)
    with pytest.raises(ValueError, match="names no thing"):
        model.ground(PICTURE, "it is there")
    with pytest.raises(ValueError, match="relative reads 32: shorten it"):
        model.ground(PICTURE, "a dog and " * 12 + "a cat")


def test_a_configuration_of_another_model_is_no_relative(tmp_path, dino_files):
    config = tmp_path / TRANSFORMERS_CONFIG
    config.write_text(json.dumps({"model_type": "bert"}))
    assert not is_relative({TRANSFORMERS_CONFIG: config})
    assert is_relative(dino_files)
    assert not is_relative({})
    with pytest.raises(ValueError, match="got a configuration of 'bert'"):
        open_relative(Weights(name="x", system="glip"), choose("cpu"), dino_files | {TRANSFORMERS_CONFIG: config})
    config.write_text("no json")
    assert not is_relative({TRANSFORMERS_CONFIG: config})
