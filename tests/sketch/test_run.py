"""A run, stepped, stopped and resumed, on drawings whose losses are known beforehand."""

import numpy as np
import pytest

from core.results import Strokes
from core.sketch.run import Run, Schedule


class Scripted:
    """Two sketches whose losses are read from a list; the first point's x is the number of steps taken."""

    def __init__(self, losses: list[tuple[float, float]]) -> None:
        self.losses, self.steps, self.measured = losses, 0, 0

    def learn(self, iteration: int) -> np.ndarray:
        assert iteration == self.steps
        self.steps += 1
        return np.zeros(2, np.float32)

    def measure(self) -> dict[str, np.ndarray]:
        found = self.losses[min(self.measured, len(self.losses) - 1)]
        self.measured += 1
        return {"loss": np.array(found, np.float32)}

    def strokes(self) -> tuple[Strokes, ...]:
        return (Strokes.black(np.full((1, 4, 2), float(self.steps)), 1.0, (8, 8)),) * 2


def falling(steps: int = 20) -> Scripted:
    return Scripted([(10.0 - i, 20.0 - i) for i in range(steps)])


def x(strokes: Strokes) -> float:
    return float(strokes.points[0, 0, 0])


def test_before_the_first_step_there_is_the_start():
    run = Run(falling(), Schedule(iterations=6, evaluate_every=2))
    progress = run.progress
    assert (progress.iteration, progress.state, progress.losses) == (0, "ready", {})
    assert x(progress.best) == 0


def test_stop_before_the_first_step_keeps_the_start_and_resume_goes_on():
    run = Run(falling(), Schedule(iterations=6, evaluate_every=2))
    run.stop()
    progress = run.step(3)
    assert (progress.iteration, progress.state, x(progress.best)) == (0, "stopped", 0)
    assert [each.iteration for each in run] == [0]
    run.resume()
    assert run.step(3).iteration == 3


def test_iterating_yields_each_evaluation_until_the_end():
    run = Run(falling(), Schedule(iterations=5, evaluate_every=2))
    found = list(run)
    assert [each.iteration for each in found] == [0, 2, 4, 5]
    assert [each.state for each in found] == ["ready", "drawing", "drawing", "done"]
    assert found[-1].finished
    assert found[-1].losses["total"].tolist() == [7, 17]
    assert run.curves.iterations.tolist() == [0, 2, 4, 5]
    assert run.curves.evaluated[:, 0].tolist() == [10, 9, 8, 7]
    assert run.step(4).iteration == 5


def test_more_iterations_can_be_asked_for_at_the_end():
    run = Run(falling(), Schedule(iterations=2, evaluate_every=2))
    run.step(9)
    run.resume(4)
    assert run.step(99).iteration == 6
    with pytest.raises(ValueError, match="0 or more iterations"):
        run.resume(-1)


def test_the_best_is_the_lowest_that_was_measured_and_not_the_last():
    run = Run(Scripted([(5.0, 6.0), (3.0, 2.0), (9.0, 9.0)]), Schedule(iterations=4, evaluate_every=2))
    progress = run.step(4)
    assert progress.best_index == 1
    assert [x(each) for each in progress.kept] == [2, 2]
    assert x(progress.strokes[0]) == 4


def test_the_newest_counts_where_the_best_is_not_kept():
    schedule = Schedule(iterations=4, evaluate_every=2)
    run = Run(Scripted([(5.0, 6.0), (3.0, 2.0), (8.0, 9.0)]), schedule, keep_best=False)
    progress = run.step(4)
    assert (x(progress.best), progress.best_index) == (4, 0)


def test_two_evaluations_as_good_as_the_best_settle_a_run_once_all_its_sketches_have():
    losses = [(5.0, 5.0), (5.0, 4.0), (5.0, 4.0), (5.0, 4.0)]
    run = Run(Scripted(losses), Schedule(iterations=100, evaluate_every=1, tolerance=1e-5))
    progress = run.step(100)
    assert (progress.iteration, progress.state) == (3, "settled")
    endless = Run(Scripted(losses), Schedule(iterations=8, evaluate_every=1))
    assert endless.step(100).iteration == 8


def test_a_run_without_steps_is_refused():
    with pytest.raises(ValueError, match="at least 1 iteration"):
        Schedule(iterations=0, evaluate_every=1)
