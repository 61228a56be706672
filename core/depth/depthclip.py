"""DepthCLIP: depth as an average of a few distances, weighted by how well a word for each fits the place.

Paper: Zhang, Zeng et al. 2022, Can Language Understand Depth?, ACM MM 2022, https://arxiv.org/abs/2207.01077. Written
from facts about Adonis-galaxy/DepthCLIP at e247c87, which has no licence and is not what the paper describes:

- released: what the code does. A ResNet's last stage, made unit vectors over all its channels and only then thinned to
  the texts' size (every second channel of an RN50). That is not CLIP's joint space: its attention pooling never runs.
- attention_pooled: what the paper describes. Every place queries CLIP's attention pooling (backbones/dense.py).
- patches: the same for a ViT, whose tokens keep their own value in the last block (MaskCLIP). We did not measure this
  against plain tokens; SCLIP (Wang et al. 2024, abstract) traces their failure at places to where that block attends.

Different from it: pictures of any size. Float32 throughout, because products are multiplied by 1000 before the softmax.

Legend: V views (the picture, its mirror image), K words, D embedding size, C channels, P places, h w the grid.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from open_clip.modified_resnet import ModifiedResNet
from PIL import Image
from torch import Tensor, nn

from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.backbones.clip_model import is_plain_vit
from core.backbones.dense import last_stage, place_features, stride_of
from core.checkpoints import Weights
from core.depth.baselines import BASELINES, Baseline
from core.device import Device
from core.prompts import check_templates, fill
from core.results import DepthAnswer, DepthMap, check_bins

# DepthCLIP's monoclip.py, module globals
WORDS = ("giant", "extremely close", "close", "not in distance", "a little remote", "far", "unseen")
BINS_METRES = (1.0, 1.5, 2.0, 2.25, 2.5, 2.75, 3.0)
TEMPLATE = "This object is {}"
TEMPERATURE = 0.1
LOGIT_SCALE = 100.0  # monoclip.py, forward: a constant, not the scale that the CLIP learned
LONGEST_PIXELS = 544  # the crop of an NYU picture that the code sees, without resizing: 416 x 544
MOST_PIXELS = 2 * LONGEST_PIXELS  # ours: attention's cost grows with the fourth power of the side
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # the code's, though CLIP's differ


@dataclass(frozen=True, kw_only=True)
class DepthSettings:
    """What is asked about a picture; the defaults are those of the released code."""

    words: tuple[str, ...] = WORDS
    bins_metres: tuple[float, ...] = BINS_METRES  # one a word, in any order
    template: str = TEMPLATE
    temperature: float = TEMPERATURE
    variant: str = "released"
    flip: bool = True  # eval.py: average with the answer for the mirror image
    pixels: int = LONGEST_PIXELS  # longest side of what the network sees; never less than its own input

    def __post_init__(self) -> None:
        check_bins(self.words, self.bins_metres, self.temperature)
        check_templates([self.template])
        if not all(word.strip() for word in self.words):
            raise ValueError(f"wanted words, got an empty one among {self.words}")
        if self.variant not in VARIANTS:
            raise ValueError(f"wanted one of {', '.join(VARIANTS)}, got {self.variant!r}")
        if not 1 <= self.pixels <= MOST_PIXELS:
            raise ValueError(f"wanted 1 to {MOST_PIXELS} pixels, got {self.pixels}")

    @property
    def prompts(self) -> tuple[str, ...]:
        """The sentence for each word."""
        return tuple(fill(self.template, word) for word in self.words)


def thin_channels(layer4: Float[Tensor, "V C h w"], width: int) -> Float[Tensor, "V h w D"]:
    """Make unit vectors over all channels, then keep `width` of them by nearest interpolation, as released."""
    units = F.normalize(layer4, dim=1).permute(0, 2, 3, 1)  # (V, h, w, C)
    return F.interpolate(units.flatten(1, 2), size=width).unflatten(1, units.shape[1:3])


VARIANTS: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {  # (V, 3, H, W) to what is compared with the texts
    "released": lambda net, x: thin_channels(last_stage(net, x), net.output_dim),
    "attention_pooled": lambda net, x: F.normalize(place_features(net, x), dim=-1),
    "patches": lambda net, x: F.normalize(place_features(net, x), dim=-1),
}
RELEASED = DepthSettings()


TOYBOX = DepthSettings(  # for the embedded CLIPs, whose captions use these words for these distances
    bins_metres=(1.0, 1.6, 2.6, 4.0, 6.5, 11.0, 20.0),
    template="a thing that is {}",
    temperature=10.0,
    pixels=256,
    flip=False,
)


def variants_of(backbone: ClipBackbone) -> tuple[str, ...]:
    """Return the variants that this CLIP's architecture allows; none for those that are no CLIP ResNet or ViT."""
    visual = backbone.model.visual
    if isinstance(visual, ModifiedResNet):
        return "released", "attention_pooled"
    return ("patches",) if is_plain_vit(visual) else ()


def scaled_products(features: Float[Tensor, "V h w D"], texts: Float[Tensor, "K D"]) -> Float[Tensor, "V K h w"]:
    """Return 100 times the product of each place with each text; cosines where the places are unit vectors."""
    return (LOGIT_SCALE * features @ texts.T).permute(0, 3, 1, 2)


def network_size(size_hw: tuple[int, int], longest: int, stride: int) -> tuple[int, int]:
    """Return the multiples of the stride nearest to a picture's shape whose longer side is at most `longest`."""
    scale = (longest // stride) / max(size_hw)
    height, width = (max(1, round(side * scale)) * stride for side in size_hw)
    return height, width


def open_depthclip(weights: Weights, device: Device, files: Mapping[str, Path]) -> "DepthClip":
    """Open a DepthCLIP for the registry."""
    return DepthClip(open_clip_backbone(weights, device, files), weights)


class DepthClip:
    """Any CLIP ResNet or ViT, asked how far away things are."""

    def __init__(self, backbone: ClipBackbone, weights: Weights) -> None:
        """Wrap an opened CLIP; `weights` says where it came from."""
        self.backbone = backbone
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = backbone.device.name, backbone.device.reason
        self.variants = variants_of(backbone)
        settings = TOYBOX if weights.small else RELEASED
        chosen = [name for name in self.variants if name != "released" or not weights.small]
        self.defaults = replace(settings, variant=chosen[0]) if chosen else settings

    @staticmethod
    def fit_baselines(depths: Sequence[DepthMap]) -> dict[str, Baseline]:
        """Return the answers that need no picture, fitted on training depths, by name."""
        return {name: kind.fit(depths) for name, kind in BASELINES.items()}

    def estimate(self, image: UInt8[np.ndarray, "H W 3"], settings: DepthSettings = RELEASED) -> DepthAnswer:
        """Estimate the depth of each pixel; ValueError for a variant that this CLIP's architecture has not."""
        if settings.variant not in self.variants:
            possible = ", ".join(self.variants) or "none: it is no CLIP ResNet or ViT"
            raise ValueError(f"wanted a variant that this CLIP has ({possible}), got {settings.variant!r}")
        texts = self.backbone.encode_texts(settings.prompts)
        with torch.inference_mode():
            features = VARIANTS[settings.variant](self.backbone.model.visual, self._inputs(image, settings))
            views = scaled_products(features.cpu(), texts)
            turned = torch.stack([view.flip(-1) if index else view for index, view in enumerate(views)])
        words, bins = settings.words, settings.bins_metres
        return DepthAnswer.from_logits(turned.numpy(), words, bins, settings.temperature, image.shape[:2])

    def _inputs(self, image: UInt8[np.ndarray, "H W 3"], settings: DepthSettings) -> Float[Tensor, "V 3 H2 W2"]:
        """Resize and normalise a picture, and put its mirror image behind it where the two are to be averaged."""
        visual, own = self.backbone.model.visual, self.backbone.preprocess
        height, width = network_size(image.shape[:2], max(settings.pixels, own.size), stride_of(visual))
        resized = Image.fromarray(image).resize((width, height), Image.Resampling[own.interpolation.upper()])
        scaled = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if settings.variant == "released" else (own.mean, own.std)
        x = (scaled - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        return torch.stack([x, x.flip(-1)] if settings.flip else [x]).to(self.backbone.device.torch_device())
