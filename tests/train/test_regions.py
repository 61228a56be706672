"""Regions that pixels alone propose: found on the Toybox, told apart, and squares around them."""

import numpy as np

from core.train import regions
from core.train.regions import foreground, separate, square
from core.world.picture import picture


def test_the_foreground_is_most_of_what_stands_on_the_ground():
    both = either = 0
    for seed in range(12):
        view = picture(33_000_000 + seed, 128, count=1 + seed % 3, samples=1)
        things, found = view.categories.ids >= 0, foreground(view.rgb)
        both, either = both + (things & found).sum(), either + (things | found).sum()
    assert both / either > 0.6  # all of the picture: 0.1


def test_a_picture_of_one_colour_has_no_foreground():
    assert not foreground(np.full((48, 48, 3), 90, np.uint8)).any()


def test_regions_are_the_largest_connected_ones():
    mask = np.zeros((2, 6, 6), bool)
    mask[0, 0, :2] = mask[0, 3:5, 3:6] = True
    mask[1, 5, 5] = True
    found = separate(mask, least=2)
    assert [(index, int(region.sum())) for index, region in found] == [(0, 6), (0, 2)]


def test_the_square_around_a_region_is_centred_on_it(monkeypatch):
    monkeypatch.setattr(regions, "MARGIN", 1.0)
    mask = np.zeros((8, 8), bool)
    mask[0:2, 4:8] = True
    assert square(mask).tolist() == [[0.5, 0, 0.5], [0, 0.5, -0.75]]
