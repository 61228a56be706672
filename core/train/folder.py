"""The folder of a run: a log that can be watched, and a checkpoint that a kill cannot spoil."""

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer

from core.train.ending import DiskFull, is_full
from core.train.status import replace_file

log = logging.getLogger(__name__)


class RunFolder:
    """Holds log.jsonl (a line now and then), state.pt (the newest checkpoint) and seen.npz (what a class watches).

    All but the log are replaced atomically. Methods that write raise DiskFull where there is no room.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder."""
        self.path = path
        self.aside, self.drawing = 0.0, 0.0  # seconds that the checkpoint records beside those of training
        path.mkdir(parents=True, exist_ok=True)

    @property
    def state(self) -> Path:
        """Where the newest checkpoint lies."""
        return self.path / "state.pt"

    def log(self, **values: Any) -> None:
        """Add a line of JSON."""
        try:
            with (self.path / "log.jsonl").open("a") as file:
                file.write(json.dumps(values) + "\n")
        except OSError as error:
            if is_full(error):
                raise DiskFull("The disk is full: the log ends here; make room, then go on with --resume.") from None
            raise
        log.info("%s", values)

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines so far; one that a kill cut off is left out."""
        path = self.path / "log.jsonl"
        return [line for text in path.read_text().splitlines() if (line := _parsed(text))] if path.exists() else []

    def see(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace seen.npz."""

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez(file, **arrays)

        replace_file(self.path / "seen.npz", write)

    def save(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        step: int,
        seconds: float,
        aside: float = 0.0,
        drawing: float = 0.0,
        scaler: Mapping[str, Any] | None = None,
    ) -> None:
        """Replace the checkpoint."""
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "step": step,
            "seconds": seconds,
            "aside": aside,
            "drawing": drawing,
            "scaler": dict(scaler or {}),
        }

        def write(part: Path) -> None:
            with part.open("wb") as file:
                torch.save(state, file)

        replace_file(self.state, write)

    def restore(self, model: nn.Module, optimizer: Optimizer, scaler: Any = None) -> tuple[int, float]:
        """Go back to the checkpoint, whose step and seconds are returned."""
        if not self.state.exists():
            return 0, 0.0
        state = torch.load(self.state, weights_only=True, map_location="cpu")
        try:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError):
            raise ValueError(
                f"{self.state.name} in {self.path.name} is of another network: take another --out, or do not --resume."
            ) from None
        if scaler is not None and state.get("scaler"):
            scaler.load_state_dict(state["scaler"])
        self.aside, self.drawing = state.get("aside", 0.0), state.get("drawing", 0.0)
        log.info("going on from step %d", state["step"])
        return state["step"], state["seconds"]

    def keep_lines(self, step: int) -> None:
        """Drop the lines of the log that come after a step."""
        kept = "".join(json.dumps(line) + "\n" for line in self.lines() if line["step"] <= step)
        replace_file(self.path / "log.jsonl", lambda part: part.write_text(kept))

    def clear(self) -> None:
        """Begin anew: what an earlier run left here is removed."""
        for name in ("state.pt", "log.jsonl", "seen.npz"):
            (self.path / name).unlink(missing_ok=True)

    def export(
        self,
        model: nn.Module,
        recipe: Any,
        *,
        command: str,
        samples: int,
        seconds: float,
        curve: Sequence[dict[str, Any]],
        **more: Any,
    ) -> Path:
        """Write a model's fp16 weights as safetensors, with a card that says how they were trained beside them."""
        path = self.path / f"{recipe.checkpoint}.safetensors"
        tensors = model.state_dict()
        halves = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
        replace_file(path, lambda part: save_file({key: value.contiguous() for key, value in halves.items()}, part))
        card = {
            "name": recipe.checkpoint,
            "licence": "Apache-2.0",
            "command": command,
            "recipe": dataclasses.asdict(recipe),
            "samples": samples,
            "minutes": round(seconds / 60, 1),
            "threads": torch.get_num_threads(),
            "date": date.today().isoformat(),
            **more,
            "parameters": sum(value.numel() for value in model.parameters()),
            "metrics": {},
            "curve": list(curve),
        }
        text = json.dumps(card, indent=1) + "\n"
        replace_file(path.with_suffix(".json"), lambda part: part.write_text(text))
        return path


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return json.loads(text)
    except ValueError:
        return None
