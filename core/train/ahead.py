"""The next batch is made while this one is learnt from."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Calls `draw(step)` one step ahead in a thread: a batch depends on its step only, so the order does not matter."""

    def __init__(self, draw: Callable[[int], T]) -> None:
        self.draw = draw
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self.waiting: dict[int, Future[T]] = {}

    def __call__(self, step: int) -> T:
        """Return the batch of a step, and begin with the one that is likely to be asked for next."""
        ready = self.waiting.pop(step, None)
        self.waiting = {step + 1: self.pool.submit(self.draw, step + 1)}
        return self.draw(step) if ready is None else ready.result()
