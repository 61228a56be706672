"""Everything mode: a grid of clicks, the masks that the network trusts, and each of them once.

Paper: Kirillov et al. 2023, App. B (automatic mask generation), https://arxiv.org/abs/2304.02643, through the package's
SamAutomaticMaskGenerator. Different from it: the picture's embedding may be remembered, and the number of masks is
limited, because each is held at the picture's size.

Legend: H height, W width.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from segment_anything import SamAutomaticMaskGenerator, SamPredictor

from core.segmentation.masks import MaskSet

MOST_PIXELS = 500_000_000  # of all masks together: half a gigabyte


@dataclass(frozen=True, kw_only=True)
class EverythingSettings:
    """How dense the grid is and which masks stay; defaults as in the package, but for a grid that a CPU can do."""

    points_per_side: int = 16  # the package: 32
    points_per_batch: int = 64
    least_predicted_iou: float = 0.88
    least_stability: float = 0.95
    stability_offset: float = 1.0  # logits by which a mask is cut higher and lower
    most_box_overlap: float = 0.7
    crop_layers: int = 0  # each looks at the picture again in 4, 16 ... crops
    least_pixels: int = 0  # smaller islands are removed and smaller holes filled
    most_masks: int = 100  # the best ones stay

    def __post_init__(self) -> None:
        if min(self.points_per_side, self.points_per_batch, self.most_masks) < 1:
            raise ValueError(f"wanted at least one point and one mask, got {self}")
        if min(self.crop_layers, self.least_pixels, self.stability_offset) < 0:
            raise ValueError(f"wanted crop layers, pixels and an offset of at least 0, got {self}")

    @classmethod
    def for_embedded(cls) -> "EverythingSettings":
        """Return settings for the small network trained here, whose logits are smaller and which is less sure."""
        return cls(least_predicted_iou=0.4, least_stability=0.7, stability_offset=0.25)


def everything(predictor: SamPredictor, picture: UInt8[np.ndarray, "H W 3"], settings: EverythingSettings) -> MaskSet:
    """Return masks for all that a grid of clicks finds, by predicted IoU, best first; none where nothing stays."""
    generator = SamAutomaticMaskGenerator(
        predictor.model,
        points_per_side=settings.points_per_side,
        points_per_batch=settings.points_per_batch,
        pred_iou_thresh=settings.least_predicted_iou,
        stability_score_thresh=settings.least_stability,
        stability_score_offset=settings.stability_offset,
        box_nms_thresh=settings.most_box_overlap,
        crop_n_layers=settings.crop_layers,
        min_mask_region_area=settings.least_pixels,
    )
    generator.predictor = predictor
    found = [mask for mask in generator.generate(picture) if mask["area"]]
    most = min(settings.most_masks, max(1, MOST_PIXELS // (picture.shape[0] * picture.shape[1])))
    found = sorted(found, key=lambda mask: -mask["predicted_iou"])[:most]
    return MaskSet(
        masks=np.array([mask["segmentation"] for mask in found], bool).reshape(-1, *picture.shape[:2]),
        predicted_iou=np.array([mask["predicted_iou"] for mask in found], np.float32),
        stability=np.array([mask["stability_score"] for mask in found], np.float32),
    )
