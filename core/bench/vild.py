"""ViLD against asking CLIP itself: scores of 300 proposals, crops in one batch, new words on the same picture."""

from typing import Any

import numpy as np

from core.bench.measure import paired, report

PROPOSALS, LOOP_PROPOSALS = 300, 60
SIDE = 128
WORDS = ("chair", "table", "lamp", "car", "airplane", "boat", "house", "tree", "mug", "bottle")
NEW_WORDS = ("sofa", "truck", "bird", "rocket", "dog", "person", "ring", "ball", "cone", "cube")


def vild_heads() -> dict[str, Any]:
    """Score 300 proposals with ViLD's head, from the picture's features on, against CLIP on 300 x 2 crops."""
    import torch

    from core.detection.vild_crops import encode_crops
    from core.detection.vild_head import word_logits
    from core.detection.vild_scores import ensemble, image_probabilities, text_probabilities

    model, picture, boxes = _scene(PROPOSALS)
    texts = model.classifier(WORDS)
    base = torch.ones(len(WORDS), dtype=torch.bool)
    network, hw = model.network, (SIDE, SIDE)
    with torch.inference_mode():
        pyramid = network.pyramid(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)

    def heads() -> Any:
        with torch.inference_mode():
            found = network.ensemble(network.regions(pyramid, [torch.from_numpy(boxes)], hw))
            text = text_probabilities(word_logits(found.text, texts, network.ensemble.background))
            return ensemble(text, image_probabilities(word_logits(found.image, texts)), base)

    def crops() -> Any:
        return encode_crops(model.clip, picture, boxes, square=True) @ texts.T

    found = report(*paired(heads, crops, repeats=5), f"the embedded CLIP on {PROPOSALS} x 2 crops")
    return found | {"proposals": PROPOSALS}


def vild_crops() -> dict[str, Any]:
    """Encode the crops of 60 proposals in one call against a loop over the same crops."""
    from core.detection.vild_crops import SCALES, crops, encode_crops

    model, picture, boxes = _scene(LOOP_PROPOSALS)
    outside = tuple(round(255 * value) for value in model.clip.preprocess.mean)

    def together() -> Any:
        return encode_crops(model.clip, picture, boxes, square=True)

    def one_by_one() -> Any:
        found = []
        for box in boxes:
            for scale in SCALES:
                (shown,) = crops(picture, box[None], scale, square=True, outside=outside)
                found.append(model.clip.encode_inputs(model.clip.preprocess(shown)[None]))
        return found

    return report(*paired(together, one_by_one, repeats=5), "a loop: cut, resize, encode, one crop at a time")


def vild_new_words() -> dict[str, Any]:
    """Ask new words about a picture that was just looked at, as a share of the first question's time."""
    model, picture, _ = _scene(1)

    def first() -> Any:
        model.forget()
        return model.detect(picture, WORDS).boxes()

    def again() -> Any:
        model.clip.forget_texts()  # the words are new: their vectors are part of the price
        return model.detect(picture, NEW_WORDS).boxes()

    first()
    return report(*paired(again, first, repeats=7, warm=False), "the first words", inverse=True)


def _scene(count: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return the embedded ViLD, a Toybox picture, and boxes all over it, on the CPU."""
    from core import registry
    from core.world.picture import picture

    rng = np.random.default_rng(0)
    starts, sides = rng.uniform(0, SIDE - 40, (count, 2)), rng.uniform(12, 40, (count, 2))
    boxes = np.concatenate([starts, starts + sides], 1).astype(np.float32)
    return registry.load("vild"), picture(0, SIDE, count=4).rgb, boxes
