"""Every system that the project has: an explicit table of cards, and the one way to load a model.

Nothing here imports torch; a system's module is imported when it is first loaded.
"""

import importlib
import threading
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from typing import Any

from core import checkpoints, device

KEPT_MODELS = 3  # loaded at once; the one unused for longest goes first
Key = tuple[str, str, int, str]  # system, weights, time of the file, device


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
    weights_of: str = ""  # the system whose weights this one runs on too, after its own


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
    System(
        name="lseg",
        task="segmentation",
        title="LSeg",
        paper="Language-driven Semantic Segmentation",
        venue="ICLR",
        year=2022,
        url="https://arxiv.org/abs/2201.03546",
        opener="core.segmentation.lseg:open_lseg",
        honesty="re-creation: the paper's decoder and loss, small, trained here on masks of base things",
        licence="MIT",
    ),
    System(
        name="groupvit",
        task="segmentation",
        title="GroupViT",
        paper="GroupViT: Semantic Segmentation Emerges from Text Supervision",
        venue="CVPR",
        year=2022,
        url="https://arxiv.org/abs/2202.11094",
        opener="core.segmentation.groupvit:open_groupvit",
        honesty="re-creation: the paper's grouping blocks, small, trained here on captions alone",
        licence="NVIDIA Source Code License (research only, non-commercial)",
    ),
    System(
        name="sam",
        task="segmentation",
        title="SAM x CLIP",
        paper="Segment Anything",
        venue="ICCV",
        year=2023,
        url="https://arxiv.org/abs/2304.02643",
        opener="core.segmentation.sam:open_sam",
        honesty="re-creation: the package's own classes, small, trained here on the Toybox's regions",
        licence="Apache-2.0",
    ),
    System(
        name="plain_clip",
        task="segmentation",
        title="Plain CLIP",
        paper="Extract Free Dense Labels from CLIP",
        venue="ECCV",
        year=2022,
        url="https://arxiv.org/abs/2112.01071",
        opener="core.segmentation.plain_clip:open_plain_clip",
        honesty="training-free: the places of a CLIP from here or elsewhere are asked, the baseline beside the others",
        licence="Apache-2.0",
        weights_of="clip",
    ),
    System(
        name="vild",
        task="detection",
        title="ViLD",
        paper="Open-vocabulary Object Detection via Vision and Language Knowledge Distillation",
        venue="ICLR",
        year=2022,
        url="https://arxiv.org/abs/2104.13921",
        opener="core.detection.vild:open_vild",
        honesty="re-creation: the paper's heads and distillation, small, trained here on boxes of base things",
        licence="Apache-2.0",
        weights_of="clip",
    ),
    System(
        name="glip",
        task="detection",
        title="GLIP",
        paper="Grounded Language-Image Pre-training",
        venue="CVPR",
        year=2022,
        url="https://arxiv.org/abs/2112.03857",
        opener="core.detection.glip_files:open_glip",
        honesty="re-creation: the paper's fusion and heads, small, trained here on boxes of base things",
        licence="MIT",
    ),
    System(
        name="clip4clip",
        task="video_retrieval",
        title="CLIP4Clip",
        paper="CLIP4Clip: An Empirical Study of CLIP for End to End Video Clip Retrieval",
        venue="Neurocomputing",
        year=2022,
        url="https://arxiv.org/abs/2104.08860",
        opener="core.video_retrieval.clip4clip:open_clip4clip",
        honesty="re-creation: the paper's four heads and a text tower, small, trained here over the embedded CLIP",
        licence="MIT",
        weights_of="clip",
    ),
    System(
        name="moments",
        task="video_retrieval",
        title="Moment search",
        paper="CLIFS: Contrastive Language-Image Forensic Search",
        venue="software",
        year=2021,
        url="https://github.com/johanmodin/clifs",
        opener="core.video_retrieval.moments:open_moments",
        honesty="training-free: any CLIP over an index of frames",
        licence="Apache-2.0",
        weights_of="clip",
    ),
    System(
        name="actionclip",
        task="action",
        title="ActionCLIP",
        paper="ActionCLIP: A New Paradigm for Video Action Recognition",
        venue="arXiv",
        year=2021,
        url="https://arxiv.org/abs/2109.08472",
        opener="core.action.actionclip:open_actionclip",
        honesty="re-creation: the paper's heads and a text tower, small, trained here over the embedded CLIP",
        licence="MIT",
        weights_of="clip",
    ),
    System(
        name="pointclip",
        task="point_cloud",
        title="PointCLIP",
        paper="PointCLIP: Point Cloud Understanding by CLIP",
        venue="CVPR",
        year=2022,
        url="https://arxiv.org/abs/2112.02413",
        opener="core.point_cloud.pointclip:open_pointclip",
        honesty="training-free: a CLIP from here or elsewhere looks at a cloud's depth views",
        licence="none",
        weights_of="clip",
    ),
    System(
        name="depthclip",
        task="depth",
        title="DepthCLIP",
        paper="Can Language Understand Depth?",
        venue="ACM MM",
        year=2022,
        url="https://arxiv.org/abs/2207.01077",
        opener="core.depth.depthclip:open_depthclip",
        honesty="training-free: a CLIP from here or elsewhere is asked about distance; the default one heard of places",
        licence="none",
        weights_of="clip",
    ),
    System(
        name="clipasso",
        task="sketch",
        title="CLIPasso",
        paper="CLIPasso: Semantically-Aware Object Sketching",
        venue="SIGGRAPH",
        year=2022,
        url="https://arxiv.org/abs/2202.05822",
        opener="core.sketch.clipasso:open_clipasso",
        honesty="training-free: strokes are moved until two CLIPs from here or elsewhere see the picture in them",
        licence="CC BY-NC-SA 4.0",
        weights_of="clip",
    ),
    System(
        name="clipdraw",
        task="sketch",
        title="CLIPDraw",
        paper="CLIPDraw: Exploring Text-to-Drawing Synthesis through Language-Image Encoders",
        venue="NeurIPS",
        year=2022,
        url="https://arxiv.org/abs/2106.14843",
        opener="core.sketch.clipdraw:open_clipdraw",
        honesty="training-free: strokes are moved until a CLIP from here or elsewhere reads the text in them",
        licence="Apache-2.0",
        weights_of="clip",
    ),
)
_loaded: OrderedDict[Key, Any] = OrderedDict()
_lock = threading.Lock()  # of the table: held for a moment
_opening: defaultdict[Key, threading.Lock] = defaultdict(threading.Lock)  # held while one model is opened


def names(task: str | None = None) -> tuple[str, ...]:
    """Return the names of all systems, or of those for one task."""
    return tuple(system.name for system in SYSTEMS if task in (None, system.task))


def get(name: str) -> System:
    """Return a system's card; ValueError for an unknown name."""
    for system in SYSTEMS:
        if system.name == name:
            return system
    raise ValueError(f"Unknown system {name!r}; there are: {', '.join(names())}.")


def weights_names(name: str) -> tuple[str, ...]:
    """Return the names of a system's listed weights: embedded ones first, used by default, the user's runs last."""
    system = get(name)
    found = checkpoints.names(name) + (checkpoints.names(system.weights_of) if system.weights_of else ())
    return tuple(sorted(found, key=lambda each: each.startswith(checkpoints.RUN_PREFIX)))


def weights_card(name: str, weights: str | None = None) -> checkpoints.Weights:
    """Return the card of a system's weights; ValueError for a name that is neither listed, a file nor on a hub."""
    weights = weights or weights_names(name)[0]
    system = get(name)
    shared = system.weights_of and weights not in checkpoints.names(name)
    return checkpoints.resolve(system.weights_of if shared else name, weights)


def download(name: str, weights: str, progress: checkpoints.Progress | None = None) -> None:
    """Bring every file of the weights onto this disk; errors as in checkpoints.fetch."""
    checkpoints.fetch_all(weights_card(name, weights), download=True, progress=progress)


def load(
    name: str,
    weights: str | None = None,
    *,
    download: bool = False,
    progress: checkpoints.Progress | None = None,
) -> Any:
    """Return a system ready to use, from memory when it was loaded before; errors as in checkpoints.fetch.

    Whoever asks for a model that is being opened waits for it; everyone else goes on.
    """
    system, card, where = get(name), weights_card(name, weights), device.choose()
    key = _key(name, card, where.name)
    with _lock:
        opening = _opening[key]
    with opening:
        found = _recall(key)
        if found is None:
            files = checkpoints.fetch_all(card, download=download, progress=progress)
            module, function = system.opener.split(":")
            found = getattr(importlib.import_module(module), function)(card, where, files)
            _remember(key, found)
    return found


def is_loaded(name: str, weights: str | None = None) -> bool:
    """Say whether these weights are in memory already, on whichever device."""
    wanted = _key(name, weights_card(name, weights), "")
    with _lock:
        return any(key[:-1] == wanted[:-1] for key in _loaded)


def _key(name: str, card: checkpoints.Weights, device_name: str) -> Key:
    """Return what makes two models the same; a file that was written anew is another one."""
    if card.path is None or not card.path.is_file():
        return name, card.name, 0, device_name
    return name, str(card.path), card.path.stat().st_mtime_ns, device_name


def _recall(key: Key) -> Any:
    with _lock:
        if key in _loaded:
            _loaded.move_to_end(key)
        return _loaded.get(key)


def _remember(key: Key, found: Any) -> None:
    with _lock:
        _loaded[key] = found
        while len(_loaded) > KEPT_MODELS:
            _loaded.popitem(last=False)
