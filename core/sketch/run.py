"""A drawing that can be watched, stopped at any moment and taken up again.

A run owns everything that changes while it draws; two runs share nothing but the networks they look through, which
never change. One thread may step a run while another stops it.

Legend: B sketches of one run, T evaluations.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from core.results import Strokes

State = Literal["ready", "drawing", "stopped", "settled", "done"]
Terms = dict[str, Float[np.ndarray, " B"]]


@runtime_checkable
class Drawing(Protocol):
    """B sketches that get better step by step."""

    def learn(self, iteration: int) -> Float[np.ndarray, " B"]:
        """Take one step of the optimiser and return the loss of each sketch before it, with its random views."""
        ...

    def measure(self) -> Terms:
        """Return each term of each sketch's loss without random views, weighted, so that they add up."""
        ...

    def strokes(self) -> tuple[Strokes, ...]:
        """Return the sketches as they are now."""
        ...


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long a run draws, and when it has drawn enough."""

    iterations: int
    evaluate_every: int
    tolerance: float | None = None  # two evaluations this close to the best end a sketch; None: it never ends early

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.evaluate_every < 1:
            raise ValueError(
                f"wanted at least 1 iteration and 1 between evaluations, got {self.iterations} and "
                f"{self.evaluate_every}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Progress:
    """How far a run has come."""

    iteration: int  # steps taken
    iterations: int  # steps wanted
    losses: Terms  # of the last evaluation: every term, 'total', and 'training', the last step's; {} before the first
    strokes: tuple[Strokes, ...]  # of each sketch, as it is now
    kept: tuple[Strokes, ...]  # of each sketch, where its evaluation was best
    best: Strokes  # the kept sketch with the lowest loss
    best_index: int
    state: State

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do, unless more iterations are asked for."""
        return self.state in ("settled", "done")


@dataclass(frozen=True, kw_only=True, eq=False)
class Curves:
    """What every evaluation of a run found."""

    iterations: np.ndarray  # (T,) int
    evaluated: np.ndarray  # (T, B) float32, without random views
    training: np.ndarray  # (T, B) float32, of the step before, with random views; NaN at the first


class Run:
    """A drawing in progress; `best` counts where `keep_best`, otherwise the newest sketch does."""

    def __init__(self, drawing: Drawing, schedule: Schedule, *, keep_best: bool = True) -> None:
        """Begin with the drawing as it is; nothing is computed yet."""
        self._drawing, self._keep_best = drawing, keep_best
        self._every, self._tolerance = schedule.evaluate_every, schedule.tolerance
        self._iterations = schedule.iterations
        self._kept = list(drawing.strokes())
        self._kept_losses = np.full(len(self._kept), np.inf, np.float32)
        self._close = np.zeros(len(self._kept), int)  # evaluations in a row that were no better
        self._iteration = 0
        self._losses: Terms = {}
        self._training = np.full(len(self._kept), np.nan, np.float32)
        self._history: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._stop, self._lock = threading.Event(), threading.Lock()

    def step(self, count: int = 1) -> Progress:
        """Take up to `count` steps, none after `stop` or the end, and say how far the run has come."""
        with self._lock:
            for _ in range(count):
                if self._stop.is_set() or self._ended():
                    break
                if not self._history:
                    self._evaluate()
                self._training = self._drawing.learn(self._iteration)
                self._iteration += 1
                if self._iteration % self._every == 0 or self._iteration >= self._iterations:
                    self._evaluate()
            return self._progress()

    def __iter__(self) -> Iterator[Progress]:
        """Yield the progress after each stretch between evaluations, the first before any step."""
        yield self.progress
        while not (self._stop.is_set() or self._ended()):
            yield self.step(self._every)

    @property
    def progress(self) -> Progress:
        """How far the run has come, without doing anything."""
        with self._lock:
            return self._progress()

    @property
    def curves(self) -> Curves:
        """What every evaluation found so far."""
        history, width = list(self._history), len(self._kept)
        return Curves(
            iterations=np.array([at for at, _, _ in history], int),
            evaluated=np.array([found for _, found, _ in history], np.float32).reshape(-1, width),
            training=np.array([found for _, _, found in history], np.float32).reshape(-1, width),
        )

    def stop(self) -> None:
        """Let the step that is being taken be the last; what was drawn stays."""
        self._stop.set()

    def resume(self, more: int = 0) -> None:
        """Take a stopped run up again, or one at its end for `more` iterations."""
        if more < 0:
            raise ValueError(f"wanted 0 or more iterations, got {more}")
        with self._lock:
            if more:
                self._iterations = more + (self._iteration if self._ended() else self._iterations)
                self._close[:] = 0
            self._stop.clear()

    def _evaluate(self) -> None:
        """Measure every sketch, and keep those that are better than before."""
        terms = self._drawing.measure()
        found = np.sum(list(terms.values()), axis=0)
        now = self._drawing.strokes()
        least = self._tolerance or 0.0
        for index, loss in enumerate(found):
            better = loss < self._kept_losses[index] - least
            if better or not self._keep_best:
                self._kept[index], self._kept_losses[index], self._close[index] = now[index], loss, 0
            elif abs(loss - self._kept_losses[index]) <= least:
                self._close[index] += 1
        self._losses = {**terms, "total": found}
        self._history.append((self._iteration, found, self._training))

    def _ended(self) -> bool:
        return self._iteration >= self._iterations or self._settled()

    def _settled(self) -> bool:
        return self._tolerance is not None and bool((self._close >= 2).all())

    def _progress(self) -> Progress:
        best = int(self._kept_losses.argmin())
        now = self._drawing.strokes()
        kept = tuple(self._kept) if self._keep_best else now
        return Progress(
            iteration=self._iteration,
            iterations=self._iterations,
            losses={**self._losses, "training": self._training} if self._losses else {},
            strokes=now,
            kept=kept,
            best=kept[best],
            best_index=best,
            state=self._state(),
        )

    def _state(self) -> State:
        if self._settled():
            return "settled"
        if self._iteration >= self._iterations:
            return "done"
        if self._stop.is_set():
            return "stopped"
        return "drawing" if self._iteration else "ready"
