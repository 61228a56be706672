"""What may be started from the app: fixed recipes with bounds, so that no free text ever reaches a command line.

Nothing here imports torch; a test compares the table with the recipes themselves.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import registry

RATE_FACTORS = (0.1, 10.0)  # of the recipe's own learning rate


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A recipe that may be started, for how long, and what it learns from."""

    recipe: str
    minutes: float  # of training, as the recipe is meant
    most_minutes: float
    least_minutes: float = 0.5
    learning_rate: float  # the recipe's own, which may be multiplied
    data: str = "none"  # none, optional or needed: the user's pictures
    boxes: bool = False  # whether these are a COCO file's with boxes and outlines, not class folders or captions
    starts_from: str = ""  # the system whose weights it begins with, where they may be chosen
    timed: bool = True  # whether the minutes set its schedule; else they are only a limit
    mixes: bool = False  # whether its weights may be mixed with those it began with (WiSE-FT)


@dataclass(frozen=True, kw_only=True)
class Order:
    """One training that somebody asked for."""

    recipe: str
    minutes: float
    data: str | None = None  # a path that the shelf gave out, never one that was typed
    weights: str | None = None  # to begin with; None for the recipe's own
    rate_factor: float = 1.0
    share: float = 1.0  # of the fine-tuned weights in the mixture

    def arguments(self, folder: Path, *, resume: bool) -> list[str]:
        """Return the engine's arguments for a run in this folder."""
        words = [self.recipe, "--out", str(folder)]
        words += ["--minutes", f"{self.minutes:g}"] if OFFERS[self.recipe].timed else []
        words += ["--data", self.data] if self.data else []
        words += ["--weights", self.weights] if self.weights else []
        if self.rate_factor != 1:
            words += ["--learning-rate", f"{OFFERS[self.recipe].learning_rate * self.rate_factor:g}"]
        words += ["--wise-ft", f"{self.share:g}"] if self.share != 1 else []
        return words + (["--resume"] if resume else [])


def _finetune(recipe: str, minutes: float, learning_rate: float, *, mixes: bool = False) -> Offer:
    return Offer(
        recipe=recipe,
        minutes=minutes,
        most_minutes=60,
        learning_rate=learning_rate,
        data="needed",
        starts_from="clip",
        mixes=mixes,
    )


def _from_boxes(recipe: str, system: str, learning_rate: float) -> Offer:
    return Offer(
        recipe=recipe,
        minutes=3,
        most_minutes=60,
        learning_rate=learning_rate,
        data="optional",
        boxes=True,
        starts_from=system,
    )


def _long(recipe: str, minutes: float, learning_rate: float, data: str = "none") -> Offer:
    return Offer(recipe=recipe, minutes=minutes, most_minutes=180, learning_rate=learning_rate, data=data)


def _larger(system: str, minutes: float, learning_rate: float) -> Offer:
    return Offer(
        recipe=f"{system}-large",
        minutes=minutes,
        most_minutes=180,
        learning_rate=learning_rate,
        data="none",
        starts_from=system,
    )


OFFERS: dict[str, Offer] = {
    offer.recipe: offer
    for offer in (
        Offer(recipe="clip-3-minutes", minutes=3, most_minutes=10, learning_rate=2e-3),
        Offer(recipe="clip-30-minutes", minutes=30, most_minutes=60, learning_rate=2e-3),
        _finetune("clip-finetune", 3, 1e-3, mixes=True),
        _finetune("clip-lora", 3, 3e-3),
        _finetune("clip-probe", 1, 1e-2),
        Offer(recipe="pointclip", minutes=1, most_minutes=30, learning_rate=0.01),
        _long("clip", 60, 2e-3, "optional"),
        _long("clip-vit", 45, 1.5e-3, "optional"),
        _long("clip4clip", 12, 1e-3),
        _long("clip4clip-heads", 1, 1e-3),
        _long("actionclip", 10, 1e-3),
        _long("actionclip-heads", 1, 1e-3),
        _long("lseg", 60, 1e-3),
        _larger("lseg", 60, 6e-4),
        _long("groupvit", 60, 1e-3),
        _long("vild", 30, 1.5e-3),
        Offer(recipe="glip", minutes=60, most_minutes=180, learning_rate=1e-3, timed=False),
        _larger("glip", 60, 6e-4),
        _from_boxes("glip-prompt", "glip", 0.05),
        _from_boxes("glip-finetune", "glip", 2e-4),
        _long("sam", 60, 6e-4),
        _larger("sam", 35, 3e-4),
        _from_boxes("sam-decoder", "sam", 1e-4),
        _long("depthclip", 5, 5e-4),
    )
}


def check(order: Order) -> Order:
    """Return the order; ValueError in one sentence where it goes beyond what is offered."""
    offer = OFFERS.get(order.recipe)
    if offer is None:
        raise ValueError(f"Unknown recipe {order.recipe!r}; there are: {', '.join(OFFERS)}.")
    _within("minutes", order.minutes, (offer.least_minutes, offer.most_minutes))
    _within("learning rate factor", order.rate_factor, RATE_FACTORS)
    _within("share of the new weights", order.share, (0.0, 1.0))
    if order.weights is not None and order.weights not in (registry.weights_names(offer.starts_from or "clip")):
        raise ValueError(f"Unknown weights {order.weights!r} to begin with; choose listed ones.")
    if offer.data == "needed" and order.data is None:
        raise ValueError("This recipe learns from your pictures: choose a folder or upload a zip of class folders.")
    if offer.data == "none" and order.data is not None:
        raise ValueError("This recipe learns from the Toybox alone: choose no pictures for it.")
    return order


def _within(name: str, value: Any, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"Give {name} from {low:g} to {high:g}.")
