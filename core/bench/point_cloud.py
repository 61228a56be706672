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
    """Draw 64 clouds of 1,024 points from six sides at once, against one cloud and one side after another."""
    import torch
    from torch.nn.functional import interpolate

    from core.point_cloud.projection import RELEASED_ZERO_SHOT, harmonic_depth, project, view_shift, view_turns

    points = torch.rand(CLOUDS, POINTS, 3, generator=torch.Generator().manual_seed(0)) * 1.1 - 0.55
    settings, side = RELEASED_ZERO_SHOT, RELEASED_ZERO_SHOT.resolution or SIZE

    def one_by_one() -> torch.Tensor:
        turns, _ = view_turns(settings.variant, settings.views)
        clouds = []
        for cloud in points:
            sides = []
            for turn in turns:
                turned = cloud @ turn + view_shift(settings)
                drawn = harmonic_depth(turned[None, None], side)
                sides.append(interpolate(drawn, (SIZE, SIZE), mode="bilinear", align_corners=True))
            clouds.append(torch.cat(sides, dim=1))
        return torch.cat(clouds)

    together = lambda: project(points, settings, SIZE)  # noqa: E731
    difference = float((together() - one_by_one()).abs().max())
    found = report(*paired(together, one_by_one, repeats=7), "a loop over clouds and sides")
    return found | {"largest_difference": difference}


def scan() -> dict[str, Any]:
    """Load, thin and classify a PLY of a million points, against loading it with trimesh; the ratio is ours over it."""
    import trimesh

    from core import registry
    from core.media3d import read_cloud

    model = registry.load("pointclip")
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(SCAN_POINTS, 3))
    points = directions / np.linalg.norm(directions, axis=1, keepdims=True) * (1, 0.7, 0.5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.ply"
        trimesh.PointCloud(points.astype(np.float32)).export(path)
        ours, loading = paired(
            lambda: model.classify(read_cloud(path), LABELS, settings=model.default_settings),
            lambda: np.asarray(trimesh.load(path).vertices).sum(),
            repeats=5,
        )
    return report(ours, loading, "trimesh loading the same file", inverse=True) | {"points": SCAN_POINTS}
