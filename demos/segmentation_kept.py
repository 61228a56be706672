"""What the segmentation tab asks and keeps: words, systems, clicks; the answer of whichever system, in one form."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from core import registry
from core.results import LabelMap, unique_labels
from demos.shell import load

SYSTEMS = ("lseg", "groupvit", "sam", "plain_clip")  # as the registry has them
NAMER = "clip"  # the system that names SAM's masks
MODES = ("mean", "bbox", "black", "blur", "context", "dense")  # a test compares them with the scorer's
OTHER = "other"  # LSeg's word for what is none of the others; a test compares it with training's
LOOKS: dict[str, dict[str, Any]] = {  # how often LSeg looks at a picture
    "once": {},
    "mirrored": {"flip": True},
    "scaled": {"flip": True, "scales": (0.75, 1.0, 1.25)},
}
NO_BLOCKS = "none"  # what LSeg calls no regularisation block
PLAIN_PIXELS = 256  # at least, of what plain CLIP sees: at its own size the embedded one has few places
SURE = 0.5  # probability below which plain CLIP, and the one that names SAM's masks, say nothing by themselves
MOST_PIXELS = 1024  # longest side of a picture here: more is shrunk, because the networks see fewer
MOST_WORDS = 255  # that an index PNG can tell apart
BREAKS = r"[,;\n，；、]"
RESEARCH_ONLY = "research only"  # in a licence: asked about before use

Click = tuple[int, int, int]  # x, y, and 1 for inside or 0 for outside


@dataclass(frozen=True, kw_only=True)
class Models:
    """The weights that were chosen for each system, and whether their research licence was accepted."""

    names: tuple[str, ...]  # in the order of SYSTEMS
    namer: str
    agreed: bool = False

    def name(self, system: str) -> str:
        """Return the name of the weights that a system is to use."""
        return self.names[SYSTEMS.index(system)]

    def open(self, system: str) -> Any:
        """Return a system, ready; ValueError where its licence has to be accepted first."""
        name = self.name(system)
        card = registry.weights_card(system, name)
        if needs_consent(system, name) and not self.agreed:
            raise ValueError(f"{name} may be used under this licence only: {card.licence}. Tick the box to accept it.")
        return load(system, name)

    def open_namer(self) -> Any:
        """Return the CLIP that gives SAM's masks their names."""
        return load(NAMER, self.namer).backbone


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A Toybox picture, its true categories, and the words that drawing it filled in."""

    picture: np.ndarray  # (H, W, 3) uint8
    truth: LabelMap
    words: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked about a picture."""

    system: str
    words: tuple[str, ...]  # each once
    rest: bool  # whether a pixel may be none of the words
    prompt: str  # of SAM
    mode: str  # in which SAM's masks are shown to CLIP
    clicks: tuple[Click, ...]
    look: str  # of LOOKS
    models: Models


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """The answer on show, with what was asked, the baseline, and, for a Toybox scene, the truth."""

    picture: np.ndarray  # (H, W, 3) uint8, as it was asked about
    asked: Asked
    answer: Any  # WordMaps, GroupWords, LabelledMasks; None before SAM has a click or a box
    baseline: LabelMap  # plain CLIP's
    least: float  # the score below which a pixel or mask has no word, where nothing else is said
    truth: LabelMap | None  # in the words that were asked
    missing: tuple[str, ...] = ()  # what the scene shows and the words leave out
    twice: tuple[str, ...] = ()  # words that stood there more than once
    unseen: tuple[str, ...] = ()  # words that training never showed

    def label_map(self, threshold: float | None = None) -> LabelMap:
        """Return the word of each pixel; -1 for none of them."""
        least = self.least if threshold is None else threshold
        if self.answer is None:
            return LabelMap(ids=np.full(self.picture.shape[:2], -1, np.int32), labels=self.asked.words)
        return only(self.answer.label_map(least), self.asked.words)

    def scores_at(self, x: int, y: int) -> np.ndarray | None:
        """Return each word's score at one pixel, None where SAM has no mask."""
        count = len(self.asked.words)
        if self.asked.system == "groupvit":
            return self.answer.scores_at(x, y)
        if self.asked.system != "sam":
            return self.answer.probabilities_at(x, y)[:count]
        masks = np.zeros((0, 1, 1), bool) if self.answer is None else self.answer.masks.masks
        over = [place for place, mask in enumerate(masks) if mask[y, x]]
        if not over:
            return None
        smallest = min(over, key=lambda place: masks[place].sum())
        return self.answer.rankings[smallest].probabilities()[:count]


def needed(kept: Kept | None) -> Kept:
    """Return the answer on show; ValueError where there is none."""
    if kept is None:
        raise ValueError("Segment a picture first.")
    return kept


def needs_consent(system: str, name: str) -> bool:
    """Say whether these weights are for research only, which has to be accepted before they are used."""
    card = registry.weights_card(system, name)
    return not card.embedded and RESEARCH_ONLY in card.licence


def split_words(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words, each once, and those that stand there twice; ValueError for none and for too many."""
    typed = [" ".join(part.split()) for part in re.split(BREAKS, text)]
    words = unique_labels(typed)
    if not words:
        raise ValueError("Write at least one word to look for.")
    if len(words) > MOST_WORDS:
        raise ValueError(f"Give at most {MOST_WORDS} words; these are {len(words)}.")
    return words, tuple(word for word in words if typed.count(word) > 1)


def shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a picture of at most MOST_PIXELS on its longer side."""
    image = Image.fromarray(picture)
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    return np.asarray(image)


def only(found: LabelMap, words: tuple[str, ...]) -> LabelMap:
    """Return a label map without the labels that come after the words."""
    return LabelMap(ids=np.where(found.ids < len(words), found.ids, -1).astype(np.int32), labels=words)


def truth_in(words: tuple[str, ...], truth: LabelMap) -> tuple[LabelMap, tuple[str, ...]]:
    """Return the true map in the user's words, and the names of what is there and not among them."""
    index = np.array([words.index(name) if name in words else -1 for name in truth.labels] + [-1], np.int32)
    there = [name for i, name in enumerate(truth.labels) if (truth.ids == i).any()]
    return LabelMap(ids=index[truth.ids], labels=words), tuple(name for name in there if name not in words)


def ask(picture: np.ndarray, text: str, asked: Asked, scene: Scene | None) -> Kept:
    """Return the answer to keep: the system's, plain CLIP's beside it, and the truth where it is known."""
    words, twice = split_words(text)
    asked = replace(asked, words=words)
    answer, least = answer_of(picture, asked)
    plain, plain_least = answer_of(picture, replace(asked, system="plain_clip"))
    truth, missing = None, ()
    if scene is not None and np.array_equal(scene.picture, picture):
        truth, missing = truth_in(words, scene.truth)
    reader = asked.models.open_namer() if asked.system == "sam" else asked.models.open(asked.system)
    return Kept(
        picture=picture,
        asked=asked,
        answer=answer,
        baseline=plain.label_map(plain_least),
        least=least,
        truth=truth,
        missing=missing,
        twice=twice,
        unseen=reader.unseen_words(words),
    )


def answer_of(picture: np.ndarray, asked: Asked) -> tuple[Any, float]:
    """Return what a system answers, and the score below which it says nothing by itself."""
    model, words = asked.models.open(asked.system), asked.words
    if asked.system == "sam":
        return _named_masks(model, picture, asked), SURE if asked.rest and asked.prompt == "everything" else 0.0
    if asked.system == "groupvit":
        answer = model.segment(picture, words)
        return answer, answer.threshold if asked.rest else 0.0
    if asked.system == "plain_clip":
        settings = replace(model.defaults, pixels=max(PLAIN_PIXELS, model.backbone.preprocess.size))
        return model.segment(picture, words, settings), SURE if asked.rest else 0.0
    more = (OTHER,) if asked.rest and OTHER not in words else ()
    return model.segment(picture, (*words, *more), replace(model.defaults, **LOOKS[asked.look])), 0.0


def negatives() -> tuple[str, ...]:
    """Return what a mask may be that shows none of the words: the background, grounds and skies."""
    from core.world.scene import GROUNDS, SKIES

    return ("background", *GROUNDS, *SKIES)


def prompted_masks(model: Any, picture: np.ndarray, prompt: str, clicks: Sequence[Click], *, three: bool) -> Any:
    """Return SAM's masks for clicks or a box; None where a click is missing."""
    points, inside = [click[:2] for click in clicks], [click[2] for click in clicks]
    if prompt == "points":
        return model.points(picture, points, inside, three=three) if points else None
    if len(points) < 2:
        return None
    return model.box(picture, box_of(clicks), three=three)


def box_of(clicks: Sequence[Click]) -> tuple[int, int, int, int]:
    """Return the box whose opposite corners the first two clicks name; both pixels are in it."""
    (x0, x1), (y0, y1) = (sorted((clicks[0][i], clicks[1][i])) for i in (0, 1))
    return x0, y0, x1 + 1, y1 + 1


def name_masks(model: Any, picture: np.ndarray, masks: Any, asked: Asked, mode: str | None = None) -> Any:
    """Return masks with a ranking of the words each, shown to CLIP in a mode."""
    return model.label(
        picture,
        masks,
        asked.words,
        asked.models.open_namer(),
        settings=replace(model.default_region, mode=mode or asked.mode),
        negatives=negatives() if asked.rest else (),
    )


def _named_masks(model: Any, picture: np.ndarray, asked: Asked) -> Any:
    if asked.prompt == "everything":
        return name_masks(model, picture, model.everything(picture), asked)
    found = prompted_masks(model, picture, asked.prompt, asked.clicks, three=len(asked.clicks) == 1)
    if found is None:
        return None
    full = [place for place, mask in enumerate(found.masks) if mask.any()]
    if not full:
        raise ValueError("The mask is empty here: click in the middle of a thing, or take back the last click.")
    return name_masks(model, picture, found.chosen(full[:1]), asked)
