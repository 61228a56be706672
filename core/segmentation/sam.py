"""SAM x CLIP: masks from clicks, boxes or a grid of clicks, and a word for each mask from CLIP.

Paper: Kirillov et al., Segment Anything, ICCV 2023, https://arxiv.org/abs/2304.02643. The network, its predictor and
its automatic mask generator are the segment-anything package's. SAM itself knows no words: its text prompts were never
released, so each mask is compared with the words through CLIP (core/backbones/regions.py). Different from the package:
a picture's embedding is remembered, so that clicks cost the decoder alone and two users do not meet; a mask's
threshold can move afterwards.

Legend: H height, W width, M masks, s side of a mask as the network gives it.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from segment_anything.utils.amg import calculate_stability_score
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor

from core.backbones.clip import ClipBackbone
from core.backbones.regions import BARE, RegionScorer, RegionSettings, check_regions, region_crops
from core.checkpoints import WEIGHTS_FILE, Weights, read_tensors
from core.device import Device
from core.results import unique_labels
from core.segmentation.everything import EverythingSettings, everything
from core.segmentation.masks import LabelledMasks, MaskSet
from core.segmentation.prompts import Click, box_from_clicks, check_box, check_points
from core.segmentation.sam_model import from_tensors

KEPT_PICTURES = 8  # embeddings remembered: 4 MB each in the published sizes
STABILITY_OFFSET = 1.0  # segment_anything/automatic_mask_generator.py: logits above and below the threshold
NEGATIVES = ("background", "the ground", "the sky")  # what masks that show none of the words may be instead


def open_sam(weights: Weights, device: Device, files: Mapping[str, Path]) -> "SegmentAnything":
    """Open a SAM for the registry; the size is read off the tensors."""
    return SegmentAnything(from_tensors(read_tensors(files[WEIGHTS_FILE])), weights, device)


class SegmentAnything:
    """One SAM on one device, with a memory of the pictures it has encoded."""

    def __init__(self, model: Sam, weights: Weights, device: Device) -> None:
        """Move a model in evaluation mode to its device; `weights` says where it came from."""
        self.model = model.to(device.torch_device()).requires_grad_(False)
        self.device = device
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = device.name, device.reason
        self.default_region = RegionSettings()
        self.default_settings = EverythingSettings.for_embedded() if weights.small else EverythingSettings()
        self._embeddings: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def set_image(self, picture: UInt8[np.ndarray, "H W 3"]) -> None:
        """Encode a picture, unless it is remembered; whatever is asked about it next costs the decoder alone."""
        self.predictor().set_image(picture)

    def points(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        points: Sequence[Click],
        labels: Sequence[int],
        *,
        threshold: float = 0.0,
        before: Float[np.ndarray, "s s"] | None = None,
        three: bool = True,
    ) -> MaskSet:
        """Return the masks that clicks ask for, x and y in the picture's pixels, 1 inside and 0 outside.

        `before` are the logits of an earlier answer to go on from. Three masks by default, best first, because one
        click may mean a part or the whole; otherwise one. Raises ValueError for a click outside the picture.
        """
        check_points(points, labels, picture.shape[:2])
        return self._ask(picture, points, labels, None, before, threshold, three)

    def box(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        box_xyxy: Sequence[float],
        *,
        points: Sequence[Click] = (),
        labels: Sequence[int] = (),
        threshold: float = 0.0,
        before: Float[np.ndarray, "s s"] | None = None,
        three: bool = False,
    ) -> MaskSet:
        """Return the mask of what a box holds, with further clicks where there are some; see `points`."""
        box = check_box(box_xyxy, picture.shape[:2])
        if len(points):
            check_points(points, labels, picture.shape[:2])
        return self._ask(picture, points, labels, box, before, threshold, three)

    def between(
        self, picture: UInt8[np.ndarray, "H W 3"], first: Click, second: Click, *, threshold: float = 0.0
    ) -> MaskSet:
        """Return the mask of what lies between two clicks on opposite corners, in any order; see `box`."""
        return self.box(picture, box_from_clicks(first, second), threshold=threshold)

    def everything(self, picture: UInt8[np.ndarray, "H W 3"], settings: EverythingSettings | None = None) -> MaskSet:
        """Return masks for all that a grid of clicks finds, best first."""
        with torch.inference_mode(), self.device.autocast():
            return everything(self.predictor(), picture, settings or self.default_settings)

    def at_threshold(self, found: MaskSet, threshold: float) -> MaskSet:
        """Return the masks of an earlier answer cut at another logit, without a forward pass."""
        if found.logits is None:
            raise ValueError("These masks carry no logits: they cannot be cut at another threshold.")
        low = torch.from_numpy(found.logits)[None].to(self.device.torch_device())
        return self._masks(low, found.predicted_iou, found.masks.shape[1:], threshold)

    def drawn(self, masks: Bool[np.ndarray, "M H W"]) -> MaskSet:
        """Return masks that somebody drew, such as the true ones, as an answer that is sure of each."""
        sure = np.ones(len(masks), np.float32)
        return MaskSet(masks=masks, predicted_iou=sure, stability=sure)

    def label(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        masks: MaskSet,
        words: Sequence[str],
        clip: ClipBackbone,
        *,
        settings: RegionSettings | None = None,
        templates: Sequence[str] = BARE,
        negatives: Sequence[str] = NEGATIVES,
    ) -> LabelledMasks:
        """Give each mask a ranking of the words and the negatives; see `label_masks`."""
        return label_masks(picture, masks, words, clip, settings=settings, templates=templates, negatives=negatives)

    def shown_to_clip(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        masks: MaskSet,
        clip: ClipBackbone,
        *,
        settings: RegionSettings | None = None,
    ) -> list[UInt8[np.ndarray, "_ _ 3"]]:
        """Return the crops that `label` encodes; none for dense features, which look at the whole picture."""
        chosen = settings or self.default_region
        boxes = check_regions(picture.shape[:2], masks.masks, None, chosen.mode)
        if chosen.mode == "dense":
            return []
        return region_crops(picture, boxes, masks.masks, chosen, RegionScorer(clip).mean_colour)

    def predictor(self) -> SamPredictor:
        """Return a predictor that shares this memory; each answer takes its own, because it holds one picture."""
        return _RememberingPredictor(self)

    def embed(self, picture: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "1 C h w"]:
        """Return a picture's embedding, from memory where it was encoded before."""
        key = hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).digest()
        with self._lock:
            if key in self._embeddings:
                self._embeddings.move_to_end(key)
                return self._embeddings[key]
        resized = ResizeLongestSide(self.model.image_encoder.img_size).apply_image(picture)
        pixels = torch.as_tensor(resized, device=self.device.torch_device()).permute(2, 0, 1)[None]
        with torch.inference_mode(), self.device.autocast():
            embedding = self.model.image_encoder(self.model.preprocess(pixels)).float()
        with self._lock:
            self._embeddings[key] = embedding
            while len(self._embeddings) > KEPT_PICTURES:
                self._embeddings.popitem(last=False)
        return embedding

    def _ask(
        self,
        picture: UInt8[np.ndarray, "H W 3"],
        points: Sequence[Click],
        labels: Sequence[int],
        box: Sequence[float] | None,
        before: Float[np.ndarray, "s s"] | None,
        threshold: float,
        three: bool,
    ) -> MaskSet:
        predictor = self.predictor()
        predictor.set_image(picture)
        with torch.inference_mode(), self.device.autocast():
            _, predicted, low = predictor.predict(
                point_coords=np.array(points, np.float32) if len(points) else None,
                point_labels=np.array(labels) if len(points) else None,
                box=None if box is None else np.array(box, np.float32),
                mask_input=None if before is None else before[None],
                multimask_output=three,
                return_logits=True,
            )
        order = np.argsort(-predicted, kind="stable")
        logits = torch.from_numpy(low[order]).float()[None].to(self.device.torch_device())
        return self._masks(logits, predicted[order].astype(np.float32), picture.shape[:2], threshold)

    def _masks(
        self,
        low: Float[Tensor, "1 M s s"],
        predicted: Float[np.ndarray, " M"],
        size_hw: tuple[int, int],
        threshold: float,
    ) -> MaskSet:
        side = self.model.image_encoder.img_size
        inside = ResizeLongestSide.get_preprocess_shape(*size_hw, side)
        full = self.model.postprocess_masks(low, inside, tuple(size_hw))[0]  # (M, H, W)
        return MaskSet(
            masks=(full > threshold).cpu().numpy(),
            predicted_iou=predicted,
            stability=_finite(calculate_stability_score(full, threshold, STABILITY_OFFSET)),
            logits=low[0].cpu().numpy(),
        )


class _RememberingPredictor(SamPredictor):
    """The package's predictor, with the pictures' embeddings kept by whoever made it."""

    def __init__(self, owner: SegmentAnything) -> None:
        super().__init__(owner.model)
        self.owner = owner
        self.transform = _Float32Transform(owner.model.image_encoder.img_size)

    def set_image(self, image: UInt8[np.ndarray, "H W 3"], image_format: str = "RGB") -> None:
        self.reset_image()
        self.original_size = image.shape[:2]
        self.input_size = ResizeLongestSide.get_preprocess_shape(*image.shape[:2], self.transform.target_length)
        self.features = self.owner.embed(image)
        self.is_image_set = True


class _Float32Transform(ResizeLongestSide):
    """The package's change of frame in float32: its float64 does not exist on Apple's GPUs."""

    def apply_coords(self, coords: np.ndarray, original_size: tuple[int, ...]) -> np.ndarray:
        return super().apply_coords(coords, original_size).astype(np.float32)


def label_masks(
    picture: UInt8[np.ndarray, "H W 3"],
    masks: MaskSet,
    words: Sequence[str],
    clip: ClipBackbone,
    *,
    settings: RegionSettings | None = None,
    templates: Sequence[str] = BARE,
    negatives: Sequence[str] = NEGATIVES,
) -> LabelledMasks:
    """Rank the words, each once, and then the negatives for each mask, all masks in one batch.

    A negative that is one of the words is that word. Raises ValueError for no word and for an empty mask.
    """
    labels = unique_labels(words)
    if not labels:
        raise ValueError("Write at least one word to look for.")
    rankings = RegionScorer(clip).score(
        picture, (*labels, *negatives), masks=masks.masks, templates=templates, settings=settings
    )
    return LabelledMasks(masks=masks, rankings=rankings, labels=labels)


def _finite(scores: Tensor) -> Float[np.ndarray, " M"]:
    """Return stabilities as numbers; a mask that is empty at both cuts has none, and counts as 0."""
    return torch.nan_to_num(scores.float(), nan=0.0).cpu().numpy()
