"""The place for weights: what there is, how large, under which licence, and getting it onto the disk.

Nothing is downloaded unless the caller says so. Published files come from the Hugging Face Hub (HF_ENDPOINT names
another one) through huggingface_hub, which resumes and moves atomically; what arrives is checked against its sha256.
Files are read without executing pickles.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "checkpoints"
HUB = "https://huggingface.co"
HUB_PREFIX = "hf-hub:"
WEIGHTS_FILE = "open_clip_model.safetensors"
CONFIG_FILE = "open_clip_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
SHA256_LENGTH = 64
ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")

Progress = Callable[[int, int], None]  # bytes here, bytes in all


class NeedsDownload(ValueError):  # noqa: N818 - it is a question to the user, not a failure
    """The weights are not on this disk and nobody has asked for the download."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A card for one file of weights."""

    name: str
    system: str
    architecture: str | None = None  # open_clip's name; None where the tensors or the config tell
    repo: str | None = None  # on the hub
    path: Path | None = None  # on this disk: embedded, or the user's own
    parameters: int | None = None
    sha256: str | None = None
    licence: str = "unknown: see where the file came from"
    imagenet_top1: float | None = None  # zero-shot, per cent, as its authors or open_clip report
    note: str = ""
    tokenizer: bool = False  # the repository holds a tokenizer of its own

    @property
    def embedded(self) -> bool:
        """Whether the file ships with this project."""
        return self.path is not None and self.path.parent == ASSETS

    @property
    def size_bytes(self) -> int | None:
        """The size of the file: exact where it is here, else four bytes a parameter."""
        if self.path is not None and self.path.exists():
            return self.path.stat().st_size
        return 4 * self.parameters if self.parameters else None

    def card(self) -> dict[str, Any]:
        """Return what was recorded when the weights were trained; empty for weights from elsewhere."""
        path = self.path.with_suffix(".json") if self.path else None
        return json.loads(path.read_text()) if path and path.exists() else {}


def _embedded(name: str, note: str) -> Weights:
    return Weights(
        name=name, system="clip", path=ASSETS / f"{name}.safetensors", licence="Apache-2.0", note=note
    )


# ImageNet figures: open_clip docs/openclip_results.csv, MobileCLIP and PE READMEs. Parameters: counted by a test.
WEIGHTS: tuple[Weights, ...] = (
    _embedded("toybox-resnet", "ModifiedResNet trained here on the Toybox and CIFAR-10"),
    _embedded("toybox-vit", "ViT trained here on the Toybox and CIFAR-10, taught by toybox-resnet"),
    Weights(
        name="ViT-B-32-quickgelu/openai",
        system="clip",
        architecture="ViT-B-32-quickgelu",
        repo="timm/vit_base_patch32_clip_224.openai",
        parameters=151_277_313,
        licence="MIT",
        imagenet_top1=63.3,
        note="the reference",
    ),
    Weights(
        name="RN50-quickgelu/openai",
        system="clip",
        architecture="RN50-quickgelu",
        repo="timm/resnet50_clip.openai",
        parameters=102_007_137,
        licence="MIT",
        imagenet_top1=59.8,
    ),
    Weights(
        name="RN101-quickgelu/openai",
        system="clip",
        architecture="RN101-quickgelu",
        repo="timm/resnet101_clip.openai",
        parameters=119_688_033,
        licence="MIT",
        imagenet_top1=62.3,
    ),
    Weights(
        name="ViT-B-16-quickgelu/openai",
        system="clip",
        architecture="ViT-B-16-quickgelu",
        repo="timm/vit_base_patch16_clip_224.openai",
        parameters=149_620_737,
        licence="MIT",
        imagenet_top1=68.3,
        note="finer patches",
    ),
    Weights(
        name="PE-Core-S-16-384/meta",
        system="clip",
        architecture="PE-Core-S-16-384",
        repo="timm/PE-Core-S-16-384",
        parameters=87_188_225,
        licence="Apache-2.0",
        imagenet_top1=72.7,
        note="best small one with a free licence",
    ),
    Weights(
        name="MobileCLIP2-S0/dfndr2b",
        system="clip",
        architecture="MobileCLIP2-S0",
        repo="timm/MobileCLIP2-S0-OpenCLIP",
        parameters=74_835_073,
        licence="Apple research terms (non-commercial)",
        imagenet_top1=71.5,
        note="fastest",
    ),
    Weights(
        name="ViT-B-32-256/datacomp_s34b_b86k",
        system="clip",
        architecture="ViT-B-32-256",
        repo="laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K",
        parameters=151_288_833,
        licence="MIT",
        imagenet_top1=72.8,
    ),
    Weights(
        name="ViT-B-32-SigLIP2-256/webli",
        system="clip",
        architecture="ViT-B-32-SigLIP2-256",
        repo="timm/ViT-B-32-SigLIP2-256",
        parameters=376_857_602,
        licence="Apache-2.0",
        imagenet_top1=74.0,
        note="sigmoid scores, many languages",
        tokenizer=True,
    ),
)


def names(system: str) -> tuple[str, ...]:
    """Return the names of a system's weights, embedded ones first."""
    return tuple(weights.name for weights in WEIGHTS if weights.system == system)


def default(system: str) -> str:
    """Return the name of the weights that a fresh start uses."""
    return names(system)[0]


def resolve(system: str, name: str | None = None) -> Weights:
    """Return the card for a listed name, an 'hf-hub:organisation/model' or a file; ValueError for anything else.

    OpenAI's tags get QuickGELU however they are spelled ('ViT-B-32/openai' too), because they were trained with it.
    """
    name = name or default(system)
    spelled = name.replace("/openai", "-quickgelu/openai") if "quickgelu" not in name else name
    for weights in WEIGHTS:
        if weights.system == system and weights.name in (name, spelled):
            return weights
    if name.startswith(HUB_PREFIX) and name.count("/") == 1:
        return Weights(name=name, system=system, repo=name.removeprefix(HUB_PREFIX), note="config from the hub")
    if Path(name).suffix in ENDINGS:
        if not Path(name).is_file():
            raise ValueError(f"There is no file {name}.")
        return Weights(name=Path(name).name, system=system, path=Path(name).resolve())
    raise ValueError(f"Unknown weights {name!r}; there are {', '.join(names(system))}, hf-hub:NAME, or a file.")


def describe(weights: Weights) -> str:
    """Say how large the weights are and under which licence, before anything is downloaded."""
    size = f"about {weights.size_bytes / 1e6:.0f} MB" if weights.size_bytes else "a size that the hub will tell"
    return f"{weights.name}: {size}, licence {weights.licence}"


def available(weights: Weights) -> bool:
    """Say whether the weights are on this disk."""
    return _here(weights, WEIGHTS_FILE) is not None


def fetch(
    weights: Weights,
    filename: str = WEIGHTS_FILE,
    *,
    download: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Return the path of one file of the weights, downloading it only when `download` says so.

    Raises NeedsDownload when it is not here and nobody asked, ValueError in one sentence when it cannot be had or is
    not what it should be.
    """
    here = _here(weights, filename)
    if here is not None:
        return here
    if weights.repo is None:
        raise ValueError(f"The file {weights.path} is missing; check the project out again.")
    if not download:
        raise NeedsDownload(f"{describe(weights)}; it is not on this computer yet, and is downloaded only on request.")
    return _download(weights, filename, progress)


def fetch_all(weights: Weights, *, download: bool = False, progress: Progress | None = None) -> dict[str, Path]:
    """Return the paths of every file that opening the weights needs, by file name; errors as in `fetch`."""
    wanted = [WEIGHTS_FILE]
    if weights.repo is not None and weights.architecture is None:
        wanted.append(CONFIG_FILE)
    if weights.tokenizer:
        wanted += TOKENIZER_FILES
    return {name: fetch(weights, name, download=download, progress=progress) for name in wanted}


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """Read named tensors from safetensors or a state dict, without executing pickles; ValueError for anything else."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, EOFError, ValueError, KeyError, RuntimeError, torch.serialization.pickle.UnpicklingError):
        raise ValueError(
            f"{path.name} is not a file of weights: wanted safetensors or a plain state dict, without code in it."
        ) from None
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ValueError(f"{path.name} holds no named tensors.")
    return {key.removeprefix("module."): value for key, value in found.items()}


def _here(weights: Weights, filename: str) -> Path | None:
    if weights.path is not None:
        return weights.path if weights.path.exists() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(weights.repo, filename)
    return Path(found) if isinstance(found, str) else None


def _download(weights: Weights, filename: str, progress: Progress | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    endpoint = os.environ.get("HF_ENDPOINT", HUB)
    try:
        found = hf_hub_download(weights.repo, filename, endpoint=endpoint, tqdm_class=_bar(progress))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError, TimeoutError):
        raise ValueError(
            f"The hub cannot be reached, so {weights.name} cannot be downloaded. Choose an embedded model, or download "
            f"{filename} of {weights.repo} elsewhere and give the file itself as the weights."
        ) from None
    except (EntryNotFoundError, HfHubHTTPError) as error:
        raise ValueError(f"The hub has no {filename} for {weights.repo}: {error}") from None
    path = Path(found)
    wanted = weights.sha256 if filename == WEIGHTS_FILE and weights.sha256 else path.resolve().name
    if len(wanted) == SHA256_LENGTH and sha256(path) != wanted:  # large files are stored under their sha256
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise ValueError(f"{filename} of {weights.repo} arrived damaged and was removed; download it again.")
    return path


def sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bar(progress: Progress | None) -> Any:
    """Return a tqdm class that tells `progress` how far a download is, or None for the ordinary bar."""
    if progress is None:
        return None
    from tqdm.auto import tqdm

    class Told(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            shown = super().update(n)
            progress(int(self.n), int(self.total or 0))
            return shown

    return Told


