"""The project as its gates see it: the files of the tree and the pinned requirements."""

import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"([A-Za-z0-9_.-]+)==(\S+)")


def tree() -> list[str]:
    """Return every file of the project, tracked or about to be, as POSIX paths from the root."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted({path for path in listed.split("\0") if path and (ROOT / path).is_file()})


FILES = tree()


def pins(path: str) -> dict[str, str]:
    """Return the pinned version of every distribution in a requirements file; anything else fails."""
    lines = [line for line in (ROOT / path).read_text().splitlines() if line and not line.startswith("#")]
    matches = {line: PIN.fullmatch(line) for line in lines}
    assert all(matches.values()), f"wanted NAME==VERSION, got {[line for line in lines if not matches[line]]}"
    return {match[1].lower().replace("_", "-"): match[2] for match in matches.values()}


def cards() -> dict[str, dict]:
    """Return the card of every embedded network by its name."""
    folder = ROOT / "assets" / "checkpoints"
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))}
