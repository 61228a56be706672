"""The runs under one root, read from the disk alone: the list survives whoever started them.

A run is a folder NUMBER-RECIPE. job.json is what was asked and what became of it; the rest is the engine's: log.jsonl,
status.json, seen.npz, state.pt and the exported weights. Any of these may be missing or half written.

Legend: N pictures with a caption each, H and W their sides.
"""

import json
import os
import re
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from core.train.offers import Order
from core.train.process import is_alive

ROOT_VARIABLE = "CLIP_FAMILY_RUNS"
NAME = re.compile(r"\d{4,}-[a-z0-9-]+")
JOB, STATUS, STOP, OUTPUT = "job.json", "status.json", "stop", "output.txt"
LOCK = "queue.lock"  # holds which process works on the queue
ENDED = ("finished", "stopped", "failed")
MOST_SEEN = 64  # pictures of a matrix
LOST = "The training ended without a word, as when a computer is switched off; Resume goes on from its last checkpoint."


def runs_root() -> Path:
    """Return the one folder that holds every run started from the app; CLIP_FAMILY_RUNS names another one."""
    return Path(os.environ.get(ROOT_VARIABLE) or "~/.cache/clip-family/runs").expanduser().resolve()


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked, and what became of it; in job.json."""

    order: Order
    created: float  # seconds since 1970, as all times here
    state: str = "queued"  # queued, running, finished, stopped, failed
    queued: float = 0.0  # when it joined the queue, the last time
    resume: bool = False
    sentence: str = ""
    pid: int = 0
    mark: str | None = None  # of the process, see core.train.process
    began: float = 0.0

    def write(self, folder: Path) -> None:
        """Replace the folder's job.json at once."""
        write_json(folder / JOB, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> "Job | None":
        """Return the folder's job, None where there is none."""
        found = read_json(folder / JOB)
        try:
            return cls(**(found | {"order": Order(**found["order"])}))
        except (KeyError, TypeError):
            return None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as it stands."""

    name: str
    folder: Path
    job: Job
    state: str  # queued, running, stopping, finished, stopped, failed
    sentence: str = ""
    step: int = 0
    steps: int = 0

    @property
    def weights(self) -> list[Path]:
        """The exported weights, none before the run has finished."""
        return sorted(self.folder.glob("*.safetensors"))

    @property
    def resumable(self) -> bool:
        """Whether Resume has anything to go on with."""
        return self.state in ("stopped", "failed")

    def lines(self) -> list[dict[str, Any]]:
        """Return the log so far."""
        return read_lines(self.folder / "log.jsonl")


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What the network makes of N pictures and their captions at this moment."""

    similarity: Float[np.ndarray, "N N"]
    pictures: UInt8[np.ndarray, "N H W 3"]
    captions: tuple[str, ...]
    predictions: tuple[str, ...]


def list_runs(root: Path) -> list[Run]:
    """Return every run under the root, the newest first."""
    folders = root.iterdir() if root.is_dir() else ()
    found = [read_run(folder) for folder in folders if NAME.fullmatch(folder.name) and folder.is_dir()]
    return sorted((run for run in found if run is not None), key=lambda run: -int(run.name.split("-")[0]))


def read_run(folder: Path) -> Run | None:
    """Return one run as it stands, None where the folder is none."""
    job = Job.read(folder)
    if job is None:
        return None
    status = read_json(folder / STATUS)
    state, sentence = _state(folder, job)
    numbers = {key: int(status.get(key) or 0) for key in ("step", "steps")}
    return Run(name=folder.name, folder=folder, job=job, state=state, sentence=sentence, **numbers)


def find_run(root: Path, name: str | None) -> Run:
    """Return a run by its name; ValueError for any other text, paths above all."""
    found = read_run(root / name) if name and NAME.fullmatch(name) else None
    if found is None:
        raise ValueError(f"There is no run {name!r}.")
    return found


def read_seen(folder: Path) -> Seen | None:
    """Return what the network last made of its pictures; None where nothing was written yet."""
    try:
        with np.load(folder / "seen.npz") as stored:
            values = {key: stored[key][:MOST_SEEN] for key in ("similarity", "pictures", "captions", "predictions")}
        return Seen(
            similarity=values["similarity"].astype(np.float32)[:, :MOST_SEEN],
            pictures=values["pictures"],
            captions=tuple(map(str, values["captions"])),
            predictions=tuple(map(str, values["predictions"])),
        )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a JSON-lines file; the one being written is left out."""
    try:
        rows = path.read_text("utf-8").splitlines()
    except OSError:
        return []
    found = (_parsed(row) for row in rows)
    return [line for line in found if isinstance(line.get("step"), int)]


def read_json(path: Path) -> dict[str, Any]:
    """Return a small JSON file's object; empty where it is missing or spoilt."""
    try:
        return _parsed(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return {}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replace a small JSON file, so that a reader sees the old one or the new one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}.part")
    part.write_text(json.dumps(values) + "\n", "utf-8")
    os.replace(part, path)


def last_words(folder: Path) -> str:
    """Return the last line that the engine printed."""
    try:
        printed = (folder / OUTPUT).read_text("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(printed) if line.strip()), "")


def is_at_work(root: Path) -> bool:
    """Say whether a process works on the root's queue."""
    holder = read_json(root / LOCK)
    return is_alive(int(holder.get("pid") or 0), holder.get("mark"))


def _state(folder: Path, job: Job) -> tuple[str, str]:
    """Return the state that a user should see, and its sentence."""
    asked_to_stop = (folder / STOP).exists()
    if job.state == "queued":
        return ("stopped", "") if asked_to_stop else ("queued", "")
    if job.state != "running":
        return job.state, job.sentence
    if is_alive(job.pid, job.mark) or is_at_work(folder.parent):  # its end is written down in a moment
        return ("stopping" if asked_to_stop else "running"), ""
    status = read_json(folder / STATUS)
    if status.get("state") in ENDED:
        return str(status["state"]), str(status.get("sentence") or "")
    return "failed", LOST


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
