"""What the action tab keeps of a clip that was looked at, so that heads, orders and templates need no second look."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.prompts import parse_labels
from core.results import Film, Ranking
from core.world.motion import ACTIONS
from demos.shell import load

SYSTEM = "actionclip"
ORDERS = ("forwards", "reversed", "shuffled", "frozen")  # core.media_video's; a test compares
TEMPLATE_SETS = ("1 template", "4 templates", "16 templates")  # the model's; a test compares
ACTIONS_TEXT = ", ".join(ACTIONS)
LONGEST_SIDE = 512  # more than any image tower here looks at
TOY_PIXELS, TOY_FRAMES = 256, 16
SEEN_PIXELS = 64  # the embedded network's side, at which a Toybox clip is drawn for it
MOST_SEED = 999_999
SHUFFLE_SEED = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Toy:
    """A Toybox clip that was drawn, with its truth."""

    path: str
    action: str
    sentence: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """A clip that was looked at, and what is asked of it."""

    name: str
    film: Film  # the frames the network saw, in their own order
    features: Any  # of those frames
    labels: tuple[str, ...]
    weights: str
    templates: str
    head: str
    order: str
    truth: str | None = None

    @property
    def places(self) -> np.ndarray:
        """The order of the frames that is asked about, (T,)."""
        from core.media_video import reorder

        return reorder(len(self.film.frames), self.order, np.random.default_rng(SHUFFLE_SEED))

    @property
    def expected(self) -> str | None:
        """The true action in this order; None where it is unknown, or no order of the world's."""
        from core.world.motion import partner

        if self.truth is None or self.order not in ORDERS[:2]:
            return None
        return self.truth if self.order == ORDERS[0] else partner(self.truth)


def draw_toy(action: str, seed: float | None, language: str) -> tuple[Toy, None, str]:
    """Draw a Toybox clip of an action and write it as WebM; returns it, an empty input, and the path to preview."""
    from core.media_video import write_webm
    from core.world.motion import clip

    if seed is None or not 0 <= seed <= MOST_SEED:
        raise ValueError(f"Give the scene a number from 0 to {MOST_SEED}, for example 3.")
    drawn = clip(int(seed), action, frames=TOY_FRAMES, size=TOY_PIXELS)
    path = write_webm(drawn.film, Path(tempfile.mkdtemp(prefix="action-")) / f"{action.replace(' ', '-')}.webm")
    return Toy(path=str(path), action=action, sentence=drawn.sentences[1]), None, str(path)


def look(
    model: Any,
    path: str | None,
    labels: str,
    toy: Toy | None,
    *,
    weights: str,
    templates: str,
    head: str,
    order: str,
) -> Kept:
    """Read the clip's frames and have the network look at each once; ValueError in one sentence where it cannot."""
    from core.media_video import read_film, tsn_segment_indices

    source = path or (toy.path if toy else None)
    if source is None:
        raise ValueError("There is no clip yet: upload one, or take a Toybox clip.")
    wanted = parse_labels(labels)
    film = read_film(source, frames=model.frames, sampling="segments", longest_side=LONGEST_SIDE)
    places = tsn_segment_indices(len(film.frames), model.frames)  # a shorter clip shows some frames again
    seconds = film.seconds[places] + np.arange(len(places), dtype=np.float32) * 1e-4
    seen = Film(frames=film.frames[places], seconds=seconds.astype(np.float32))
    return Kept(
        name=Path(source).name,
        film=seen,
        features=model.clip_features(seen.frames),
        labels=wanted,
        weights=weights,
        templates=templates,
        head=head if head in model.heads else model.default_head,
        order=order,
        truth=toy.action if toy and source == toy.path else None,
    )


def kept_again(kept: Kept, **changes: str) -> Kept:
    """Return what was kept with another head, order or templates; a head that these weights lack stays as it was."""
    model = load(SYSTEM, kept.weights)
    if changes.get("head") not in model.heads:
        changes.pop("head", None)
    return replace(kept, **changes)


def scores_of(kept: Kept, *, head: str | None = None, order: str | None = None) -> Any:
    """Return each label's score in each template, by the head and in the order that are kept or given."""
    model = load(SYSTEM, kept.weights)
    asked = replace(kept, order=order or kept.order)
    features = kept.features.ordered(asked.places)
    return model.score(features, kept.labels, templates=model.templates[kept.templates], head=head or kept.head)


def ranking_of(kept: Kept, *, head: str | None = None, order: str | None = None) -> Ranking:
    """Return the labels ranked by the head and in the order that are kept or given."""
    return scores_of(kept, head=head, order=order).ranking()


def frame_shares(kept: Kept, label: int) -> np.ndarray:
    """Return the probability of a label for each frame on its own, in the order that is kept, (T,) float32."""
    model = load(SYSTEM, kept.weights)
    features = kept.features.ordered(kept.places)
    rankings = model.frame_rankings(features, kept.labels, templates=model.templates[kept.templates])
    return np.array([each.probabilities()[label] for each in rankings], np.float32)
