"""What the sketch tab asks and keeps: the picture, how it is drawn, who judges it, and the code that draws it again."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8

from core import media, registry
from demos.shell import load

SYSTEM = "clipasso"
JUDGES = {"toybox-vit": "toybox-resnet"}  # every other CLIP's sketches are judged by toybox-vit
SEGMENTER = "sam"
PRESETS = {  # iterations, seeds and random views of the core's presets; a test compares them
    "CPU, quick": (60, 1, 1),
    "CPU": (150, 2, 2),
    "paper": (2001, 3, 4),
}
PRESET = "CPU"
STROKES, MOST_STROKES, MOST_SEEDS, MOST_VIEWS, MOST_ITERATIONS = 16, 64, 4, 8, 3000
STARTS = ("saliency", "attention", "random")
LOSSES = {"L_s + L_g": (True, True), "L_s": (True, False), "L_g": (False, True)}  # semantic, geometric
CUTS = ("off", "CLIP + GrabCut", "SAM")
MOST_SEED, THING = 999_999, 16  # Toybox things there are, and the one that waits
THING_PIXELS, LEAST_SHARE = 256, 0.06  # of a Toybox picture; share of it that the thing covers


@dataclass(frozen=True, kw_only=True, eq=False)
class Thing:
    """A Toybox thing on white, with what is true of it and the scene it was taken from."""

    picture: UInt8[np.ndarray, "S S 3"]
    category: str
    scene: UInt8[np.ndarray, "S S 3"]
    mask: Bool[np.ndarray, "S S"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """A picture and how it is to be drawn."""

    picture: UInt8[np.ndarray, "H W 3"]
    thing: Thing | None  # where the picture is one
    strokes: int
    preset: str
    seeds: int
    iterations: int
    start: str
    losses: str
    views: int
    cut: str
    weights: str

    @property
    def truth(self) -> str:
        """The thing's name, where it is known."""
        return self.thing.category if self.thing else ""

    def changes(self, model: Any) -> dict[str, Any]:
        """Return what differs from the model's preset; a CLIP without stages has no geometric loss to add."""
        semantic, geometric = LOSSES[self.losses]
        return {
            "strokes": self.strokes,
            "seeds": self.seeds,
            "iterations": self.iterations,
            "start": self.start,
            "augmentations": self.views,
            "semantic": semantic,
            "geometric": geometric and (model.has_stages or not semantic),
            "cut_out": self.cut == CUTS[1],
        }

    def settings(self, model: Any) -> Any:
        """Return the model's settings for this."""
        return replace(model.presets[self.preset], **self.changes(model))


@dataclass(frozen=True, kw_only=True, eq=False)
class About:
    """What a sitting's drawing was asked and prepared from, and the judge's view of the picture."""

    asked: Asked
    model: Any
    prepared: Any
    judge: "Judge"


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """The embedded CLIP that did not draw, and what it makes of the picture itself."""

    model: Any
    target: Float[np.ndarray, " D"]  # of the picture
    truth: str

    def __call__(self, sketches: list[Any]) -> list["Verdict"]:
        """Judge sketches as they look on their canvas."""
        from core.viz.strokes import paint
        from core.world.captions import LOOK_FRAMES
        from core.world.shapes import CATEGORIES

        seen = self.model.encode([paint(sketch) for sketch in sketches])
        rankings = self.model.rank_encoded(seen, CATEGORIES, templates=LOOK_FRAMES["line drawing"])
        return [
            Verdict(
                best=ranking.best,
                share=float(ranking.probabilities().max()),
                likeness=float(row @ self.target),
                right=ranking.best == self.truth if self.truth else None,
            )
            for ranking, row in zip(rankings, seen, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge takes a sketch for, and how alike sketch and picture are to it."""

    best: str
    share: float
    likeness: float  # cosine
    right: bool | None  # None where nobody knows


def cuts() -> tuple[str, ...]:
    """Return the ways to cut out that are there."""
    return CUTS if SEGMENTER in registry.names("segmentation") else CUTS[:2]


def judge_for(weights: str, picture: UInt8[np.ndarray, "H W 3"], truth: str = "") -> Judge:
    """Return the CLIP that did not draw with these weights, having seen the picture."""
    model = load("clip", JUDGES.get(weights, "toybox-vit"))
    return Judge(model=model, target=model.encode([picture])[0], truth=truth)


def check_seed(seed: float | None) -> int:
    """Return a Toybox thing's number; ValueError for none or one out of range."""
    if seed is None or not 0 <= seed <= MOST_SEED:
        raise ValueError(f"Choose a picture, or give the Toybox thing a number from 0 to {MOST_SEED}, for example 3.")
    return int(seed)


@lru_cache(maxsize=8)
def toybox_thing(seed: int) -> Thing:
    """Draw a single thing, large enough to sketch."""
    from core.world.render import render
    from core.world.scene import sample

    rng = np.random.default_rng(seed)
    while True:
        view = render(sample(rng, count=1), (THING_PIXELS, THING_PIXELS), samples=2)
        mask = view.instances.ids >= 0
        if mask.mean() >= LEAST_SHARE:
            white = np.where(mask[..., None], view.rgb, np.uint8(255))
            return Thing(picture=white, category=view.scene.things[0].category, scene=view.rgb, mask=mask)


def ask(
    source: Any,
    thing: Thing | None,
    strokes: float | None,
    preset: str,
    seeds: float | None,
    iterations: float | None,
    start: str,
    losses: str,
    views: float | None,
    cut: str,
    weights: str,
) -> Asked:
    """Return what was asked; ValueError in one sentence for what cannot be drawn."""
    picture = media.read_image(source)
    check_number("strokes", strokes, 1, MOST_STROKES)
    check_number("seeds", seeds, 1, MOST_SEEDS)
    check_number("iterations", iterations, 1, MOST_ITERATIONS)
    check_number("random views", views, 0, MOST_VIEWS)
    return Asked(
        picture=picture,
        thing=thing if thing is not None and np.array_equal(thing.picture, picture) else None,
        strokes=int(strokes),
        preset=preset if preset in PRESETS else PRESET,
        seeds=int(seeds),
        iterations=int(iterations),
        start=start,
        losses=losses,
        views=int(views),
        cut=cut,
        weights=weights,
    )


def check_number(name: str, value: float | None, low: int, high: int) -> int:
    """Return a whole number; ValueError for one out of range."""
    if value is None or not low <= value <= high:
        shown = "nothing" if value is None else f"{value:g}"
        raise ValueError(f"Choose from {low} to {high} {name}; this is {shown}.")
    return int(value)


def prepare(asked: Asked, model: Any, settings: Any | None = None) -> Any:
    """Prepare the picture with the cut-out that was asked for; ValueError for a blank one."""
    settings = settings or asked.settings(model)
    if asked.cut != CUTS[2]:
        return model.prepare(asked.picture, settings)
    whole = model.prepare(asked.picture, settings)
    row, column = np.unravel_index(whole.saliency.argmax(), whole.saliency.shape)
    found = load(SEGMENTER, registry.weights_names(SEGMENTER)[0]).points(
        whole.picture, [(float(column), float(row))], [1]
    )
    return model.prepare(whole.picture, settings, found.masks[0])


def as_python(about: About | None, iterations: int, finished: bool) -> str:
    """Return the lines of Python that draw the same sketch."""
    if about is None:
        return ""
    asked, model = about.asked, about.model
    changes = "".join(f"    {name}={value!r},\n" for name, value in asked.changes(model).items())
    prepared = "prepared = model.prepare(picture, settings)\n"
    if asked.cut == CUTS[2]:
        prepared += (
            "row, column = np.unravel_index(prepared.saliency.argmax(), prepared.saliency.shape)\n"
            f"found = registry.load({SEGMENTER!r}).points(prepared.picture, [(float(column), float(row))], [1])\n"
            "prepared = model.prepare(prepared.picture, settings, found.masks[0])\n"
        )
    chosen = "kept" if finished else "strokes"
    return (
        "from dataclasses import replace\nfrom pathlib import Path\n\n"
        + ("import numpy as np\n\n" if asked.cut == CUTS[2] else "")
        + "from core import media, registry\nfrom core.viz import strokes as drawing\n\n"
        f"model = registry.load({SYSTEM!r}, {asked.weights!r})\n"
        f"settings = replace(\n    model.presets[{asked.preset!r}],\n{changes})\n"
        'picture = media.read_image("picture.jpg")  # your file\n'
        f"{prepared}"
        f"progress = model.run([prepared], settings).step({iterations})\n"
        f"strokes = progress.{chosen}[progress.best_index]\n"
        'Path("sketch.svg").write_text(drawing.svg(strokes))\n'
        "print(len(strokes), progress.iteration, round(float(progress.losses['total'][progress.best_index]), 3))\n"
    )
