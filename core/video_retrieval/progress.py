"""How far indexing has come, how long it will take, and what came of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class IndexStep:
    """How far indexing has come."""

    name: str
    video: int  # from 0
    videos: int
    seconds_done: float  # of film, all videos together
    seconds_all: float
    eta_seconds: float | None  # None until something has been measured


@dataclass(frozen=True, kw_only=True)
class IndexReport:
    """What indexing did: the keys of what is now found, and what was left out, with the reason."""

    added: tuple[str, ...]
    already: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]  # name, reason
    cancelled: bool

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of every video that was given and is found."""
        return self.added + self.already


class Clock:
    """Tells progress in seconds of film, which is what takes the time."""

    def __init__(self, lengths: Mapping[Path, float], progress: Callable[[IndexStep], None]) -> None:
        self.lengths, self.progress = dict(lengths), progress
        self.order, self.before, self.started = list(lengths), 0.0, time.monotonic()

    def begin(self, path: Path) -> None:
        """Say that a file is being looked at."""
        self.tell(path, 0.0)

    def tell(self, path: Path, seconds: float) -> None:
        """Say that so much of a file is done."""
        self.lengths[path] = max(self.lengths[path], seconds)
        done, total = self.before + seconds, sum(self.lengths.values())
        passed = time.monotonic() - self.started
        eta = passed / done * (total - done) if done > 0 else None
        place = self.order.index(path)
        self.progress(
            IndexStep(
                name=path.name,
                video=place,
                videos=len(self.order),
                seconds_done=done,
                seconds_all=total,
                eta_seconds=eta,
            )
        )

    def finish(self, path: Path) -> None:
        """Say that a file is done, or given up."""
        self.tell(path, self.lengths[path])
        self.before += self.lengths[path]
