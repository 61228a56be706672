"""The benchmarks' arithmetic, and the one whose ratio is robust enough to assert."""

import json

import pytest

from core.bench import clip, measure


def test_a_speed_up_is_the_alternatives_time_over_ours():
    found = measure.report([1.0, 2.0, 3.0], [8.0, 10.0, 12.0], "something")
    assert found["ratio"] == 5.0
    assert found["ours_spread_seconds"] == [1.0, 3.0]
    assert measure.report([3.0], [2.0], "something", inverse=True)["ratio"] == 1.5


def test_both_sides_take_turns():
    order = []
    ours, theirs = measure.paired(lambda: order.append("a"), lambda: order.append("b"), repeats=2)
    assert order == ["a", "b"] * 3
    assert len(ours) == len(theirs) == 2


def test_the_transformers_tokenizer_of_the_comparison_gives_clips_ids():
    ids = clip._transformers_tokenizer()("a photo of a dog.")["input_ids"]
    assert ids == [49406, 320, 1125, 539, 320, 1929, 269, 49407]


@pytest.mark.slow
def test_new_labels_are_encoded_five_times_faster_and_the_same(python):
    finished = python("-m", "core.bench", "zero_shot_cold", "--json")
    found = json.loads(finished.stdout.strip().splitlines()[-1])
    assert found["ratio"] >= 5
    assert found["largest_difference"] <= 1e-5
