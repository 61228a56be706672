"""What a network saw in a file, remembered on the disk: named by hashes of the network, its transform and the bytes."""

import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import torch

from core.backbones.clip import ClipBackbone

CACHE_VARIABLE = "CLIP_FAMILY_CACHE"
CACHE_FOLDER = "~/.cache/clip-family/frames"
MOST_CACHE_BYTES = 4_000_000_000  # the files unused for longest go first
ENDINGS = (".f16", ".npy")

_KEYS: "WeakKeyDictionary[ClipBackbone, str]" = WeakKeyDictionary()  # to read all weights takes half a second


def cache_folder() -> Path:
    """Return where features are kept: CLIP_FAMILY_CACHE, or a folder of the user's."""
    return Path(os.environ.get(CACHE_VARIABLE) or CACHE_FOLDER).expanduser()


def model_key(backbone: ClipBackbone) -> str:
    """Return a hash of all weights and of the transform, made once: what makes two vectors comparable."""
    if backbone not in _KEYS:
        digest = hashlib.blake2b(repr(backbone.preprocess).encode(), digest_size=16)
        for name, tensor in sorted(backbone.model.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        _KEYS[backbone] = digest.hexdigest()
    return _KEYS[backbone]


def file_key(path: Path, looked_at: str) -> str:
    """Return the hash of a file's bytes and of what is looked at in it."""
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(f"{content} {looked_at}".encode()).hexdigest()[:32]


def kept_array(name: str, make: Callable[[], np.ndarray], folder: Path | None = None) -> np.ndarray:
    """Return the array of a name from the disk, or make and keep it; a file half written never bears the name."""
    path = (folder or cache_folder()) / f"{name}.npy"
    try:
        found = np.load(path, allow_pickle=False)
        path.touch()
        return found
    except (OSError, ValueError, EOFError):  # none yet, or damaged
        made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{name}.{os.getpid()}.{threading.get_ident()}.part")
    with part.open("wb") as file:
        np.save(file, made, allow_pickle=False)
    os.replace(part, path)
    shrink(path.parent)
    return made


def shrink(folder: Path) -> None:
    """Remove the files unused for longest until the rest is small enough."""
    kept = [(path, path.stat()) for path in folder.iterdir() if path.suffix in ENDINGS]
    over = sum(facts.st_size for _, facts in kept) - MOST_CACHE_BYTES
    for path, facts in sorted(kept, key=lambda each: each[1].st_mtime):
        if over <= 0:
            return
        over -= facts.st_size
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
