"""Starting, stopping and watching trainings from the app: everything is a file, every training another process.

The app only writes what is wanted into a run's folder and sees to it that core.train.queue is at work. So a reloaded
page finds its run again, a restarted app finds its queue, and one training runs at a time.
"""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from core.train.offers import Order, check
from core.train.queue import PROJECT, child_environment
from core.train.runs_list import ENDED, STOP, Job, Run, find_run, is_at_work, list_runs

ENGINE = (sys.executable, "-m", "core.train")
WORKER = (sys.executable, "-m", "core.train.queue")
MOST_WAITING = 20
PRINTED = "queue.txt"


class Launcher:
    """The runs under one root."""

    def __init__(self, root: Path, engine: tuple[str, ...] = ENGINE) -> None:
        """Take a root up; `engine` is the command that trains."""
        self.root, self.engine = root, engine
        self._workers: list[subprocess.Popen[bytes]] = []  # kept to be collected when they end

    def start(self, order: Order) -> str:
        """Put a training at the end of the queue and return its name; ValueError where it is not offered."""
        order = check(order)
        if os.name != "posix":
            raise ValueError("Training from the app needs Linux or macOS; use python -m core.train here.")
        self._check_waiting()
        folder, now = self._new_folder(order.recipe), time.time()
        Job(order=order, created=now, queued=now).write(folder)
        self._begin_worker()
        return folder.name

    def stop(self, name: str) -> None:
        """Ask a run to save and end, or take it out of the queue; ValueError where it has ended already."""
        run = find_run(self.root, name)
        if run.state in ENDED:
            raise ValueError("This run has ended already.")
        (run.folder / STOP).touch()
        self.attend()

    def resume(self, name: str) -> None:
        """Put a run that was stopped or failed at the end of the queue again; ValueError for any other."""
        run = find_run(self.root, name)
        if not run.resumable:
            raise ValueError("Only a run that was stopped or has failed can go on.")
        self._check_waiting()
        (run.folder / STOP).unlink(missing_ok=True)
        replace(run.job, state="queued", queued=time.time(), resume=True, sentence="").write(run.folder)
        self._begin_worker()

    def remove(self, name: str) -> None:
        """Delete a run with all its files; ValueError while it runs or waits."""
        run = find_run(self.root, name)
        if run.state not in ENDED:
            raise ValueError("Stop this run before you remove it.")
        shutil.rmtree(run.folder, ignore_errors=True)

    def attend(self) -> None:
        """See to it that somebody works on the queue while there is something in it."""
        self._workers = [each for each in self._workers if each.poll() is None]
        unfinished = any(run.job.state in ("queued", "running") for run in self.runs())
        if unfinished and not self._workers and not is_at_work(self.root):
            self._begin_worker()

    def runs(self) -> list[Run]:
        """Return every run, the newest first."""
        return list_runs(self.root)

    def _check_waiting(self) -> None:
        if sum(run.state == "queued" for run in self.runs()) >= MOST_WAITING:
            raise ValueError(f"There are {MOST_WAITING} trainings waiting already: wait for one to end.")

    def _begin_worker(self) -> None:
        """Start a worker; where another one has the queue it leaves at once."""
        with (self.root / PRINTED).open("ab") as printed:
            worker = subprocess.Popen(
                [*WORKER, str(self.root), *self.engine],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=printed,
                cwd=PROJECT,
                env=child_environment(),
                start_new_session=True,
            )
        self._workers.append(worker)

    def _new_folder(self, recipe: str) -> Path:
        """Make the folder of a new run, with the next free number."""
        self.root.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(run.name.split("-")[0]) for run in self.runs()), default=0)
        while True:
            folder = self.root / f"{number:04d}-{recipe}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
                continue
            return folder
