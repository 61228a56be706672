"""How loud a position must be against a frame for a transformer to learn the order of time.

CLIP4Clip (Luo et al. 2022, https://arxiv.org/abs/2104.08860) adds positions to frames as CLIP's projection gives them.
Where those are long and positions start short, a head of one block learns directions slowly or not at all; with both at
one scale it learns them at once. Here that is tried: the same clips, steps and head, three scales.

Legend: N clips, T frames, D embedding size, K motions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from core.video_retrieval.clip4clip import Features
from core.video_retrieval.heads import VideoHeads
from core.world.motion import MOTIONS

STEPS, BATCH, RATE, SEED = 80, 48, 1e-3, 0
RELEASED_STD = 0.01  # of CLIP's text positions, which the release starts from
SHARE = 0.5  # of a frame's norm that a position's has where both are at one scale
VECTOR_SCALE = 10.0  # on unit vectors, for the classifier


def learned_directions(
    train: Sequence[Features], train_actions: Sequence[str], test: Sequence[Features], test_actions: Sequence[str]
) -> dict[str, Any]:
    """Return how often a head of one block, taught for a moment, tells unseen clips from their reversals."""
    clips, motions = _forwards(train, train_actions)
    fresh, asked = _forwards(test, test_actions)
    width = clips.shape[-1]
    scales = {
        "released: long frames, short positions": (0.0, RELEASED_STD),
        "frames at one norm, short positions": (width**0.5, RELEASED_STD),
        "frames at one norm, positions at half of it": (width**0.5, SHARE),
    }
    return {
        "direction_learned_by_scale": {
            name: _taught(clips, motions, fresh, asked, *scale) for name, scale in scales.items()
        },
        "direction_learned_steps": STEPS,
    }


def _taught(
    clips: Float[Tensor, "N T D"],
    motions: Int[Tensor, " N"],
    fresh: Float[Tensor, "P T D"],
    asked: Int[Tensor, " P"],
    norm: float,
    position_std: float,
) -> float:
    generator = torch.Generator().manual_seed(SEED)
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(SEED)
        heads = VideoHeads(clips.shape[-1], layers=1, positions=clips.shape[1], names=("seqTransf",))
        heads.input_norm.fill_(norm)
        nn.init.normal_(heads.frame_position_embeddings.weight, std=position_std)
        probe = nn.Linear(clips.shape[-1], len(MOTIONS))
        learns = torch.optim.AdamW([*heads.parameters(), *probe.parameters()], RATE)
        for _ in range(STEPS):
            picks = torch.randint(len(clips), (BATCH,), generator=generator)
            both = torch.cat([clips[picks], clips[picks].flip(1)])
            told = _logits(heads, probe, both, motions[picks].repeat(2))
            truth = torch.cat([torch.ones(BATCH), torch.zeros(BATCH)])
            learns.zero_grad()
            nn.functional.binary_cross_entropy_with_logits(told, truth).backward()
            learns.step()
    with torch.inference_mode():
        right = _logits(heads, probe, fresh, asked) - _logits(heads, probe, fresh.flip(1), asked)
    return float(((right > 0).float() + (right == 0).float() / 2).mean())


def _logits(
    heads: VideoHeads, probe: nn.Linear, clips: Float[Tensor, "N T D"], motions: Int[Tensor, " N"]
) -> Float[Tensor, " N"]:
    """Return how sure the probe of each clip's motion is that the clip goes forwards."""
    mask = torch.ones(clips.shape[:2], dtype=torch.long)
    vectors = VECTOR_SCALE * heads.clip_vectors("seqTransf", clips, mask)
    return probe(vectors).gather(1, motions[:, None])[:, 0]


def _forwards(features: Sequence[Features], actions: Sequence[str]) -> tuple[Float[Tensor, "N T D"], Int[Tensor, " N"]]:
    """Return the clips turned so that each shows the first of its motion's two actions, with the motion's place."""
    turned, places = [], []
    for each, action in zip(features, actions, strict=True):
        place = next(i for i, motion in enumerate(MOTIONS) if action in (motion.forwards, motion.backwards))
        turned.append(each if action == MOTIONS[place].forwards else each[::-1])
        places.append(place)
    return torch.from_numpy(np.stack(turned)), torch.tensor(places)
