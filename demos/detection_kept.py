"""What the detection tab asks and keeps: words or a sentence, systems, scenes; an answer whose thresholds can move."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from core.results import Boxes, unique_labels
from demos.segmentation_kept import BREAKS
from demos.shell import load

SYSTEMS = ("vild", "glip")  # as the registry has them
MODES = ("words", "sentence")
HEADS = ("ensemble", "vild", "text", "image", "crops")  # of ViLD; a test compares them with the network's
FREE_HEADS = ("text", "image", "vild")  # which cost a product each once the picture was looked at
CROPS = "crops"  # the baseline's, which costs passes through CLIP
LEAST = {"glip": 0.45, "vild": 0.45}  # the score from which a box is shown at first
OVERLAP, WEIGHT = 0.5, 2 / 3  # a test compares them with the network's
MOST_WORDS = 2000
ARTICLES = ("a", "an", "the", "this", "that", "one", "my")
MARK = re.compile(r" \(\d+\)$")  # of a phrase that stands in the sentence more than once


@dataclass(frozen=True, kw_only=True)
class Models:
    """The weights that were chosen for each system."""

    names: tuple[str, ...]  # in the order of SYSTEMS

    def name(self, system: str) -> str:
        """Return the name of the weights that a system is to use."""
        return self.names[SYSTEMS.index(system)]

    def open(self, system: str) -> Any:
        """Return a system, ready."""
        return load(system, self.name(system))


@dataclass(frozen=True, kw_only=True)
class Thing:
    """What is true of one thing that a Toybox scene shows."""

    category: str
    color: str
    pattern: str
    size: str  # small, big or nothing
    box_xyxy: tuple[float, float, float, float]

    def fits(self, label: str) -> bool:
        """Say whether a word or phrase names this thing; a describing word must be true of it."""
        from core.world.captions import PLURALS

        words = [word for word in MARK.sub("", label).lower().split() if word not in ARTICLES]
        if not words or words[-1] not in (self.category, PLURALS.get(self.category, f"{self.category}s")):
            return False
        return all(word in (self.color, self.pattern, self.size) for word in words[:-1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A Toybox picture, what is true of it, and what drawing it filled in."""

    picture: UInt8[np.ndarray, "H W 3"]
    things: tuple[Thing, ...]
    words: str
    sentence: str

    def boxes(self, labels: Sequence[str]) -> Boxes:
        """Return the true boxes of each label; a thing that two labels name has a box for each."""
        found = [(thing, label) for label in labels for thing in self.things if thing.fits(label)]
        return Boxes(
            boxes_xyxy=np.array([thing.box_xyxy for thing, _ in found], np.float32).reshape(-1, 4),
            labels=tuple(label for _, label in found),
            scores=np.ones(len(found), np.float32),
            size_hw=self.picture.shape[:2],
        )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked about a picture."""

    system: str
    mode: str  # of MODES
    text: str  # as typed
    head: str  # of ViLD
    models: Models

    @property
    def weights(self) -> str:
        """The name of the weights that answer."""
        return self.models.name(self.system)


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """The answer on show, with what was asked and, for a Toybox scene, the truth."""

    picture: UInt8[np.ndarray, "H W 3"]
    asked: Asked
    candidates: Any  # boxes with a score for every label
    parts: Any = None  # of ViLD: what each head says
    head: str = ""  # of ViLD: the one that answered
    spans: tuple[tuple[int, int], ...] = ()  # where each label stands in the sentence that was grounded
    path: str = ""  # of ViLD: vild or crops
    relative: str = ""  # what the model is called where it is no paper of this project
    scene: Scene | None = None  # the Toybox's, where the picture is one
    truth: Boxes | None = None  # in the labels that were asked
    missing: tuple[str, ...] = ()  # what the scene shows and nothing names
    twice: tuple[str, ...] = ()  # words that stood there more than once
    unseen: tuple[str, ...] = ()  # words that training never showed

    @property
    def labels(self) -> tuple[str, ...]:
        """What was asked for: words, or phrases of a sentence."""
        return self.candidates.labels

    def found(self, weight: float = WEIGHT) -> Any:
        """Return the candidates under a weight of ViLD's text head; no model runs."""
        return self.candidates if self.parts is None else self.parts.candidates(self.head, weight)


@dataclass(frozen=True, kw_only=True, eq=False)
class Masked:
    """Masks that were made for boxes, to be shown with those of them that are shown."""

    boxes: Boxes
    masks: Bool[np.ndarray, "N H W"]

    def of(self, shown: Boxes) -> tuple[list[int], Bool[np.ndarray, "M H W"]]:
        """Return which of the boxes on show have a mask, and the masks."""
        known = {self._key(self.boxes, place): place for place in range(len(self.boxes.labels))}
        pairs = [(place, known.get(self._key(shown, place))) for place in range(len(shown.labels))]
        kept = [(place, mask) for place, mask in pairs if mask is not None]
        return [place for place, _ in kept], self.masks[[mask for _, mask in kept]]

    @staticmethod
    def _key(boxes: Boxes, place: int) -> tuple[str, bytes]:
        return boxes.labels[place], boxes.boxes_xyxy[place].tobytes()


def needed(kept: Kept | None) -> Kept:
    """Return the answer on show; ValueError where there is none."""
    if kept is None:
        raise ValueError("Find boxes in a picture first.")
    return kept


def split_words(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the words, each once, and those that stand there twice; ValueError for none and for too many."""
    typed = [" ".join(part.split()) for part in re.split(BREAKS, text)]
    words = unique_labels(typed)
    if not words:
        raise ValueError("Write at least one word to look for.")
    if len(words) > MOST_WORDS:
        raise ValueError(f"Give at most {MOST_WORDS} words here; these are {len(words)}.")
    return words, tuple(word for word in words if typed.count(word) > 1)


def numbered(labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels that differ: the second of two equal ones gets ' (2)'."""
    counts: dict[str, int] = {}
    found = []
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
        found.append(label if counts[label] == 1 else f"{label} ({counts[label]})")
    return tuple(found)


def ask(picture: UInt8[np.ndarray, "H W 3"], asked: Asked, scene: Scene | None) -> Kept:
    """Return the answer to keep, with the truth where it is known."""
    model = asked.models.open(asked.system)
    twice: tuple[str, ...] = ()
    if asked.mode == "sentence":
        sentence = asked.text.strip()
        if not sentence:
            raise ValueError("Write a sentence that names things.")
        kept = _grounded(model, picture, asked, sentence)
    else:
        words, twice = split_words(asked.text)
        kept = _asked_words(model, picture, asked, words)
    if scene is not None and np.array_equal(scene.picture, picture):
        named = {thing for label in kept.labels for thing in scene.things if thing.fits(label)}
        missing = dict.fromkeys(thing.category for thing in scene.things if thing not in named)
        kept = replace(kept, scene=scene, truth=scene.boxes(kept.labels), missing=tuple(missing))
    unseen, relative = tuple(model.unseen_words(kept.labels)), getattr(model, "title", "")
    return replace(kept, twice=twice, unseen=unseen, relative=relative)


def candidates_of(picture: UInt8[np.ndarray, "H W 3"], words: Sequence[str], kept: Kept, weight: float) -> Any:
    """Return the candidates that the answer on show would have had for another picture or other words."""
    model = kept.asked.models.open(kept.asked.system)
    return _asked_words(model, picture, kept.asked, tuple(words)).found(weight)


def _grounded(model: Any, picture: UInt8[np.ndarray, "H W 3"], asked: Asked, sentence: str) -> Kept:
    """Ask for the phrases of a sentence, or, of a network that has one vector for it, for the whole of it."""
    if not hasattr(model, "ground"):
        return _asked_words(model, picture, asked, (sentence,))
    found = model.ground(picture, sentence)
    candidates = replace(found.candidates, labels=numbered(found.candidates.labels))
    return Kept(picture=picture, asked=asked, candidates=candidates, spans=tuple(found.spans))


def _asked_words(model: Any, picture: UInt8[np.ndarray, "H W 3"], asked: Asked, words: tuple[str, ...]) -> Kept:
    if asked.system != "vild":
        return Kept(picture=picture, asked=asked, candidates=model.detect(picture, words))
    head = asked.head if asked.head in model.heads else model.default_head
    heads = tuple(each for each in FREE_HEADS if each in model.heads)
    parts = model.parts(picture, words, heads=(*heads, CROPS) if head == CROPS else heads)
    found = parts.candidates(head)
    return Kept(picture=picture, asked=asked, candidates=found, parts=parts, head=head, path=model.path)
