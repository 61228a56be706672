"""The index of moments: vectors of many videos that stay, in LanceDB.

CLIP_FAMILY_INDEX says where: a folder on this disk (the default), `s3://bucket/path` or `gs://...` for many machines
over one store, or `db://name` for a LanceDB cluster (its key is LANCEDB_API_KEY). The code is the same for all.

A video counts only once its row in the table of videos is written, and that is one atomic commit: whatever a kill
leaves behind before it is not found by any search, and goes when the video is added again or a day has passed.

Legend: N units or hits, D embedding size.
"""

import json
import os
import threading
import time
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from core.video_retrieval.units import Units

VARIABLE = "CLIP_FAMILY_INDEX"
FOLDER = "~/.cache/clip-family/index"
KINDS = ("frames", "windows", "patches")
INDEX_FROM = 20_000  # rows; fewer are compared one by one, in a few milliseconds
RETRAIN_GROWTH = 4  # times the rows that the cells were learned from
PROBES = 64  # cells looked into
TRAIN_ROUNDS = 12
SETTLE_COMMITS = 64  # after so many the small files are joined
KEPT_VERSIONS = timedelta(minutes=15)  # for readers elsewhere
ORPHAN_SECONDS = 24 * 3600  # after which an unfinished video is nobody's work in progress
SAMPLES = 8  # vectors a video, from which typical scores are known
MOST_UNITS = 500_000  # read at once
KEPT_UNITS = 50_000  # remembered of the videos that were asked for last: 100 MB at 512 numbers each


@dataclass(frozen=True, kw_only=True)
class IndexedVideo:
    """A video that was added, and is found."""

    video: str  # the key of its bytes and of what was looked at
    name: str
    path: str
    seconds: float
    height: int
    width: int
    frames: int
    patches: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """N units nearest to a query, best first."""

    videos: tuple[str, ...]
    scores: np.ndarray  # (N,) float32 cosines; in a table of cells rounded to their 8 bits a number


class MomentIndex:
    """The vectors of one model; several processes may read, and add different videos, at the same time."""

    def __init__(self, model_key: str, size: int, uri: str | None = None) -> None:
        """Open or make the tables of a model whose vectors have `size` numbers."""
        import lancedb

        self.uri = uri or os.environ.get(VARIABLE) or FOLDER
        place = self.uri if "://" in self.uri else str(Path(self.uri).expanduser())
        try:
            self._base = lancedb.connect(place, read_consistency_interval=timedelta(0))
            self._videos = self._table(f"videos_{model_key}", _video_schema(size))
            self._units = {kind: self._table(f"{kind}_{model_key}", _unit_schema(size)) for kind in KINDS}
        except (OSError, RuntimeError, ValueError) as error:
            raise ValueError(f"The index at {self.uri} cannot be opened: {_first_line(error)}.") from None
        self.size = size
        self._lock, self._keeping = threading.Lock(), threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Units] = OrderedDict()
        self._known: tuple[int, dict[str, IndexedVideo], np.ndarray] | None = None

    def videos(self) -> dict[str, IndexedVideo]:
        """Return all that was added, by key."""
        return self._catalogue()[1]

    def samples(self) -> Float[np.ndarray, "N D"]:
        """Return a few vectors of every video, for what is typical here."""
        return self._catalogue()[2]

    def begin(self, video: str) -> None:
        """Clear what an earlier, unfinished try left of a video."""
        for kind, table in self._units.items():
            table.delete(f"video = {_quoted(video)}")
            self._kept.pop((kind, video), None)

    def write(self, video: str, kind: str, units: Units) -> None:
        """Add units of a video that is not finished."""
        if len(units):
            self._units[kind].add(_unit_rows(video, units, self.size))

    def commit(self, video: IndexedVideo, samples: Float[np.ndarray, "N D"]) -> None:
        """Make a video count: when this returns, it stays."""
        import pyarrow as pa

        flat = samples[:SAMPLES].astype(np.float32).ravel()
        row = {"video": video.video, "facts": json.dumps(asdict(video)), "samples": flat.tolist()}
        self._videos.add(pa.Table.from_pylist([row], schema=_video_schema(self.size)))

    def remove(self, video: str) -> None:
        """Take a video out; it is gone from every search before its vectors are deleted."""
        self._videos.delete(f"video = {_quoted(video)}")
        self.begin(video)

    def search(self, query: Float[np.ndarray, " D"], kind: str, *, most: int, videos: tuple[str, ...] = ()) -> Hits:
        """Return the units nearest to a unit vector, of all videos or of some."""
        asked = self._units[kind].search(query.astype(np.float32), vector_column_name="vector")
        asked = asked.distance_type("cosine").nprobes(PROBES).limit(most)
        if videos:
            asked = asked.where(_among(videos), prefilter=True)
        found = asked.select(["video", "_distance"]).to_arrow()
        known = self.videos()
        names = found["video"].to_pylist()
        finished = [place for place, name in enumerate(names) if name in known]
        return Hits(
            videos=tuple(names[place] for place in finished),
            scores=(1 - found["_distance"].to_numpy()[finished]).astype(np.float32),
        )

    def units(self, kind: str, videos: tuple[str, ...]) -> dict[str, Units]:
        """Return all units of some videos in order of time, from memory where they were asked for before."""
        found = {video: kept for video in videos if (kept := self._kept.get((kind, video))) is not None}
        missing = tuple(video for video in videos if video not in found)
        read = self._read_units(kind, missing) if missing else {}
        with self._keeping:
            for video, units in read.items():
                self._kept[kind, video] = units
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > KEPT_UNITS:
                self._kept.popitem(last=False)
        return {video: (found | read)[video] for video in videos if video in found or video in read}

    def count(self, kind: str) -> int:
        """Return how many vectors of a kind there are, those of unfinished videos too."""
        return self._units[kind].count_rows()

    def settle(self, *, wait: bool = False) -> None:
        """Join small files, drop what nobody finished, and sort large tables into cells (IVF) that a search can skip.

        Searches go on meanwhile. `wait` settles small changes too.
        """
        with self._lock:
            for table in (self._videos, *self._units.values()):
                if wait or _fragments(table) > SETTLE_COMMITS:
                    table.optimize(cleanup_older_than=KEPT_VERSIONS)
            for table in self._units.values():
                self._drop_orphans(table)
                _sort_into_cells(table)

    def _read_units(self, kind: str, videos: tuple[str, ...]) -> dict[str, Units]:
        rows = self._units[kind].search().where(_among(videos)).limit(MOST_UNITS).to_arrow()
        if not len(rows):
            return {}
        names, owner = np.unique(rows["video"].to_numpy(), return_inverse=True)
        every = _units_from(rows, self.size)
        order = np.lexsort((every.starts, owner))
        ends = np.cumsum(np.bincount(owner))
        parts = np.split(order, ends[:-1])
        return {str(name): every.where(part) for name, part in zip(names, parts, strict=True)}

    def _table(self, name: str, schema: Any) -> Any:
        return self._base.create_table(name, schema=schema, exist_ok=True)

    def _catalogue(self) -> tuple[int, dict[str, IndexedVideo], np.ndarray]:
        """Return the videos as of now, read again only after a change."""
        version, known = self._videos.version, self._known
        if known is None or known[0] != version:
            rows = self._videos.search().limit(MOST_UNITS).to_arrow().to_pylist()
            facts = [IndexedVideo(**json.loads(row["facts"])) for row in rows]
            samples = [np.array(row["samples"], np.float32).reshape(-1, self.size) for row in rows]
            empty = np.zeros((0, self.size), np.float32)
            known = version, {fact.video: fact for fact in facts}, np.concatenate([empty, *samples])
            self._known = known
        return known

    def _drop_orphans(self, table: Any) -> None:
        old = f"written < {time.time() - ORPHAN_SECONDS}"
        if not table.count_rows(old):
            return
        names = set(table.search().where(old).select(["video"]).limit(MOST_UNITS).to_arrow()["video"].to_pylist())
        for name in names - set(self.videos()):
            table.delete(f"video = {_quoted(name)} AND {old}")


def _sort_into_cells(table: Any) -> None:
    """Learn the cells of a table that has grown, and where each video's rows are."""
    from lancedb.index import BTree, IvfSq

    rows, cells = table.count_rows(), {tuple(index.columns): index.name for index in table.list_indices()}
    if rows < INDEX_FROM:
        return
    learned = _rows_learned(table, cells.get(("vector",)))
    if learned and rows < RETRAIN_GROWTH * learned:
        return
    parts = round(rows**0.5)
    table.create_index(
        "vector",
        config=IvfSq(distance_type="cosine", num_partitions=parts, max_iterations=TRAIN_ROUNDS, sample_rate=64),
        replace=True,
    )
    table.create_index("video", config=BTree(), replace=True)


def _rows_learned(table: Any, name: str | None) -> int:
    """Return how many rows the cells hold; new ones come in when the table is settled."""
    stats = table.index_stats(name) if name else None
    return (stats.num_indexed_rows if stats else 0) or 0


def _fragments(table: Any) -> int:
    """Return in how many files a table on a disk or in a store lies; a cluster looks after its own."""
    stats = getattr(table, "stats", None)
    return 0 if stats is None else stats()["fragment_stats"]["num_fragments"]


def _video_schema(size: int) -> Any:
    import pyarrow as pa

    return pa.schema([("video", pa.string()), ("facts", pa.string()), ("samples", pa.list_(pa.float32()))])


def _unit_schema(size: int) -> Any:
    import pyarrow as pa

    numbers = [(name, pa.float32()) for name in ("start", "end", "x0", "y0", "x1", "y1")]
    return pa.schema(
        [
            ("vector", pa.list_(pa.float32(), size)),
            ("video", pa.string()),
            ("written", pa.float64()),
            *numbers,
        ]
    )


def _unit_rows(video: str, units: Units, size: int) -> Any:
    import pyarrow as pa

    count, schema = len(units), _unit_schema(size)
    columns = [
        pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(units.vectors, np.float32).ravel()), size),
        pa.array([video] * count),
        pa.array(np.full(count, time.time())),
        *(pa.array(np.asarray(column, np.float32)) for column in (units.starts, units.ends, *units.boxes_xyxy.T)),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _units_from(rows: Any, size: int) -> Units:
    vectors = rows["vector"].combine_chunks()
    flat = vectors.flatten().to_numpy() if len(vectors) else np.zeros(0, np.float32)
    columns = {name: rows[name].to_numpy() for name in ("start", "end", "x0", "y0", "x1", "y1")}
    return Units(
        starts=columns["start"],
        ends=columns["end"],
        boxes_xyxy=np.stack([columns[name] for name in ("x0", "y0", "x1", "y1")], axis=1),
        is_patch=np.zeros(len(rows), bool),
        vectors=flat.reshape(-1, size),
    )


def _among(videos: tuple[str, ...]) -> str:
    return f"video IN ({', '.join(map(_quoted, videos))})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
