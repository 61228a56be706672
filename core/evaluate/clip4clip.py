"""The figures of CLIP4Clip: a gallery of fresh Toybox clips, reversal pairs, and what each choice is worth.

Every caption of the gallery is another sentence. A reversal pair is a clip and the same clip backwards, whose captions
differ in the verb alone. Legend: M texts, N clips, T frames, D embedding size.
"""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from core import checkpoints, registry
from core.evaluate.clip4clip_claims import by_frames, cost_of_heads, event_at_the_end, position_signal, unmoved
from core.evaluate.clip4clip_positions import learned_directions
from core.metrics.ranking import wilson_interval
from core.metrics.retrieval import official_ranks, preferred, ranks, summary, ties
from core.video_retrieval.clip4clip import Clip4Clip, Features
from core.world.clips import caption, gallery, reversal_pairs
from core.world.motion import Clip, partner

FIRST_SEED = 12_000_000  # far from training's and validation's
PAIR_SEEDS = 5_000  # from the gallery's first seed to the pairs'
BLOCK = 16  # pairs scored together where only their diagonal is wanted
SIZE = 64  # pixels of a clip's side


def evaluate_clip4clip(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every head on a gallery and on reversal pairs, then the claims."""
    model: Clip4Clip = registry.load("clip4clip", arguments.weights)
    size, seed = arguments.size, FIRST_SEED + 10_000 * arguments.seed
    shown, features = look(model, gallery(seed, size, frames=model.frames, size=SIZE))
    texts = [caption(each) for each in shown]
    found: dict[str, Any] = {"system": "clip4clip", "weights": model.weights, "seed": arguments.seed, "size": size}
    found |= {"heads": list(model.heads), "different_captions": len(set(texts)), "chance_r1": 1 / size}
    found["retrieval"] = {}
    for head in model.heads:
        scores = model.scores(features, texts, head)
        found["retrieval"][head] = retrieval(scores)
        found[f"r1_{head}"] = found["retrieval"][head]["text_to_video"]["r1"]
        found[f"r1_{head}_interval"] = [round(end, 4) for end in wilson_interval(found[f"r1_{head}"], size)]
    pairs = list(reversal_pairs(seed + PAIR_SEEDS, size, frames=model.frames, size=SIZE))
    firsts, first_features = look(model, (first for first, _ in pairs))
    found |= directions(model, pairs, first_features)
    found |= zero_shot(shown, texts)
    found |= by_frames(model, features, texts)
    found |= event_at_the_end(model, features, texts)
    found |= cost_of_heads(model, features, texts)
    found |= position_signal(model, features, texts)
    return found | learned_directions(
        features, [each.action for each in shown], first_features, [each.action for each in firsts]
    )


def look(model: Clip4Clip, clips: Iterable[Clip]) -> tuple[list[Clip], tuple[Features, ...]]:
    """Return clips, and as the model sees them."""
    shown = list(clips)
    return shown, model.encode([each.film.frames for each in shown])


def retrieval(scores: Float[np.ndarray, "N N"]) -> dict[str, Any]:
    """Return recall and ranks both ways, honest (a tie counts half) and as the release counts them."""
    found: dict[str, Any] = {}
    for name, square in (("text_to_video", scores), ("video_to_text", scores.T)):
        found[name] = summary(ranks(square)) | {"queries_with_ties": ties(square)}
        found[f"{name}_official"] = summary(official_ranks(square) + 1)
    return found


def directions(model: Clip4Clip, pairs: Sequence[tuple[Clip, Clip]], features: Sequence[Features]) -> dict[str, Any]:
    """Return how often each head finds the right one of a clip and its reversal, by a sentence and by a clip.

    `features` are those of the first of each pair.
    """
    turned = [each[::-1] for each in features]
    texts, others = [caption(first) for first, _ in pairs], [caption(second) for _, second in pairs]
    actions = [first.action for first, _ in pairs]
    found: dict[str, Any] = {"direction_pairs": len(pairs), "direction_by_motion": {}}
    for head in model.heads:
        right, wrong = diagonal(model, head, features, texts), diagonal(model, head, turned, texts)
        wrong_other, right_other = diagonal(model, head, features, others), diagonal(model, head, turned, others)
        by_sentence = preferred(np.r_[right, right_other], np.r_[wrong, wrong_other])
        by_clip = preferred(np.r_[right, right_other], np.r_[wrong_other, wrong])
        found[f"direction_{head}"] = (by_sentence + by_clip) / 2
        found[f"direction_by_sentence_{head}"], found[f"direction_by_clip_{head}"] = by_sentence, by_clip
        found["direction_by_motion"][head] = {
            " / ".join(sorted((action, partner(action)))): preferred(
                np.r_[right, right_other][np.tile(here, 2)], np.r_[wrong, wrong_other][np.tile(here, 2)]
            )
            for action in dict.fromkeys(actions)
            if (here := np.array([action in (each, partner(each)) for each in actions])).any()
        }
    return found | unmoved(model, features)


def diagonal(
    model: Clip4Clip, head: str, features: Sequence[Features], texts: Sequence[str]
) -> Float[np.ndarray, " N"]:
    """Return the score of each text with its own clip, in blocks of one shape, so that equal clips score equally."""
    scores = []
    for start in range(0, len(texts), BLOCK):
        part = slice(start, start + BLOCK)
        scores.append(model.scores(features[part], texts[part], head).diagonal())
    return np.concatenate(scores)


def zero_shot(shown: Sequence[Clip], texts: Sequence[str]) -> dict[str, Any]:
    """Return what the embedded CLIP does without having heard of motion: the paper's zero-shot row."""
    path = checkpoints.fetch(checkpoints.resolve("clip"))
    model: Clip4Clip = registry.load("clip4clip", str(path))
    _, features = look(model, shown)
    return {"zero_shot_meanP": retrieval(model.scores(features, texts, "meanP"))["text_to_video"]}
