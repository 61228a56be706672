"""LSeg at its full published size with random weights, on the CPU: one look, and new words on the same picture."""

from typing import Any

import numpy as np

from core.bench.measure import paired, report

WORDS = ("cat", "grass", "sky", "tree", "other")
NEW_WORDS = ("dog", "road", "cloud", "house", "other")
PICTURE_HW = (360, 480)  # the released app's canvas, for which its evaluator runs the network 36 times


def lseg_single_scale() -> dict[str, Any]:
    """Label a picture with one look at the whole of it, against the released evaluator's scales and windows."""
    from core.segmentation.lseg_evaluator import EvaluatorSettings, count_windows

    model, picture = _random_model(), _picture()
    evaluator = EvaluatorSettings()

    def ours() -> Any:
        model.forget()
        return model.segment(picture, WORDS).label_map()

    times = paired(ours, lambda: model.segment_windows(picture, WORDS).label_map(), repeats=1, warm=False)
    found = report(*times, "the released evaluator: six scales, windows of 480 pixels, both directions")
    return found | {"looks_of_the_alternative": count_windows(PICTURE_HW, evaluator)}


def lseg_new_words() -> dict[str, Any]:
    """Ask new words about a picture that was just looked at, as a share of the first question's time."""
    model, picture = _random_model(), _picture()

    def first() -> Any:
        model.forget()
        return model.segment(picture, WORDS)

    def again() -> Any:
        model.texts.forget_texts()  # the words are new: their vectors are part of the price
        return model.segment(picture, NEW_WORDS)

    first()
    return report(*paired(again, lambda: first(), repeats=3, warm=False), "the first words", inverse=True)


def _random_model() -> Any:
    """Return LSeg with ViT-L/16 and the text tower of CLIP's ViT-B/32, on the CPU."""
    import torch
    from open_clip.model import QuickGELU
    from open_clip.transformer import TextTransformer

    from core.backbones.dpt import VIT_L16
    from core.checkpoints import Weights
    from core.device import choose
    from core.segmentation.lseg import Lseg
    from core.segmentation.lseg_model import LsegNetwork

    torch.manual_seed(0)
    network = LsegNetwork(VIT_L16, 512, text=TextTransformer(act_layer=QuickGELU)).eval()
    return Lseg(network, Weights(name="random ViT-L/16", system="lseg"), choose("cpu"))


def _picture() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (PICTURE_HW[0] // 24, PICTURE_HW[1] // 24, 3), np.uint8)
    return small.repeat(24, 0).repeat(24, 1)
