"""A batch in pieces, and a batch over two processes, teach what one batch teaches."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
import torch

from core.train.large_batch import statistics_kept
from core.train.machines import ALONE, machines
from core.train.run import Run
from tests.train.small import RESNET, VIT, lesson


def gradients(run: Run) -> dict[str, torch.Tensor]:
    return {name: value.grad.clone() for name, value in run.lesson.model.named_parameters() if value.grad is not None}


def learnt(folder, chunk: int):
    run = Run(taught := lesson(VIT, folder), folder / "run", resume=False)
    taught.spread(ALONE, chunk)
    taught.model.train()
    loss = run._learn(0)
    return loss, gradients(run)


@pytest.mark.parametrize("chunk", [5, 12])
def test_a_batch_in_pieces_has_the_loss_and_the_gradients_of_the_whole(tmp_path, chunk):
    whole, pieces = learnt(tmp_path, 0), learnt(tmp_path, chunk)
    assert pieces[0] == pytest.approx(whole[0], rel=1e-5)
    assert set(pieces[1]) == set(whole[1])
    for name, gradient in whole[1].items():
        torch.testing.assert_close(pieces[1][name], gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("chunk", [0, 5])
def test_two_batches_that_are_one_step_have_their_mean_gradient(tmp_path, chunk):
    run = Run(taught := lesson(VIT, tmp_path), tmp_path / "run", resume=False, accumulate=2)
    taught.spread(ALONE, chunk)
    taught.model.train()
    run._learn(0)
    run._learn(1)
    together = gradients(run)
    single = Run(again := lesson(VIT, tmp_path), tmp_path / "other", resume=False)
    again.model.train()
    for step in (0, 1):
        single._learn(step)
    for name, gradient in gradients(single).items():
        torch.testing.assert_close(2 * together[name], gradient, rtol=1e-3, atol=1e-5)


def test_mixed_precision_learns_nearly_the_same(tmp_path):
    from accelerate.state import AcceleratorState

    mixed = machines("bf16")
    run = Run(taught := lesson(VIT, tmp_path), tmp_path / "run", resume=False, machines=mixed)
    taught.spread(mixed)
    assert mixed.count == 1
    assert run.advance(0.5) == pytest.approx(learnt(tmp_path, 0)[0], rel=0.02)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_half_precision_is_refused_on_a_cpu():
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        machines("fp16")


def test_the_first_pass_leaves_no_trace_in_the_statistics(tmp_path):
    model = lesson(RESNET, tmp_path).model.train()
    before = model.visual.bn1.running_mean.clone()
    with statistics_kept(model):
        model.encode_image(torch.randn(4, 3, 32, 32))
    assert torch.equal(model.visual.bn1.running_mean, before)
    model.encode_image(torch.randn(4, 3, 32, 32))
    assert not torch.equal(model.visual.bn1.running_mean, before)


def test_a_batch_that_cannot_be_dealt_out_is_refused():
    two = dataclasses.replace(ALONE, accelerator=type("Two", (), {"num_processes": 2, "process_index": 1})())
    assert two.share(12) == slice(6, 12)
    with pytest.raises(ValueError, match="cannot be shared evenly by 2 processes"):
        two.share(13)


def curve(folder) -> list[float]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [line["loss"] for line in map(json.loads, lines) if "loss" in line]


@pytest.mark.parametrize("options", [(), ("--grad-cache", "3")])
def test_two_processes_have_the_curve_of_one(tmp_path, options):
    recipe = dataclasses.replace(VIT, steps=40)
    Run(lesson(recipe, tmp_path), tmp_path / "one", resume=False).train()
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
    ]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    words = ["-m", "tests.train.small", "small-vit", "--out", str(tmp_path / "two"), "--steps", "40", *options]
    finished = subprocess.run(
        [*launch, *words], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=600
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert curve(tmp_path / "two") == pytest.approx(curve(tmp_path / "one"), rel=2e-3)
    ours, theirs = (torch.load(tmp_path / name / "state.pt", weights_only=True)["model"] for name in ("one", "two"))
    for key, value in ours.items():
        torch.testing.assert_close(theirs[key], value, rtol=2e-2, atol=2e-3)
