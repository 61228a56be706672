"""Which tensors of a file are the CLIP and which are a head, in the key layouts that ActionCLIP comes in.

mmaction2's files (projects/actionclip, ported from the release or trained there) hold `clip.` with OpenAI's names and
`adapter.` with the head Transf, whose table of positions has a row for each frame that it learnt. The embedded file
holds `clip.` with what was tuned and `heads.NAME.` with every head; the rest of its image tower is the embedded
CLIP's, named with its sha256 in the card.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from core import checkpoints
from core.action.fusion import HEADS, MeanPool, head_from_tensors
from core.backbones.clip_model import HEAD_WIDTH

CLIP, ADAPTER, OWN_HEADS = "clip.", "adapter.", "heads."


@dataclass(frozen=True, kw_only=True)
class Parts:
    """A CLIP in OpenAI's key layout, and the heads behind it."""

    clip: Mapping[str, Tensor]
    heads: Mapping[str, nn.Module]
    frames: int  # of a clip, as the heads learnt it


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, without that beginning."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def is_mmaction(tensors: Mapping[str, Tensor]) -> bool:
    """Say whether these are a file of mmaction2's ActionCLIP."""
    return f"{CLIP}text_projection" in tensors and f"{ADAPTER}frame_position_embeddings.weight" in tensors


def is_embedded(tensors: Mapping[str, Tensor]) -> bool:
    """Say whether these are the heads that were trained here."""
    return f"{CLIP}text_projection" in tensors and any(key.startswith(OWN_HEADS) for key in tensors)


def mmaction_parts(tensors: Mapping[str, Tensor]) -> Parts:
    """Return the CLIP and the head Transf of a file of mmaction2's, and the mean as what to compare with."""
    clip, adapter = under(tensors, CLIP), under(tensors, ADAPTER)
    transf = head_from_tensors("Transf", adapter, heads=text_heads(clip))
    return Parts(
        clip=clip,
        heads={"Transf": transf, "meanP": MeanPool()},
        frames=len(adapter["frame_position_embeddings.weight"]),
    )


def embedded_parts(tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> Parts:
    """Return the tuned CLIP and the heads of an embedded file; ValueError where its image tower has changed."""
    clip, own = under(tensors, CLIP), under(tensors, OWN_HEADS)
    heads = {
        name: head_from_tensors(name, under(own, f"{name}."), heads=text_heads(clip))
        for name in HEADS
        if name == "meanP" or any(key.startswith(f"{name}.") for key in own)
    }
    return Parts(clip=tower_of(card) | clip, heads=heads, frames=int(card["recipe"]["frames"]))


def tower_of(card: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of the embedded CLIP that a card names; ValueError where it was written anew since."""
    wanted = card["image_tower"]
    path = checkpoints.fetch(checkpoints.resolve("clip", wanted["weights"]))
    if sha256(path) != wanted["sha256"]:
        raise ValueError(
            f"These heads were trained on another {wanted['weights']} than the one that is here: "
            "train them again, or check the project out again."
        )
    return {key: value for key, value in checkpoints.read_tensors(path).items() if key.startswith("visual.")}


def text_heads(clip: Mapping[str, Tensor]) -> int:
    """Return how many attention heads Transf has: as many as the text tower."""
    return max(1, len(clip["ln_final.weight"]) // HEAD_WIDTH)


def sha256(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
