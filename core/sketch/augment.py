"""The view of a drawing changes a little at every step, so that it must be right and not only right for the network.

Papers: Frans et al. 2021, CLIPDraw, Sec. 3, https://arxiv.org/abs/2106.14843; Vinker et al. 2022, CLIPasso, Sec. 3.3,
https://arxiv.org/abs/2202.05822. Both draw a random perspective (torchvision's RandomPerspective, distortion 0.5) and
then a random square crop. Different from them: the two are one map from output to input pixels, so that a picture is
interpolated once and not twice, and a whole batch of views is drawn at once.

Legend: V views, B pictures, S side in pixels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Views:
    """How views are drawn."""

    distortion: float = 0.5  # each corner moves inwards by at most this share of half a side
    crop: tuple[float, float] = (0.8, 0.8)  # least and greatest share of the area that a crop keeps
    fill: float = 0.0  # what shows beyond the picture's edge: black in CLIPasso, white in CLIPDraw


CLIPASSO_VIEWS = Views()  # painter and loss of CLIPasso: black corners, on sketch and picture alike
CLIPDRAW_VIEWS = Views(crop=(0.7, 0.9), fill=1.0)


def draw_views(count: int, size: int, views: Views, generator: torch.Generator) -> Float[Tensor, "V 3 3"]:
    """Draw maps from places in a view to places in the picture, both S by S, (0, 0) the corner of the first pixel."""
    shift = views.distortion * size / 2 * torch.rand(count, 4, 2, generator=generator)  # inwards, per corner
    last = float(size - 1)  # torchvision's corner: the edge less one
    corners = torch.tensor([[0.0, 0.0], [last, 0.0], [last, last], [0.0, last]])
    inwards = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    perspective = homographies((corners + inwards * shift).double(), corners.double().expand(count, 4, 2))
    low, high = views.crop
    side = (low + (high - low) * torch.rand(count, generator=generator)).sqrt()  # against the picture's
    crop = torch.zeros(count, 3, 3, dtype=torch.float64)
    crop[:, 0, 0] = crop[:, 1, 1] = side
    crop[:, :2, 2] = size * (1 - side)[:, None] * torch.rand(count, 2, generator=generator)
    crop[:, 2, 2] = 1
    return (perspective @ crop).float()


def homographies(source: Float[Tensor, "V 4 2"], target: Float[Tensor, "V 4 2"]) -> Float[Tensor, "V 3 3"]:
    """Return the perspective maps that take four source points to four target points."""
    x, y = source.unbind(-1)  # (V, 4)
    u, v = target.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    across = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1)
    down = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1)
    solved = torch.linalg.solve(torch.cat([across, down], dim=1), torch.cat([u, v], dim=1))  # (V, 8)
    return torch.cat([solved, torch.ones_like(solved[:, :1])], dim=1).reshape(-1, 3, 3)


def show(
    pictures: Float[Tensor, "B C S S"], maps: Float[Tensor, "V 3 3"], *, fill: float
) -> Float[Tensor, "B*V C S S"]:
    """Return every view of every picture, the views of one picture one after another."""
    count, size = len(pictures), pictures.shape[-1]
    centres = torch.arange(size, dtype=torch.float32, device=pictures.device) + 0.5
    rows, columns = torch.meshgrid(centres, centres, indexing="ij")
    places = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1)  # (S, S, 3)
    mapped = torch.einsum("vij,yxj->vyxi", maps.to(pictures.device), places)
    grid = 2 * mapped[..., :2] / mapped[..., 2:] / size - 1  # (V, S, S, 2), as grid_sample counts
    grid = grid.repeat(count, 1, 1, 1)
    source = (pictures - fill).repeat_interleave(len(maps), 0)  # beyond the edge grid_sample gives 0
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=False) + fill
