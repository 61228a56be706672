"""The training benchmark compares two loops that do the same."""

from core.bench import training as bench


def test_both_loops_take_steps_on_the_same_pictures(monkeypatch):
    monkeypatch.setattr(bench, "STEPS", 1)
    monkeypatch.setattr(bench, "PICTURES", 20)
    monkeypatch.setattr(bench, "BATCH", 4)
    found = bench.training()
    assert found["ratio"] > 0
    assert found["repeats"] == 7
    assert found["samples_a_second"] > 0
    assert 0 < found["drawing_share_if_not_hidden"] < 1
