"""How a run ends before its time: politely, or with one sentence for whoever started it."""

import errno
import signal
from types import FrameType, TracebackType
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate")  # PyTorch's words
NO_ROOM = ("PytorchStreamWriter failed", "unexpected pos", "No space left")  # PyTorch's and safetensors' words
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """Somebody asked the run to stop."""


class DiskFull(ValueError):
    """A file of the run cannot be written; what was there before is whole."""


class PoliteStop:
    """While it is entered, a signal is a request: a run looks at `asked`, everything else is broken off."""

    def __init__(self) -> None:
        self.asked = False
        self.between_steps = False  # whether somebody looks at `asked`
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "PoliteStop":
        self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if not self.between_steps and not self.asked:
            self.asked = True
            raise Stopped("Stopped before the first step; start again when you like.")
        self.asked = True


def is_full(error: BaseException) -> bool:
    """Say whether an error means that there is no room on the disk."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return any(words in str(error) for words in NO_ROOM)


def sentence(error: BaseException) -> str | None:
    """Return what to tell the user about an error, or None where it is a mistake of the program's own."""
    if isinstance(error, (ValueError, FloatingPointError, Stopped)):
        return str(error)
    if is_full(error):
        return "The disk is full: make room, then go on with --resume."
    told = str(error).lower()
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(word in told for word in NO_MEMORY)):
        return (
            "There is not enough memory: take a smaller --batch, encode it in pieces with --grad-cache, "
            "or train a smaller network."
        )
    return None
