"""Other looks of the same scene, as the web has them: line drawing, silhouette, depth map, projected point cloud."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from core.world.render import Tracer, View, crease_edges, render, surface_cloud
from core.world.scene import Camera, Scene

LINE_SAMPLES = 2  # a line drawing is made this many times larger and averaged down
NEAREST, FARTHEST = 250, 40  # grey of the nearest and farthest point in a depth picture
DOT_POINTS = 1024


def photo(scene: Scene, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return the scene in colour."""
    return render(scene, (size, size)).rgb


def line_drawing(scene: Scene, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return dark lines on white where one thing, part or face ends."""
    size_hw = (size * LINE_SAMPLES, size * LINE_SAMPLES)
    edges = crease_edges(Tracer(scene).cast(scene.camera.rays(size_hw)), size_hw)
    ink = edges.reshape(size, LINE_SAMPLES, size, LINE_SAMPLES).mean((1, 3))
    return _grey(255 * (1 - np.clip(1.4 * ink, 0, 1)))


def silhouette(scene: Scene, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return the things in black on white."""
    hits = Tracer(scene).cast(scene.camera.rays((size, size)))
    return _grey(np.where(hits.things >= 0, 20, 255).reshape(size, size))


def depth_picture(scene: Scene, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return depth as grey: near is bright, the sky black."""
    hits = Tracer(scene).cast(scene.camera.rays((size, size)))
    nearness = np.where(np.isfinite(hits.metres), 1 / np.maximum(hits.metres, 1e-3), 0)
    nearest = nearness[hits.things >= 0].max(initial=nearness.max())
    return _grey((NEAREST * nearness / max(nearest, 1e-6)).reshape(size, size))


def cloud_picture(scene: Scene, size: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return the things as projected points on black, near ones bright, as PointCLIP sees them."""
    rng = np.random.default_rng(0)
    clouds = [surface_cloud(thing, DOT_POINTS, rng).points for thing in scene.things]
    picture = np.zeros((size, size))
    if clouds:
        _dot(picture, np.concatenate(clouds), scene.camera)
    return _grey(picture)


LOOKS: dict[str, Callable[[Scene, int], UInt8[np.ndarray, "H W 3"]]] = {
    "photo": photo,
    "line drawing": line_drawing,
    "silhouette": silhouette,
    "depth map": depth_picture,
    "point cloud": cloud_picture,
}


def view_as(view: View, look: str) -> UInt8[np.ndarray, "H W 3"]:
    """Return another look of a rendered view at its own size; ValueError for a look that does not exist."""
    if look not in LOOKS:
        raise ValueError(f"wanted one of {', '.join(LOOKS)}, got {look!r}")
    return view.rgb if look == "photo" else LOOKS[look](view.scene, min(view.rgb.shape[:2]))


def _dot(picture: np.ndarray, points: np.ndarray, camera: Camera) -> None:
    """Mark each point's pixel with its nearness; the nearest point wins."""
    size_hw = picture.shape
    x, y, metres = camera.project(points, size_hw).T
    inside = (metres > 0) & (x >= 0) & (x < size_hw[1]) & (y >= 0) & (y < size_hw[0])
    if not inside.any():
        return
    span = max(float(np.ptp(metres[inside])), 1e-6)
    nearness = (metres[inside].max() - metres[inside]) / span
    spot = (y[inside].astype(int), x[inside].astype(int))
    np.maximum.at(picture, spot, FARTHEST + (NEAREST - FARTHEST) * nearness)


def _grey(values: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
