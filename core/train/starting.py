"""Going on from weights of the same architecture, whose pictures may have been of another size.

What depends on that size are tables of places only, and these are stretched: SAM's grid of places and its relative
places (the package does the latter itself for other pictures, segment_anything/modeling/image_encoder.py:
get_rel_pos), a ViT's flat places with the class token's first.

Legend: h w the grid of patches, C channels.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core import checkpoints


def go_on_from(model: nn.Module, system: str, name: str, *, apart: str | None = None) -> None:
    """Put a system's weights, by name or file, into a network; names that begin with `apart` stay as they are.

    Raises ValueError where a tensor is missing or has another shape.
    """
    tensors = checkpoints.read_tensors(checkpoints.fetch(checkpoints.resolve(system, name)))
    found = {}
    for key, own in model.state_dict().items():
        if apart is not None and key.startswith(apart):
            continue
        if key not in tensors:
            raise ValueError(f"Wanted weights of this recipe's architecture to go on from; {name} has no {key}.")
        found[key] = stretched(tensors[key].float(), own.shape)
        if found[key].shape != own.shape:
            raise ValueError(f"Wanted weights of this recipe's sizes to go on from; {name} differs in {key}.")
    model.load_state_dict(found, strict=False)


def licence_of(system: str, name: str) -> str:
    """Return the licence of weights that a run goes on from, which what it leaves is under too."""
    return checkpoints.resolve(system, name).licence


def stretched(table: Float[Tensor, "..."], shape: torch.Size) -> Float[Tensor, "..."]:
    """Return a table of places (1 h w C), (2h-1 C) or (1 1+h*h C) for another grid; any other tensor as it is."""
    if table.shape == shape or table.ndim != len(shape) or table.shape[-1] != shape[-1]:
        return table
    if table.ndim == 4:
        return _grid(table, shape[1], shape[2])
    if table.ndim == 2:
        return F.interpolate(table.T[None], shape[0], mode="linear", align_corners=True)[0].T
    if table.ndim == 3:
        old, new = (round((length - 1) ** 0.5) for length in (table.shape[1], shape[1]))
        grid = _grid(table[:, 1:].unflatten(1, (old, old)), new, new)
        return torch.cat([table[:, :1], grid.flatten(1, 2)], 1)
    return table


def _grid(table: Float[Tensor, "1 h w C"], height: int, width: int) -> Float[Tensor, "1 _ _ C"]:
    moved = F.interpolate(table.permute(0, 3, 1, 2), (height, width), mode="bicubic", align_corners=False)
    return moved.permute(0, 2, 3, 1)
