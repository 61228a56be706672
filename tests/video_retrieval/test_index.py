"""The index stays: through removal, restart and a kill, and nothing unfinished is ever found."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.video_retrieval import index as index_module
from core.video_retrieval.index import IndexedVideo, MomentIndex
from core.video_retrieval.units import Units

SIZE = 16


def units(count: int, seed: int) -> Units:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, SIZE)).astype(np.float32)
    starts = np.arange(count, dtype=np.float32)
    return Units(
        starts=starts,
        ends=starts + 1,
        boxes_xyxy=np.tile(np.array([1, 2, 3, 4], np.float32), (count, 1)),
        is_patch=np.zeros(count, bool),
        vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
    )


def facts(video: str, count: int) -> IndexedVideo:
    return IndexedVideo(
        video=video, name=f"{video}.mp4", path=video, seconds=count, height=3, width=4, frames=count, patches=0
    )


def add(index: MomentIndex, video: str, seed: int, count: int = 20) -> None:
    index.begin(video)
    for start in range(0, count, 8):
        index.write(video, "frames", units(count, seed).where(np.arange(start, min(start + 8, count))))
    index.commit(facts(video, count), units(count, seed).vectors)


@pytest.fixture
def index(tmp_path) -> MomentIndex:
    return MomentIndex("model", SIZE, str(tmp_path / "index"))


def test_a_vector_finds_its_video_first(index):
    for seed in range(4):
        add(index, f"v{seed}", seed)
    hits = index.search(units(20, 2).vectors[13], "frames", most=5)
    assert hits.videos[0] == "v2"
    assert hits.scores[0] == pytest.approx(1, abs=1e-5)
    assert (np.diff(hits.scores) <= 0).all()
    assert index.search(units(20, 2).vectors[13], "frames", most=5, videos=("v1", "v3")).videos[0] != "v2"
    assert not index.search(units(20, 2).vectors[13], "patches", most=5).videos


def test_all_units_come_back_in_order_of_time(index):
    add(index, "it's", 1)
    add(index, "v2", 2)
    found = index.units("frames", ("v2", "it's", "nobody"))
    assert set(found) == {"v2", "it's"}
    assert found["it's"].starts.tolist() == list(range(20))
    assert (found["it's"].vectors == units(20, 1).vectors).all()
    assert found["v2"].boxes_xyxy[0].tolist() == [1, 2, 3, 4]
    assert index.units("frames", ()) == {}


def test_a_removed_video_is_gone_and_can_come_back(index):
    add(index, "a", 1)
    add(index, "b", 2)
    index.remove("a")
    assert set(index.videos()) == {"b"}
    assert index.count("frames") == 20
    assert set(index.search(units(20, 1).vectors[0], "frames", most=50).videos) == {"b"}
    add(index, "a", 1)
    assert set(index.videos()) == {"a", "b"}


def test_a_restart_and_another_reader_see_the_same(index):
    add(index, "a", 1)
    again = MomentIndex("model", SIZE, index.uri)
    assert again.videos() == index.videos() == {"a": facts("a", 20)}
    add(again, "b", 2)
    assert set(index.videos()) == {"a", "b"}
    assert index.samples().shape == (2 * index_module.SAMPLES, SIZE)
    index.remove("a")
    assert set(again.videos()) == {"b"}


def test_models_do_not_see_each_others_vectors(index):
    add(index, "a", 1)
    assert not MomentIndex("other", SIZE, index.uri).videos()


def test_an_unfinished_video_is_not_found_and_a_second_try_has_no_doubles(index):
    add(index, "a", 1)
    index.write("b", "frames", units(20, 2))
    assert set(index.search(units(20, 2).vectors[0], "frames", most=40).videos) == {"a"}
    add(index, "b", 2)
    assert len(index.units("frames", ("b",))["b"]) == 20


def test_what_nobody_finished_in_a_day_is_dropped_and_work_in_progress_is_not(index, monkeypatch):
    add(index, "a", 1)
    index.write("b", "frames", units(20, 2))
    index.settle(wait=True)
    assert index.count("frames") == 40
    monkeypatch.setattr(index_module, "ORPHAN_SECONDS", -10)
    index.settle()
    assert index.count("frames") == 20
    assert set(index.videos()) == {"a"}


def test_small_files_are_joined_and_nothing_is_lost(index):
    for seed in range(5):
        add(index, f"v{seed}", seed)
    before = index.units("frames", tuple(index.videos()))
    index.settle(wait=True)
    after = index.units("frames", tuple(index.videos()))
    assert all((before[video].vectors == after[video].vectors).all() for video in before)


def test_a_large_table_is_sorted_into_cells_and_new_rows_are_found_at_once(index, monkeypatch):
    monkeypatch.setattr(index_module, "INDEX_FROM", 1000)
    add(index, "large", 1, count=1500)
    index.settle()
    table = index._units["frames"]
    assert {tuple(each.columns) for each in table.list_indices()} == {("vector",), ("video",)}
    add(index, "new", 2)
    assert index.search(units(20, 2).vectors[3], "frames", most=3).videos[0] == "new"
    hits = index.search(units(1500, 1).vectors[700], "frames", most=10)
    assert hits.scores[0] == pytest.approx(1, abs=0.02)
    index.remove("large")
    assert set(index.search(units(1500, 1).vectors[700], "frames", most=10).videos) <= {"new"}


def test_one_setting_says_where_the_index_is(tmp_path, monkeypatch):
    monkeypatch.setenv(index_module.VARIABLE, str(tmp_path / "here"))
    add(MomentIndex("model", SIZE), "a", 1)
    assert (tmp_path / "here").is_dir()


@pytest.mark.parametrize("uri", ["nonsense://nowhere", "db://cluster"])
def test_an_index_that_cannot_be_opened_is_said_in_one_sentence(uri, monkeypatch):
    monkeypatch.delenv("LANCEDB_API_KEY", raising=False)
    with pytest.raises(ValueError, match=f"The index at {uri} cannot be opened") as caught:
        MomentIndex("model", SIZE, uri)
    assert "\n" not in str(caught.value)


WORKER = """
import sys
from tests.video_retrieval.test_index import add, MomentIndex, SIZE
index = MomentIndex("model", SIZE, sys.argv[1])
for number in range(len(index.videos()), 10_000):
    add(index, f"v{number}", number)
    print(number, flush=True)
"""


@pytest.mark.parametrize("delay_seconds", [0.0, 0.03])
def test_a_kill_in_the_middle_loses_nothing_that_was_reported(tmp_path, root, delay_seconds):
    uri, said = str(tmp_path / "index"), tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen([sys.executable, "-c", WORKER, uri], cwd=root, stdout=out, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 120
        while said.read_text().count("\n") < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay_seconds)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    reported = [int(line) for line in Path(said).read_text().splitlines()]
    index = MomentIndex("model", SIZE, uri)
    there = index.videos()
    assert len(reported) >= 3
    assert {f"v{number}" for number in reported} <= set(there)
    found = index.units("frames", tuple(there))
    assert all((found[video].vectors == units(20, int(video[1:])).vectors).all() for video in there)
    add(index, f"v{len(there)}", len(there))  # where the kill fell
    assert len(index.units("frames", (f"v{len(there)}",))[f"v{len(there)}"]) == 20


def test_importing_the_module_loads_no_store_and_no_network():
    code = "import sys, core.video_retrieval.index; sys.exit(bool({'lancedb', 'pyarrow', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
