"""Plain CLIP: the words against what CLIP has at each place of a picture, with nothing learned for it. The baseline.

For a ViT this is MaskCLIP without its later refinements (Zhou, Loy and Dai 2022, Extract Free Dense Labels from CLIP,
ECCV 2022, https://arxiv.org/abs/2112.01071, Sec. 3.2); for a ResNet every place queries the attention pooling, which
the same section keeps the values of. Both as in core/backbones/dense.py. Different from MaskCLIP: CLIP's own
resolution unless asked for another, and no prompt ensemble unless templates are given.

Legend: N words, H W the picture, h w the grid of places, D embedding size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.backbones.dense import place_features, stride_of
from core.checkpoints import Weights
from core.device import Device
from core.prompts import check_templates, fill
from core.segmentation.answer import WordMaps, clean_words

MOST_PIXELS = 1024  # ours: attention's cost grows with the fourth power of the side


@dataclass(frozen=True, kw_only=True)
class PlainSettings:
    """How CLIP is asked."""

    pixels: int | None = None  # longer side of what the network sees; None: the CLIP's own
    templates: tuple[str, ...] = ("{}",)  # bare words, as LSeg has them

    def __post_init__(self) -> None:
        check_templates(self.templates)
        if self.pixels is not None and not 1 <= self.pixels <= MOST_PIXELS:
            raise ValueError(f"wanted 1 to {MOST_PIXELS} pixels, got {self.pixels}")


def open_plain_clip(weights: Weights, device: Device, files: Mapping[str, Path]) -> "PlainClip":
    """Open any CLIP for the registry; ValueError where it has no places to ask."""
    backbone = open_clip_backbone(weights, device, files)
    stride_of(backbone.model.visual)
    return PlainClip(backbone, weights)


class PlainClip:
    """Any CLIP ResNet or ViT, asked about every place of a picture."""

    def __init__(self, backbone: ClipBackbone, weights: Weights) -> None:
        """Wrap an opened CLIP; `weights` says where it came from."""
        self.backbone = backbone
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = backbone.device.name, backbone.device.reason
        self.defaults = PlainSettings()

    def segment(
        self, image: UInt8[np.ndarray, "H W 3"], words: Sequence[str], settings: PlainSettings | None = None
    ) -> WordMaps:
        """Score every word at every place, as CLIP scores pictures; ValueError where there is no word."""
        kept, settings = clean_words(words), settings or self.defaults
        prompts = [fill(template, word) for word in kept for template in settings.templates]
        texts = self.backbone.encode_texts(prompts).unflatten(0, (len(kept), -1))
        units = normalize(texts.mean(1), dim=-1)  # (N, D)
        with torch.inference_mode():
            places = normalize(place_features(self.backbone.model.visual, self._inputs(image, settings))[0], dim=-1)
            logits = self.backbone.logit_scale * places.cpu() @ units.T  # (h, w, N)
        return WordMaps(words=kept, logits=logits.permute(2, 0, 1).contiguous().numpy(), size_hw=image.shape[:2])

    def unseen_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words that this CLIP's training never showed."""
        return self.backbone.unseen_words(words)

    def _inputs(self, image: UInt8[np.ndarray, "H W 3"], settings: PlainSettings) -> Float[Tensor, "1 3 H2 W2"]:
        """Resize a picture to the multiples of the stride nearest to its aspect, and normalise it."""
        own, stride = self.backbone.preprocess, stride_of(self.backbone.model.visual)
        longest = settings.pixels or own.size
        scale = max(1, longest // stride) / max(image.shape[:2])
        height, width = (max(1, round(side * scale)) * stride for side in image.shape[:2])
        resized = Image.fromarray(image).resize((width, height), Image.Resampling[own.interpolation.upper()])
        scaled = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(each)[:, None, None] for each in (own.mean, own.std))
        return ((scaled - mean) / std)[None].to(self.backbone.device.torch_device())
