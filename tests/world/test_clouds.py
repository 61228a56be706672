"""A thing's cloud has its points on its surface, upright."""

import numpy as np

from core.world.clouds import sample_cloud
from core.world.shapes import shape


def test_a_cloud_stands_on_the_ground_and_is_as_tall_as_its_thing():
    cloud, name = sample_cloud(np.random.default_rng(1), "table", count=2000)
    assert name == "table"
    assert cloud.points.shape == (2000, 3)
    assert abs(cloud.points[:, 2].min()) < 0.01
    assert abs(cloud.points[:, 2].max() - shape("table").vertices[:, 2].max()) < 0.01


def test_the_same_generator_gives_the_same_points():
    first, second = (sample_cloud(np.random.default_rng(5)) for _ in range(2))
    assert first[1] == second[1]
    assert np.array_equal(first[0].points, second[0].points)
