"""GLIP-T at its full size against the promises of its speed."""

import pytest

from core.bench import glip


@pytest.mark.slow
def test_glip_t_is_at_least_as_fast_as_grounding_dino_and_new_words_cost_less(monkeypatch):
    monkeypatch.setattr(glip, "REPEATS", 1)
    monkeypatch.setattr(glip, "SHORT_SIDE", 320)
    assert glip.glip_picture()["ratio"] >= 1
    assert glip.glip_new_words()["ratio"] < 0.95


def test_the_rivals_are_asked_the_same_words_and_know_them_all():
    words = glip._words()
    assert all(part in words for word in (*glip.WORDS, *glip.NEW_WORDS) for part in word.split())
    assert glip._picture().shape == (*glip.PICTURE_HW, 3)
