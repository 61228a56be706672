"""Reading LSeg's weights: this project's safetensors, the official Lightning file, and the flat mirror of it.

The official file (isl-org/lang-seg, demo_e200.ckpt) keeps its tensors under 'state_dict' with the prefix 'net.', beside
hyper-parameters that may be objects of other libraries. Nothing in a file is executed: a class that torch does not know
to be harmless becomes a `StandIn`, which takes whatever it is given and does nothing. CLIP's image tower and the ViT's
classifier lie in the file unused; after the first reading a slim copy without them, in fp16, lies beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.backbones.slim import has_slim, keep_slim, metadata_of, slim_path
from core.checkpoints import read_tensors
from core.segmentation.lseg_model import ACTIVATIONS, KINDS, Regulariser

PREFIX = "net."
PARTS = ("clip_pretrained.", "pretrained.", "scratch.")
UNUSED = ("clip_pretrained.visual.", "clip_pretrained.logit_scale", "pretrained.model.norm.", "pretrained.model.head.")
HYPER = ("arch_option", "block_depth", "activation")  # the released command line's names


class StandIn(dict):
    """Stands where a file names a class of another library; accepts everything, does nothing."""

    def __init__(self, *values: Any) -> None:
        super().__init__(values[0] if values and isinstance(values[0], dict) else {})

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.update(state)


def read_lseg(path: Path) -> tuple[dict[str, Tensor], Regulariser | None]:
    """Return the tensors that LSeg needs, and the regularisation blocks that the file says it was trained with.

    Raises ValueError in one sentence where the file is no LSeg.
    """
    if path.suffix.lower() == ".safetensors":
        return read_tensors(path), _regulariser(metadata_of(path))
    if has_slim(path):
        slim = slim_path(path)
        return read_tensors(slim), _regulariser(metadata_of(slim))
    found = _load(path)
    hyper = found.get("hyper_parameters")
    settings = {key: str(hyper[key]) for key in HYPER if isinstance(hyper, Mapping) and key in hyper}
    tensors = slimmed(found.get("state_dict", found))
    if not any(key.startswith("scratch.") for key in tensors):
        raise ValueError(f"{path.name} is not an LSeg: its tensors are named otherwise.")
    keep_slim(path, tensors, settings)
    return tensors, _regulariser(settings)


def slimmed(tensors: Mapping[str, Any]) -> dict[str, Float[Tensor, "..."]]:
    """Return what LSeg's answer needs, without prefix, floating-point numbers in half precision."""
    plain = {
        key.removeprefix(PREFIX): value
        for key, value in tensors.items()
        if isinstance(key, str) and isinstance(value, torch.Tensor)
    }
    return {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in plain.items()
        if key.startswith(PARTS) and not key.startswith(UNUSED)
    }


def _load(path: Path) -> Mapping[str, Any]:
    """Return a checkpoint's dictionary, foreign classes as stand-ins."""
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        with torch.serialization.safe_globals([(StandIn, name) for name in foreign]):
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # what a file that is something else makes torch raise has no common kind
        raise ValueError(
            f"{path.name} is not a file of weights: wanted safetensors, a Lightning file or a state dict."
        ) from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds no named tensors.")
    return found


def _regulariser(settings: Mapping[str, str]) -> Regulariser | None:
    """Return the blocks that hyper-parameters name, None where they name none; depth 0 means one block, as released."""
    option = settings.get("arch_option", "0")
    if option not in ("1", "2"):
        return None
    activation = settings.get("activation", "lrelu")
    depth = settings.get("block_depth", "0")
    return Regulariser(
        kind=KINDS[int(option)],
        blocks=max(1, int(depth) if depth.isdigit() else 1),
        activation=activation if activation in ACTIVATIONS else "lrelu",
    )
