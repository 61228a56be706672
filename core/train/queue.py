"""The one process that works on the queue: `python -m core.train.queue ROOT ENGINE...`, started by core.train.launch.

It takes a lock, so that one training runs at a time whoever asks; starts the engine as a child with a list of
arguments; stops it politely when that is asked for or a cap is reached; and writes down how it ended. It outlives the
app. When it is killed itself, the next one finds a training that still runs by its process, and goes on watching it.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.train.process import ask_to_end, birth, end_group, is_alive
from core.train.runs_list import ENDED, LOCK, LOST, OUTPUT, STATUS, STOP, Job, last_words, list_runs, read_json

PROJECT = Path(__file__).resolve().parents[2]
TOKEN_VARIABLE = "SUITE_TRAIN_TOKEN"  # what opens the page; no training needs to know it
PAUSE_SECONDS = 0.25
MEASURE_SECONDS = 15.0  # between two looks at the disk
NICE = 5  # the page that watches comes first
GIGABYTE = 1e9


@dataclass(frozen=True, kw_only=True)
class Caps:
    """What no run may exceed."""

    allowance_minutes: float = 30.0  # beside the training time: drawing data, measuring
    grace_seconds: float = 60.0  # to save a checkpoint after being asked to end
    disk_gigabytes: float = 20.0  # of everything under the root
    free_gigabytes: float = 1.0  # that the disk must have left


class Worker:
    """Takes the queue's runs one after the other."""

    def __init__(self, root: Path, engine: list[str], caps: Caps | None = None) -> None:
        """Take up the queue under a root; `engine` is the command that each run's arguments are added to."""
        self.root, self.engine, self.caps = root, engine, caps or Caps()

    def work(self) -> None:
        """Go on until nothing is left to do, or another process is at it; looked at again after the lock is given up.

        Whoever adds a run starts a worker after it is written, so one of the two is sure to see it.
        """
        while self._next() is not None:
            with locked(self.root / LOCK) as mine:
                if not mine:
                    return
                while (folder := self._next()) is not None:
                    self._run(folder)

    def _next(self) -> Path | None:
        """Return the run that must be watched on, else the one that has waited longest."""
        runs = list_runs(self.root)
        jobs = {run.folder: job for run in runs if (job := Job.read(run.folder)) is not None}
        running = [folder for folder, job in jobs.items() if job.state == "running"]
        waiting = [folder for folder, job in jobs.items() if job.state == "queued" and not (folder / STOP).exists()]
        return next(iter(running), None) or min(waiting, key=lambda folder: jobs[folder].queued, default=None)

    def _run(self, folder: Path) -> None:
        job = Job.read(folder)
        if job is None:
            return
        child = None
        if job.state == "queued":
            try:
                child = self._begin(folder, job)
            except OSError as error:
                replace(job, state="failed", sentence=f"The training cannot be started ({error}).").write(folder)
                return
            job = replace(job, state="running", sentence="", pid=child.pid, mark=birth(child.pid), began=time.time())
            job.write(folder)
        why = self._watch(folder, job, child)
        state, sentence = outcome(folder, why, child.returncode if child else None)
        replace(job, state=state, sentence=sentence, pid=0, mark=None).write(folder)
        (folder / STOP).unlink(missing_ok=True)

    def _begin(self, folder: Path, job: Job) -> "subprocess.Popen[bytes]":
        """Start the engine on a run."""
        (folder / STATUS).unlink(missing_ok=True)
        with (folder / OUTPUT).open("ab") as printed:
            return subprocess.Popen(
                [*self.engine, *job.order.arguments(folder, resume=job.resume)],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                cwd=PROJECT,
                env=child_environment(),
                start_new_session=True,
            )

    def _watch(self, folder: Path, job: Job, child: "subprocess.Popen[bytes] | None") -> str:
        """Wait for the end; return the sentence that says why it was asked to end, empty where nobody asked."""
        why, asked_at, measured_at, too_full = "", 0.0, 0.0, ""
        while child.poll() is None if child else is_alive(job.pid, job.mark):
            if time.monotonic() - measured_at > MEASURE_SECONDS:
                too_full, measured_at = self._disk(), time.monotonic()
            if not asked_at and (why := self._reason(folder, job) or too_full):
                asked_at = time.monotonic()
                ask_to_end(job.pid)
            if asked_at and time.monotonic() - asked_at > self.caps.grace_seconds:
                end_group(job.pid)
            time.sleep(PAUSE_SECONDS)
        end_group(job.pid)  # what it may have left behind
        return why

    def _reason(self, folder: Path, job: Job) -> str:
        if (folder / STOP).exists():
            return "Stopped on request; Resume goes on from its last checkpoint."
        limit = job.order.minutes + self.caps.allowance_minutes
        if time.time() - job.began > 60 * limit:
            return f"Stopped at its limit of {limit:g} minutes; Resume goes on from its last checkpoint."
        return ""

    def _disk(self) -> str:
        used = sum(map(_size, self.root.rglob("*"))) / GIGABYTE
        if used > self.caps.disk_gigabytes:
            return f"Stopped because the runs take more than {self.caps.disk_gigabytes:g} GB; remove some, then Resume."
        if shutil.disk_usage(self.root).free / GIGABYTE < self.caps.free_gigabytes:
            return f"Stopped because the disk has less than {self.caps.free_gigabytes:g} GB left; free some, Resume."
        return ""


def outcome(folder: Path, why: str, code: int | None) -> tuple[str, str]:
    """Return how a run ended, and the sentence for it; `code` is None where the process was not this one's child."""
    status = read_json(folder / STATUS)
    said, state = str(status.get("sentence") or ""), status.get("state")
    if state == "finished" or (code == 0 and state not in ENDED and not why):
        return "finished", ""
    if why:
        return "stopped", why
    if state in ("failed", "stopped") and (code is None or code >= 0):
        return str(state), said or last_words(folder)
    if code is None:
        return "failed", LOST
    if code < 0:
        name = signal.Signals(-code).name if -code in iter(signal.Signals) else str(-code)
        return "failed", (
            f"The training was killed ({name}), most likely because the memory ran out; "
            "Resume goes on from its last checkpoint."
        )
    return "failed", said or last_words(folder) or f"The training ended with code {code} and said nothing."


def child_environment() -> dict[str, str]:
    """Return this process's environment without what a training must not know."""
    return {key: value for key, value in os.environ.items() if key != TOKEN_VARIABLE}


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock that ends with the process; yields False where another process has it."""
    import fcntl  # not on Windows, where nothing here is started

    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "mark": birth(os.getpid())}))
        file.flush()
        yield True


def main() -> None:
    """Work on the queue that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m core.train.queue", description="Work on the queue of runs.")
    parser.add_argument("root", type=Path)
    parser.add_argument("engine", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    os.nice(NICE)
    Worker(arguments.root, arguments.engine or [sys.executable, "-m", "core.train"]).work()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # a part that was renamed in this moment
        return 0


if __name__ == "__main__":
    main()
