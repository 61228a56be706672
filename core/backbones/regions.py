"""Regions of a picture as vectors in a CLIP's space, so that words can be compared with a mask or a box.

Six ways to show CLIP a region, after what others have done with masks and boxes (none of them a standard):
- bbox: the picture inside the window;
- black, mean: what is not in the mask is painted black, or in CLIP's mean colour;
- blur: what is not in the mask is blurred;
- context: the window and one 1.5 times as large, their vectors added (ViLD, Gu et al., ICLR 2022, Sec. 3.2,
  https://arxiv.org/abs/2104.13921);
- dense: no crops; the features of the picture's places, averaged over the region: one forward pass for all regions.
The window is the square around the region's box and a margin, or the box itself, which CLIP's preprocessing then cuts
to its middle square, as detpro has it. Beyond the picture everything is CLIP's mean colour, or black where the mode is.

Legend: R regions, H height, W width, D embedding size, L labels, h w a grid of places.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from core.backbones.clip import ClipBackbone
from core.backbones.dense import place_features, stride_of
from core.results import Ranking, unique_labels

BOX_MODES = ("bbox", "context", "dense")  # those that need no mask
MODES = ("bbox", "black", "mean", "blur", "context", "dense")
CONTEXT_SCALE = 1.5  # ViLD, Sec. 3.2
BARE = ("{}",)

Window = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True)
class RegionSettings:
    """How regions are shown to CLIP."""

    mode: str = "mean"
    square: bool = True  # the window is a square; otherwise the box, of which CLIP sees the middle
    margin: float = 0.15  # added around the box on each side, as a share of its sides; context has its own
    blur_share: float = 0.1  # standard deviation, as a share of the window's longer side
    dense_scale: float = 2.0  # the picture's shorter side for dense features, in sides of the network's input

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"wanted one of {', '.join(MODES)}, got {self.mode!r}")
        if self.margin < 0 or self.blur_share <= 0 or self.dense_scale <= 0:
            raise ValueError(f"wanted a margin of at least 0, blur and dense scale above 0, got {self}")


class RegionScorer:
    """Compares regions with words through one CLIP."""

    def __init__(self, backbone: ClipBackbone) -> None:
        """Use an opened CLIP."""
        self.backbone = backbone

    def score(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        labels: Sequence[str],
        *,
        masks: Bool[np.ndarray, "R H W"] | None = None,
        boxes_xyxy: Float[np.ndarray, "R 4"] | None = None,
        templates: Sequence[str] = BARE,
        settings: RegionSettings | None = None,
    ) -> tuple[Ranking, ...]:
        """Score each label against each region, given as masks, or as boxes where the mode needs no mask.

        Labels are taken once each. Raises ValueError for no label, an empty mask, a box without area, and a mode that
        needs masks where there are none.
        """
        words = unique_labels(labels)
        if not words:
            raise ValueError("Write at least one label.")
        features = self.encode(picture, masks=masks, boxes_xyxy=boxes_xyxy, settings=settings)
        cosines = (features @ self.classifier(words, templates).T).numpy()  # (R, L)
        return tuple(
            Ranking(
                labels=words,
                cosines=row,
                logit_scale=self.backbone.logit_scale,
                logit_bias=self.backbone.logit_bias,
                kind=self.backbone.kind,
            )
            for row in cosines
        )

    def encode(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        *,
        masks: Bool[np.ndarray, "R H W"] | None = None,
        boxes_xyxy: Float[np.ndarray, "R 4"] | None = None,
        settings: RegionSettings | None = None,
    ) -> Float[Tensor, "R D"]:
        """Return a unit vector for each region, all crops in one batch; errors as in `score`."""
        chosen = settings or RegionSettings()
        boxes = check_regions(picture.shape[:2], masks, boxes_xyxy, chosen.mode)
        if not len(boxes):
            return torch.zeros(0, len(self.backbone.encode_texts([""])[0]))
        if chosen.mode == "dense":
            return self._dense(picture, masks, boxes, chosen)
        crops = region_crops(picture, boxes, masks, chosen, self.mean_colour)
        features = self.backbone.encode_images(crops)  # (R, D) or, with context, (2 R, D)
        return F.normalize(features.unflatten(0, (-1, len(boxes))).sum(0), dim=-1)

    def classifier(self, labels: Sequence[str], templates: Sequence[str] = BARE) -> Float[Tensor, "L D"]:
        """Return a unit vector for each label, the mean over its prompts."""
        prompts = [template.replace("{}", label) for label in labels for template in templates]
        return F.normalize(self.backbone.encode_texts(prompts).unflatten(0, (len(labels), -1)).mean(1), dim=-1)

    @property
    def mean_colour(self) -> tuple[int, int, int]:
        """The colour that preprocessing turns into zeros."""
        return tuple(round(255 * value) for value in self.backbone.preprocess.mean)

    def _dense(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        masks: Bool[np.ndarray, "R H W"] | None,
        boxes: Float[np.ndarray, "R 4"],
        settings: RegionSettings,
    ) -> Float[Tensor, "R D"]:
        places = self.places(picture, settings.dense_scale)  # (h, w, D)
        grid_hw = places.shape[:2]
        if masks is None:
            shares = np.stack([_box_share(box, picture.shape[:2], grid_hw) for box in boxes])
        else:
            shares = np.stack([_share(mask, grid_hw) for mask in masks])
        weights = torch.from_numpy(shares).float().flatten(1)  # (R, h w)
        return F.normalize(weights @ places.flatten(0, 1), dim=-1)

    def places(self, picture: UInt8[np.ndarray, "H W 3"], scale: float) -> Float[Tensor, "h w D"]:
        """Return a unit vector for each place of a picture, whose shorter side becomes `scale` network inputs.

        Raises ValueError where the CLIP's image tower has no places that could be asked.
        """
        visual, preprocess = self.backbone.model.visual, self.backbone.preprocess
        stride = stride_of(visual)
        factor = scale * preprocess.size / min(picture.shape[:2])
        height, width = (stride * max(1, round(side * factor / stride)) for side in picture.shape[:2])
        resized = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
        inputs = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
        device = self.backbone.device
        with torch.inference_mode(), device.autocast():
            found = place_features(visual, ((inputs - mean) / std)[None].to(device.torch_device()))[0]
        return F.normalize(found.float(), dim=-1).cpu()


def check_regions(
    size_hw: tuple[int, int],
    masks: Bool[np.ndarray, "R H W"] | None,
    boxes_xyxy: Float[np.ndarray, "R 4"] | None,
    mode: str,
) -> Float[np.ndarray, "R 4"]:
    """Return the regions' boxes, clipped to the picture; ValueError as in `RegionScorer.score`."""
    if masks is None and boxes_xyxy is None:
        raise ValueError("wanted masks or boxes, got neither")
    if masks is None and mode not in BOX_MODES:
        raise ValueError(f"The mode {mode!r} needs masks; boxes alone can be scored with {', '.join(BOX_MODES)}.")
    if masks is not None and masks.shape[1:] != tuple(size_hw):
        raise ValueError(f"wanted masks of the picture's size {tuple(size_hw)}, got {masks.shape[1:]}")
    if boxes_xyxy is None:
        boxes_xyxy = np.array([_mask_box(mask, place) for place, mask in enumerate(masks)], np.float32)
    ends = np.array([size_hw[1], size_hw[0]] * 2, np.float32)
    boxes = np.clip(boxes_xyxy.reshape(-1, 4), 0, ends).astype(np.float32)
    flat = np.flatnonzero((boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1]))
    if len(flat):
        raise ValueError(f"Box {flat[0] + 1} has no area inside the picture: there is nothing to score.")
    return boxes


def region_crops(
    picture: UInt8[np.ndarray, "H W 3"],
    boxes_xyxy: Float[np.ndarray, "R 4"],
    masks: Bool[np.ndarray, "R H W"] | None,
    settings: RegionSettings,
    mean_colour: tuple[int, int, int],
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Return what CLIP is shown of each region; with context, those of all windows and then of all larger ones."""
    outside = (0, 0, 0) if settings.mode == "black" else mean_colour
    scales = (1.0, CONTEXT_SCALE) if settings.mode == "context" else (1 + 2 * settings.margin,)
    crops = []
    for scale in scales:
        for place, box in enumerate(boxes_xyxy):
            window = window_of(box, scale, square=settings.square)
            shown = cut(picture, window, outside)
            if settings.mode in ("black", "mean", "blur"):
                kept = cut(masks[place], window, False)
                hidden = _blurred(shown, settings.blur_share) if settings.mode == "blur" else np.uint8(outside)
                shown = np.where(kept[..., None], shown, hidden)
            crops.append(shown)
    return crops


def window_of(box_xyxy: Float[np.ndarray, "4"], scale: float = 1.0, *, square: bool = False) -> Window:
    """Return the whole pixels around a box made `scale` times as large about its centre; it may leave the picture."""
    x0, y0, x1, y1 = (float(edge) for edge in box_xyxy)
    width, height = scale * (x1 - x0), scale * (y1 - y0)
    if square:
        width = height = max(width, height)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = floor(x - width / 2 + 1e-3), floor(y - height / 2 + 1e-3)
    right, bottom = ceil(x + width / 2 - 1e-3), ceil(y + height / 2 - 1e-3)
    if square:
        right, bottom = left + max(right - left, bottom - top), top + max(right - left, bottom - top)
    return left, top, right, bottom


def cut(pixels: np.ndarray, window: Window, outside: tuple[int, int, int] | bool) -> np.ndarray:
    """Return a window of a picture or mask; what lies beyond its border is `outside`."""
    left, top, right, bottom = window
    height, width = pixels.shape[:2]
    out = np.empty((bottom - top, right - left, *pixels.shape[2:]), pixels.dtype)
    out[:] = outside
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    out[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[y0:y1, x0:x1]
    return out


def _blurred(crop: UInt8[np.ndarray, "H W 3"], share: float) -> UInt8[np.ndarray, "H W 3"]:
    return cv2.GaussianBlur(crop, (0, 0), share * max(crop.shape[:2]))


def _mask_box(mask: Bool[np.ndarray, "H W"], place: int) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise ValueError(f"Mask {place + 1} is empty: there is nothing to score.")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _share(mask: Bool[np.ndarray, "H W"], grid_hw: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Return how much of each place a mask covers."""
    shares = F.interpolate(torch.from_numpy(mask)[None, None].float(), tuple(grid_hw), mode="area")[0, 0]
    return shares.numpy()


def _box_share(
    box: Float[np.ndarray, "4"], size_hw: tuple[int, int], grid_hw: tuple[int, int]
) -> Float[np.ndarray, "h w"]:
    """Return how much of each place a box covers."""
    sides = []
    for low, high, size, places in ((box[1], box[3], size_hw[0], grid_hw[0]), (box[0], box[2], size_hw[1], grid_hw[1])):
        edges = np.arange(places + 1) * (size / places)
        sides.append(np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None))
    return np.outer(*sides).astype(np.float32)
