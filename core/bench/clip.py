"""How fast labels and pictures are encoded, and how long the app takes to start.

Weights are random and seeded: speed does not depend on them. `start` is our time over the alternative's.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.bench.measure import paired, report

ROOT = Path(__file__).resolve().parent.parent.parent
LABELS = ("dog", "cat", "bird", "car", "truck", "airplane", "ship", "horse", "frog", "deer")
TEMPLATE = "a photo of a {}."
PICTURES = 48
START_SECONDS = 60
BARE_APP = "import gradio as gr\nwith gr.Blocks() as demo:\n    gr.Textbox()\ndemo.launch(server_port={port})\n"


def zero_shot_cold() -> dict[str, Any]:
    """Encode ten labels never seen before, against open_clip's own encode_text on prompts padded to 77 tokens."""
    import torch
    from torch.nn.functional import normalize

    backbone = _random_backbone()
    prompts = [TEMPLATE.format(label) for label in LABELS]

    def ours() -> torch.Tensor:
        backbone.forget_texts()
        return backbone.encode_texts(prompts)

    def plain() -> torch.Tensor:
        with torch.inference_mode():
            return normalize(backbone.model.encode_text(backbone.tokenize(prompts)), dim=-1)

    difference = float((ours() - plain()).abs().max())
    found = report(*paired(ours, plain, repeats=7), "open_clip encode_text, padded to 77 tokens")
    return found | {"largest_difference": difference}


def zero_shot_warm() -> dict[str, Any]:
    """Ask the same ten labels again, against encoding the image alone; then an eleventh label."""
    from core.checkpoints import Weights
    from core.zero_shot.clip import ZeroShotClip

    backbone = _random_backbone()
    model = ZeroShotClip(backbone, Weights(name="random ViT-B/32", system="clip"))
    picture = _pictures(1)[0]
    extra = iter(f"label number {i}" for i in range(1000))
    ask = lambda labels: model.rank(picture, labels, templates=(TEMPLATE,))  # noqa: E731
    times = paired(lambda: ask(LABELS), lambda: backbone.encode_images([picture]), repeats=15)
    found = report(*times, "encoding the image alone")
    eleventh, one = paired(
        lambda: ask((*LABELS, next(extra))), lambda: (ask(LABELS), backbone.encode_texts([next(extra)])), repeats=7
    )
    more = found["ours_median_seconds"] - found["alternative_median_seconds"]
    return found | {
        "milliseconds_beyond_the_image": 1000 * more,
        "eleventh_label_over_one_label": statistics.median(eleventh) / statistics.median(one),
    }


def bulk_images() -> dict[str, Any]:
    """Embed a folder of JPEGs, against open_clip's batched loop and transformers' zero-shot pipeline."""
    backbone = _random_backbone()
    with tempfile.TemporaryDirectory() as folder:
        files = _write_jpegs(Path(folder))
        pipeline = _pipeline()
        ours, loop = paired(lambda: _embed_ours(backbone, files), lambda: _embed_open_clip(backbone, files), repeats=5)
        ours_again, piped = paired(
            lambda: _embed_ours(backbone, files),
            lambda: pipeline([str(file) for file in files], candidate_labels=list(LABELS)),
            repeats=2,
        )
    found = report(ours, loop, "open_clip: its own transform and encode_image, batches of 32")
    name = "transformers: zero-shot-image-classification pipeline, as it comes, same files and ten labels"
    return found | {"pictures": len(files), "transformers": report(ours_again, piped, name)}


def start() -> dict[str, Any]:
    """Start `python app.py` up to its first HTTP 200, against a bare Gradio app of one textbox."""
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        ours, theirs = paired(
            lambda: _until_200(lambda port: [sys.executable, "app.py", "--port", str(port)]),
            lambda: _until_200(lambda port: [sys.executable, str(_write(bare, port))]),
            repeats=5,
        )
    return report(ours, theirs, "a Gradio app of one textbox", inverse=True)


def _random_backbone() -> Any:
    """Return a CLIP of ViT-B/32 size with seeded random weights, on the CPU."""
    import torch

    from core.backbones.clip import ClipBackbone, Preprocess
    from core.backbones.clip_model import ClipSize, build
    from core.backbones.tokenizer import clip_tokenizer
    from core.device import choose

    torch.manual_seed(0)
    size = ClipSize(embed_dim=512, image_size=224, vision_layers=12, vision_width=768, patch_size=32)
    model = build(size).eval()
    return ClipBackbone(model, clip_tokenizer(77), Preprocess(size=224), choose("cpu"), 77)


def _pictures(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 15, 20, 3), np.uint8)
    return [picture.repeat(32, 0).repeat(32, 1) for picture in small]  # 480 x 640


def _write_jpegs(folder: Path) -> list[Path]:
    from PIL import Image

    files = [folder / f"{i}.jpg" for i in range(PICTURES)]
    for file, picture in zip(files, _pictures(PICTURES), strict=True):
        Image.fromarray(picture).save(file)
    return files


def _embed_ours(backbone: Any, files: list[Path]) -> Any:
    from core import media

    return backbone.encode_images([media.read_image(file) for file in files])


def _embed_open_clip(backbone: Any, files: list[Path]) -> Any:
    import open_clip
    import torch
    from PIL import Image
    from torch.nn.functional import normalize

    transform = open_clip.image_transform(224, is_train=False)
    batches = [files[i : i + 32] for i in range(0, len(files), 32)]
    with torch.inference_mode():
        return torch.cat(
            [
                normalize(backbone.model.encode_image(torch.stack([transform(Image.open(f)) for f in batch])), dim=-1)
                for batch in batches
            ]
        )


def _pipeline() -> Any:
    """Return transformers' pipeline around a CLIP of ViT-B/32 size with random weights."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, pipeline

    torch.manual_seed(0)
    return pipeline(
        "zero-shot-image-classification",
        model=CLIPModel(CLIPConfig()).eval(),
        tokenizer=_transformers_tokenizer(),
        image_processor=CLIPImageProcessor(),
        device="cpu",
    )


def _transformers_tokenizer() -> Any:
    """Return transformers' CLIP tokenizer with the vocabulary that open_clip ships."""
    from transformers import CLIPTokenizer

    from core.backbones.tokenizer import END, START, clip_tokenizer

    ours = clip_tokenizer(77)
    vocabulary = {token: i for token, i in ours.encoder.items() if not token.startswith(("<start_of", "<end_of"))}
    return CLIPTokenizer(vocab=vocabulary | {START: 49406, END: 49407}, merges=list(ours.bpe_ranks))


def _until_200(command: Callable[[int], list[str]]) -> None:
    """Start a server on a free port, wait for its first HTTP 200 and stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(
        command(port), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"no HTTP 200 within {START_SECONDS} s from {command(port)}")
    finally:
        process.terminate()
        process.wait()


def _write(path: Path, port: int) -> Path:
    path.write_text(BARE_APP.format(port=port))
    return path
