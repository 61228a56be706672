"""Sentences are true: every word is checked against positions, pixels and the scene."""

import re

import numpy as np
import pytest

from core.world.captions import (
    COUNTS,
    DISTANCE_METRES,
    FRAMES,
    LOOK_FRAMES,
    PLURALS,
    describe,
    distance_word,
    noun_phrase,
    relation,
    sentences,
    shown,
    size_word,
)
from core.world.looks import LOOKS
from core.world.picture import picture
from core.world.render import View, render
from core.world.scene import COLORS, GROUNDS, PATTERNS, SKIES, Camera, Scene, Thing
from core.world.shapes import CATEGORIES

OPPOSITE = {
    "to the left of": "to the right of",
    "in front of": "behind",
    "on": "under",
}
OPPOSITE |= {other: word for word, other in OPPOSITE.items()}
LEVEL = Camera(eye=(0, 0, 1.5), target=(1, 0, 1.2), fov_degrees=60)
NOUN = re.compile(rf"(small |big )?({'|'.join(PATTERNS[1:])})? ?({'|'.join(COLORS)})? ?\b({'|'.join(CATEGORIES)})\b")


def two(first: dict, second: dict, size_hw: tuple[int, int] = (96, 96)) -> View:
    """Render a red cube and a blue ball before a camera that looks along +x, where left is +y."""
    things = (
        Thing(category="cube", color="red", **first),
        Thing(category="ball", color="blue", **second),
    )
    return render(Scene(things=things, camera=LEVEL, ground="sand", sky="a sunset sky"), size_hw, samples=1)


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ((6, 1.5, 0), (6, -1.5, 0), "to the left of"),
        ((6, -1.5, 0), (6, 1.5, 0), "to the right of"),
        ((4, 0.3, 0), (7, -0.3, 0), "in front of"),
        ((7, -0.3, 0), (4, 0.3, 0), "behind"),
        ((6, 0, 1), (6, 0, 0), "on"),
        ((6, 0, 0), (6, 0, 1), "under"),
    ],
)
def test_a_relation_is_the_viewers(first, second, wanted):
    view = two({"position": first}, {"position": second})
    assert relation(view, 0, 1) == wanted
    assert relation(view, 1, 0) == OPPOSITE[wanted]
    assert f"a red cube {wanted} a blue ball" in sentences(view)


def middle(view: View, index: int) -> np.ndarray:
    """Return a thing's middle in the camera frame: right, down, forward, metres."""
    corners = view.scene.things[index].corners()
    return view.camera.axes @ (corners.mean(0) - np.array(view.camera.eye))


@pytest.fixture(scope="module")
def views() -> list[View]:
    return [picture(seed, 64, count=2 + seed % 4, samples=1) for seed in range(60)]


def test_relations_in_sampled_scenes_hold_in_three_dimensions(views):
    found = set()
    for view in views:
        for i in shown(view):
            for j in set(shown(view)) - {i}:
                word = relation(view, i, j)
                assert relation(view, j, i) == OPPOSITE.get(word)
                (ax, _, az), (bx, _, bz) = middle(view, i), middle(view, j)
                a, b = view.scene.things[i], view.scene.things[j]
                truth = {
                    None: True,
                    "to the left of": ax / az < bx / bz,
                    "to the right of": ax / az > bx / bz,
                    "in front of": az < bz,
                    "behind": az > bz,
                    "on": a.position[2] == pytest.approx(b.top_metres),
                    "under": b.position[2] == pytest.approx(a.top_metres),
                }
                assert truth[word], (view.scene, i, j, word)
                found.add(word)
    assert found >= {"to the left of", "to the right of", "in front of", "behind"}


def test_every_noun_in_a_sentence_is_a_thing_that_shows(views):
    for view in views:
        things = [view.scene.things[i] for i in shown(view)]
        for sentence in sentences(view):
            plain = sentence.split(" with the word ")[0].split(" that is ")[0]
            plain = re.sub(rf" (on|under) ({'|'.join([*GROUNDS, *SKIES])})$", "", plain)
            if plain.split()[0] in COUNTS:
                continue
            nouns = NOUN.findall(plain)
            assert nouns, sentence
            for size, pattern, color, category in nouns:
                assert any(
                    thing.category == category
                    and color in ("", thing.color)
                    and pattern in ("", thing.pattern)
                    and size.strip() in ("", size_word(thing.size_metres))
                    for thing in things
                ), (sentence, things)


def test_counts_are_those_of_the_things_that_show(views):
    counted = 0
    for view in views:
        kinds = [view.scene.things[i].category for i in shown(view)]
        for sentence in sentences(view):
            word, *rest = sentence.split()
            if word in COUNTS:
                counted += 1
                plurals = {PLURALS.get(kind, f"{kind}s"): kind for kind in kinds}
                assert kinds.count(plurals[" ".join(rest)]) == COUNTS.index(word)
    assert counted > 0


def test_ground_sky_and_distance_are_the_scenes(views):
    for view in views:
        text = " | ".join(sentences(view))
        assert set(re.findall(rf"\b({'|'.join(GROUNDS)})\b", text)) <= {view.scene.ground}
        assert set(re.findall(rf"\b({'|'.join(SKIES)})\b", text)) <= {view.scene.sky}
        for i in shown(view):
            word = distance_word(middle(view, i)[2])
            assert f"{noun_phrase(view, i)} that is {word}" in sentences(view)


def test_the_words_for_distance_follow_the_metres():
    assert [distance_word(metres) for metres in (0.5, 1.5, 3, 4, 7, 10, 90)] == list(DISTANCE_METRES)


@pytest.mark.parametrize(("metres", "word"), [(0.5, "small"), (0.8, "small"), (1.2, ""), (1.7, "big")])
def test_the_words_for_size_follow_the_metres(metres, word):
    assert size_word(metres) == word


def test_nouns_carry_their_attributes_and_the_right_article():
    scene = Scene(things=(Thing(category="airplane", color="orange", pattern="striped", size_metres=2),), camera=LEVEL)
    view = render(scene, (8, 8))
    assert noun_phrase(view, 0) == "an orange airplane"
    assert noun_phrase(view, 0, color=False) == "an airplane"
    assert noun_phrase(view, 0, pattern=True, size=True) == "a big striped orange airplane"


def test_what_is_hidden_or_tiny_is_not_spoken_of():
    behind = two({"position": (4, 0, 0), "size_metres": 2}, {"position": (9, 0, 0), "size_metres": 0.5})
    assert shown(behind) == (0,)
    far = two({"position": (4, 0, 0)}, {"position": (300, 20, 0)})
    assert not [sentence for sentence in sentences(far) if "ball" in sentence]


def test_two_of_a_kind_are_counted():
    things = tuple(
        Thing(category="person", color=color, position=(5, y, 0))
        for color, y in (("red", 1), ("blue", -1), ("green", 0))
    )
    view = render(Scene(things=things, camera=LEVEL), (64, 64), samples=1)
    assert "three people" in sentences(view)


def test_painted_text_is_read_out():
    view = two({"position": (5, 1, 0), "text": "dog"}, {"position": (5, -1, 0)})
    assert "a red cube with the word dog on it" in sentences(view)
    assert not [sentence for sentence in sentences(view) if "ball with the word" in sentence]


def test_an_empty_scene_says_so():
    view = render(Scene(things=(), camera=LEVEL), (16, 16))
    assert sentences(view) == ()
    assert describe(view, np.random.default_rng(0)) == "an empty scene"


@pytest.mark.parametrize("look", LOOKS)
def test_a_random_description_is_a_true_sentence_in_a_frame(look):
    rng = np.random.default_rng(0)
    frames = FRAMES if look == "photo" else LOOK_FRAMES[look]
    for seed in range(12):
        view = picture(seed, 48, samples=1)
        kinds = {view.scene.things[i].category for i in shown(view)}
        said = {describe(view, rng, look) for _ in range(20)}
        for text in said:
            assert any(re.fullmatch(re.escape(frame).replace(r"\{\}", "(.+)"), text) for frame in frames), text
            named = re.findall(rf"\b({'|'.join(CATEGORIES)})s?\b", text)
            assert set(named) <= kinds, text
        if look != "photo":
            colored = "|".join(color for color in COLORS if color != "black")  # "a black shape of"
            assert not [text for text in said if re.search(rf"\b({colored})\b", text)]
        else:
            assert len(said) > 5
