"""Slim copies: what is needed of a large published file, kept beside it as safetensors after the first reading."""

import logging
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger(__name__)
SLIM_ENDING = ".slim.safetensors"
SOURCE = "source"  # the key under which a copy says what it was made from


def slim_path(path: Path) -> Path:
    """Return where the slim copy of a file lies."""
    return path.with_name(path.name + SLIM_ENDING)


def has_slim(path: Path) -> bool:
    """Say whether there is a slim copy of the very file that lies there now, and it is whole."""
    slim = slim_path(path)
    return slim.is_file() and metadata_of(slim).get(SOURCE) == _fingerprint(path)


def metadata_of(path: Path) -> dict[str, str]:
    """Return the words in a safetensors file's head; none where it is damaged, which reading it will tell."""
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except Exception:  # safetensors raises its own kind, which it does not export under one name
        return {}


def keep_slim(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write the slim copy of a file; a folder that cannot be written to is no reason to stop."""
    slim = slim_path(path)
    part = slim.with_suffix(".part")
    try:
        save_file(tensors, part, metadata=(metadata or {}) | {SOURCE: _fingerprint(path)})
        part.replace(slim)
    except OSError as error:
        log.warning("%s is not kept: %s", slim.name, error)


def _fingerprint(path: Path) -> str:
    """Return what changes when a file is replaced."""
    state = path.stat()
    return f"{state.st_size} {state.st_mtime_ns}"
