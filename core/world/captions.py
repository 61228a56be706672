"""True sentences about a view: objects, attributes, counts, relations, distance, place and look.

A sentence speaks only of things that show: at least MIN_SHARE of the picture. Left and right are the viewer's.
"""

import numpy as np
from jaxtyping import Float

from core.world.render import View
from core.world.scene import SIZES

MIN_SHARE = 0.002  # of the picture's pixels, below which a thing is not spoken of
SIDE_SHARE = 0.12  # of the picture's width between two centres before one is 'left of' the other
FRONT_METRES = 0.5  # between two depths before one is 'in front of' the other
FRAMES = (  # around a noun phrase
    "{}",
    "{}.",
    "a picture of {}",
    "a photo of {}",
    "a photo of {}.",
    "a rendering of {}",
    "an image of {}",
    "a toy world with {}",
    "there is {}",
    "this is {}",
    "a close-up of {}",
    "a good photo of {}",
    "a cropped photo of {}",
)
LOOK_FRAMES: dict[str, tuple[str, ...]] = {
    "line drawing": ("a line drawing of {}", "a sketch of {}", "a drawing of {}"),
    "silhouette": ("a silhouette of {}", "the shadow of {}", "a black shape of {}"),
    "depth map": ("a depth map of {}", "a depth image of {}", "a grayscale depth map of {}"),
    "point cloud": (
        "a point cloud of {}",
        "a point cloud depth map of {}",
        "a scatter of points in the shape of {}",
    ),
}
# DepthCLIP's seven words (Zhang et al. 2022, Sec. 3.2); the upper ends of their ranges here, in Toybox metres
DISTANCE_METRES: dict[str, float] = {
    "giant": 1.2,
    "extremely close": 2.0,
    "close": 3.2,
    "not in distance": 5.0,
    "a little remote": 8.0,
    "far": 14.0,
    "unseen": float("inf"),
}
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PLURALS = {"person": "people"}


def shown(view: View) -> tuple[int, ...]:
    """Return the things large enough to speak of, by index, largest first."""
    counts = {index: int(view.instances.mask(index).sum()) for index in view.visible}
    least = MIN_SHARE * view.instances.ids.size
    return tuple(sorted((i for i in counts if counts[i] >= least), key=lambda i: -counts[i]))


def noun_phrase(view: View, index: int, *, color: bool = True, pattern: bool = False, size: bool = False) -> str:
    """Name one thing: 'a big striped red ball'."""
    thing = view.scene.things[index]
    words = [
        size_word(thing.size_metres) if size else "",
        thing.pattern if pattern and thing.pattern != "plain" else "",
        thing.color if color else "",
        thing.category,
    ]
    return with_article(" ".join(word for word in words if word))


def with_article(noun: str) -> str:
    """Put 'a' or 'an' before a noun."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def size_word(size_metres: float) -> str:
    """Return 'small', 'big' or nothing for a size in metres."""
    if size_metres <= SIZES["small"][1]:
        return "small"
    return "big" if size_metres >= SIZES["big"][0] else ""


def distance_word(metres: float) -> str:
    """Return DepthCLIP's word for a distance in Toybox metres."""
    return next(word for word, end in DISTANCE_METRES.items() if metres < end)


def relation(view: View, first: int, second: int) -> str | None:
    """Say how one thing stands to another ('to the left of'), or None where nothing is clear."""
    a, b = view.scene.things[first], view.scene.things[second]
    if a.position[2] > 0 and a.position[:2] == b.position[:2]:
        return "on"
    if b.position[2] > 0 and b.position[:2] == a.position[:2]:
        return "under"
    (ax, az), (bx, bz) = _place(view, first), _place(view, second)
    sideways = (bx - ax) / view.rgb.shape[1]
    if abs(sideways) > SIDE_SHARE and abs(sideways) * 8 > abs(bz - az) / max(az, bz):
        return "to the left of" if sideways > 0 else "to the right of"
    if abs(bz - az) > FRONT_METRES:
        return "in front of" if az < bz else "behind"
    return None


def sentences(view: View) -> tuple[str, ...]:
    """Return every plain true sentence about a view, without its frame, in a fixed order."""
    seen = shown(view)
    found = [noun_phrase(view, i, color=c) for i in seen for c in (False, True)]
    found += [noun_phrase(view, i, pattern=True, size=True) for i in seen]
    found += [_related(view, i, j) for i in seen for j in seen if i != j and relation(view, i, j)]
    found += [_counted(view, i) for i in seen]
    found += [f"{noun_phrase(view, i)} that is {distance_word(_place(view, i)[1])}" for i in seen]
    found += [f"{noun_phrase(view, i)} on {view.scene.ground}" for i in seen if _on_ground(view, i)]
    found += [f"{noun_phrase(view, i)} under {view.scene.sky}" for i in seen if "sky" in view.scene.sky]
    found += [_texted(view, i) for i in seen if view.scene.things[i].text]
    return tuple(dict.fromkeys(found))


def describe(view: View, rng: np.random.Generator, look: str = "photo") -> str:
    """Return one true sentence, drawn at random; looks without colour are described without it."""
    seen = shown(view)
    if not seen:
        return "an empty scene"
    if look != "photo":
        names = [noun_phrase(view, i, color=False) for i in seen[:2]]
        return str(rng.choice(LOOK_FRAMES[look])).format(_listed(names))
    return str(rng.choice(FRAMES)).format(_subject(view, seen, rng))


def _subject(view: View, seen: tuple[int, ...], rng: np.random.Generator) -> str:
    """Draw what a sentence is about."""
    first = seen[0]
    if view.scene.things[first].text and rng.random() < 0.7:
        return _texted(view, first)
    kind = rng.random()
    if len(seen) > 1 and kind < 0.7:
        i, j = (int(k) for k in rng.permutation(list(seen[:4]))[:2])
        if kind < 0.3 and relation(view, i, j):
            return _related(view, i, j)
        if kind < 0.45:
            return _counted(view, i)
        return _listed([noun_phrase(view, k, color=bool(rng.random() < 0.8)) for k in seen[:3]])
    phrase = noun_phrase(
        view,
        first,
        color=bool(rng.random() < 0.8),
        pattern=bool(rng.random() < 0.3),
        size=bool(rng.random() < 0.2),
    )
    if kind > 0.9:
        return f"{phrase} that is {distance_word(_place(view, first)[1])}"
    if kind > 0.82 and _on_ground(view, first):
        return f"{phrase} on {view.scene.ground}"
    if kind > 0.77 and "sky" in view.scene.sky:
        return f"{phrase} under {view.scene.sky}"
    return phrase


def _related(view: View, first: int, second: int) -> str:
    return f"{noun_phrase(view, first)} {relation(view, first, second)} {noun_phrase(view, second)}"


def _counted(view: View, index: int) -> str:
    """Count the things that share this one's category: 'two balls'."""
    category = view.scene.things[index].category
    count = sum(view.scene.things[i].category == category for i in shown(view))
    return with_article(category) if count == 1 else f"{COUNTS[count]} {PLURALS.get(category, category + 's')}"


def _texted(view: View, index: int) -> str:
    return f"{noun_phrase(view, index)} with the word {view.scene.things[index].text} on it"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _on_ground(view: View, index: int) -> bool:
    return view.scene.things[index].position[2] == 0


def _place(view: View, index: int) -> Float[np.ndarray, "2"]:
    """Return the x pixel of a thing's centre and its depth in metres."""
    corners = view.scene.things[index].corners()
    x, _, metres = view.camera.project(corners.mean(0, keepdims=True), view.rgb.shape[:2])[0]
    return np.array([x, metres])
