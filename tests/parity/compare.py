"""Reading a folder of golden tensors and comparing with it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """One file of a golden folder: its tensors, its part of the manifest, and the folder that other cases lie in."""

    name: str
    folder: Path
    config: Mapping[str, Any]
    tolerance: Mapping[str, Any]
    file: str

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors of the file, by their full names."""
        return load_file(self.folder / self.file)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors under 'in', 'out' or 'weights', without that prefix."""
        return {k.removeprefix(f"{prefix}."): v for k, v in self.tensors.items() if k.startswith(f"{prefix}.")}


@dataclass(frozen=True)
class Line:
    """How one golden value compares."""

    name: str
    error: float  # largest difference over the largest golden value
    good: bool


Runner = Callable[[Case], Mapping[str, Tensor]]


def cases(folder: Path) -> tuple[str, list[Case]]:
    """Return the system of a folder and its cases."""
    manifest = json.loads((folder / "manifest.json").read_text())
    found = [
        Case(name, folder, case.get("config") or {}, case.get("tolerance") or {}, case["file"])
        for name, case in manifest["cases"].items()
    ]
    return manifest["system"], found


def compare(case: Case, found: Mapping[str, Tensor]) -> list[Line]:
    """Compare what was computed with every golden value; a golden value that nobody computed is not good."""
    rtol, atol = float(case.tolerance.get("rtol", 1e-4)), float(case.tolerance.get("atol", 1e-5))
    return [_line(f"{case.name}: {name}", want, found.get(name), rtol, atol) for name, want in case.part("out").items()]


def _line(name: str, want: Tensor, got: Tensor | None, rtol: float, atol: float) -> Line:
    if got is None or tuple(got.shape) != tuple(want.shape):
        return Line(name, float("inf"), False)
    want, got = want.double(), got.detach().double()
    error = float((want - got).abs().max() / want.abs().max().clamp(min=1e-12))
    return Line(name, error, torch.allclose(got, want, rtol=rtol, atol=atol))
