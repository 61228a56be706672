"""Frames of a video to unit vectors, decoded beside the encoder and remembered on the disk.

One thread decodes, cuts and resizes while the network encodes what came before, with a short queue between them: a
long video takes no more memory than a short one. What was encoded is kept under the hash of the model, the transform
and the file's bytes, as half precision numbers; the first answer is rounded in the same way as the kept one.

Legend: N units (frames, windows or patches), D embedding size, S side of the network's input.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from core.backbones.clip import IMAGE_BATCH, ClipBackbone
from core.video_retrieval.clifs import PatchSettings, covering_patches
from core.video_retrieval.units import Units

CACHE_VARIABLE = "CLIP_FAMILY_CACHE"
CACHE_FOLDER = "~/.cache/clip-family/frames"
MOST_CACHE_BYTES = 4_000_000_000  # the files unused for longest go first
QUEUED = 2 * IMAGE_BATCH  # inputs that wait for the network
FEWEST = 8  # encoded at once while more may come: smaller batches waste the network
WAIT_SECONDS = 0.1  # between looks at whether the other side has given up
VERSION = 1  # of the kept files

Prepared = tuple[tuple[float, ...], np.ndarray]  # start, end, box and is_patch; (S, S, 3) uint8
FrameSource = Callable[[Path, float], Iterable[tuple[float, float, np.ndarray]]]  # step; start, end, picture


class Cancelled(Exception):
    """Someone pressed stop."""


@dataclass(frozen=True, kw_only=True)
class FrameSettings:
    """Which pictures of a video are encoded."""

    step_seconds: float = 1.0  # clifs: ms_between_features 1000
    patches: bool = False  # squares of each frame besides the whole
    patch: PatchSettings = field(default_factory=PatchSettings)


class FrameEncoder:
    """A CLIP that remembers the videos it has seen."""

    def __init__(self, backbone: ClipBackbone, folder: Path | None = None) -> None:
        """Wrap a backbone; `folder` is where vectors are kept, by default the one of CLIP_FAMILY_CACHE."""
        self.backbone = backbone
        self.folder = folder or Path(os.environ.get(CACHE_VARIABLE) or CACHE_FOLDER).expanduser()

    @cached_property
    def model_key(self) -> str:
        """A hash of all weights and of the transform: what makes two vectors comparable."""
        digest = hashlib.blake2b(repr(self.backbone.preprocess).encode(), digest_size=16)
        for name, tensor in sorted(self.backbone.model.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return self.backbone.encode_texts(["a"]).shape[1]

    def video_key(self, path: Path, settings: FrameSettings) -> str:
        """Return the hash of a file's bytes and of what is looked at in it."""
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(f"{content} {settings}".encode()).hexdigest()[:32]

    def units(
        self,
        path: Path,
        settings: FrameSettings,
        frames: FrameSource,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Units]:
        """Yield a video's frames and patches in order, a batch at a time, from the disk where they are kept.

        `frames` decodes a file. Raises Cancelled when `cancelled()` becomes true, and the decoder's ValueError;
        neither leaves a kept file.
        """
        kept = self.folder / f"{self.video_key(path, settings)}-{self.model_key}"
        if (found := _read(kept)) is not None:
            for units in found:
                if cancelled():
                    raise Cancelled
                yield units
            return
        with _Writing(kept) as file:
            for units in self._encoded(path, settings, frames, cancelled):
                file.add(units)
                yield units
        _shrink(self.folder)

    def _encoded(
        self, path: Path, settings: FrameSettings, frames: FrameSource, cancelled: Callable[[], bool]
    ) -> Iterator[Units]:
        queue: Queue[Any] = Queue(QUEUED)
        stopped = threading.Event()
        thread = threading.Thread(
            target=self._prepare, args=(path, settings, frames, queue, stopped), name="_prepare", daemon=True
        )
        thread.start()
        batch: list[Prepared] = []
        try:
            while True:
                item = _get(queue, cancelled)
                if isinstance(item, Exception):
                    raise item
                if item is not None:
                    batch.append(item)
                waiting = len(batch) < FEWEST or (len(batch) < IMAGE_BATCH and not queue.empty())
                if batch and (item is None or not waiting):
                    yield self._encode(batch)
                    batch = []
                if item is None:
                    return
        finally:
            stopped.set()
            thread.join()

    def _prepare(
        self,
        path: Path,
        settings: FrameSettings,
        frames: FrameSource,
        queue: "Queue[Any]",
        stopped: threading.Event,
    ) -> None:
        """Put the network's inputs into the queue, then None; or the exception that ended it."""
        try:
            for start, end, picture in frames(path, settings.step_seconds):
                for is_patch, box in _boxes(picture.shape[:2], settings):
                    x0, y0, x1, y1 = box
                    seen = self.backbone.preprocess.pixels(np.ascontiguousarray(picture[y0:y1, x0:x1]))
                    if not _put(queue, ((start, end, *box, is_patch), seen), stopped):
                        return
            _put(queue, None, stopped)
        except Exception as error:  # whatever it is belongs to the thread that waits for it
            _put(queue, error, stopped)

    def _encode(self, batch: list[Prepared]) -> Units:
        """Normalise as the backbone's transform does, here: a second thread with PyTorch would fight for the cores."""
        places = np.array([place for place, _ in batch], np.float32)
        wanted = self.backbone.preprocess
        scaled = torch.from_numpy(np.stack([seen for _, seen in batch])).permute(0, 3, 1, 2).float() / 255
        inputs = (scaled - torch.tensor(wanted.mean)[:, None, None]) / torch.tensor(wanted.std)[:, None, None]
        return _units(places, self.backbone.encode_inputs(inputs).numpy().astype(np.float16))


def _boxes(size_hw: tuple[int, int], settings: FrameSettings) -> list[tuple[bool, tuple[int, int, int, int]]]:
    """Return the whole frame and its patches."""
    height, width = size_hw
    patches = covering_patches(size_hw, settings.patch).tolist() if settings.patches else []
    return [(False, (0, 0, width, height)), *((True, tuple(box)) for box in patches)]


def _units(places: Float[np.ndarray, "N 7"], vectors: np.ndarray) -> Units:
    exact = vectors.astype(np.float32)
    return Units(
        starts=places[:, 0],
        ends=places[:, 1],
        boxes_xyxy=places[:, 2:6],
        is_patch=places[:, 6] > 0,
        vectors=exact / np.linalg.norm(exact, axis=1, keepdims=True),
    )


def _record(size: int) -> np.dtype:
    return np.dtype([("place", "<f4", 7), ("vector", "<f2", size)])


class _Writing:
    """A kept file that bears its name only when it is whole."""

    def __init__(self, kept: Path) -> None:
        self.kept, self.part = kept, kept.with_name(f"{kept.name}.{os.getpid()}.{threading.get_ident()}.part")
        self.size = 0

    def __enter__(self) -> "_Writing":
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.part.open("wb")
        return self

    def add(self, units: Units) -> None:
        self.size = units.vectors.shape[1]
        rows = np.empty(len(units), _record(self.size))
        rows["place"] = np.column_stack([units.starts, units.ends, units.boxes_xyxy, units.is_patch])
        rows["vector"] = units.vectors
        rows.tofile(self.file)

    def __exit__(self, kind: object, *_: object) -> None:
        self.file.close()
        if kind is not None:
            self.part.unlink()
            return
        os.replace(self.part, self.kept.with_suffix(".f16"))
        about = self.kept.with_suffix(".json.part")
        about.write_text(json.dumps({"version": VERSION, "size": self.size}))
        os.replace(about, self.kept.with_suffix(".json"))


def _read(kept: Path) -> Iterator[Units] | None:
    """Return the kept units a batch at a time, or None where there is no whole file."""
    data, about = kept.with_suffix(".f16"), kept.with_suffix(".json")
    try:
        facts = json.loads(about.read_text())
        record = _record(facts["size"])
        if facts["version"] != VERSION or data.stat().st_size % record.itemsize:
            return None
        data.touch()
    except (OSError, ValueError, KeyError):
        return None
    return _batches(data, record)


def _batches(data: Path, record: np.dtype) -> Iterator[Units]:
    with data.open("rb") as file:
        while len(rows := np.fromfile(file, record, count=8 * IMAGE_BATCH)):
            yield _units(rows["place"], rows["vector"])


def _shrink(folder: Path) -> None:
    """Remove the files unused for longest until the rest is small enough."""
    files = sorted(folder.glob("*.f16"), key=lambda path: path.stat().st_mtime)
    over = sum(path.stat().st_size for path in files) - MOST_CACHE_BYTES
    for path in files:
        if over <= 0:
            return
        over -= path.stat().st_size
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)


def _put(queue: "Queue[Any]", item: object, stopped: threading.Event) -> bool:
    """Put an item as soon as there is room; False when nobody waits for it any more."""
    while not stopped.is_set():
        with suppress(Full):
            queue.put(item, timeout=WAIT_SECONDS)
            return True
    return False


def _get(queue: "Queue[Any]", cancelled: Callable[[], bool]) -> object:
    while True:
        if cancelled():
            raise Cancelled
        with suppress(Empty):
            return queue.get(timeout=WAIT_SECONDS)
