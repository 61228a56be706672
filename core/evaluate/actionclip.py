"""The figures of ActionCLIP: every head on fresh Toybox films, played both ways, and what its choices are worth.

A film and its reversal show two actions with the same pictures, so a head that is blind to order names at most one of
the two rightly. Legend: F films, T frames, B clips, D embedding size, A actions.
"""

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from core import registry
from core.action.actionclip import ActionClip
from core.action.fusion import HEADS, Transf
from core.action.matching import label_matrix, matching_loss, own_text_loss, similarity_logits, soft_target
from core.action.scores import ClipFeatures
from core.action.templates import TEMPLATE_SETS
from core.media_video import reorder, tsn_segment_indices
from core.metrics.ranking import wilson_interval
from core.world.motion import ACTIONS, MOTIONS, clip

FIRST_SEED = 17_000_000  # far from training's and from that of the films a run is watched on
LESSON_SEED = 500_000  # after it: films to learn the lessons' heads from
LESSON_FILMS = 20  # of each motion
SAME = (1, 2, 4, 8)  # clips of a class in a batch
FRAMES = (1, 2, 4, 8)
STEPS = 60
LESSON_RATE = 3e-3
LESSON_SCALE = 20.0
LESSON_LAYERS = 1
FRAME_SIZE = 64
TEMPLATES = TEMPLATE_SETS["16 templates"]
LOSS_NOTE = (
    "Here a batch holds several clips of each of 12 actions. With Kinetics' 400 classes it hardly holds two of one, "
    "and the loss does not matter: 77.6 per cent by KL, 77.5 by cross entropy (mmaction2, projects/actionclip)."
)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """F films as an ActionCLIP sees them, with what they show played forwards."""

    features: Float[np.ndarray, "F T D"]
    motions: Int[np.ndarray, " F"]

    @property
    def clips(self) -> Float[np.ndarray, "B T D"]:
        """Every film, then every film reversed."""
        return np.concatenate([self.features, self.features[:, ::-1]])

    @property
    def truth(self) -> Int[np.ndarray, " B"]:
        """The index of each clip's action."""
        return np.concatenate([2 * self.motions, 2 * self.motions + 1])


def evaluate_actionclip(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every head over all actions, what order is worth to it, and each of the paper's choices."""
    model: ActionClip = registry.load("actionclip", arguments.weights)
    if not isinstance(model, ActionClip):
        raise ValueError("These figures are ActionCLIP's: X-CLIP has no heads to compare.")
    seed, films = FIRST_SEED + 10_000 * arguments.seed, max(1, arguments.size // (2 * len(MOTIONS)))
    drawn = draw(model, seed, films)
    found: dict[str, Any] = {"system": "actionclip", "weights": model.weights, "seed": arguments.seed}
    found |= {"size": len(drawn.truth), "chance": 1 / len(ACTIONS), "heads": list(model.heads)}
    for name in HEADS:
        found[f"top1_{name}"] = _top1(model, drawn, name) if name in model.heads else None
    best = found[f"top1_{model.default_head}"]
    found["top1_interval"] = [round(end, 4) for end in wilson_interval(best, len(drawn.truth))]
    found["top1_by_action"] = _by_action(model, drawn)
    found["top1_held_out_pairs"] = _top1(model, draw(model, seed + 5_000, max(1, films // 2), pairs="held-out"))
    found |= _order(model, drawn)
    found["top1_by_frames"] = {
        name: {str(count): _top1(model, _fewer(drawn, count), name) for count in FRAMES} for name in model.heads
    }
    found["top1_by_templates"] = {
        name: _top1(model, drawn, templates=templates) for name, templates in TEMPLATE_SETS.items()
    }
    return found | _positions(model, drawn) | _losses(model, drawn, seed)


def draw(model: ActionClip, seed: int, each: int, *, pairs: str = "seen") -> Drawn:
    """Look at `each` fresh films of each motion."""
    wanted = [(seed + i, place) for i in range(each) for place in range(len(MOTIONS))]
    films = (
        clip(number, MOTIONS[place].forwards, frames=model.frames, size=FRAME_SIZE, pairs=pairs).film.frames
        for number, place in wanted
    )
    features = np.stack([model.clip_features(film).frames for film in films])
    return Drawn(features=features, motions=np.array([place for _, place in wanted]))


def scores(
    model: ActionClip,
    clips: Float[np.ndarray, "B T D"],
    head: str | None = None,
    templates: tuple[str, ...] = TEMPLATES,
) -> Float[np.ndarray, "B A"]:
    """Return the probability of each action for clips that were looked at."""
    scored = model.score_many(clips, ACTIONS, templates=templates, head=head)
    return np.stack([each.probabilities() for each in scored])


def _top1(model: ActionClip, drawn: Drawn, head: str | None = None, templates: tuple[str, ...] = TEMPLATES) -> float:
    return float((scores(model, drawn.clips, head, templates).argmax(1) == drawn.truth).mean())


def _by_action(model: ActionClip, drawn: Drawn) -> dict[str, float]:
    right = scores(model, drawn.clips).argmax(1) == drawn.truth
    return {action: float(right[drawn.truth == place].mean()) for place, action in enumerate(ACTIONS)}


def _order(model: ActionClip, drawn: Drawn) -> dict[str, Any]:
    """Measure what each head makes of reversed, shuffled and frozen films, and how it tells the two directions."""
    count = drawn.features.shape[1]
    rng = np.random.default_rng(0)
    orders = {
        "shuffled": np.stack([film[reorder(count, "shuffled", rng)] for film in drawn.clips]),
        "frozen": drawn.clips[:, reorder(count, "frozen")],
    }
    found: dict[str, Any] = {}
    for name in model.heads:
        forwards, backwards = (scores(model, films, name) for films in (drawn.features, drawn.features[:, ::-1]))
        found[f"direction_{name}"] = _direction(forwards, backwards, drawn.motions)
        found[f"largest_change_reversed_{name}"] = float(np.abs(forwards - backwards).max())
        found |= {
            f"top1_{order}_{name}": float((scores(model, clips, name).argmax(1) == drawn.truth).mean())
            for order, clips in orders.items()
        }
    if found["largest_change_reversed_meanP"] != 0:
        raise ValueError("wanted the mean of frames to be blind to their order, got a difference")
    return found


def _direction(
    forwards: Float[np.ndarray, "F A"], backwards: Float[np.ndarray, "F A"], motions: Int[np.ndarray, " F"]
) -> float:
    """Return the share of clips for which the true direction beats the other one; a tie is half right."""
    rows = np.arange(len(motions))
    lead = np.concatenate(
        [
            forwards[rows, 2 * motions] - forwards[rows, 2 * motions + 1],
            backwards[rows, 2 * motions + 1] - backwards[rows, 2 * motions],
        ]
    )
    return float((np.sign(lead) / 2 + 0.5).mean())


def _fewer(drawn: Drawn, count: int) -> Drawn:
    """Return the films watched in fewer frames, each repeated, as ActionCLIP samples short videos."""
    whole = drawn.features.shape[1]
    kept = tsn_segment_indices(whole, count)[tsn_segment_indices(count, whole)]
    return Drawn(features=drawn.features[:, kept], motions=drawn.motions)


def _positions(model: ActionClip, drawn: Drawn) -> dict[str, Any]:
    """Compare the places in time of Transf with the features that they are added to, learnt and at the start."""
    lengths = np.linalg.norm(drawn.features, axis=-1)
    width = drawn.features.shape[-1]
    start = Transf(width, 1, layers=0, positions=drawn.features.shape[1]).frame_position_embeddings.weight.detach()
    return {
        "feature_length": float(lengths.mean()),
        "position_signal": model.position_signal(ClipFeatures(frames=drawn.features.reshape(-1, width))),
        "position_signal_release_start": float(start.norm(dim=1).mean()) / float(lengths.mean()),
    }


def _losses(model: ActionClip, drawn: Drawn, seed: int) -> dict[str, Any]:
    """Teach a small head by each loss, with 1 to 8 clips of each action in a batch; the towers stay as they are."""
    learnt = draw(model, seed + LESSON_SEED, LESSON_FILMS)
    texts = model.text_features(ACTIONS, TEMPLATES)  # (16, A, D)
    by_count: dict[str, Any] = {}
    for count in SAME:
        row: dict[str, float] = {"own_text_floor": float(np.log(count))}
        for name in ("kl", "own_text"):
            head, push = _taught(learnt, texts, count, name)
            with torch.inference_mode():
                videos = torch.nn.functional.normalize(head(torch.from_numpy(drawn.clips.copy())), dim=-1)
                found = (videos @ texts.mean(0).T).argmax(1).numpy()
            row |= {f"{name}_top1": float((found == drawn.truth).mean()), f"{name}_push_apart": push}
        by_count[str(count)] = row
    return {"loss_by_clips_of_a_class": by_count, "loss_note": LOSS_NOTE}


def _taught(learnt: Drawn, texts: Float[torch.Tensor, "M A D"], count: int, name: str) -> tuple[Transf, float]:
    """Return a head after a few steps, and how hard the loss then drives a clip from its class's other sentences.

    The second number is the mean slope of the loss along the cosine of a clip with another clip's sentence of the same
    class, times the number of clips: above 0 they are pushed apart.
    """
    clips, truth = torch.from_numpy(learnt.clips.copy()), learnt.truth
    torch.manual_seed(0)
    head = Transf(clips.shape[-1], 2, layers=LESSON_LAYERS, positions=clips.shape[1])
    length = float(clips.norm(dim=-1).mean()) / clips.shape[-1] ** 0.5
    torch.nn.init.normal_(head.frame_position_embeddings.weight, std=length)
    optimizer = torch.optim.AdamW(head.parameters(), lr=LESSON_RATE)
    rng = np.random.default_rng(0)
    places = [np.flatnonzero(truth == action) for action in range(len(ACTIONS))]
    for step in range(STEPS + 1):
        picks = np.concatenate([rng.choice(each, count, replace=False) for each in places])
        classes = torch.from_numpy(truth[picks])
        said = texts[torch.from_numpy(rng.integers(len(texts), size=len(picks))), classes]
        videos = head(clips[torch.from_numpy(picks)])
        if step == STEPS:
            break
        loss = matching_loss if name == "kl" else _own_text
        optimizer.zero_grad()
        loss(videos, said, classes, LESSON_SCALE).backward()
        optimizer.step()
    return head.eval(), _push(videos.detach(), said, classes, name)


def _own_text(videos: torch.Tensor, texts: torch.Tensor, classes: torch.Tensor, scale: float) -> torch.Tensor:
    return own_text_loss(videos, texts, scale)


def _push(videos: torch.Tensor, texts: torch.Tensor, classes: torch.Tensor, name: str) -> float:
    logits = similarity_logits(videos, texts, LESSON_SCALE)[0]
    same = label_matrix(classes).bool() & ~torch.eye(len(classes), dtype=torch.bool)
    if not same.any():
        return 0.0
    target = soft_target(label_matrix(classes)) if name == "kl" else torch.eye(len(classes))
    slope = (logits.softmax(1) - target)[same]  # of either loss along a row, times the number of rows
    return float(slope.mean())
