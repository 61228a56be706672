"""Opening LSeg's files: the official Lightning file, its flat mirror, our own; what is kept, and nothing that runs."""

import argparse
import collections

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.backbones.slim import SLIM_ENDING
from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import choose
from core.segmentation import lseg_files
from core.segmentation.lseg import open_lseg
from core.segmentation.lseg_files import StandIn, read_lseg
from core.segmentation.lseg_model import NO_BLOCKS, Regulariser, from_tensors
from tests.segmentation.tiny_lseg import OWN, SETTINGS, released_layout, tiny_lseg, tiny_network

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
RAN = []


class Foreign:
    """What a Lightning file may hold beside its tensors: an object of another library."""

    def __init__(self, **values):
        self.__dict__.update(values)


class Harmful:
    """An object that does something when it is read, were it read."""

    def __reduce__(self):
        return RAN.append, ("read",)


def opened(path):
    model = open_lseg(Weights(name="file", system="lseg", path=path), choose("cpu"), {WEIGHTS_FILE: path})
    model.defaults = SETTINGS
    return model


def lightning(path, network=None, **beside):
    torch.save({"state_dict": released_layout(network or tiny_network()), "epoch": 3, **beside}, path)
    return path


def test_the_lightning_file_the_flat_mirror_and_our_own_answer_alike(tmp_path):
    network = tiny_network(ablation=())
    flat = {key.removeprefix("net."): value for key, value in released_layout(network).items()}
    torch.save(flat, tmp_path / "mirror.ckpt")
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()},
        tmp_path / "own.safetensors",
    )
    paths = [lightning(tmp_path / "official.ckpt", network), tmp_path / "mirror.ckpt", tmp_path / "own.safetensors"]
    answers = [opened(path).segment(PICTURE, ("dog", "cat")).logits for path in paths]
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])
    assert answers[0] == pytest.approx(tiny_lseg(ablation=()).segment(PICTURE, ("dog", "cat")).logits, abs=0.1)


def test_after_the_first_reading_a_slim_copy_is_read(tmp_path, monkeypatch):
    path = lightning(tmp_path / "demo.ckpt")
    first = opened(path).segment(PICTURE, ("dog",)).logits
    slim = load_file(tmp_path / f"demo.ckpt{SLIM_ENDING}")
    assert not [key for key in slim if "visual" in key or "model.norm" in key or "model.head" in key or "aux" in key]
    assert "clip_pretrained.logit_scale" not in slim
    assert {value.dtype for key, value in slim.items() if "num_batches" not in key} == {torch.float16}
    monkeypatch.setattr(lseg_files, "_load", lambda _: pytest.fail("the large file was read again"))
    assert np.array_equal(opened(path).segment(PICTURE, ("dog",)).logits, first)


def test_a_slim_copy_of_an_older_file_is_not_used(tmp_path):
    path = lightning(tmp_path / "demo.ckpt")
    read_lseg(path)
    other = tiny_network()
    other.scratch.head1.bias.data += 1
    lightning(path, other)
    assert torch.equal(read_lseg(path)[0]["scratch.head1.bias"], other.scratch.head1.bias.half())
    assert torch.equal(read_lseg(path)[0]["scratch.head1.bias"], other.scratch.head1.bias.half())  # the new copy


def test_a_folder_that_cannot_be_written_to_stops_nothing(tmp_path, monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError("read-only")

    monkeypatch.setattr("core.backbones.slim.save_file", refuse)
    assert read_lseg(lightning(tmp_path / "demo.ckpt"))[0]
    assert "is not kept" in caplog.text


@pytest.mark.parametrize(
    "hyper",
    [
        {"arch_option": 2, "block_depth": 1, "activation": "tanh"},
        collections.OrderedDict(arch_option=2, block_depth=1, activation="tanh"),
    ],
)
def test_the_blocks_are_those_of_the_hyper_parameters(tmp_path, hyper):
    path = lightning(tmp_path / "demo.ckpt", hyper_parameters=hyper)
    wanted = Regulariser(kind="depthwise", blocks=1, activation="tanh")
    assert read_lseg(path)[1] == wanted
    assert read_lseg(path)[1] == wanted  # from the slim copy
    assert opened(path).network.regulariser == wanted


@pytest.mark.parametrize("beside", [argparse.Namespace(arch_option=1, block_depth=3), Foreign(anything=[1, 2])])
def test_objects_of_other_libraries_are_read_as_stand_ins(tmp_path, beside):
    tensors, regulariser = read_lseg(lightning(tmp_path / "demo.ckpt", hyper_parameters=beside))
    assert "scratch.head1.weight" in tensors
    assert regulariser == (Regulariser(blocks=3) if isinstance(beside, argparse.Namespace) else None)


def test_nothing_in_a_file_is_executed(tmp_path):
    path = lightning(tmp_path / "demo.ckpt", callbacks=Harmful())
    try:
        read_lseg(path)
    except ValueError as error:
        assert "not a file of weights" in str(error)  # noqa: PT017 -- either is good, running it is not
    assert RAN == []


def test_a_stand_in_takes_everything_and_does_nothing():
    thing = StandIn("rm", 3)
    thing.__setstate__({"a": 1})
    thing.__setstate__([1, 2])
    assert thing == {"a": 1}


def test_a_file_without_head_block_has_no_blocks(tmp_path):
    path = lightning(tmp_path / "demo.ckpt", tiny_network(own=None, ablation=()))
    model = opened(path)
    assert model.network.regulariser == NO_BLOCKS
    assert list(model.regularisers) == ["none"]


def test_a_head_block_of_which_nothing_is_known_is_two_bottleneck_blocks(tmp_path):
    assert opened(lightning(tmp_path / "demo.ckpt")).network.regulariser == OWN


def test_kernels_of_other_blocks_come_back(tmp_path):
    network = tiny_network()
    again = from_tensors(network.state_dict())
    assert again.regularisers == network.regularisers
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in network.state_dict().items())


def test_other_files_are_refused_in_a_sentence(tmp_path):
    torch.save({"some": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="is not an LSeg"):
        read_lseg(tmp_path / "other.pt")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(ValueError, match="not a file of weights"):
        read_lseg(tmp_path / "text.ckpt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="no named tensors"):
        read_lseg(tmp_path / "list.pt")


@pytest.mark.parametrize(
    "missing", ["scratch.head1.weight", "clip_pretrained.text_projection", "pretrained.model.pos_embed"]
)
def test_a_file_that_lacks_a_part_is_refused(missing):
    tensors = {key: value for key, value in tiny_network().state_dict().items() if key != missing}
    with pytest.raises(ValueError, match=f"without '{missing.removeprefix('clip_pretrained.')}'"):
        from_tensors(tensors)


def test_a_tensor_of_another_shape_is_refused():
    tensors = dict(tiny_network().state_dict())
    tensors["scratch.refinenet2.out_conv.bias"] = torch.ones(99)
    with pytest.raises(ValueError, match="do not fit"):
        from_tensors(tensors)
