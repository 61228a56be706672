"""Clips put together from motions: what a reversal shows and says."""

import numpy as np
import pytest

from core.world.clips import backwards, caption, event_at_end, gallery, opposite, reversal_pairs
from core.world.motion import ACTIONS, clip


@pytest.mark.parametrize("action", ACTIONS)
def test_a_clip_backwards_is_the_clip_of_the_opposite_action(action):
    for seed in range(4):
        turned = backwards(clip(seed, action, frames=3, size=16))
        drawn = clip(seed, turned.action, frames=3, size=16)
        assert turned.sentences == drawn.sentences
        assert np.array_equal(turned.film.frames, drawn.film.frames)


def test_what_rolls_goes_on_rolling():
    assert opposite("a red ball rolling to the left", "moving to the left") == "a red ball rolling to the right"
    with pytest.raises(ValueError, match="wanted a sentence that ends in 'rising'"):
        opposite("a red ball", "rising")


def test_before_an_event_at_the_end_nothing_moves():
    shown = clip(0, "rising", frames=3, size=16)
    longer = event_at_end(shown, 4)
    assert len(longer.film.frames) == len(longer.views) == 7
    assert (longer.film.frames[:5] == shown.film.frames[0]).all()
    assert np.array_equal(longer.film.frames[4:], shown.film.frames)
    with pytest.raises(ValueError, match="at least 0 still frames"):
        event_at_end(shown, -1)


def test_a_gallery_has_no_sentence_twice():
    shown = list(gallery(0, 40, frames=2, size=8))
    assert len({caption(each) for each in shown}) == 40
    assert {each.action for each in shown} == set(ACTIONS)
    with pytest.raises(ValueError, match="wanted 1 to 1000 clips"):
        list(gallery(0, 0))


def test_reversal_pairs_hold_the_same_frames():
    for first, second in reversal_pairs(0, 8, frames=2, size=8):
        assert np.array_equal(first.film.frames, second.film.frames[::-1])
        assert caption(first) != caption(second)
