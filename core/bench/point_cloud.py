"""How fast clouds become pictures, and how long a large scan takes from the file to its name."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from core.bench.measure import paired, report

CLOUDS, POINTS, SIZE = 64, 1024, 64
SCAN_POINTS = 1_000_000
LABELS = ("chair", "table", "lamp", "car", "airplane", "boat", "house", "tree", "mug", "bottle")


def projection() -> dict[str, Any]:
    """Draw 64 clouds of 1,024 points from six sides at once, against one cloud and one side after another.

    The ratio is that of the embedded weights' look; beside it stand the released one at its own resolution, and the
    same with the resizing to a network's input, which both ways do alike.
    """
    from core.point_cloud.projection import BRIGHT, RELEASED_ZERO_SHOT

    found = _at_once(BRIGHT, SIZE)
    released, resized = _at_once(RELEASED_ZERO_SHOT, RELEASED_ZERO_SHOT.resolution), _at_once(RELEASED_ZERO_SHOT, SIZE)
    return found | {"ratio_released": released["ratio"], "ratio_released_resized": resized["ratio"]}


def _at_once(settings: Any, size: int) -> dict[str, Any]:
    import torch
    from torch.nn.functional import interpolate

    from core.point_cloud.projection import harmonic_depth, nearness, project, view_shift, view_turns

    points = torch.rand(CLOUDS, POINTS, 3, generator=torch.Generator().manual_seed(0)) * 1.1 - 0.55
    draw = harmonic_depth if settings.look == "released" else nearness

    def one_by_one() -> torch.Tensor:
        turns, _ = view_turns(settings.variant, settings.views)
        clouds = []
        for cloud in points:
            sides = []
            for turn in turns:
                drawn = draw((cloud @ turn + view_shift(settings))[None, None], settings.resolution or size)
                if drawn.shape[-1] != size:
                    drawn = interpolate(drawn, (size, size), mode="bilinear", align_corners=True)
                sides.append(drawn)
            clouds.append(torch.cat(sides, dim=1))
        return torch.cat(clouds)

    together = lambda: project(points, settings, size)  # noqa: E731
    difference = float((together() - one_by_one()).abs().max())
    found = report(*paired(together, one_by_one, repeats=7), "a loop over clouds and sides")
    return found | {"largest_difference": difference}


def scan() -> dict[str, Any]:
    """Load, thin and classify a PLY of a million points, against trimesh loading it and its numbers being read.

    The ratio is ours over it. `ratio_unread` is the same over trimesh.load alone, `ratio_reading` over the app's own
    reading of every point, which also looks for what is not a number and sets them upright.
    """
    import trimesh

    from core import registry
    from core.media3d import read_cloud, read_whole_cloud

    model = registry.load("pointclip")
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(SCAN_POINTS, 3))
    points = directions / np.linalg.norm(directions, axis=1, keepdims=True) * (1, 0.7, 0.5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.ply"
        trimesh.PointCloud(points.astype(np.float32)).export(path)
        whole = lambda: model.classify(read_cloud(path), LABELS, settings=model.default_settings)  # noqa: E731
        ours, loading = paired(whole, lambda: np.asarray(trimesh.load(path).vertices).sum(), repeats=9)
        others = {"unread": lambda: trimesh.load(path), "reading": lambda: read_whole_cloud(path)}
        ratios = {
            f"ratio_{name}": report(*paired(whole, other, repeats=9), name, inverse=True)["ratio"]
            for name, other in others.items()
        }
    found = report(ours, loading, "trimesh loading the same file", inverse=True)
    return found | {"points": SCAN_POINTS} | ratios
