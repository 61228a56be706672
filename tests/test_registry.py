"""The table of systems: listed without torch, loaded once, shared between tabs, forgotten in the right order."""

import os
import sys
import threading
from types import SimpleNamespace

import pytest

from core import registry
from core.registry import System

LIST = """
import sys
from core import checkpoints, registry
for name in registry.names():
    card = registry.get(name)
    for weights in checkpoints.names(name):
        found = checkpoints.resolve(name, weights)
        print(card.title, found.describe(), found.available)
sys.exit("torch was imported" if "torch" in sys.modules else 0)
"""


@pytest.fixture
def opened(monkeypatch):
    """Put a system in the table whose models are plain objects; return the names of the files opened."""
    calls = []

    def open_it(weights, device, files):
        calls.append(weights.name)
        return SimpleNamespace(weights=weights.name, device=device.name)

    card = System(
        name="fake",
        task="zero_shot",
        title="Fake",
        paper="",
        venue="",
        year=2000,
        url="https://example.org",
        opener="opened_in_this_test:open_it",
        honesty="training-free",
        licence="MIT",
    )
    monkeypatch.setattr(registry, "SYSTEMS", (card,))
    monkeypatch.setattr(registry, "_loaded", type(registry._loaded)())
    monkeypatch.setitem(sys.modules, "opened_in_this_test", SimpleNamespace(open_it=open_it))
    return calls


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{letter}.pt" for letter in "abcd"]
    for path in paths:
        path.write_bytes(b"weights")
    return [str(path) for path in paths]


def test_every_system_is_listed_without_torch(python):
    finished = python("-c", LIST)
    assert finished.returncode == 0, finished.stderr
    assert "toybox-resnet" in finished.stdout
    assert "ViT-B-32-quickgelu/openai: about 605 MB, licence MIT False" in finished.stdout


def test_systems_are_found_by_task_and_name():
    assert "clip" in registry.names()
    assert "clip" in registry.names("zero_shot")
    assert registry.names("no such task") == ()
    assert registry.get("clip").url == "https://arxiv.org/abs/2103.00020"


def test_an_unknown_system_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"Unknown system 'clop'; there are: clip"):
        registry.load("clop")


def test_a_model_is_opened_once_and_shared(opened, files):
    first = registry.load("fake", files[0])
    assert registry.load("fake", files[0]) is first
    assert registry.load("fake", files[1]) is not first
    assert opened == ["a.pt", "b.pt"]
    assert registry.is_loaded("fake", files[0])
    assert not registry.is_loaded("fake", files[2])


def test_the_model_unused_for_longest_goes_first(opened, files):
    for index in (0, 1, 2, 0, 3):
        registry.load("fake", files[index])
    assert [registry.is_loaded("fake", path) for path in files] == [True, False, True, True]


def test_a_file_that_was_written_anew_is_opened_anew(opened, files):
    registry.load("fake", files[0])
    os.utime(files[0], ns=(0, 10**18))
    assert not registry.is_loaded("fake", files[0])
    registry.load("fake", files[0])
    assert opened == ["a.pt", "a.pt"]


def test_two_browsers_at_once_open_a_model_once(opened, files):
    found = []
    threads = [threading.Thread(target=lambda: found.append(registry.load("fake", files[0]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len({id(model) for model in found}) == len(opened) == 1


def test_a_model_that_is_slow_to_open_holds_nobody_else_up(opened, files, monkeypatch):
    entered, go_on = threading.Event(), threading.Event()

    def slow(weights, device, files):
        entered.set()
        assert go_on.wait(10)
        return weights.name

    quick = registry.load("fake", files[0])
    monkeypatch.setattr(sys.modules["opened_in_this_test"], "open_it", slow)
    thread = threading.Thread(target=registry.load, args=("fake", files[1]))
    thread.start()
    assert entered.wait(10)
    assert registry.load("fake", files[0]) is quick  # would wait for ever if one lock served all
    assert not registry.is_loaded("fake", files[1])
    go_on.set()
    thread.join(10)
    assert registry.is_loaded("fake", files[1])


def test_a_failed_opening_can_be_tried_again(opened, files, monkeypatch):
    def broken(weights, device, files):
        raise ValueError("not a file of weights")

    works = sys.modules["opened_in_this_test"].open_it
    monkeypatch.setattr(sys.modules["opened_in_this_test"], "open_it", broken)
    with pytest.raises(ValueError, match="not a file of weights"):
        registry.load("fake", files[0])
    monkeypatch.setattr(sys.modules["opened_in_this_test"], "open_it", works)
    assert registry.load("fake", files[0]).weights == "a.pt"


def test_a_system_on_another_ones_weights_lists_its_own_first():
    assert registry.weights_names("depthclip")[:2] == ("toybox-places", "toybox-resnet")
    assert registry.weights_card("depthclip").name == "toybox-places"
    assert registry.weights_card("depthclip", "toybox-vit").system == "clip"
    assert "toybox-places" not in registry.weights_names("clip")
