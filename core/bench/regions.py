"""How fast regions of a picture are named."""

from typing import Any

import numpy as np

from core.bench.measure import paired, report

MASKS, SIDE = 64, 256
LABELS = ("chair", "table", "lamp", "car", "airplane", "boat", "house", "tree", "mug", "bottle")


def bench_regions() -> dict[str, Any]:
    """Score 64 masks in one batch with the default CLIP and with the ViT, against a loop over the masks."""
    found = _against_a_loop("toybox-resnet")
    return found | {"toybox-vit": _against_a_loop("toybox-vit")}


def _against_a_loop(name: str) -> dict[str, Any]:
    """Compare with what one writes first: mask the whole picture, crop, encode, compare, mask by mask."""
    from core import registry
    from core.backbones.regions import RegionScorer, RegionSettings, cut, window_of

    backbone = registry.load("clip", name).backbone
    scorer, settings = RegionScorer(backbone), RegionSettings(mode="mean", margin=0.0)
    picture, masks = _scene()
    texts, outside = scorer.classifier(LABELS), scorer.mean_colour

    def together() -> list[str]:
        return [each.best for each in scorer.score(picture, LABELS, masks=masks, settings=settings)]

    def one_by_one() -> list[str]:
        found = []
        for mask in masks:
            shown = np.where(mask[..., None], picture, np.uint8(outside))
            rows, columns = np.nonzero(mask)
            box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            crop = cut(shown, window_of(box, square=True), outside)
            feature = backbone.encode_inputs(backbone.preprocess(crop)[None])[0]
            found.append(LABELS[int((texts @ feature).argmax())])
        return found

    found = report(*paired(together, one_by_one, repeats=7), "a loop: mask the picture, crop, encode, one at a time")
    same = float(np.mean([a == b for a, b in zip(together(), one_by_one(), strict=True)]))
    return found | {"weights": name, "masks": MASKS, "same_labels": same}


def _scene() -> tuple[np.ndarray, np.ndarray]:
    """Return a Toybox picture and round masks all over it."""
    from core.world.picture import picture

    view = picture(0, SIDE, count=4)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    centres, radii = rng.uniform(0, SIDE, (MASKS, 2)), rng.uniform(12, 50, MASKS)
    masks = [(x - a) ** 2 + (y - b) ** 2 < radius**2 for (a, b), radius in zip(centres, radii, strict=True)]
    return view.rgb, np.stack(masks)
