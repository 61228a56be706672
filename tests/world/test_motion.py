"""Clips: reversal, direction and truth, against positions known by hand."""

import numpy as np
import pytest

from core.world.motion import ACTIONS, clip, partner


@pytest.mark.parametrize("action", ACTIONS)
def test_played_backwards_a_clip_is_the_clip_of_its_partner(action):
    one, other = (clip(3, name, frames=4, size=32) for name in (action, partner(action)))
    assert np.array_equal(one.film.frames[::-1], other.film.frames)
    assert not np.array_equal(one.film.frames, other.film.frames)


def centres(action: str, seed: int) -> np.ndarray:
    boxes = [view.boxes.boxes_xyxy[0] for view in clip(seed, action, frames=3, size=48).views]
    return np.array([((x0 + x1) / 2, (y0 + y1) / 2) for x0, y0, x1, y1 in boxes])


@pytest.mark.parametrize("seed", range(3))
def test_left_right_up_and_down_are_the_viewers(seed):
    assert (np.diff(centres("moving to the left", seed)[:, 0]) < 0).all()
    assert (np.diff(centres("moving to the right", seed)[:, 0]) > 0).all()
    assert (np.diff(centres("rising", seed)[:, 1]) < 0).all()
    assert (np.diff(centres("falling", seed)[:, 1]) > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_what_approaches_comes_nearer_and_what_grows_gets_larger(seed):
    near = [float(view.depth.metres[view.instances.mask(0)].mean()) for view in clip(seed, "approaching").views]
    assert (np.diff(near) < 0).all()
    sizes = [view.scene.things[0].size_metres for view in clip(seed, "growing").views]
    assert sizes[-1] == pytest.approx(3 * sizes[0])


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_sinks_into_the_ground(action):
    for seed in range(3):
        lows = [view.scene.things[0].corners()[:, 2].min() for view in clip(seed, action, frames=5, size=16).views]
        if clip(seed, action, frames=2, size=16).views[0].scene.things[0].category not in (
            "ball",
            "dumbbell",
        ):
            assert min(lows) > -1e-6


def test_sentences_name_the_thing_and_the_action():
    made = clip(5, "tipping over", frames=2, size=16)
    thing = made.views[0].scene.things[0]
    assert made.sentences[1].endswith(f"{thing.color} {thing.category} tipping over")


def test_an_unknown_action_is_refused():
    with pytest.raises(ValueError, match="wanted one of"):
        clip(0, "dancing")


def test_frames_are_shown_at_their_seconds():
    assert clip(0, "rising", frames=4, size=16).film.seconds.tolist() == [0, 0.125, 0.25, 0.375]
