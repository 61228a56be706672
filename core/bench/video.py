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

CLIPS = 3
CLIP_SECONDS = 12
RATE = 30
SIZE_HW = (720, 1280)
STEP_SECONDS = 1.0
DIMENSIONS = 512
FRAMES_A_VIDEO = 1000
GROUPS = 2000  # looks that the vectors gather around
QUERIES = 15
NEAR, FAR = 0.35, 0.33  # noise around a group; a text's pull towards one, as far off as CLIP's texts lie
LONGER = 4  # times the length, for memory


def indexing() -> dict[str, Any]:
    """Index a folder of clips, against decoding all of it first and embedding afterwards; ours over the alternative."""
    backbone = _backbone()
    with tempfile.TemporaryDirectory() as folder:
        files = [_write_clip(Path(folder) / f"{number}.mp4", number, CLIP_SECONDS) for number in range(CLIPS)]
        times = paired(lambda: _index(backbone, files), lambda: _decode_then_embed(backbone, files), repeats=3)
        short, long = (_peak_megabytes(Path(folder), CLIP_SECONDS * longer) for longer in (1, LONGER))
    found = report(*times, "PyAV decodes every clip into a list of frames, then encode_images in batches", inverse=True)
    return found | {"peak_megabytes": short, f"peak_megabytes_of_{LONGER}_times_the_length": long}


def moment_query() -> dict[str, Any]:
    """Ask 100,000 frame vectors, against a NumPy product with all of them; a whole answer in milliseconds beside it."""
    with tempfile.TemporaryDirectory() as folder:
        model, queries, vectors = _filled(Path(folder), 100_000)
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
    medians = []
    for count in (100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            model, queries, _ = _filled(Path(folder), count, keep=False)
            medians.append(_milliseconds(lambda turn, m=model, q=queries: m.index.search(q[turn], "frames", most=300)))
    return {
        "ratio": medians[1] / medians[0],
        "alternative": "the same query over a tenth of the vectors",
        "milliseconds_100000": medians[0],
        "milliseconds_1000000": medians[1],
    }


def _backbone() -> Any:
    """Return a CLIP of ViT-B/32 size with seeded random weights, on the CPU."""
    import torch

    from core.backbones.clip import ClipBackbone, Preprocess
    from core.backbones.clip_model import ClipSize, build
    from core.backbones.tokenizer import clip_tokenizer
    from core.device import choose

    torch.manual_seed(0)
    size = ClipSize(embed_dim=DIMENSIONS, image_size=224, vision_layers=12, vision_width=768, patch_size=32)
    return ClipBackbone(build(size).eval(), clip_tokenizer(77), Preprocess(size=224), choose("cpu"), 77)


def _write_clip(path: Path, seed: int, seconds: int) -> Path:
    """Write H.264 as phones and platforms do, of a texture that moves."""
    import av

    height, width = SIZE_HW
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    texture = coarse.repeat(16, 0).repeat(16, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(seconds * RATE):
            moved = np.roll(texture, (2 * number, 5 * number), axis=(0, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode())
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
    return len(backbone.encode_images(kept))


def _peak_megabytes(folder: Path, seconds: int) -> float:
    """Return the most memory that a process of its own takes to index one clip."""
    clip = _write_clip(folder / f"memory-{seconds}.mp4", 0, seconds)
    command = [sys.executable, "-m", "core.bench.video", str(clip)]
    root = Path(__file__).resolve().parent.parent.parent
    return float(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)


def _filled(folder: Path, count: int, *, keep: bool = True) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return moment search over drawn vectors, queries, and the vectors themselves where they are kept."""
    from core.checkpoints import Weights
    from core.video_retrieval.index import IndexedVideo
    from core.video_retrieval.moments import MomentSearch

    model = MomentSearch(_backbone(), Weights(name="random", system="clip"), index=f"{folder}/i", cache=folder)
    rng = np.random.default_rng(0)
    groups = rng.standard_normal((GROUPS, DIMENSIONS)).astype(np.float32)
    kept = []
    for number in range(count // FRAMES_A_VIDEO):
        near = groups[rng.integers(0, GROUPS, FRAMES_A_VIDEO)]
        vectors = _unit(near + NEAR * rng.standard_normal(near.shape).astype(np.float32))
        model.index.write(f"v{number}", "frames", _units(vectors))
        facts = {"seconds": float(FRAMES_A_VIDEO), "height": 720, "width": 1280, "frames": FRAMES_A_VIDEO, "patches": 0}
        model.index.commit(IndexedVideo(video=f"v{number}", name=f"v{number}", path="", **facts), vectors[:8])
        kept.append(vectors if keep else vectors[:0])
    model.index.settle(wait=True)
    queries = _unit(FAR * groups[:QUERIES] + rng.standard_normal((QUERIES, DIMENSIONS)).astype(np.float32))
    return model, queries, np.concatenate(kept)


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
