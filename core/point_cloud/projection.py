"""From points to pictures: PointCLIP's perspective dots, and PointCLIP V2's densified grid.

Papers: Zhang et al., CVPR 2022, https://arxiv.org/abs/2112.02413, whose released numbers are those of
ZrrSkywalker/PointCLIP at 8656f2c, trainers/mv_utils_zs.py and mv_utils_fs.py; Zhu et al., ICCV 2023,
https://arxiv.org/abs/2211.11682, yangyangyang127/PointCLIP_V2 at 0b5aee8, trainers/mv_utils_zs.py.
Different from them: any size of input, larger dots, and a look in which near is bright and hides what is far.

Clouds lie in the unit sphere with +Y up. A view turns them so that x points down the picture, y along its rows to the
right and z away from the eye; those axes are right-handed, so the released pictures are mirror images, and so are ours.
The V2 release keeps the largest z of a pixel, which for an eye on the same side as V1's is the far surface.

Legend: B clouds, N points, V views, R side of the picture that is drawn, D slices of the grid, S side of the input.
"""

import math
from dataclasses import dataclass
from functools import cache
from itertools import product

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, max_pool2d, pad

# Euler angles about x and y in degrees, those about z are all 90 (mv_utils_zs.py, mv_utils_fs.py of both releases).
SIDES = ((0, 0), (90, 0), (180, 0), (270, 0))
TOP_BOTTOM = ((0, -90), (0, 90))
TURNS_DEGREES: dict[tuple[str, int], tuple[tuple[int, int], ...]] = {
    ("v1", 6): SIDES + TOP_BOTTOM,
    ("v1", 10): SIDES + ((225, -45), (225, 45), (315, -45), (315, 45)) + TOP_BOTTOM,
    ("v2", 6): SIDES + TOP_BOTTOM,
    ("v2", 10): ((45, 0), (135, 0), (225, 0), (315, 0)) + SIDES + TOP_BOTTOM,
}
ROLL_DEGREES = 90
V2_TILT_DEGREES, V2_TILT_TOP_DEGREES = 20, 12  # a second turn about y: of the sides, and of top and bottom
V2_SHIFT = 0.5  # of x and y, as released; the bounding box takes it out again
V2_SLICES = 8
V2_FILL = 0.8  # share of the picture that the longest side takes
V2_DEPTH_BIAS = 0.2
V2_POOL = 7
V2_SIGMA_PIXELS = 3.0
NEAREST, FARTHEST = 250 / 255, 40 / 255  # as core.world.looks draws point clouds; a test compares
DOTS = (1, 3, 5)
CLOUDS_AT_ONCE = 4  # so that their pictures stay in the processor's cache
LEAST_WEIGHT = 1e-30  # below the weight of any point that a float32 can place
LOOKS = ("released", "bright")


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """How a cloud becomes pictures.

    `look` is 'released' (raw depth, as the official code feeds it) or 'bright' (0 to 1, near bright on black, to be
    normalised as the backbone's photographs are).
    """

    variant: str = "v1"  # or "v2"
    views: int = 6
    distance: float = 1.6  # from the eye to the cloud's centre; V2 has no perspective and does not mind
    resolution: int | None = 128  # side of the picture before it is resized; None draws at the input's own size
    dot_pixels: int = 1  # side of a point's dot; V2's pooling is its dot
    look: str = "released"  # or "bright"

    def __post_init__(self) -> None:
        if (self.variant, self.views) not in TURNS_DEGREES:
            raise ValueError(f"wanted variant v1 or v2 and 6 or 10 views, got {self.variant} and {self.views}")
        if self.dot_pixels not in (DOTS if self.variant == "v1" else DOTS[:1]):
            raise ValueError(f"wanted dots of 1, 3 or 5 pixels, or 1 for v2, got {self.dot_pixels} for {self.variant}")
        if self.look not in LOOKS:
            raise ValueError(f"wanted the look 'released' or 'bright', got {self.look!r}")
        if self.resolution is not None and self.resolution < V2_POOL:
            raise ValueError(f"wanted a resolution of at least {V2_POOL}, got {self.resolution}")
        if not self.distance > 0:
            raise ValueError(f"wanted a distance above 0, got {self.distance}")


RELEASED_ZERO_SHOT = ViewSettings()
RELEASED_FEW_SHOT = ViewSettings(views=10, distance=1.4, resolution=None)
BRIGHT = ViewSettings(resolution=None, look="bright")
BRIGHT_FEW_SHOT = ViewSettings(views=10, distance=1.4, resolution=None, look="bright")
V2 = ViewSettings(variant="v2", views=10, distance=1.5, resolution=112)
PRESETS = {
    "released zero-shot": RELEASED_ZERO_SHOT,
    "released few-shot": RELEASED_FEW_SHOT,
    "bright": BRIGHT,
    "bright few-shot": BRIGHT_FEW_SHOT,
    "V2": V2,
}


def project(points: Float[Tensor, "B N 3"], settings: ViewSettings, size: int) -> Float[Tensor, "B V S S"]:
    """Draw each cloud from each side, one channel, resized to `size`; depths can be differentiated, places cannot."""
    if len(points) > CLOUDS_AT_ONCE:
        return torch.cat([project(part, settings, size) for part in points.split(CLOUDS_AT_ONCE)])
    resolution = settings.resolution or size
    turned = view_points(points, settings)
    if settings.variant == "v2":
        dense = densify(depth_grid(fit_to_box(turned), resolution))
        drawn = invert(smooth(dense)) if settings.look == "released" else _bright(dense.amax(2))
    elif settings.look == "released":
        drawn = harmonic_depth(turned, resolution, settings.dot_pixels)
    else:
        drawn = nearness(turned, resolution, settings.dot_pixels)
    if drawn.shape[-1] == size:
        return drawn
    return interpolate(drawn, (size, size), mode="bilinear", align_corners=True)


def view_points(points: Float[Tensor, "B N 3"], settings: ViewSettings) -> Float[Tensor, "B V N 3"]:
    """Turn each cloud into each view: x down, y right, z away from the eye, which is at 0."""
    first, second = view_turns(settings.variant, settings.views)
    turned = first.to(points).mT @ points.mT[:, None]  # (B, V, 3, N): each axis lies in one piece of memory
    if second is not None:
        turned = second.to(points).mT @ turned
    return (turned + view_shift(settings).to(points)[:, None]).mT


@cache
def view_turns(variant: str, views: int) -> tuple[Float[Tensor, "V 3 3"], Float[Tensor, "V 3 3"] | None]:
    """Return the matrices that multiply points from the right, and V2's second ones."""
    turns = TURNS_DEGREES[variant, views]
    first = torch.stack([_rotation(a, b, ROLL_DEGREES).T for a, b in turns]).float()
    if variant == "v1":
        return first, None
    tilts = [V2_TILT_TOP_DEGREES if turn in TOP_BOTTOM else V2_TILT_DEGREES for turn in turns]
    return first, torch.stack([_rotation(0, tilt, 0).T for tilt in tilts]).float()


def view_shift(settings: ViewSettings) -> Float[Tensor, "3"]:
    """Return what is added after the turn."""
    aside = V2_SHIFT if settings.variant == "v2" else 0.0
    return torch.tensor([aside, aside, settings.distance])


def pixel_coordinates(turned: Float[Tensor, "B V N 3"], resolution: int) -> Float[Tensor, "B V N 2"]:
    """Return the row and column of each point before rounding, through a lens of 90 degrees."""
    return (turned[..., :2] / turned[..., 2:] + 1) * (resolution / 2)


def harmonic_depth(turned: Float[Tensor, "B V N 3"], resolution: int, dot_pixels: int = 1) -> Float[Tensor, "B V R R"]:
    """Return each pixel's depth, the mean of its points weighted by nearness; 0 where there is none."""
    places, inside = _dots(turned, resolution, dot_pixels)
    z = torch.where(inside, turned[..., 2][..., None, :], 1.0)
    one, weight = inside.to(z), inside / z
    counts = _empty(turned, resolution).scatter_add_(-1, places, one.flatten(2))
    weights = _empty(turned, resolution, LEAST_WEIGHT).scatter_add_(-1, places, weight.flatten(2))
    depth = counts / weights  # sum(z / z) / sum(1 / z); 0 where there is no point
    return depth.unflatten(-1, (resolution, resolution))


def nearness(turned: Float[Tensor, "B V N 3"], resolution: int, dot_pixels: int = 1) -> Float[Tensor, "B V R R"]:
    """Return the nearest point of each pixel, bright, the farthest of the view dim; 0 where there is none."""
    places, inside = _dots(turned, resolution, dot_pixels)
    values = torch.where(inside, _brightness(turned[..., 2][..., None, :], inside, (-2, -1)), 0.0)
    drawn = _empty(turned, resolution).scatter_reduce_(-1, places, values.flatten(2), "amax")
    return drawn.unflatten(-1, (resolution, resolution))


def fit_to_box(turned: Float[Tensor, "B V N 3"]) -> Float[Tensor, "B V N 3"]:
    """Centre each view on its bounding box and scale its longest side to 2, then x and y to V2's share."""
    least, most = turned.amin(2, keepdim=True), turned.amax(2, keepdim=True)
    longest = (most - least).amax(3, keepdim=True).clamp(min=1e-6)
    fitted = (turned - (least + most) / 2) / longest * 2
    return fitted * fitted.new_tensor([V2_FILL, V2_FILL, 1.0])


def depth_grid(fitted: Float[Tensor, "B V N 3"], resolution: int) -> Float[Tensor, "B V D R R"]:
    """Sort points into slices of depth; a cell keeps its largest depth, 1 to D - 2, and is 0 where it is empty."""
    places = ((fitted[..., :2] + 1) / 2 * resolution).ceil().clamp(1, resolution - 2).long()
    depth = ((fitted[..., 2] + 1) / 2 + V2_DEPTH_BIAS) / (1 + V2_DEPTH_BIAS) * (V2_SLICES - 2)
    slices = depth.ceil().clamp(1, V2_SLICES - 1).long()
    index = (slices * resolution + places[..., 0]) * resolution + places[..., 1]
    grid = fitted.new_zeros(*fitted.shape[:2], V2_SLICES * resolution**2)
    grid = grid.scatter_reduce(-1, index, depth.clamp(1, V2_SLICES - 2), "amax")
    return grid.unflatten(-1, (V2_SLICES, resolution, resolution))


def densify(grid: Float[Tensor, "B V D R R"]) -> Float[Tensor, "B V D R2 R2"]:
    """Spread each cell over V2's window within its slice; the padding takes two pixels off each side."""
    pooled = max_pool2d(grid.flatten(0, 1), V2_POOL, stride=1, padding=V2_POOL // 2 - 1)
    return pooled.unflatten(0, grid.shape[:2])


def smooth(dense: Float[Tensor, "B V D R R"]) -> Float[Tensor, "B V R R"]:
    """Blur each slice with a 3 x 3 Gaussian and keep the largest value over the slices."""
    kernel = gaussian_kernel().to(dense)[None, None]
    blurred = conv2d(pad(dense.flatten(0, 2)[:, None], (1, 1, 1, 1)), kernel)
    return blurred[:, 0].unflatten(0, dense.shape[:3]).amax(2)


def invert(depth: Float[Tensor, "B V R R"]) -> Float[Tensor, "B V R R"]:
    """Return V2's picture, 0 to 1: the view's largest depth is black, what is empty white."""
    return 1 - depth / depth.amax((-2, -1), keepdim=True)


def gaussian_kernel() -> Float[Tensor, "3 3"]:
    """Return V2's kernel, which sums to 1."""
    line = torch.exp(-(torch.arange(-1.0, 2.0) ** 2) / (2 * V2_SIGMA_PIXELS**2))
    return line[:, None] * line / line.sum() ** 2


def _rotation(*degrees: float) -> Float[Tensor, "3 3"]:
    """Return Rx Ry Rz for three angles."""
    whole = torch.eye(3, dtype=torch.float64)
    for axis, angle in enumerate(map(math.radians, degrees)):
        turn = torch.eye(3, dtype=torch.float64)
        i, j = sorted(((axis + 1) % 3, (axis + 2) % 3))
        sign = 1 if axis == 1 else -1
        turn[i, i] = turn[j, j] = math.cos(angle)
        turn[i, j], turn[j, i] = sign * math.sin(angle), -sign * math.sin(angle)
        whole = whole @ turn
    return whole


def _empty(turned: Tensor, resolution: int, value: float = 0.0) -> Float[Tensor, "B V P"]:
    return turned.new_full((*turned.shape[:2], resolution**2), value)


def _dots(
    turned: Float[Tensor, "B V N 3"], resolution: int, dot_pixels: int
) -> tuple[Int[Tensor, "B V KN"], Bool[Tensor, "B V K N"]]:
    """Return the K pixels that each point's dot covers, and which of them are on the picture, before the eye.

    What is not on it has the place 0, to which it must add nothing.
    """
    before_eye, reach = turned[..., 2] > 0, range(-(dot_pixels // 2), dot_pixels // 2 + 1)
    corner = (pixel_coordinates(turned.detach(), resolution) - 0.5).ceil()  # halves go down, as released
    row, column = corner.unbind(-1)
    places, inside = [], []
    for down, along in product(reach, reach):
        at_row, at_column = (row + down, column + along) if dot_pixels > 1 else (row, column)
        seen = (at_row >= 0) & (at_row < resolution) & (at_column >= 0) & (at_column < resolution) & before_eye
        places.append(torch.where(seen, at_row * resolution + at_column, 0.0).long())
        inside.append(seen)
    return torch.cat(places, -1), torch.stack(inside, -2)


def _brightness(z: Tensor, kept: Tensor, over: tuple[int, int]) -> Tensor:
    """Return FARTHEST to NEAREST between the largest and smallest depth that is kept."""
    far = torch.where(kept, z, -torch.inf).amax(over, keepdim=True)
    near = torch.where(kept, z, torch.inf).amin(over, keepdim=True)
    return FARTHEST + (NEAREST - FARTHEST) * (far - z) / (far - near).clamp(min=1e-6)


def _bright(depth: Float[Tensor, "B V R R"]) -> Float[Tensor, "B V R R"]:
    return torch.where(depth > 0, _brightness(depth, depth > 0, (-2, -1)), 0.0)
