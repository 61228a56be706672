"""Reading GLIP's weights: this project's safetensors, the official checkpoints, and slim copies of them.

The official files (GLIPModel/GLIP on the hub, glip_a_tiny_o365.pth and others) keep their tensors under 'model' with
the prefix 'module.', beside three times as much of the optimiser's, which is not read. Nothing in them is executed.
Tables that follow from the sizes (relative positions, cell anchors), BERT's pooler, and layers of other training tasks
are left out; after the first reading a slim copy in fp16 lies beside the file. Words are split by BERT's own
vocabulary, a small file of its own on the hub; this project's files carry their words with them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from tokenizers import Tokenizer
from torch import Tensor

from core import checkpoints
from core.backbones.slim import has_slim, keep_slim, slim_path
from core.checkpoints import BERT_WORDS, TOKENIZER_FILES, WEIGHTS_FILE, Weights, read_tensors
from core.detection.glip import PUBLISHED, TOYBOX, Glip
from core.detection.glip_model import BODY, HEAD, PYRAMID, TEXT, VOCABULARY, GlipNetwork, glip_size_of
from core.detection.glip_prompts import word_tokenizer
from core.detection.glip_tuned import tuned_from
from core.detection.relatives import GroundingDino, Owl, is_relative, open_relative
from core.device import Device

PREFIX = "module."
PARTS = (BODY, PYRAMID, TEXT, HEAD)
UNUSED = ("relative_position_index", "attn_mask", "position_ids", ".pooler.", "anchor_generator")
WORDS_FILE = "vocab.txt"


def open_glip(weights: Weights, device: Device, files: Mapping[str, Path]) -> "Glip | GroundingDino | Owl":
    """Open a GLIP for the registry: embedded, an official checkpoint or a slim copy of one; or a published relative."""
    if is_relative(files):
        return open_relative(weights, device, files)
    tensors = read_glip(files[WEIGHTS_FILE])
    network = network_of(tensors)
    own = network.vocabulary is not None
    tokenizer = word_tokenizer(network.vocabulary) if own else bert_tokenizer(files)
    return Glip(network, tokenizer, weights, device, TOYBOX if own else PUBLISHED)


def network_of(tensors: Mapping[str, Tensor]) -> GlipNetwork:
    """Return a float32 network in evaluation mode with these weights; ValueError where they do not fit."""
    size = glip_size_of(tensors)
    network = GlipNetwork(size)
    if VOCABULARY in tensors:
        network.language_backbone.register_buffer("vocabulary", tensors[VOCABULARY])
    network.language_backbone.tuned = tuned_from(tensors)
    wanted = network.state_dict()
    found = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items() if k in wanted}
    missing = next((key for key in wanted if key not in found), None)
    if missing is not None:
        raise ValueError(f"wanted a GLIP in the published key layout, got a file without {missing!r}")
    try:
        network.load_state_dict(found)
    except RuntimeError as error:
        raise ValueError(f"These tensors do not fit a GLIP: {str(error).splitlines()[1].strip()}") from None
    return network.eval().requires_grad_(False)


def read_glip(path: Path) -> dict[str, Tensor]:
    """Return the tensors that GLIP needs; ValueError in one sentence where the file is no GLIP."""
    if path.suffix.lower() == ".safetensors":
        return read_tensors(path)
    if has_slim(path):
        return read_tensors(slim_path(path))
    tensors = slimmed(_load(path))
    if not any(key.startswith(HEAD) for key in tensors):
        raise ValueError(f"{path.name} is not a GLIP: its tensors are named otherwise.")
    keep_slim(path, tensors)
    return tensors


def slimmed(tensors: Mapping[str, Any]) -> dict[str, Float[Tensor, "..."]]:
    """Return what GLIP's answer needs, without prefix, in half precision."""
    plain = {k.removeprefix(PREFIX): v for k, v in tensors.items() if isinstance(v, torch.Tensor)}
    return {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in plain.items()
        if key.startswith(PARTS) and not any(part in key for part in UNUSED)
    }


def bert_tokenizer(files: Mapping[str, Path]) -> Tokenizer:
    """Return BERT's way of splitting words, from a file beside the weights or BERT's own on this disk.

    Raises NeedsDownload where neither is here.
    """
    if TOKENIZER_FILES[0] in files:
        return Tokenizer.from_file(str(files[TOKENIZER_FILES[0]]))
    beside = files[WEIGHTS_FILE].with_name(WORDS_FILE)
    path = files.get(WORDS_FILE) or (beside if beside.is_file() else checkpoints.fetch(BERT_WORDS, WORDS_FILE))
    return word_tokenizer(path.read_text("utf-8").removesuffix("\n").split("\n"))


def _load(path: Path) -> Mapping[str, Any]:
    """Return the tensors of an official checkpoint; the optimiser's stay on the disk."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # what a file that is something else makes torch raise has no common kind
        raise ValueError(
            f"{path.name} is not a file of weights: wanted safetensors or an official GLIP checkpoint."
        ) from None
    tensors = found.get("model", found) if isinstance(found, dict) else found
    if not isinstance(tensors, Mapping):
        raise ValueError(f"{path.name} holds no named tensors.")
    return tensors
