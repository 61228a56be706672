"""A run can be killed, stopped, starved of disk and memory, and watched."""

import dataclasses
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from core.train import __main__ as command
from core.train import ending, status
from core.train.ending import DiskFull, PoliteStop, Stopped
from core.train.folder import RunFolder
from core.train.run import Run
from core.train.status import Status
from tests.train.small import RESNET, lesson


def state(folder):
    return torch.load(folder / "state.pt", weights_only=True)["model"]


def begun(folder, *options):
    """Start a run in a process of its own and wait for its first checkpoint."""
    words = ["-m", "tests.train.small", "small-resnet", "--out", str(folder), "--save-steps", "5", *options]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "CLIP_FAMILY_DEVICE": "cpu"}
    process = subprocess.Popen([sys.executable, *words], env=environment, stderr=subprocess.PIPE, text=True)
    for _ in range(2400):
        if (folder / "state.pt").exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    return process


def test_a_run_that_was_killed_ends_bit_for_bit_where_it_would_have_ended(tmp_path):
    recipe = dataclasses.replace(RESNET, steps=160)
    Run(lesson(recipe, tmp_path), tmp_path / "whole", resume=False, save_steps=5).train()
    process = begun(tmp_path / "killed", "--steps", "160")
    time.sleep(0.5 * random.random())
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert json.loads((tmp_path / "killed" / "status.json").read_text())["state"] == "running"
    going_on = Run(lesson(recipe, tmp_path), tmp_path / "killed", resume=True, save_steps=5)
    assert 0 < going_on.step < 160
    going_on.train()
    whole, halves = state(tmp_path / "whole"), state(tmp_path / "killed")
    assert all(torch.equal(whole[key], halves[key]) for key in whole)
    losses = [
        [line["loss"] for line in RunFolder(tmp_path / name).lines() if "loss" in line] for name in ("whole", "killed")
    ]
    assert losses[0] == losses[1]


def test_asked_to_stop_it_saves_says_so_and_goes_on_later(tmp_path):
    process = begun(tmp_path / "run", "--steps", "5000")
    process.terminate()
    _, said = process.communicate(timeout=120)
    found = json.loads((tmp_path / "run" / "status.json").read_text())
    assert process.returncode == 0, said
    assert found["state"] == "stopped"
    assert "--resume goes on" in found["sentence"]
    assert found["sentence"] in said
    again = Run(lesson(dataclasses.replace(RESNET, steps=5000), tmp_path), tmp_path / "run", resume=True)
    assert f"Stopped after step {again.step};" in found["sentence"]


def test_asked_to_stop_between_steps_it_takes_no_further_one(tmp_path):
    stop = PoliteStop()
    run = Run(lesson(RESNET, tmp_path), tmp_path / "run", resume=False, stop=stop)
    stop.asked = True
    with pytest.raises(Stopped, match="after step 1"):
        run.train()
    assert (tmp_path / "run" / "state.pt").exists()


def test_asked_to_stop_while_it_draws_it_breaks_off():
    with PoliteStop(), pytest.raises(Stopped, match="before the first step"):
        signal.raise_signal(signal.SIGTERM)


def test_every_line_of_training_says_how_far_it_is_and_how_long_it_takes(tmp_path):
    run = Run(lesson(RESNET, tmp_path), tmp_path / "run", resume=False)
    run.train()
    line = next(line for line in run.folder.lines() if "loss" in line)
    assert {"step", "samples", "seconds", "loss", "learning_rate", "progress", "eta"} <= set(line)
    assert line["progress"] == pytest.approx(20 / 60, abs=1e-3)
    assert line["eta"] == pytest.approx(2 * line["seconds"], rel=0.6)
    assert 0 < line["learning_rate"] <= RESNET.learning_rate


def test_what_a_class_watches_is_written_whole(tmp_path):
    recipe = dataclasses.replace(RESNET, steps=6, seen_steps=2)
    run = Run(lesson(recipe, tmp_path), tmp_path / "run", resume=False)
    run.train()
    with np.load(tmp_path / "run" / "seen.npz") as seen:
        count = len(seen["captions"])
        assert seen["similarity"].shape == (count, count)
        assert seen["similarity"].dtype == np.float32
        assert seen["pictures"].shape == (count, 32, 32, 3)
        assert seen["pictures"].dtype == np.uint8
        assert set(seen["predictions"]) <= set(recipe.categories)
        assert int(seen["step"]) == 6
    assert len(run.lesson.toys.names) == count


def test_the_status_follows_the_run_and_keeps_its_best_figures(tmp_path):
    told = Status(tmp_path / "run", recipe="small", arguments=["small"])
    recipe = dataclasses.replace(RESNET, steps=40, validate_steps=20)
    Run(lesson(recipe, tmp_path), tmp_path / "run", resume=False, status=told).train()
    found = json.loads((tmp_path / "run" / "status.json").read_text())
    assert (found["step"], found["steps"], found["pid"]) == (40, 40, os.getpid())
    assert found["weights"] == "toybox-3-minutes.safetensors"
    curve = [line["toy_top1"] for line in RunFolder(tmp_path / "run").lines() if "toy_top1" in line]
    assert found["best"]["toy_top1"] == max(curve)


def test_a_full_disk_ends_in_a_sentence_and_keeps_the_checkpoint(tmp_path, monkeypatch):
    run = Run(lesson(RESNET, tmp_path), tmp_path / "run", resume=False, save_steps=1)
    run.advance(0.1)
    run.save()
    before = (tmp_path / "run" / "state.pt").read_bytes()

    def full(state, file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DiskFull, match="The disk is full"):
        run.train()
    assert (tmp_path / "run" / "state.pt").read_bytes() == before
    assert not list((tmp_path / "run").glob("*.part"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory"),
            "not enough memory",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (
            RuntimeError("PytorchStreamWriter failed writing file"),
            "disk is full",
        ),
    ],
)
def test_what_runs_out_is_named_in_a_sentence(error, words):
    assert words in ending.sentence(error)


def test_a_mistake_of_the_program_is_no_sentence():
    assert ending.sentence(TypeError("unexpected")) is None


def test_gradients_that_are_not_finite_never_reach_the_weights(tmp_path):
    run = Run(lesson(RESNET, tmp_path), tmp_path / "run", resume=False)
    run.advance(0.1)
    run.save()
    next(iter(run.lesson.model.parameters())).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(FloatingPointError, match=r"state\.pt is the last good one"):
        run.advance(0.2)
    assert all(torch.isfinite(value).all() for value in run.lesson.model.parameters())


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    folder = RunFolder(tmp_path)
    folder.log(step=1, loss=2.0)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 2, "lo')
    assert [line["step"] for line in folder.lines()] == [1]


def test_accumulated_batches_are_one_step(tmp_path):
    run = Run(lesson(RESNET, tmp_path), tmp_path / "run", resume=False, accumulate=3)
    run.advance(0.5)
    assert (run.step, run.samples) == (1, 36)


def test_more_steps_than_the_minutes_allow_are_announced_and_cut(tmp_path):
    run = Run(lesson(dataclasses.replace(RESNET, steps=100_000), tmp_path), tmp_path / "run", resume=False)
    run.train(0.03, whichever_first=True)
    notes = [line["note"] for line in run.folder.lines() if "note" in line]
    assert run.step < 1000
    assert notes
    assert "the run ends after 0.03" in notes[0]


def test_a_preset_ends_by_the_clock_with_everything_counted(tmp_path):
    recipe = dataclasses.replace(RESNET, steps=100_000, minutes=0.1)
    started = time.perf_counter()
    Run(lesson(recipe, tmp_path), tmp_path / "run", resume=False).train()
    assert time.perf_counter() - started < 6 + 3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["clip-3-minutes", "--learning-rate", "1000"], "Wanted a --learning-rate above 0 and at most 1, got 1000."),
        (["clip-3-minutes", "--minutes", "nan"], "Wanted a --minutes above 0"),
        (["clip-3-minutes", "--batch", "1"], "Wanted a --batch of at least 2, got 1."),
        (["clip-3-minutes", "--weights", "x"], "The recipe clip-3-minutes has no --weights."),
        (["clip-finetune"], "Fine-tuning needs photographs"),
        (["clip-finetune", "--wise-ft", "2"], "Wanted a --wise-ft from 0"),
        (["sam", "--grad-cache", "8"], "trains in one process"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_a_failed_run(tmp_path, capsys, words, sentence):
    with pytest.raises(SystemExit) as end:
        command.main([*words, "--out", str(tmp_path / "run")])
    assert end.value.code == 2
    assert sentence in capsys.readouterr().err
    found = json.loads((tmp_path / "run" / "status.json").read_text())
    assert found["state"] == "failed"
    assert sentence in found["sentence"]


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path):
    (tmp_path / "a").write_text("before")

    def half(part):
        part.write_text("half")
        raise ValueError("gone")

    with pytest.raises(ValueError, match="gone"):
        status.replace_file(tmp_path / "a", half)
    assert (tmp_path / "a").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_schedule_of_a_preset_begins_after_its_drawing(tmp_path):
    recipe = dataclasses.replace(RESNET, steps=100_000, minutes=1.0)
    run = Run(lesson(recipe, tmp_path), tmp_path / "run", resume=False)
    run.minutes, run.drawing = 1.0, 20.0
    assert run._progress() == 0.0
    run.seconds, run.aside = 10.0, 4.0
    assert run._progress() == pytest.approx(14 / (60 - 12 - 20))
    run.save()
    assert Run(run.lesson, tmp_path / "run", resume=True).drawing == run.lesson.preparation  # nothing was learnt yet
    run.advance(0.5)
    run.save()
    assert Run(run.lesson, tmp_path / "run", resume=True).drawing == 20.0
