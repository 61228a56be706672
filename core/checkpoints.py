"""The place for weights: what there is, how large, under which licence, and getting it onto the disk.

Nothing is downloaded unless the caller says so. Published files come from the Hugging Face Hub (HF_ENDPOINT names
another one) into a folder of their own (CLIP_FAMILY_WEIGHTS names another one), where they can also be put by hand;
those that other programs left in the hub's cache are used as they are. Files are read without executing pickles.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core import hub
from core.weights import BERT_FACTS, FACTS, TRANSFORMERS_FILE

if TYPE_CHECKING:
    from torch import Tensor

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "checkpoints"
HUB = "https://huggingface.co"
HUB_NAME = re.compile(r"hf-hub:(\w[\w.-]*/\w[\w.-]*)")  # as open_clip spells it
FOLDER_VARIABLE = "CLIP_FAMILY_WEIGHTS"
RUNS_VARIABLE = "CLIP_FAMILY_RUNS"  # where the runs of this machine's user are; the training tab writes there
WEIGHTS_FILE = "open_clip_model.safetensors"
TRANSFORMERS_CONFIG = "config.json"
OLD_WEIGHTS_FILE = "open_clip_pytorch_model.bin"
OLD_NAMES = {WEIGHTS_FILE: OLD_WEIGHTS_FILE, TRANSFORMERS_FILE: "pytorch_model.bin"}  # from before safetensors
CONFIG_FILE = "open_clip_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
ENDINGS = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
RUN_PREFIX = "run/"  # before the names of what the user's own runs have left
SMALL_BYTES = 50_000_000  # every published file is larger, every embedded one and what is trained from it smaller

Progress = hub.Progress


class NeedsDownload(ValueError):
    """The weights are not on this disk and nobody has asked for the download."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A card for one file of weights."""

    name: str
    system: str
    architecture: str | None = None  # open_clip's name; None where the tensors or the config tell
    repo: str | None = None  # on the hub
    url: str | None = None  # of the authors' own file, where it is not on the hub; sha256 is needed then
    filename: str = WEIGHTS_FILE
    config_files: tuple[str, ...] = ()  # small ones that opening needs besides, where it is no open_clip repository
    path: Path | None = None  # on this disk: embedded, or the user's own
    parameters: int | None = None
    file_bytes: int | None = None  # of the file to download, where it holds more than the weights
    companions: tuple["Weights", ...] = ()  # cards whose config files opening needs too
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
    def small(self) -> bool:
        """Whether it is of the embedded ones' kind, which learnt from small pictures: told by the file's size."""
        return self.path is not None and self.path.is_file() and self.path.stat().st_size < SMALL_BYTES

    @property
    def size_bytes(self) -> int | None:
        """The size of the file: exact where it is here, else four bytes a parameter."""
        if self.path is not None and self.path.exists():
            return self.path.stat().st_size
        if self.file_bytes:
            return self.file_bytes
        return 4 * self.parameters if self.parameters else None

    @property
    def available(self) -> bool:
        """Whether every file that opening the weights needs is on this disk."""
        try:
            return bool(fetch_all(self))
        except ValueError:
            return False

    def describe(self) -> str:
        """Say how large the weights are and under which licence, before anything is downloaded."""
        size = f"about {self.size_bytes / 1e6:.0f} MB" if self.size_bytes else "a size that the hub will tell"
        return f"{self.name}: {size}, licence {self.licence}"

    def card(self) -> dict[str, Any]:
        """Return what was recorded when the weights were trained; empty for weights from elsewhere."""
        path = self.path.with_suffix(".json") if self.path else None
        return json.loads(path.read_text()) if path and path.exists() else {}


def _card(facts: Mapping[str, Any]) -> Weights:
    """Return the card of listed weights; embedded ones lie among the assets."""
    kept = {key: value for key, value in facts.items() if key != "embedded"}
    kept["companions"] = tuple(_card(each) for each in facts.get("companions", ()))
    return Weights(**kept, path=ASSETS / f"{kept['name']}.safetensors" if "embedded" in facts else None)


WEIGHTS: tuple[Weights, ...] = tuple(_card(facts) for facts in FACTS)
BERT_WORDS = _card(BERT_FACTS)


def names(system: str) -> tuple[str, ...]:
    """Return the names of a system's weights, embedded ones first, those of the user's own runs last."""
    return tuple(weights.name for weights in (*WEIGHTS, *trained_here()) if weights.system == system)


def runs_folder() -> Path:
    """Return where the user's own runs are kept."""
    return Path(os.environ.get(RUNS_VARIABLE) or "~/.cache/clip-family/runs").expanduser()


def trained_here() -> tuple[Weights, ...]:
    """Return the cards of what the user's finished runs have left, as run/FOLDER; other folders are passed over."""
    return tuple(card for path in sorted(runs_folder().glob("*/status.json")) if (card := _of_run(path)))


def _of_run(path: Path) -> Weights | None:
    try:
        status = json.loads(path.read_text("utf-8"))
        weights, system = path.with_name(Path(str(status["weights"])).name), status["system"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if status.get("state") != "finished" or not isinstance(system, str) or not weights.is_file():
        return None
    return Weights(
        name=f"{RUN_PREFIX}{path.parent.name}",
        system=system,
        path=weights.resolve(),
        licence="your own",
        note=f"trained here by {status.get('recipe')}" + (f": {status['use']}" if status.get("use") else ""),
    )


def default(system: str) -> str:
    """Return the name of the weights that a fresh start uses."""
    return names(system)[0]


def resolve(system: str, name: str | None = None) -> Weights:
    """Return the card for a listed name, an 'hf-hub:organisation/model' or a file; ValueError for anything else.

    OpenAI's tags get QuickGELU however they are spelled ('ViT-B-32/openai' too), because they were trained with it.
    """
    name = name or default(system)
    spelled = name.replace("/openai", "-quickgelu/openai") if "quickgelu" not in name else name
    for weights in (*WEIGHTS, *trained_here()):
        if weights.system == system and weights.name in (name, spelled):
            return weights
    if on_hub := HUB_NAME.fullmatch(name):
        return Weights(name=name, system=system, repo=on_hub[1], note="architecture and tokenizer from the hub")
    path = Path(name).expanduser()
    if path.is_file():
        return Weights(name=path.name, system=system, path=path.resolve())
    if path.suffix.lower() in ENDINGS:
        raise ValueError(f"There is no file {name}.")
    raise ValueError(f"Unknown weights {name!r}; there are {', '.join(names(system))}, hf-hub:NAME, or a file.")


def folder(weights: Weights) -> Path:
    """Return where the files of a hub repository are kept, and can be put by hand."""
    top = os.environ.get(FOLDER_VARIABLE) or "~/.cache/clip-family"
    return Path(top).expanduser() / (weights.repo or weights.system).replace("/", "--")


def fetch(
    weights: Weights,
    filename: str | None = None,
    *,
    download: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Return the path of one file of the weights (by default the large one), downloading it only on request.

    Raises NeedsDownload when it is not here and nobody asked, ValueError in one sentence when it cannot be had or is
    not what it should be.
    """
    filename = filename or weights.filename
    here = _here(weights, filename)
    if here is not None:
        return here
    if weights.repo is None and weights.url is None:
        raise ValueError(f"The file {weights.path} is missing; check the project out again.")
    if not download:
        raise NeedsDownload(f"{weights.describe()}; it is not on this computer yet, and is downloaded only on request.")
    return _download(weights, filename, progress)


def fetch_all(weights: Weights, *, download: bool = False, progress: Progress | None = None) -> dict[str, Path]:
    """Return the paths of every file that opening the weights needs, by file name; errors as in `fetch`.

    The large one is under WEIGHTS_FILE, whatever it is called on the hub. The small files come first, so that what
    cannot be opened is known before it is downloaded.
    """
    if weights.repo is None and weights.url is None:
        return _beside(weights) | {WEIGHTS_FILE: fetch(weights)}
    found = {
        name: fetch(other, name, download=download, progress=progress)
        for other in weights.companions
        for name in other.config_files
    }
    for name in weights.config_files:
        found[name] = fetch(weights, name, download=download, progress=progress)
    if weights.architecture is None and weights.filename == WEIGHTS_FILE:
        found[CONFIG_FILE] = fetch(weights, CONFIG_FILE, download=download, progress=progress)
    if weights.tokenizer or (CONFIG_FILE in found and _asks_for_tokenizer(found[CONFIG_FILE])):
        for name in TOKENIZER_FILES:
            found[name] = fetch(weights, name, download=download, progress=progress)
    return found | {WEIGHTS_FILE: fetch(weights, download=download, progress=progress)}


def read_tensors(path: Path) -> "dict[str, Tensor]":
    """Read named tensors from safetensors or a state dict, without executing pickles; ValueError for anything else."""
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # what a file that is something else makes torch raise has no common kind
        raise ValueError(
            f"{path.name} is not a file of weights: wanted safetensors or a plain state dict, without code in it."
        ) from None
    found = found.get("state_dict", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not found or not all(map(_is_named_tensor, found.items())):
        raise ValueError(f"{path.name} holds no named tensors.")
    return {key.removeprefix("module."): value for key, value in found.items()}


def _is_named_tensor(item: tuple[Any, Any]) -> bool:
    import torch

    return isinstance(item[0], str) and isinstance(item[1], torch.Tensor)


def _names(filename: str) -> tuple[str, ...]:
    """Return the names that a file may have in a repository, best first."""
    return (filename, OLD_NAMES[filename]) if filename in OLD_NAMES else (filename,)


def _here(weights: Weights, filename: str) -> Path | None:
    if weights.path is not None:
        return weights.path if weights.path.is_file() else None
    if weights.repo is None:
        return own if (own := folder(weights) / filename).is_file() else None
    from huggingface_hub import try_to_load_from_cache

    for name in _names(filename):
        if (own := folder(weights) / name).is_file():
            return own
        if isinstance(cached := try_to_load_from_cache(weights.repo, name), str):
            return Path(cached)
    return None


def _beside(weights: Weights) -> dict[str, Path]:
    """Return the configuration and tokenizer that lie beside a user's own file."""
    if weights.path is None or weights.embedded:
        return {}
    own = {name: weights.path.with_name(name) for name in (CONFIG_FILE, *TOKENIZER_FILES)}
    return {name: path for name, path in own.items() if path.is_file()}


def _asks_for_tokenizer(config: Path) -> bool:
    """Say whether open_clip's configuration asks for a tokenizer other than CLIP's own."""
    try:
        text: dict[str, Any] = json.loads(config.read_text("utf-8"))["model_cfg"]["text_cfg"]
        own_tower, own_tokenizer = "hf_model_name" in text, "hf_tokenizer_name" in text
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{config.name} is not a configuration of open_clip.") from None
    if own_tower:
        raise ValueError("Its text tower is a model of another library; only open_clip's own towers can be opened.")
    return own_tokenizer


def _download(weights: Weights, filename: str, progress: Progress | None) -> Path:
    if weights.url is not None:
        return hub.bring_url(weights.url, filename, folder(weights), weights.sha256 or "", progress=progress)
    absent = None
    for name in _names(filename):
        try:
            return hub.bring(
                os.environ.get("HF_ENDPOINT") or HUB,
                weights.repo or "",
                name,
                folder(weights),
                wanted=weights.sha256 if name == weights.filename else None,
                large=filename == weights.filename,
                progress=progress,
            )
        except hub.Absent as error:
            absent = absent or error
    raise ValueError(str(absent)) from None
