"""Frames of a video to the network's inputs, a batch at a time, in memory that does not grow with its length.

Where the network has a device of its own, a thread decodes beside it, with a short queue between the two. On a CPU both
want the same cores, and threads that wait for each other there cost more than they bring: decoding and encoding take
turns, and each has all cores for a while. In both, frames are cut and resized by a few threads beside the decoder.

Legend: S side of the network's input.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

import numpy as np
from jaxtyping import UInt8

from core.backbones.clip import IMAGE_BATCH
from core.video_retrieval.clifs import PatchSettings, covering_patches

QUEUED = 2 * IMAGE_BATCH  # inputs that wait for the network
FEWEST = 8  # encoded at once while more may come: smaller batches waste the network
WAIT_SECONDS = 0.1  # between looks at whether the other side has given up
RESIZED_AT_ONCE = os.cpu_count() or 1

Place = tuple[float, ...]  # start, end, box and is_patch
Prepared = tuple[Place, np.ndarray]  # with (S, S, 3) uint8
FrameSource = Callable[[Path, float], Iterable[tuple[float, float, np.ndarray]]]  # step; start, end, picture
Resize = Callable[[UInt8[np.ndarray, "H W 3"]], UInt8[np.ndarray, "S S 3"]]


class Cancelled(Exception):
    """Someone pressed stop."""


def inputs(
    frames: Iterable[tuple[float, float, np.ndarray]], resize: Resize, patches: PatchSettings | None
) -> Iterator[Prepared]:
    """Yield every frame, and its patches if there are to be any, as the network sees them, in order."""
    with ThreadPoolExecutor(RESIZED_AT_ONCE) as pool:  # Pillow resizes without holding the interpreter's lock
        waiting: deque[tuple[Place, Any]] = deque()
        for start, end, picture in frames:
            for is_patch, (x0, y0, x1, y1) in _boxes(picture.shape[:2], patches):
                cut = np.ascontiguousarray(picture[y0:y1, x0:x1])
                waiting.append(((start, end, x0, y0, x1, y1, is_patch), pool.submit(resize, cut)))
                while len(waiting) > 2 * RESIZED_AT_ONCE:
                    yield _taken(waiting)
        while waiting:
            yield _taken(waiting)


def in_turn(prepared: Iterator[Prepared], cancelled: Callable[[], bool]) -> Iterator[list[Prepared]]:
    """Yield whole batches, made when they are asked for. Raises Cancelled when `cancelled()` becomes true."""
    batch: list[Prepared] = []
    with closing(prepared):
        for item in prepared:
            if cancelled():
                raise Cancelled
            batch.append(item)
            if len(batch) == IMAGE_BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


def beside(prepared: Iterator[Prepared], cancelled: Callable[[], bool]) -> Iterator[list[Prepared]]:
    """Yield batches of what a thread has made meanwhile. Raises Cancelled when `cancelled()` becomes true."""
    queue: Queue[Any] = Queue(QUEUED)
    stopped = threading.Event()
    thread = threading.Thread(target=_prepare, args=(prepared, queue, stopped), name="_prepare", daemon=True)
    thread.start()
    batch: list[Prepared] = []
    try:
        while True:
            item = _get(queue, cancelled)
            if isinstance(item, Exception):
                raise item
            if item is not None:
                batch.append(item)
            waiting = len(batch) < FEWEST or (len(batch) < IMAGE_BATCH and not queue.empty())
            if batch and (item is None or not waiting):
                yield batch
                batch = []
            if item is None:
                return
    finally:
        stopped.set()
        thread.join()


def _boxes(size_hw: tuple[int, int], patches: PatchSettings | None) -> list[tuple[bool, tuple[int, int, int, int]]]:
    """Return the whole frame and its patches."""
    height, width = size_hw
    squares = [] if patches is None else covering_patches(size_hw, patches).tolist()
    return [(False, (0, 0, width, height)), *((True, tuple(box)) for box in squares)]


def _taken(waiting: "deque[tuple[Place, Any]]") -> Prepared:
    place, seen = waiting.popleft()
    return place, seen.result()


def _prepare(prepared: Iterator[Prepared], queue: "Queue[Any]", stopped: threading.Event) -> None:
    """Put the network's inputs into the queue, then None; or the exception that ended it."""
    try:
        with closing(prepared):
            for item in prepared:
                if not _put(queue, item, stopped):
                    return
        _put(queue, None, stopped)
    except Exception as error:  # whatever it is belongs to the thread that waits for it
        _put(queue, error, stopped)


def _put(queue: "Queue[Any]", item: object, stopped: threading.Event) -> bool:
    """Put an item as soon as there is room; False when nobody waits for it any more."""
    while not stopped.is_set():
        with suppress(Full):
            queue.put(item, timeout=WAIT_SECONDS)
            return True
    return False


def _get(queue: "Queue[Any]", cancelled: Callable[[], bool]) -> object:
    while True:
        if cancelled():
            raise Cancelled
        with suppress(Empty):
            return queue.get(timeout=WAIT_SECONDS)
