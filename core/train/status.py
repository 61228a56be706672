"""status.json: where a run stands, for whoever watches it from another process."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.train.ending import DiskFull, is_full

RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"


def replace_file(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` make a file under another name and put it in place when it is whole.

    Raises DiskFull where there is no room for it; the file that was there before then stays.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except Exception as error:  # writers of tensors have errors of their own
        part.unlink(missing_ok=True)
        if is_full(error):
            raise DiskFull(
                f"The disk is full: {path.name} could not be written; make room, then go on with --resume."
            ) from None
        raise


class Status:
    """The status of one run; every change replaces the file at once."""

    def __init__(self, folder: Path, *, recipe: str, arguments: list[str], system: str | None = None) -> None:
        """Say that a run begins; `system` is whose weights it will leave."""
        self.path = folder / "status.json"
        self.values: dict[str, Any] = {
            "state": RUNNING,
            "sentence": "",
            "recipe": recipe,
            "system": system,
            "arguments": arguments,
            "pid": os.getpid(),
            "started": time.time(),
            "step": 0,
            "steps": None,
            "progress": 0.0,
            "eta": None,
            "best": {},
            "weights": None,
        }
        folder.mkdir(parents=True, exist_ok=True)
        self.change()

    def change(self, **values: Any) -> None:
        """Replace some values and write the file."""
        self.values |= values | {"updated": time.time()}
        text = json.dumps(self.values, indent=1)
        replace_file(self.path, lambda part: part.write_text(text + "\n"))

    def end(self, state: str, sentence: str) -> None:
        """Say how the run ended; where even that cannot be written, nothing more is tried."""
        try:
            self.change(state=state, sentence=sentence, eta=None)
        except OSError:
            self.values |= {"state": state, "sentence": sentence}
        except DiskFull:
            self.values |= {"state": state, "sentence": sentence}
