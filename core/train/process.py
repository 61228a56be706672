"""Whether a process that was started once still lives: its id and the moment of its birth, for ids are used again."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

BIRTH = 19  # place of the start time after the name in Linux's /proc/PID/stat, see proc(5)


def birth(pid: int) -> str | None:
    """Return a mark of when a living process was born; None where there is none, or only a dead one's entry."""
    stat = Path("/proc") / str(pid) / "stat"
    try:
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return None if stat.parents[1].joinpath("self").exists() else _birth_by_ps(pid)
    return None if fields[0] in "ZX" else fields[BIRTH]


def is_alive(pid: int, mark: str | None) -> bool:
    """Say whether the process that had this mark still runs."""
    return mark is not None and birth(pid) == mark


def ask_to_end(pid: int) -> None:
    """Ask a process to save and leave."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)


def end_group(pid: int) -> None:
    """End a process that leads its own group, and all that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _birth_by_ps(pid: int) -> str | None:
    """Return the mark where there is no /proc, as on macOS."""
    try:
        asked = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
        found = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=5).stdout.split(None, 1)
    except (OSError, subprocess.SubprocessError):
        return None
    return found[1].strip() if len(found) == 2 and not found[0].startswith("Z") else None
