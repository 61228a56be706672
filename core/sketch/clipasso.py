"""CLIPasso: a picture becomes a few black strokes that CLIP takes for the same thing.

Paper: Vinker et al. 2022, SIGGRAPH, https://arxiv.org/abs/2202.05822. Numbers from yael-vinker/CLIPasso at 92262f7
(painterly_rendering.py, models/painter_params.py), written anew from facts about it, as its code may not be
used commercially. A stroke is one cubic Bezier whose four points Adam moves; width and colour stay.

Different from it:
- all seeds, and all pictures where several are asked for, are one batch with shared random views;
- a network whose input is smaller than the canvas is shown the strokes drawn at its own size, that much thinner;
- the sketch that is kept is the one that was measured (the release saves it one step late);
- the object is cut out without a network of its own (cutout.py); see preparing.py for the rest of what comes first.
Float32 throughout: the early end compares losses that differ in their fifth decimal.

Legend: P pictures, K seeds, B = P * K sketches, N strokes, V views, S side of the network's input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor

from core import checkpoints
from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.checkpoints import Weights
from core.device import Device
from core.results import Strokes
from core.sketch.augment import CLIPASSO_VIEWS, draw_views, show
from core.sketch.losses import Features, features_of, sketch_losses, total
from core.sketch.preparing import CANVAS_PIXELS, Prepared, prepare
from core.sketch.rasterizer import draw_ink
from core.sketch.run import Run, Terms
from core.sketch.settings import PRESETS, ClipassoSettings

ATTENTION_OF = {  # the CLIP whose attention says where to begin, for the CLIP that the losses use
    "toybox-resnet": "toybox-vit",
    "RN101-quickgelu/openai": "ViT-B-32-quickgelu/openai",
    "RN50-quickgelu/openai": "ViT-B-32-quickgelu/openai",
}


def open_clipasso(weights: Weights, device: Device, files: Mapping[str, Path]) -> "Clipasso":
    """Open CLIPasso on any CLIP for the registry, with the CLIP that it looks through where that is on this disk."""
    backbone = open_clip_backbone(weights, device, files)
    name = ATTENTION_OF.get(weights.name)
    if name is None:
        return Clipasso(backbone, weights)
    second = checkpoints.resolve("clip", name)
    if not second.available:
        remark = f"{name} is not on this computer, so {weights.name} itself says where the strokes begin."
        return Clipasso(backbone, weights, remarks=(remark,))
    attention = open_clip_backbone(second, device, checkpoints.fetch_all(second))
    return Clipasso(backbone, weights, attention)


class Clipasso:
    """Any CLIP ResNet (or, with the semantic loss alone, any CLIP), asked for a sketch."""

    def __init__(
        self,
        backbone: ClipBackbone,
        weights: Weights,
        attention: ClipBackbone | None = None,
        *,
        remarks: tuple[str, ...] = (),
    ) -> None:
        """Wrap the CLIP of the losses and the one whose attention is looked at; without one it is the first."""
        self.backbone, self.attention, self.remarks = backbone, attention or backbone, remarks
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = backbone.device.name, backbone.device.reason
        self.has_stages = isinstance(backbone.model.visual, ModifiedResNet)
        self.presets = {
            name: each if self.has_stages else replace(each, geometric=False) for name, each in PRESETS.items()
        }
        self.defaults = self.presets["CPU"]

    def prepare(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        settings: ClipassoSettings,
        mask: Bool[np.ndarray, "_ _"] | None = None,
    ) -> Prepared:
        """Cut out, make square, look for saliency and edges and draw the starts; ValueError for a blank picture.

        A mask, where there is one, is used even if `settings.cut_out` is off.
        """
        prepared = prepare(self.attention, image, settings, mask)
        return replace(prepared, remarks=(*self.remarks, *prepared.remarks))

    def start(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        settings: ClipassoSettings | None = None,
        mask: Bool[np.ndarray, "_ _"] | None = None,
    ) -> Run:
        """Return a run over one picture that has drawn nothing yet; its sketches are the seeds."""
        settings = settings or self.defaults
        return self.run([self.prepare(image, settings, mask)], settings)

    def run(self, pictures: Sequence[Prepared], settings: ClipassoSettings) -> Run:
        """Return a run over prepared pictures as one batch; sketch p * seeds + k is picture p's seed k."""
        if not pictures:
            raise ValueError("Give at least one picture.")
        if settings.geometric and not self.has_stages:
            raise ValueError("The geometric loss needs a CLIP ResNet: choose one, or switch that loss off.")
        return Run(SketchDrawing(self.backbone, pictures, settings), settings.schedule)


class SketchDrawing:
    """B sketches of P pictures, whose control points follow CLIP's losses."""

    def __init__(self, backbone: ClipBackbone, pictures: Sequence[Prepared], settings: ClipassoSettings) -> None:
        """Lay the starts out and look at the pictures once."""
        self.backbone, self.settings = backbone, settings
        self.where = backbone.device.torch_device()
        points = np.stack([start for each in pictures for start in each.starts])
        self.points = torch.from_numpy(points).to(self.where).requires_grad_()  # (B, N, 4, 2)
        self.optimizer = torch.optim.Adam([self.points], lr=settings.learning_rate)
        self.generator = torch.Generator().manual_seed(settings.first_seed)
        self.seeds = len(pictures[0].starts)
        seen = np.stack([backbone.preprocess.pixels(each.picture) for each in pictures])
        self.targets = torch.from_numpy(seen).permute(0, 3, 1, 2).float().to(self.where) / 255  # (P, 3, S, S)
        self.whose = torch.arange(len(pictures), device=self.where).repeat_interleave(self.seeds)  # (B,)
        with torch.no_grad():
            self.whole = self._features(self.targets).chosen(self.whose)

    def learn(self, iteration: int) -> Float[np.ndarray, " B"]:
        """Take one step of Adam and return each sketch's loss before it, over the sketch itself and its views."""
        views, fill = self.settings.augmentations, CLIPASSO_VIEWS.fill
        pictures, target = self._drawn(), self.whole
        count = len(pictures)
        if views:
            maps = draw_views(views, self.targets.shape[-1], CLIPASSO_VIEWS, self.generator)
            pictures = torch.cat([pictures, show(pictures, maps, fill=fill)])
            index = (self.whose[:, None] * views + torch.arange(views, device=self.where)).flatten()
            with torch.no_grad():
                shown = self._features(show(self.targets, maps, fill=fill))
            target = target.followed_by(shown.chosen(index))
        losses = total(self._terms(self._features(pictures), target))  # (B + B * V,)
        losses = (losses[:count] + losses[count:].reshape(count, views).sum(1)) / (1 + views)
        self.optimizer.zero_grad()
        losses.sum().backward()
        self.optimizer.step()
        return losses.detach().cpu().numpy()

    def measure(self) -> Terms:
        """Return each weighted term for each sketch as it is, without views."""
        with torch.no_grad():
            terms = self._terms(self._features(self._drawn()), self.whole)
        return {name: term.cpu().numpy() for name, term in terms.items()}

    def strokes(self) -> tuple[Strokes, ...]:
        """Return the sketches on the canvas."""
        points = self.points.detach().cpu().numpy().copy()  # or they would go on moving
        return tuple(Strokes.black(each, self.settings.width, (CANVAS_PIXELS, CANVAS_PIXELS)) for each in points)

    def _drawn(self) -> Float[Tensor, "B 3 S S"]:
        """Draw the strokes at the size of the network's input."""
        size = self.targets.shape[-1]
        scale = size / CANVAS_PIXELS
        widths = self.points.new_full(self.points.shape[:2], self.settings.width * scale)
        ink = draw_ink(self.points * scale, widths, (size, size))
        return (1 - ink)[:, None].expand(-1, 3, -1, -1)

    def _features(self, images: Float[Tensor, "V 3 S S"]) -> Features:
        wanted = self.backbone.preprocess
        mean, std = (images.new_tensor(each)[:, None, None] for each in (wanted.mean, wanted.std))
        return features_of(self.backbone.model, (images - mean) / std, maps=self.settings.geometric)

    def _terms(self, sketch: Features, target: Features) -> dict[str, Float[Tensor, " B"]]:
        settings = self.settings
        return sketch_losses(
            sketch,
            target,
            layer_weights=settings.layer_weights,
            semantic_weight=settings.semantic_weight if settings.semantic else 0.0,
        )
