"""A drawing that is watched: one sitting of one user, drawn a moment at a time, so that others get their turn."""

import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
import numpy as np
from jaxtyping import Float

from demos.errors import translate
from demos.shell import QUIET

MOMENT_SECONDS, MOMENT_STEPS = 0.4, 5  # of drawing between two pictures of it, both at least,
LONGEST_SECONDS = 1.5  # but where a step is slow, so long at most
DRAWINGS = {"concurrency_id": "sketch", "concurrency_limit": 4}  # users who watch a drawing at the same time
STREAM: dict[str, Any] = {**QUIET, **DRAWINGS, "trigger_mode": "multiple"}  # a new drawing may replace one in progress
PADDING_PIXELS = -10_000.0  # off every canvas: no ink, no gradient
_turn = threading.Lock()  # one drawing at a time, for a moment: side by side they would only slow each other down


@dataclass(frozen=True, kw_only=True)
class Pen:
    """What may be changed after a sketch was drawn."""

    factor: float = 1.0  # on every width
    color: tuple[float, float, float] | None = None  # None: as drawn

    def applied(self, strokes: Any) -> Any:
        """Return the strokes drawn with this pen."""
        return strokes.with_pen(width_factor=self.factor, color=self.color)


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One sketch on show: which one of which run, what it is called, and what it is compared with."""

    run: Any
    index: int
    caption: str = ""
    strokes: int | None = None  # the first so many; what follows only fills the batch up

    def drawn(self, progress: Any) -> Any:
        """Return the best strokes of a finished run, else those there are now: a stopped drawing does not jump."""
        found = (progress.kept if progress.finished else progress.strokes)[self.index]
        return found if self.strokes is None else found.chosen(range(self.strokes))

    def losses(self) -> Float[np.ndarray, " T"]:
        """Return what each evaluation found."""
        return self.run.curves.evaluated[:, self.index]

    def loss(self, progress: Any) -> float:
        """Return the loss of what is drawn, as it was last measured; NaN before the first measurement."""
        found = self.losses()
        if not len(found):
            return float("nan")
        return float(found.min() if progress.finished else found[-1])


@dataclass(kw_only=True, eq=False)
class Sitting:
    """All about one drawing of one user; Stop and the pen reach it while it is drawn, so it changes."""

    stopped: threading.Event = field(default_factory=threading.Event)
    replaced: bool = False  # the user has begun another
    busy: bool = True
    runs: tuple[Any, ...] = ()
    cells: tuple[Cell, ...] = ()
    pen: Pen = field(default_factory=Pen)
    seconds: float = 0.0  # of drawing, without waiting
    about: Any = None  # what was asked and prepared; each lesson has its own
    before: "Sitting | None" = None  # until this one draws: what is on show if it never does

    def draws(self, runs: Sequence[Any], cells: Sequence[Cell], about: Any = None) -> None:
        """Take up runs; a Stop that came before them counts."""
        self.runs, self.cells, self.about, self.before = tuple(runs), tuple(cells), about, None
        if self.stopped.is_set():
            self.stop()

    def fall_back(self) -> None:
        """Keep what the sitting before has drawn, because this one cannot draw."""
        before, self.before = self.before, None
        if before is not None and before.runs:
            self.runs, self.cells, self.about, self.pen = before.runs, before.cells, before.about, before.pen
            self.seconds = before.seconds

    def stop(self) -> None:
        """Let the step that is being taken be the last."""
        self.stopped.set()
        for run in self.runs:
            run.stop()

    def resume(self) -> None:
        """Go on; what has come to its end gets as many iterations again."""
        self.stopped.clear()
        for run in self.runs:
            progress = run.progress
            run.resume(progress.iterations if progress.finished else 0)

    def moments(self) -> Iterator[None]:
        """Draw for a moment at a time until every run has come to its end or was stopped."""
        left = list(self.runs)
        while left and not self.stopped.is_set():
            with _turn:
                begun, steps, spent = time.perf_counter(), 0, 0.0
                while left and not self.stopped.is_set() and not _moment_is_over(spent, steps):
                    left = [run for run in left if not run.step().finished]
                    steps, spent = steps + 1, time.perf_counter() - begun
                self.seconds += spent
            if not self.replaced:
                yield

    def strokes(self, cell: Cell) -> Any:
        """Return a cell's strokes, drawn with the pen."""
        return self.pen.applied(cell.drawn(cell.run.progress))


def _moment_is_over(seconds: float, steps: int) -> bool:
    return seconds >= LONGEST_SECONDS or (seconds >= MOMENT_SECONDS and steps >= MOMENT_STEPS)


def begin(before: Sitting | None) -> Sitting:
    """Return a new sitting; the one before ends."""
    if before is not None:
        before.replaced = True
        before.stop()
    return Sitting(before=before)


def stop(sitting: Sitting | None, language: str) -> None:
    """Stop a drawing; ValueError where none is being drawn."""
    if sitting is None or not sitting.busy:
        raise ValueError("Nothing is being drawn.")
    sitting.stop()


def take_up(sitting: Sitting | None, language: str) -> None:
    """Take up what was drawn; ValueError where nothing was, or where it is being drawn."""
    if sitting is None or not sitting.runs:
        raise ValueError("Nothing has been drawn yet: press Draw first.")
    if sitting.busy:
        raise ValueError("It is being drawn already.")
    sitting.busy = True
    sitting.resume()


def buttons(sitting: Sitting | None) -> list[dict[str, Any]]:
    """Return updates for Stop and Resume, as the sitting allows them."""
    busy = sitting is not None and sitting.busy
    return [gr.update(interactive=busy), gr.update(interactive=not busy and sitting is not None and bool(sitting.runs))]


def needed(sitting: Sitting | None) -> Sitting:
    """Return a sitting whose drawing is not in progress; ValueError where nothing was drawn."""
    if sitting is None or not sitting.runs:
        raise ValueError("Nothing has been drawn yet: press Draw first.")
    return sitting


def padded(prepared: Any, count: int, most: int) -> Any:
    """Return what was prepared with its first `count` strokes, filled up to `most` by strokes nobody sees.

    Sketches of different stroke counts become one batch: a stroke far off the canvas leaves no ink and gets no
    gradient, so it never moves.
    """
    starts = tuple(
        np.concatenate([each[:count], np.full_like(each[: most - count], PADDING_PIXELS)]) for each in prepared.starts
    )
    return replace(prepared, starts=starts)


def streamed(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Turn a ValueError of a generator into a warning on the page, as shell.guarded does for a function."""
    signature = inspect.signature(function)

    def caught(*arguments: Any) -> Iterator[Any]:
        try:
            yield from function(*arguments)
        except ValueError as error:
            language = signature.bind(*arguments).arguments.get("language", "en")
            raise gr.Error(translate(str(error), language), print_exception=False, duration=12) from None

    # Gradio asks whether this is a generator function; a checker that wraps every `def` on import would hide it.
    return functools.wraps(function)(lambda *arguments: (yield from caught(*arguments)))
