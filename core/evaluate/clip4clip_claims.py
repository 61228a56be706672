"""What CLIP4Clip's choices are worth, measured on clips whose truth is known: order, frames, sampling, cost, positions.

Everything here works on kept features: a reversed, shortened or prolonged clip is not looked at again.
Legend: N clips, T frames.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from core.media_video import head_indices, tail_indices, uniform_indices
from core.metrics.retrieval import preferred, ranks
from core.video_retrieval.clip4clip import Clip4Clip, Features
from core.video_retrieval.heads import LOOSE
from core.world.clips import opposite
from core.world.motion import ACTIONS, partner

FRAMES = (1, 2, 4, 8, 12)
STILL = 24  # frames before an event at the end: two thirds of the clip
SAMPLINGS = {"uniform": uniform_indices, "head": head_indices, "tail": tail_indices}
GALLERIES = (10, 50, 200)
POSITION_FACTORS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)
COUNTED = 3  # timings of which the median counts


def unmoved(model: Clip4Clip, features: Sequence[Features]) -> dict[str, Any]:
    """Say how far each loose head's vector moves when a clip is played backwards; meanP must not move at all."""
    turned = [each[::-1] for each in features]
    moved = {}
    for head in (head for head in model.heads if head in LOOSE):
        before, after = model.clip_vectors(features, head), model.clip_vectors(turned, head)
        moved[head] = float((1 - (before * after).sum(1)).mean())
        if head == "meanP":
            assert np.array_equal(before, after), "the mean of a clip's frames depends on their order"
            moved[head] = 0.0
    return {"meanP_identical_when_reversed": True, "cosine_distance_when_reversed": moved}


def by_frames(model: Clip4Clip, features: Sequence[Features], texts: Sequence[str]) -> dict[str, Any]:
    """Return recall at 1 of the loose heads, and how well they tell directions, with fewer frames."""
    found: dict[str, Any] = {"r1_by_frames": {}, "direction_by_frames": {}}
    for head in (head for head in model.heads if head in LOOSE):
        recalls, directions = {}, {}
        for count in FRAMES:
            fewer = [each[uniform_indices(len(each), count)] for each in features]
            recalls[str(count)] = _r1(model, head, fewer, texts)
            directions[str(count)] = _direction(model, head, fewer, texts)
        found["r1_by_frames"][head], found["direction_by_frames"][head] = recalls, directions
    return found


def event_at_the_end(model: Clip4Clip, features: Sequence[Features], texts: Sequence[str]) -> dict[str, Any]:
    """Return recall at 1 when nothing moves for two thirds of the clip, by which frames are looked at."""
    longer = [np.concatenate([np.repeat(each[:1], STILL, axis=0), each]) for each in features]
    found: dict[str, Any] = {"r1_event_at_end": {}, "direction_event_at_end": {}, "still_frames": STILL}
    for head in (head for head in model.heads if head in LOOSE):
        chosen = {
            name: [each[places(len(each), model.frames)] for each in longer] for name, places in SAMPLINGS.items()
        }
        found["r1_event_at_end"][head] = {name: _r1(model, head, some, texts) for name, some in chosen.items()}
        found["direction_event_at_end"][head] = {
            name: _caption_choice(model, head, some, texts) for name, some in chosen.items()
        }
    return found


def cost_of_heads(model: Clip4Clip, features: Sequence[Features], texts: Sequence[str]) -> dict[str, Any]:
    """Return the seconds of scoring as many texts as clips, features and texts at hand, as the gallery grows."""
    if "tightTransf" not in model.heads:
        return {}
    costs = {}
    for size in (size for size in GALLERIES if size <= len(features)):
        some, words = features[:size], texts[:size]
        model.scores(some[:1], words)  # the texts are encoded before the clock starts
        loose = _seconds(lambda some=some, words=words: model.scores(some, words, "seqTransf"))
        tight = _seconds(lambda some=some, words=words: model.scores(some, words, "tightTransf"), repeats=1)
        costs[str(size)] = {"seqTransf_seconds": loose, "tightTransf_seconds": tight, "times": tight / loose}
    return {"cost_by_gallery": costs}


def position_signal(model: Clip4Clip, features: Sequence[Features], texts: Sequence[str]) -> dict[str, Any]:
    """Return how loud positions are against frames, and what becomes of directions when they are made quieter."""
    raw = np.concatenate([np.linalg.norm(each, axis=1) for each in features])
    found: dict[str, Any] = {"clip_frame_norm": float(raw.mean())}
    if "seqTransf" not in model.heads:
        return found
    found["frame_norm"] = float(np.concatenate([model.frame_norms(each) for each in features]).mean())
    found["position_norm"] = float(model.position_norms()[: model.frames].mean())
    found["direction_by_position_factor"] = {
        f"{factor:g}": _direction(model.with_positions_scaled(factor), "seqTransf", features, texts)
        for factor in POSITION_FACTORS
    }
    return found


def _r1(model: Clip4Clip, head: str, features: Sequence[Features], texts: Sequence[str]) -> float:
    return float((ranks(model.scores(features, texts, head)) <= 1).mean())


def _direction(model: Clip4Clip, head: str, features: Sequence[Features], texts: Sequence[str]) -> float:
    """Return how often a sentence prefers its clip to the same clip backwards; a tie counts half."""
    right = model.scores(features, texts, head).diagonal()
    return preferred(right, model.scores([each[::-1] for each in features], texts, head).diagonal())


def _caption_choice(model: Clip4Clip, head: str, features: Sequence[Features], texts: Sequence[str]) -> float:
    """Return how often a clip prefers its sentence to the one with the opposite verb; a tie counts half."""
    others = [_opposite(text) for text in texts]
    right = model.scores(features, texts, head).diagonal()
    return preferred(right, model.scores(features, others, head).diagonal())


def _opposite(text: str) -> str:
    """Return a caption with the opposite verb."""
    for action in ACTIONS:
        try:
            return opposite(text, action)
        except ValueError:
            continue
    raise ValueError(f"wanted a caption of a Toybox clip, which ends in a motion such as {partner(ACTIONS[0])!r}")


def _seconds(work: Any, repeats: int = COUNTED) -> float:
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times))
