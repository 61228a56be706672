"""The folder of a run: a log that can be watched, and a checkpoint that a kill cannot spoil."""

import dataclasses
import json
import logging
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer

log = logging.getLogger(__name__)


class RunFolder:
    """Holds log.jsonl (a line now and then) and state.pt (the newest checkpoint, replaced atomically)."""

    def __init__(self, path: Path) -> None:
        """Make the folder."""
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    @property
    def state(self) -> Path:
        """Where the newest checkpoint lies."""
        return self.path / "state.pt"

    def log(self, **values: Any) -> None:
        """Add a line of JSON."""
        with (self.path / "log.jsonl").open("a") as file:
            file.write(json.dumps(values) + "\n")
        log.info("%s", values)

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines so far."""
        path = self.path / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def save(self, model: nn.Module, optimizer: Optimizer, *, step: int, seconds: float) -> None:
        """Replace the checkpoint."""
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}
        part = self.state.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self.state)

    def restore(self, model: nn.Module, optimizer: Optimizer) -> tuple[int, float]:
        """Go back to the checkpoint, whose step and seconds are returned; later lines of the log are dropped."""
        if not self.state.exists():
            return 0, 0.0
        state = torch.load(self.state, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        kept = [line for line in self.lines() if line["step"] <= state["step"]]
        (self.path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
        log.info("going on from step %d", state["step"])
        return state["step"], state["seconds"]

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
        save_file({key: value.contiguous() for key, value in halves.items()}, path)
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
        path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
        return path
