"""How fast videos are indexed and moments are found, and that memory does not grow with a video's length.

Weights are random and seeded, clips are drawn: speed does not depend on what they show.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.bench.measure import paired, report

CLIPS = 2
CLIP_SECONDS = 12
RATE = 30
SIZE_HW, BITS_A_SECOND = (1080, 1920), 5_000_000  # as platforms serve; phones write three times as many bits
SMALLER_HW, SMALLER_BITS = (720, 1280), 2_500_000  # where there is less to decode, and so less to spare
BLOCK, GRAIN = 40, 8  # pixels of the texture's blocks; grey levels of a camera's noise
STEP_SECONDS = 1.0
DIMENSIONS = 512
FRAMES_A_VIDEO = 1000
LONG_VIDEO = 10_000  # frames; fewer videos are written faster, and a query does not tell the difference
VECTORS = (100_000, 1_000_000)
GROUPS = 2000  # looks that the vectors gather around
QUERIES = 15
NEAR, FAR = 0.35, 0.33  # noise around a group; a text's pull towards one, as far off as CLIP's texts lie
FULL, LONGER = 3, 4  # clips in a row that fill a batch, and times that length, for memory


def indexing() -> dict[str, Any]:
    """Index a folder of clips, against decoding all of it first and embedding afterwards; ours over the alternative.

    Both have an opened model, decode with as many threads as FFmpeg likes and turn only the frames that are looked at
    into pictures. Ours writes the index besides. Where the model has a GPU, ours is also compared with the slower of
    decoding and embedding, each on its own.
    """
    from core.device import choose

    backbone = _backbone(choose().name)
    with tempfile.TemporaryDirectory() as folder:
        small = [_write_clip(Path(folder) / f"{n}s.mp4", n, SMALLER_HW, SMALLER_BITS) for n in range(CLIPS)]
        ours, theirs = paired(lambda: _index(backbone, small), lambda: _decode_then_embed(backbone, small), repeats=3)
        smaller = statistics.median(ours) / statistics.median(theirs)
        files = [_write_clip(Path(folder) / f"{number}.mp4", number) for number in range(CLIPS)]
        seconds = paired(lambda: _index(backbone, files), lambda: _decode_then_embed(backbone, files), repeats=3)
        alone = {} if backbone.device.name == "cpu" else _times_the_slower(backbone, files, seconds[0])
        short, long = (_peak_megabytes(_repeated(files[0], times)) for times in (FULL, FULL * LONGER))
    found = report(
        *seconds, "PyAV decodes every clip into a list of frames, then encode_images in batches", inverse=True
    )
    found["ratio_of_smaller_pictures"] = smaller
    return found | alone | {"peak_megabytes": short, f"peak_megabytes_of_{LONGER}_times_the_length": long}


def moment_query() -> dict[str, Any]:
    """Ask 100,000 frame vectors, against a NumPy product with all of them; a whole answer in milliseconds beside it."""
    from core.checkpoints import Weights
    from core.video_retrieval.moments import MomentSearch

    with tempfile.TemporaryDirectory() as folder:
        weights = Weights(name="random", system="clip")
        model = MomentSearch(_backbone(), weights, index=f"{folder}/i", cache=Path(folder))
        queries, vectors = _filled(model.index, VECTORS[0])
        turns = iter(range(10**6))
        ours, plain = paired(
            lambda: model.index.search(queries[next(turns) % QUERIES], "frames", most=300),
            lambda: np.argsort(-(vectors @ queries[next(turns) % QUERIES]))[:300],
            repeats=QUERIES,
        )
        whole = _milliseconds(lambda turn: _whole_answer(model, turn))
        right = _recall(model, queries, vectors)
    found = report(ours, plain, "NumPy: a product with all vectors and a sort")
    return found | {
        "milliseconds": 1000 * found["ours_median_seconds"],
        "whole_answer_milliseconds": whole,
        "videos_of_the_true_best_30_found": right,
    }


def moment_query_growth() -> dict[str, Any]:
    """Ask 1,000,000 vectors, against 100,000 of them: a linear scan takes ten times as long."""
    from core.video_retrieval.index import MomentIndex

    medians = []
    for count in VECTORS:
        with tempfile.TemporaryDirectory() as folder:
            index = MomentIndex("random", DIMENSIONS, folder)
            queries, _ = _filled(index, count, each=LONG_VIDEO, keep=False)
            medians.append(_milliseconds(lambda turn, i=index, q=queries: i.search(q[turn], "frames", most=300)))
    return {
        "ratio": medians[1] / medians[0],
        "alternative": "the same query over a tenth of the vectors",
        **{f"milliseconds_{count}": median for count, median in zip(VECTORS, medians, strict=True)},
    }


def _backbone(device: str = "cpu") -> Any:
    """Return a CLIP of ViT-B/32 size with seeded random weights."""
    import torch

    from core.backbones.clip import ClipBackbone, Preprocess
    from core.backbones.clip_model import ClipSize, build
    from core.backbones.tokenizer import clip_tokenizer
    from core.device import choose

    torch.manual_seed(0)
    size = ClipSize(embed_dim=DIMENSIONS, image_size=224, vision_layers=12, vision_width=768, patch_size=32)
    return ClipBackbone(build(size).eval(), clip_tokenizer(77), Preprocess(size=224), choose(device), 77)


def _write_clip(
    path: Path, seed: int, size_hw: tuple[int, int] | None = None, bits_a_second: int = BITS_A_SECOND
) -> Path:
    """Write H.264 as platforms do, of a texture that moves under a camera's noise."""
    import av

    height, width = size_hw or SIZE_HW
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256 - GRAIN, (height // BLOCK, width // BLOCK, 3), np.uint8)
    texture, grain = coarse.repeat(BLOCK, 0).repeat(BLOCK, 1), rng.integers(0, GRAIN, (height, width, 1), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.bit_rate = bits_a_second
        for number in range(CLIP_SECONDS * RATE):
            noise = np.roll(grain, tuple(rng.integers(0, height, 2)), axis=(0, 1))
            picture = np.roll(texture, (2 * number, 5 * number), axis=(0, 1)) + noise
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def _repeated(clip: Path, times: int) -> Path:
    """Write a clip several times in a row, without encoding it again."""
    import av

    path = clip.with_name(f"{clip.stem}-{times}-times.mp4")
    with av.open(str(path), "w") as container:
        stream = None
        for turn in range(times):
            with av.open(str(clip)) as source:
                stream = stream or container.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is None:
                        continue
                    shift = round(turn * CLIP_SECONDS / packet.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    container.mux(packet)
    return path


def _index(backbone: Any, files: list[Path]) -> int:
    """Index the files into a place that is new, and return how many frames."""
    from core import media_video
    from core.checkpoints import Weights
    from core.video_retrieval.frame_features import FrameSettings
    from core.video_retrieval.moments import MomentSearch

    with tempfile.TemporaryDirectory() as folder:
        model = MomentSearch(backbone, Weights(name="random", system="clip"), index=f"{folder}/i", cache=Path(folder))
        model.add(files, media_video, settings=FrameSettings(step_seconds=STEP_SECONDS))
        return model.index.count("frames")


def _decode_then_embed(backbone: Any, files: list[Path]) -> int:
    return len(backbone.encode_images(_decode(files)))


def _times_the_slower(backbone: Any, files: list[Path], ours: list[float]) -> dict[str, float]:
    """Return our time over that of decoding alone or of embedding alone, whichever takes longer."""
    pictures = _decode(files)
    decoding, embedding = paired(lambda: _decode(files), lambda: backbone.encode_images(pictures), repeats=len(ours))
    slower = max(statistics.median(decoding), statistics.median(embedding))
    return {"times_the_slower_of_the_two": statistics.median(ours) / slower}


def _decode(files: list[Path]) -> list[np.ndarray]:
    """Return the frames that are looked at, of all files, by decoding every frame."""
    import av

    kept = []
    for file in files:
        due = 0.0
        with av.open(str(file)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                if frame.time >= due - 1e-9:
                    kept.append(frame.to_ndarray(format="rgb24"))
                    due += STEP_SECONDS
    return kept


def _peak_megabytes(clip: Path) -> float:
    """Return the most memory that a process of its own takes to index one clip."""
    command = [sys.executable, "-m", "core.bench.video", str(clip)]
    root = Path(__file__).resolve().parent.parent.parent
    return float(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)


def _filled(index: Any, count: int, *, each: int = FRAMES_A_VIDEO, keep: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Fill an index with drawn vectors and return queries, and the vectors themselves where they are kept."""
    from core.video_retrieval.index import IndexedVideo

    rng = np.random.default_rng(0)
    groups = rng.standard_normal((GROUPS, DIMENSIONS)).astype(np.float32)
    kept = []
    for number in range(count // each):
        near = groups[rng.integers(0, GROUPS, each)]
        vectors = _unit(near + NEAR * rng.standard_normal(near.shape, np.float32))
        index.write(f"v{number}", "frames", _units(vectors))
        facts = {"seconds": float(each), "height": 720, "width": 1280, "frames": each, "patches": 0}
        index.commit(IndexedVideo(video=f"v{number}", name=f"v{number}", path="", **facts), vectors[:8])
        kept.append(vectors if keep else vectors[:0])
    index.settle(wait=True)
    queries = _unit(FAR * groups[:QUERIES] + rng.standard_normal((QUERIES, DIMENSIONS)).astype(np.float32))
    return queries, np.concatenate(kept)


def _units(vectors: np.ndarray) -> Any:
    from core.video_retrieval.units import Units

    starts = np.arange(len(vectors), dtype=np.float32)
    box = np.tile(np.array([0, 0, 1280, 720], np.float32), (len(vectors), 1))
    return Units(starts=starts, ends=starts + 1, boxes_xyxy=box, is_patch=np.zeros(len(vectors), bool), vectors=vectors)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _whole_answer(model: Any, turn: int) -> Any:
    """Ask in words never asked before: the text is encoded, curves and moments are made."""
    from core.video_retrieval.query import QueryPart

    return model.search([QueryPart(text=f"a photo of thing number {turn}")])


def _milliseconds(ask: Callable[[int], Any]) -> float:
    """Return the median of a question's time, after one uncounted turn."""
    ask(0)
    times = []
    for turn in range(QUERIES):
        started = time.perf_counter()
        ask(turn)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def _recall(model: Any, queries: np.ndarray, vectors: np.ndarray) -> float:
    """Return how many of the videos of the 30 truly best frames are among the hits."""
    shares = []
    for query in queries:
        true = {f"v{place // FRAMES_A_VIDEO}" for place in np.argsort(-(vectors @ query))[:30]}
        shares.append(len(true & set(model.index.search(query, "frames", most=300).videos)) / len(true))
    return statistics.mean(shares)


if __name__ == "__main__":
    _index(_backbone(), [Path(sys.argv[1])])
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")
