"""The object on white: by a mask, by GrabCut, or not at all."""

import numpy as np
import pytest

from core.sketch.cutout import cut_out, is_on_paper, on_white


def disc_on_grass() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a red disc on noisy green, its mask, and a saliency that is blurred and off its centre."""
    rows, columns = np.mgrid[:96, :96]
    mask = (rows - 48) ** 2 + (columns - 44) ** 2 < 22**2
    picture = np.random.default_rng(0).integers(-20, 20, (96, 96, 3)) + np.where(
        mask[..., None], (200, 40, 40), (60, 140, 60)
    )
    saliency = np.exp(-((rows - 44) ** 2 + (columns - 50) ** 2) / (2 * 16**2)).astype(np.float32)
    return picture.clip(0, 255).astype(np.uint8), mask, saliency


def test_grabcut_finds_the_disc_from_a_rough_saliency():
    picture, mask, saliency = disc_on_grass()
    found = cut_out(picture, saliency)
    assert found.how == "grabcut"
    assert (found.mask & mask).sum() / (found.mask | mask).sum() > 0.9
    assert (found.picture[~found.mask] == 255).all()
    assert (found.picture[found.mask] == picture[found.mask]).all()
    assert (cut_out(picture, saliency).mask == found.mask).all()


def test_a_mask_from_elsewhere_takes_its_place():
    picture, mask, saliency = disc_on_grass()
    found = cut_out(picture, saliency, mask)
    assert found.how == "given"
    assert (found.mask == mask).all()
    with pytest.raises(ValueError, match="mask of the picture's size"):
        on_white(picture, mask[:50])


def test_what_is_on_white_already_stays_as_it_is():
    picture, mask, saliency = disc_on_grass()
    paper = on_white(picture, mask)
    assert is_on_paper(paper)
    assert not is_on_paper(picture)
    found = cut_out(paper, saliency)
    assert found.how == "paper"
    assert (found.picture == paper).all()
    assert (found.mask == mask).all()


def test_where_no_object_can_be_told_apart_nothing_is_cut():
    picture = np.full((40, 40, 3), 90, np.uint8)
    found = cut_out(picture, np.zeros((40, 40), np.float32))
    assert found.how == "failed"
    assert found.mask.all()
    assert (found.picture == picture).all()


def test_the_given_picture_is_not_written_to():
    picture, _, saliency = disc_on_grass()
    before = picture.copy()
    cut_out(picture, saliency)
    assert (picture == before).all()
