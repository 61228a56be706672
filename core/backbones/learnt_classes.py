"""Class vectors that were learnt from pictures: they stand where a CLIP's sentences stand, for the same comparison.

A file of them is a CLIP's own with three tensors besides. Whoever asks for just these classes is answered by the
learnt vectors; any other word is a sentence as always.

Legend: C classes, D embedding size.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

PREFIX = "classes."


class LearntClasses(nn.Module):
    """C names with a unit vector each, and the factor on their cosines."""

    def __init__(self, names: Sequence[str], vectors: Float[Tensor, "C D"], scale: float) -> None:
        super().__init__()
        self.register_buffer("names", torch.tensor(list("\n".join(names).encode()), dtype=torch.uint8))
        self.register_buffer("vectors", vectors)
        self.register_buffer("scale", torch.tensor(float(scale)))

    @property
    def labels(self) -> tuple[str, ...]:
        """The names, in the order of their vectors."""
        return tuple(bytes(self.names.tolist()).decode().split("\n"))

    def known(self, labels: Sequence[str]) -> bool:
        """Say whether every one of some labels is a learnt class."""
        own = set(map(_plain, self.labels))
        return bool(labels) and all(_plain(label) in own for label in labels)

    def of(self, labels: Sequence[str]) -> Float[Tensor, "L D"]:
        """Return the vectors of labels that are known."""
        places = {_plain(name): place for place, name in enumerate(self.labels)}
        return self.vectors[[places[_plain(label)] for label in labels]]


def taken_out(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], LearntClasses | None]:
    """Return a file's tensors without those of learnt classes, and these where there are any."""
    plain = {key: value for key, value in tensors.items() if not key.startswith(PREFIX)}
    if len(plain) == len(tensors):
        return plain, None
    names = bytes(tensors[f"{PREFIX}names"].tolist()).decode().split("\n")
    scale = float(tensors[f"{PREFIX}scale"])
    return plain, LearntClasses(names, tensors[f"{PREFIX}vectors"].float(), scale)


def _plain(label: str) -> str:
    return " ".join(label.lower().split())
