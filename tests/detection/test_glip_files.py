"""Opening GLIP's files: official checkpoints from a hub, slim copies, this project's own; what is refused."""

import collections
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core import checkpoints
from core.backbones.slim import SLIM_ENDING
from core.checkpoints import BERT_WORDS, WEIGHTS_FILE, NeedsDownload, Weights
from core.detection import glip_files
from core.detection.glip import PUBLISHED, TOYBOX, GlipSettings
from core.detection.glip_files import WORDS_FILE, network_of, open_glip, read_glip
from core.detection.glip_model import GLIP_T, GlipNetwork
from core.device import choose
from tests.detection.tiny_glip import PICTURE, SETTINGS, WORDS, tiny_glip, tiny_network
from tests.hub import serving


def official(path, network):
    """Write a checkpoint as training left it: prefix, tables of constants, other heads, the optimiser's moments."""
    tensors = {f"module.{key}": value for key, value in network.state_dict().items() if "vocabulary" not in key}
    tensors |= {
        "module.backbone.body.layers.0.blocks.0.attn.relative_position_index": torch.zeros(16, 16, dtype=torch.long),
        "module.language_backbone.body.model.embeddings.position_ids": torch.arange(32)[None],
        "module.language_backbone.body.model.pooler.dense.weight": torch.zeros(8, 8),
        "module.rpn.anchor_generator.cell_anchors.0": torch.zeros(1, 4),
        "module.rpn.head.tunable_linear.weight": torch.zeros(3, 64),
    }
    torch.save(
        {
            "model": collections.OrderedDict(tensors),
            "optimizer": {"state": {0: {"exp_avg": torch.zeros(1000)}}, "param_groups": [{"lr": 1e-4}]},
            "scheduler": {"last_epoch": 3},
            "iteration": 12,
            "model_ema": collections.OrderedDict(tensors),
        },
        path,
    )
    return path


def opened(path, **files):
    return open_glip(Weights(name="file", system="glip", path=path), choose("cpu"), {WEIGHTS_FILE: path, **files})


def words_file(folder):
    path = folder / WORDS_FILE
    path.write_text("\n".join(WORDS) + "\n")
    return path


@pytest.mark.parametrize("fused", [True, False])
def test_an_official_checkpoint_answers_as_its_network(tmp_path, fused):
    path = official(tmp_path / "glip_tiny.pth", tiny_network(fused=fused, own_words=False))
    words_file(tmp_path)
    model = opened(path)
    assert model.defaults == PUBLISHED
    assert model.network.size.fused == fused
    found, wanted = (each.detect(PICTURE, ["dog", "cat"], SETTINGS) for each in (model, tiny_glip(fused=fused)))
    assert np.sort(found.scores, 0) == pytest.approx(np.sort(wanted.scores, 0), abs=0.02)  # half precision between


def test_after_the_first_reading_a_slim_copy_is_read(tmp_path, monkeypatch):
    path = official(tmp_path / "glip_tiny.pth", tiny_network(own_words=False))
    first = read_glip(path)
    slim = load_file(tmp_path / f"glip_tiny.pth{SLIM_ENDING}")
    assert set(slim) == set(first)
    assert {value.dtype for value in slim.values()} == {torch.float16}
    unused = ("relative_position_index", "position_ids", "pooler", "cell_anchors", "exp_avg", "module.")
    assert not [key for key in slim if any(word in key for word in unused)]
    monkeypatch.setattr(glip_files, "_load", lambda _: pytest.fail("the large file was read again"))
    assert all(torch.equal(value, first[key]) for key, value in read_glip(path).items())


def test_a_slim_copy_by_itself_is_a_file_of_weights(tmp_path):
    path = official(tmp_path / "glip_tiny.pth", tiny_network(own_words=False))
    words_file(tmp_path)
    first = opened(path).detect(PICTURE, ["dog"], SETTINGS)
    again = opened(path.with_name(path.name + SLIM_ENDING)).detect(PICTURE, ["dog"], SETTINGS)
    assert np.array_equal(first.scores, again.scores)


def test_a_slim_copy_of_an_older_or_a_damaged_file_is_not_used(tmp_path):
    path = official(tmp_path / "glip_tiny.pth", tiny_network(own_words=False))
    read_glip(path)
    official(path, tiny_network(1, own_words=False))
    wanted = tiny_network(1, own_words=False).rpn["head"].bias_lang.half()
    assert torch.equal(read_glip(path)["rpn.head.bias_lang"], wanted)
    path.with_name(path.name + SLIM_ENDING).write_bytes(b"cut off")
    assert torch.equal(read_glip(path)["rpn.head.bias_lang"], wanted)


def test_this_projects_own_file_carries_its_words(tmp_path):
    tensors = tiny_network().state_dict()
    halves = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    save_file(halves, tmp_path / "toybox-glip.safetensors")
    model = opened(tmp_path / "toybox-glip.safetensors")
    assert model.defaults == TOYBOX
    assert model.network.vocabulary == WORDS
    assert model.unseen_words(["dog", "zebra"]) == ("zebra",)


def test_from_a_hub_to_boxes(tmp_path, monkeypatch):
    card = Weights(name="glip-t/test", system="glip", repo="some/GLIP", filename="glip_tiny.pth")
    with serving(monkeypatch, str(tmp_path / "kept")) as hub:
        hub.files["some/GLIP/glip_tiny.pth"] = official(tmp_path / "a.pth", tiny_network(own_words=False)).read_bytes()
        hub.files[f"{BERT_WORDS.repo}/{WORDS_FILE}"] = words_file(tmp_path).read_bytes()
        hub.plain.add(f"{BERT_WORDS.repo}/{WORDS_FILE}")
        with pytest.raises(NeedsDownload):
            checkpoints.fetch(card)
        files = {WEIGHTS_FILE: checkpoints.fetch(card, download=True)}
        with pytest.raises(NeedsDownload, match="bert-base-uncased/words"):
            open_glip(card, choose("cpu"), files)
        checkpoints.fetch(BERT_WORDS, WORDS_FILE, download=True)
        model = open_glip(card, choose("cpu"), files)
    assert model.weights == "glip-t/test"
    assert len(model.detect(PICTURE, ["dog"], SETTINGS).boxes_xyxy)


@pytest.mark.slow
@pytest.mark.parametrize("fused", [True, False])
def test_a_full_size_glip_t_comes_from_a_hub_and_answers(tmp_path, monkeypatch, fused):
    torch.manual_seed(0)
    network = GlipNetwork(replace(GLIP_T, fused=fused)).eval()
    tensors = {f"module.{key}": value.half() for key, value in network.state_dict().items()}
    torch.save({"model": collections.OrderedDict(tensors)}, tmp_path / "served.pth")
    card = Weights(name="glip-t/test", system="glip", repo="some/GLIP", filename="glip_tiny_model_o365.pth")
    with serving(monkeypatch, str(tmp_path / "kept")) as hub:
        hub.files[f"some/GLIP/{card.filename}"] = (tmp_path / "served.pth").read_bytes()
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1 << 24)
        path = checkpoints.fetch(card, download=True)
    vocabulary = "\n".join([*WORDS, *(f"[unused{n}]" for n in range(GLIP_T.vocabulary - len(WORDS)))])
    path.with_name(WORDS_FILE).write_text(vocabulary)
    model = open_glip(card, choose("cpu"), {WEIGHTS_FILE: path})
    assert model.network.size == replace(GLIP_T, fused=fused)
    found = model.detect(PICTURE, ["dog", "red ball"], GlipSettings(short_side=64, least=0.0))
    assert found.scores.shape[1] == 2
    assert np.isfinite(found.scores).all()
    assert path.with_name(path.name + SLIM_ENDING).stat().st_size < 500_000_000


@pytest.mark.parametrize("missing", ["rpn.head.bias0", "backbone.fpn.fpn_inner3.weight", "backbone.body.norm2.bias"])
def test_a_file_that_lacks_a_part_is_refused(missing):
    tensors = {key: value for key, value in tiny_network().state_dict().items() if key != missing}
    with pytest.raises(ValueError, match=f"without '{missing}'"):
        network_of(tensors)


def test_a_tensor_of_another_shape_is_refused():
    tensors = dict(tiny_network().state_dict()) | {"rpn.head.bbox_pred.bias": torch.ones(5)}
    with pytest.raises(ValueError, match="do not fit a GLIP"):
        network_of(tensors)


def test_other_files_are_refused_in_a_sentence(tmp_path):
    torch.save({"some": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="is not a GLIP"):
        read_glip(tmp_path / "other.pt")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ValueError, match="not a file of weights"):
        read_glip(tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="no named tensors"):
        read_glip(tmp_path / "list.pt")


def test_a_folder_that_cannot_be_written_to_stops_nothing(tmp_path, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError("read-only")

    monkeypatch.setattr("core.backbones.slim.save_file", refuse)
    assert read_glip(official(tmp_path / "a.pth", tiny_network(own_words=False)))
    assert "is not kept" in caplog.text
