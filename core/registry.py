"""Every system that the project has: an explicit table of cards, and the one way to load a model.

Nothing here imports torch; a system's module is imported when it is first loaded.
"""

import importlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from core import checkpoints, device

KEPT_MODELS = 3  # loaded at once; the one unused for longest goes first


@dataclass(frozen=True, kw_only=True)
class System:
    """A card for one paper."""

    name: str
    task: str
    title: str
    paper: str
    venue: str
    year: int
    url: str
    opener: str  # module:function that takes (Weights, Device, files) and returns the task's object
    honesty: str  # what the embedded weights are: trained here, training-free, or a re-creation
    licence: str  # of the code the paper's authors published


SYSTEMS: tuple[System, ...] = (
    System(
        name="clip",
        task="zero_shot",
        title="CLIP",
        paper="Learning Transferable Visual Models From Natural Language Supervision",
        venue="ICML",
        year=2021,
        url="https://arxiv.org/abs/2103.00020",
        opener="core.zero_shot.clip:open_clip_system",
        honesty="re-creation: the paper's architecture and loss, small, trained here from nothing",
        licence="MIT",
    ),
)
_loaded: "OrderedDict[tuple[str, str, str], Any]" = OrderedDict()
_lock = threading.RLock()


def names(task: str | None = None) -> tuple[str, ...]:
    """Return the names of all systems, or of those for one task."""
    return tuple(system.name for system in SYSTEMS if task in (None, system.task))


def get(name: str) -> System:
    """Return a system's card; ValueError for an unknown name."""
    for system in SYSTEMS:
        if system.name == name:
            return system
    raise ValueError(f"Unknown system {name!r}; there are: {', '.join(names())}.")


def load(
    name: str,
    weights: str | None = None,
    *,
    download: bool = False,
    progress: checkpoints.Progress | None = None,
) -> Any:
    """Return a system ready to use, from memory when it was loaded before; errors as in checkpoints.fetch."""
    system = get(name)
    card = checkpoints.resolve(name, weights)
    with _lock:
        where = device.choose()
        key = (name, str(card.path or card.name), where.name)
        if key not in _loaded:
            files = checkpoints.fetch_all(card, download=download, progress=progress)
            module, function = system.opener.split(":")
            _loaded[key] = getattr(importlib.import_module(module), function)(card, where, files)
            while len(_loaded) > KEPT_MODELS:
                _loaded.popitem(last=False)
        _loaded.move_to_end(key)
        return _loaded[key]


def is_loaded(name: str, weights: str | None = None) -> bool:
    """Say whether these weights are in memory already."""
    card = checkpoints.resolve(name, weights)
    return any(key[:2] == (name, str(card.path or card.name)) for key in _loaded)
