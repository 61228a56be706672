"""Frames of a video to unit vectors, encoded as they are decoded and remembered on the disk.

What was encoded is kept under the hash of the model, the transform and the file's bytes, as half precision numbers; the
first answer is rounded in the same way as the kept one.

Legend: N units (frames, windows or patches), D embedding size.
"""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from core.backbones.clip import IMAGE_BATCH, ClipBackbone
from core.video_retrieval.clifs import PatchSettings
from core.video_retrieval.inputs import Cancelled, FrameSource, Prepared, beside, in_turn, inputs
from core.video_retrieval.kept import cache_folder, file_key, model_key, shrink
from core.video_retrieval.units import Units

VERSION = 1  # of the kept files

__all__ = ["Cancelled", "FrameEncoder", "FrameSettings"]


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
        self.folder = folder or cache_folder()

    @property
    def model_key(self) -> str:
        """A hash of all weights and of the transform: what makes two vectors comparable."""
        return model_key(self.backbone)

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return self.backbone.encode_texts(["a"]).shape[1]

    def video_key(self, path: Path, settings: FrameSettings) -> str:
        """Return the hash of a file's bytes and of what is looked at in it."""
        return file_key(path, str(settings))

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
        shrink(self.folder)

    def _encoded(
        self, path: Path, settings: FrameSettings, frames: FrameSource, cancelled: Callable[[], bool]
    ) -> Iterator[Units]:
        """Decode and encode, in turn on a CPU and side by side where the network has a device of its own."""
        patches = settings.patch if settings.patches else None
        prepared = inputs(frames(path, settings.step_seconds), self.backbone.preprocess.pixels, patches)
        batches = (in_turn if self.backbone.device.name == "cpu" else beside)(prepared, cancelled)
        with closing(batches):
            for batch in batches:
                yield self._encode(batch)

    def _encode(self, batch: list[Prepared]) -> Units:
        """Normalise as the backbone's transform does, here: a second thread with PyTorch would fight for the cores."""
        places = np.array([place for place, _ in batch], np.float32)
        wanted = self.backbone.preprocess
        scaled = torch.from_numpy(np.stack([seen for _, seen in batch])).permute(0, 3, 1, 2).float() / 255
        inputs = (scaled - torch.tensor(wanted.mean)[:, None, None]) / torch.tensor(wanted.std)[:, None, None]
        return _units(places, self.backbone.encode_inputs(inputs).numpy().astype(np.float16))


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
