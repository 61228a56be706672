"""The queue of trainings: everything is on the disk, one runs at a time, and every end has a sentence."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from core.train import shelf
from core.train.launch import MOST_WAITING, WORKER, Launcher
from core.train.offers import OFFERS, Order, check
from core.train.process import birth, is_alive
from core.train.queue import PROJECT, Caps, Worker, outcome
from core.train.runs_list import Job, find_run, is_at_work, list_runs, read_json, read_lines, read_run, read_seen
from tests.project import ROOT

ENGINE = (sys.executable, str(ROOT / "tests" / "train" / "pretend_engine.py"))
ORDER = Order(recipe="pointclip", minutes=1)
PATIENCE = 30.0


def wait(condition, seconds: float = PATIENCE):
    """Return the first true value of a condition; fail when there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail("waited in vain")
    return None


@pytest.fixture
def launcher(tmp_path):
    made = Launcher(tmp_path, ENGINE)
    yield made
    for run in list_runs(tmp_path):
        (run.folder / "stop").touch()
    wait(lambda: not is_at_work(tmp_path))


def state(launcher, name):
    return find_run(launcher.root, name).state


def steps(launcher, name):
    return [line["step"] for line in find_run(launcher.root, name).lines()]


def test_two_trainings_run_one_after_the_other_and_leave_their_weights(launcher):
    names = [launcher.start(ORDER) for _ in range(2)]
    assert names == ["0001-pointclip", "0002-pointclip"]
    wait(lambda: all(state(launcher, name) == "finished" for name in names))
    first, second = (find_run(launcher.root, name) for name in names)
    (weights,) = first.weights
    assert weights.name == "tiny.safetensors"
    assert weights.stat().st_mtime < second.job.began + 0.1  # clocks of files are coarse


def test_a_training_stops_on_request_and_goes_on_where_it_stopped(launcher, monkeypatch):
    monkeypatch.setenv("PRETEND", "forever")
    name = launcher.start(ORDER)
    wait(lambda: len(steps(launcher, name)) >= 2)
    with pytest.raises(ValueError, match="Stop this run before"):
        launcher.remove(name)
    with pytest.raises(ValueError, match="can go on"):
        launcher.resume(name)
    launcher.stop(name)
    wait(lambda: state(launcher, name) == "stopped")
    assert "Resume" in find_run(launcher.root, name).sentence
    before = steps(launcher, name)
    wait(lambda: not is_at_work(launcher.root))
    launcher.resume(name)
    wait(lambda: state(launcher, name) == "finished")
    assert steps(launcher, name)[: len(before)] == before
    assert steps(launcher, name) == sorted(set(steps(launcher, name)))
    launcher.remove(name)
    assert launcher.runs() == []


def test_one_that_waits_is_taken_out_of_the_queue_and_can_be_put_back(launcher, monkeypatch):
    monkeypatch.setenv("PRETEND", "forever")
    running, waiting = launcher.start(ORDER), launcher.start(ORDER)
    wait(lambda: steps(launcher, running))
    assert state(launcher, waiting) == "queued"
    launcher.stop(waiting)
    assert state(launcher, waiting) == "stopped"
    launcher.resume(waiting)
    launcher.stop(running)
    wait(lambda: state(launcher, waiting) == "finished")


@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        ("fails", "The loss became nan at step 2."),
        ("killed", "The training was killed (SIGKILL), most likely because the memory ran out; Resume goes on"),
        ("mute", "no token"),
    ],
)
def test_a_training_that_fails_says_why_in_a_sentence(launcher, monkeypatch, way, sentence):
    monkeypatch.setenv("PRETEND", way)
    monkeypatch.setenv("SUITE_TRAIN_TOKEN", "x" * 40)
    name = launcher.start(ORDER)
    wait(lambda: state(launcher, name) == "failed")
    assert find_run(launcher.root, name).sentence.startswith(sentence)
    assert (find_run(launcher.root, name).folder / "state.pt").exists()


def test_an_app_that_died_finds_its_training_and_its_worker_again(launcher, monkeypatch):
    monkeypatch.setenv("PRETEND", "forever")
    name = launcher.start(ORDER)
    wait(lambda: len(steps(launcher, name)) >= 2)
    again = Launcher(launcher.root, ENGINE)
    again.attend()
    assert again._workers == []  # one is at work
    assert state(again, name) == "running"
    os.kill(read_json(launcher.root / "queue.lock")["pid"], signal.SIGKILL)  # the worker, not the training
    wait(lambda: launcher._workers[0].poll() is not None)
    job = find_run(again.root, name).job
    assert is_alive(job.pid, job.mark)
    assert state(again, name) == "running"
    again.attend()
    wait(lambda: is_at_work(again.root))
    again.stop(name)
    wait(lambda: state(again, name) == "stopped")
    assert not is_alive(job.pid, job.mark)
    launcher._workers.clear()


def test_a_computer_that_was_switched_off_leaves_a_run_that_can_go_on(tmp_path):
    launcher = Launcher(tmp_path, ENGINE)
    folder = tmp_path / "0001-pointclip"
    folder.mkdir()
    job = Job(order=ORDER, created=1.0, state="running", pid=os.getpid(), mark="of another process", began=time.time())
    job.write(folder)
    assert read_run(folder).state == "failed"
    assert "switched off" in read_run(folder).sentence
    launcher.resume("0001-pointclip")
    wait(lambda: state(launcher, "0001-pointclip") == "finished")
    wait(lambda: not is_at_work(tmp_path))


@pytest.mark.parametrize(
    ("caps", "sentence"),
    [
        (Caps(allowance_minutes=-1), "Stopped at its limit of 0 minutes"),
        (Caps(disk_gigabytes=0), "Stopped because the runs take more than 0 GB"),
        (Caps(free_gigabytes=1e9), "Stopped because the disk has less than 1e+09 GB left"),
    ],
)
def test_a_training_stops_at_its_caps(tmp_path, monkeypatch, caps, sentence):
    monkeypatch.setenv("PRETEND", "forever")
    folder = tmp_path / "0001-pointclip"
    folder.mkdir()
    Job(order=ORDER, created=1.0).write(folder)
    Worker(tmp_path, list(ENGINE), caps).work()
    found = read_run(folder)
    assert found.state == "stopped"
    assert found.sentence.startswith(sentence)


def test_one_that_does_not_listen_is_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("PRETEND", "deaf")
    folder = tmp_path / "0001-pointclip"
    folder.mkdir()
    Job(order=ORDER, created=1.0).write(folder)
    Worker(tmp_path, list(ENGINE), Caps(allowance_minutes=-1, grace_seconds=0.5)).work()
    assert read_run(folder).state == "stopped"


def test_an_engine_that_is_not_there_is_a_sentence(tmp_path):
    folder = tmp_path / "0001-pointclip"
    folder.mkdir()
    Job(order=ORDER, created=1.0).write(folder)
    Worker(tmp_path, ["no-such-engine"]).work()
    assert read_run(folder).sentence.startswith("The training cannot be started")


def test_a_second_worker_leaves_at_once(launcher, monkeypatch):
    monkeypatch.setenv("PRETEND", "forever")
    name = launcher.start(ORDER)
    wait(lambda: steps(launcher, name))
    finished = subprocess.run([*WORKER, str(launcher.root), *ENGINE], cwd=PROJECT, timeout=PATIENCE, check=False)
    assert finished.returncode == 0
    assert state(launcher, name) == "running"


def test_an_end_between_stop_and_finish_counts_as_finished(tmp_path):
    (tmp_path / "status.json").write_text('{"state": "finished"}')
    assert outcome(tmp_path, "Stopped on request.", 0) == ("finished", "")
    assert outcome(tmp_path / "none", "", None)[0] == "failed"
    assert outcome(tmp_path / "none", "", 5) == ("failed", "The training ended with code 5 and said nothing.")


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "rm"},
        {"minutes": 0.0},
        {"minutes": float("nan")},
        {"minutes": 1e6},
        {"rate_factor": 1e9},
        {"share": -1.0},
        {"data": "pictures"},
        {"weights": "/etc/passwd"},
    ],
)
def test_what_goes_beyond_the_offer_is_refused_in_a_sentence(tmp_path, changes):
    with pytest.raises(ValueError, match=r"^[A-Z].*[.]$"):
        Launcher(tmp_path, ENGINE).start(replace(ORDER, **changes))
    assert list_runs(tmp_path) == []


def test_a_recipe_that_needs_pictures_asks_for_them():
    with pytest.raises(ValueError, match="choose a folder"):
        check(Order(recipe="clip-finetune", minutes=1))


def test_the_queue_has_an_end(tmp_path):
    for number in range(MOST_WAITING):
        folder = tmp_path / f"{number:04d}-pointclip"
        folder.mkdir()
        Job(order=ORDER, created=1.0).write(folder)
    with pytest.raises(ValueError, match="waiting already"):
        Launcher(tmp_path, ENGINE).start(ORDER)


@pytest.mark.parametrize("name", ["", "..", "../0001-pointclip", "/etc", "0001-pointclip/../x", "0001-PointClip", None])
def test_a_name_that_is_a_path_is_no_run(tmp_path, name):
    outside = tmp_path / "0001-pointclip"
    outside.mkdir()
    Job(order=ORDER, created=1.0).write(outside)
    (tmp_path / "root").mkdir()
    with pytest.raises(ValueError, match="There is no run"):
        find_run(tmp_path / "root", name)


def test_the_offers_are_the_recipes(root):
    recipes = pytest.importorskip("core.train.recipes").RECIPES
    known = {name: offer for name, offer in OFFERS.items() if name in recipes}
    assert len(known) >= len(OFFERS) - 3
    for name, offer in known.items():
        assert offer.learning_rate == recipes[name].learning_rate, name
        assert offer.least_minutes <= offer.minutes <= offer.most_minutes


def test_arguments_are_words_and_no_line_for_a_shell(tmp_path):
    order = Order(recipe="clip-finetune", minutes=2.5, data="a b; c", weights="toybox-vit", rate_factor=2.0, share=0.5)
    rate = f"{2 * OFFERS['clip-finetune'].learning_rate:g}"
    assert order.arguments(tmp_path, resume=True) == [
        *("clip-finetune", "--out", str(tmp_path), "--minutes", "2.5", "--data", "a b; c", "--weights", "toybox-vit"),
        *("--learning-rate", rate, "--wise-ft", "0.5", "--resume"),
    ]


def test_half_written_files_are_no_error(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 2.0}\n[3]\n{"step": 2, "lo')
    assert read_lines(tmp_path / "log.jsonl") == [{"step": 1, "loss": 2.0}]
    (tmp_path / "job.json").write_text('{"order"')
    assert read_run(tmp_path) is None
    assert read_seen(tmp_path) is None
    (tmp_path / "seen.npz").write_bytes(b"PK")
    assert read_seen(tmp_path) is None


def test_what_the_network_sees_is_read_back(tmp_path):
    values = {
        "similarity": np.eye(2, dtype=np.float32),
        "pictures": np.zeros((2, 4, 5, 3), np.uint8),
        "captions": np.array(["a cube", "a cone"]),
        "predictions": np.array(["cube", "cube"]),
    }
    np.savez(tmp_path / "seen.npz", **values)
    seen = read_seen(tmp_path)
    assert seen.captions == ("a cube", "a cone")
    assert seen.similarity.shape == (2, 2)


def test_a_process_is_known_by_its_birth():
    mark = birth(os.getpid())
    assert is_alive(os.getpid(), mark)
    assert not is_alive(os.getpid(), f"{mark}0")
    child = subprocess.Popen([sys.executable, "-c", ""])
    wait(lambda: birth(child.pid) is None)  # ended, though nobody has collected it
    child.wait()


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.delenv("CLIP_FAMILY_DATA", raising=False)
    for name in ("cat/1.png", "cat/2.jpg", "dog/1.png"):
        path = tmp_path / "data" / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def zipped(path, names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return path


def test_pictures_are_chosen_from_the_folder_and_counted(pictures):
    assert shelf.choices(pictures) == {"data/pets": pictures / "data" / "pets"}
    assert shelf.census(shelf.choose(pictures, "data/pets")) == {"cat": 2, "dog": 1}
    assert shelf.choose(pictures, None) is None


@pytest.mark.parametrize(
    "label", ["/etc", "..", "data/..", "data/../../x", "uploads/../data/pets", "pets", "data/pets/cat"]
)
def test_a_path_out_of_the_folder_is_refused(pictures, label):
    with pytest.raises(ValueError, match="There are no pictures"):
        shelf.choose(pictures, label)


def test_a_link_out_of_the_folder_is_not_offered(pictures, tmp_path_factory):
    (pictures / "data" / "link").symlink_to(tmp_path_factory.mktemp("elsewhere"))
    assert list(shelf.choices(pictures)) == ["data/pets"]


def test_a_name_that_is_not_utf_8_is_not_offered(pictures):
    os.mkdir(os.fsencode(pictures / "data") + b"/caf\xe9")
    assert list(shelf.choices(pictures)) == ["data/pets"]


def test_an_uploaded_zip_is_kept_under_a_name_that_is_no_path(pictures, tmp_path):
    source = zipped(tmp_path / "..my pets!.zip", ["a/1.png", "b/1.png", "__MACOSX/c/1.png"])
    label = shelf.keep_upload(pictures, source)
    assert label.startswith("uploads/my-pets-")
    assert shelf.census(shelf.choose(pictures, label)) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ([], "holds no pictures"),
        (["a/1.png"], "holds 1 class"),
        (["1.png", "2.png"], "holds 0 class"),
        (["train/a/1.png", "test/a/1.png"], "holds 1 class"),
    ],
)
def test_a_zip_that_teaches_nothing_is_a_sentence(pictures, tmp_path, names, sentence):
    with pytest.raises(ValueError, match=sentence):
        shelf.keep_upload(pictures, zipped(tmp_path / "x.zip", names))


def test_what_is_no_zip_is_a_sentence(pictures, tmp_path):
    (tmp_path / "x.zip").write_bytes(b"no")
    with pytest.raises(ValueError, match="not a zip file"):
        shelf.keep_upload(pictures, tmp_path / "x.zip")
    with pytest.raises(ValueError, match="Choose a zip"):
        shelf.keep_upload(pictures, None)


def test_a_zip_that_would_fill_the_disk_is_refused(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "MOST_MEMBERS", 1)
    with pytest.raises(ValueError, match="holds too much"):
        shelf.keep_upload(pictures, zipped(tmp_path / "x.zip", ["a/1.png", "b/1.png"]))


def test_nothing_here_needs_torch(python):
    code = "import core.train.launch, core.train.shelf, sys; sys.exit('torch' in sys.modules)"
    assert python("-c", code).returncode == 0


def test_a_job_reads_as_it_was_written(tmp_path):
    job = Job(order=ORDER, created=2.0, state="stopped", sentence="x")
    job.write(tmp_path)
    assert Job.read(tmp_path) == job
    assert json.loads((tmp_path / "job.json").read_text())["order"]["recipe"] == "pointclip"
