"""GroupViT at its published size with random weights, on the CPU: new words on a picture that was just looked at."""

from typing import Any

import numpy as np

from core.bench.measure import paired, report

WORDS = ("cat", "grass", "sky", "tree", "chair")
NEW_WORDS = ("dog", "road", "cloud", "house", "table")
PICTURE_HW = (360, 480)


def groupvit_new_words() -> dict[str, Any]:
    """Ask new words about a picture that was just looked at, as a share of the first question's time."""
    model = _random_model()
    picture = np.random.default_rng(0).integers(0, 256, (*PICTURE_HW, 3), dtype=np.uint8)

    def first() -> Any:
        model.forget()
        return model.segment(picture, WORDS).label_map()

    def again() -> Any:
        model.forget_texts()  # the words are new: their vectors are part of the price
        return model.segment(picture, NEW_WORDS).label_map()

    first()
    return report(*paired(again, first, repeats=3, warm=False), "the first words", inverse=True)


def _random_model() -> Any:
    """Return GroupViT as published, but for what it has learnt."""
    import torch

    from core.checkpoints import Weights
    from core.device import choose
    from core.segmentation.groupvit import GroupVitSegmenter
    from core.segmentation.groupvit_model import GroupVit, GroupVitSize

    torch.manual_seed(0)
    return GroupVitSegmenter(GroupVit(GroupVitSize()).eval(), Weights(name="random", system="groupvit"), choose("cpu"))
