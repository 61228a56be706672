"""ActionCLIP: naming an action is matching a clip with sentences about it, by a CLIP and a head over its frames.

Paper: Wang et al. 2021, https://arxiv.org/abs/2109.08472. Scores are those of sallymmx/ActionCLIP at 31c34df, test.py:
a softmax over the labels in each template at the fixed scale 100, then the mean of the probabilities. Different from
it: frame features are kept, so that another order, head, template or label needs no second look at the pictures, and
the heads stay on the CPU, where a clip costs them milliseconds.

Legend: T frames, N pictures, B clips, D embedding size, M templates, L labels, S side of the network's input.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import normalize

from core.action.fusion import HEADS, MeanPool
from core.action.layouts import Parts, embedded_parts, is_embedded, is_mmaction, mmaction_parts
from core.action.scores import ClipFeatures, TemplateScores
from core.action.templates import TEMPLATE_SETS, TEMPLATES
from core.action.temporal_shift import encode_shifted
from core.action.xclip import XClip, is_xclip
from core.backbones.clip import IMAGE_BATCH, ClipBackbone, Preprocess, open_clip_backbone
from core.backbones.clip_model import encode_image, from_tensors, size_of
from core.backbones.tokenizer import clip_tokenizer
from core.checkpoints import WEIGHTS_FILE, Weights, read_tensors
from core.device import Device
from core.prompts import check_templates, fill
from core.results import Ranking

SCALE = 100.0  # test.py: fixed, not the one that was learnt
PLAIN_FRAMES = 8  # of a CLIP that never saw a clip
MARGIN = 256 / 224  # datasets/transforms_ss.py: short side 256, then the middle 224
DEFAULT_HEAD = "Transf"  # the release's default and its best


def open_actionclip(weights: Weights, device: Device, files: Mapping[str, Path]) -> "ActionClip | XClip":
    """Open embedded heads, a file of mmaction2's, an X-CLIP, or any CLIP as the zero-shot mean, for the registry."""
    tensors = read_tensors(files[WEIGHTS_FILE])
    if is_xclip(tensors):
        return XClip.from_tensors(tensors, weights, device)
    if is_mmaction(tensors):
        return _from_parts(mmaction_parts(tensors), weights, device, margin=MARGIN)
    if is_embedded(tensors):
        return _from_parts(embedded_parts(tensors, weights.card()), weights, device, margin=1.0)
    backbone = open_clip_backbone(weights, device, files)
    return ActionClip(backbone, {"meanP": MeanPool()}, weights)


def _from_parts(parts: Parts, weights: Weights, device: Device, *, margin: float) -> "ActionClip":
    model = from_tensors(parts.clip)
    length = len(parts.clip["positional_embedding"])
    preprocess = Preprocess(size=size_of(parts.clip).image_size)
    backbone = ClipBackbone(model, clip_tokenizer(length), preprocess, device, length)
    return ActionClip(backbone, parts.heads, weights, frames=parts.frames, margin=margin)


class ActionClip:
    """A CLIP that looks at each frame, heads that look at all of them, and labels in words."""

    def __init__(
        self,
        backbone: ClipBackbone,
        heads: Mapping[str, nn.Module],
        weights: Weights,
        *,
        frames: int = PLAIN_FRAMES,
        margin: float = 1.0,
    ) -> None:
        """Wrap a CLIP and its heads; `margin` is how much larger than the input a frame is before it is cropped."""
        self.backbone, self.frames, self.margin = backbone, frames, margin
        self._heads = {name: heads[name].eval() for name in HEADS if name in heads}
        self.heads, self.templates = tuple(self._heads), TEMPLATE_SETS
        self.default_head = DEFAULT_HEAD if DEFAULT_HEAD in self._heads else self.heads[0]
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = backbone.device.name, backbone.device.reason

    def clip_features(self, frames: UInt8[np.ndarray, "T H W 3"], *, shifted: bool = False) -> ClipFeatures:
        """Look at a clip once; `shifted` lends channels to neighbouring frames inside the image tower.

        No published tower was trained with the shift, so it shows what the shift does, not what it is worth.
        """
        if not len(frames):
            raise ValueError("This clip has no frames.")
        inputs = torch.stack([self.backbone.preprocess(self.crop_seen(frame)) for frame in frames])
        return ClipFeatures(frames=self.encode_inputs(inputs, together=len(frames) if shifted else None).numpy())

    def encode_inputs(self, inputs: Float[Tensor, "N 3 S S"], *, together: int | None = None) -> Float[Tensor, "N D"]:
        """Encode preprocessed frames, not normalised, on the CPU; each `together` of them are one shifted clip."""
        step = IMAGE_BATCH if together is None else together
        visual, device = self.backbone.model.visual, self.backbone.device
        found = []
        with torch.inference_mode(), device.autocast():
            for part in inputs.split(step):
                there = part.to(device.torch_device())
                encoded = encode_image(self.backbone.model, there) if together is None else None
                found.append(encode_shifted(visual, there, together) if encoded is None else encoded)
        return torch.cat(found).float().cpu()

    def crop_seen(self, frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """Return what the network sees of a frame, after resizing and cropping."""
        wanted = self.backbone.preprocess
        if self.margin == 1:
            return wanted.pixels(frame)
        wide = replace(wanted, size=round(wanted.size * self.margin), interpolation="bilinear").pixels(frame)
        edge = (len(wide) - wanted.size) // 2
        return wide[edge : edge + wanted.size, edge : edge + wanted.size]

    def score(
        self,
        features: ClipFeatures,
        labels: Sequence[str],
        *,
        templates: Sequence[str] = TEMPLATES,
        head: str | None = None,
    ) -> TemplateScores:
        """Score each label in each template against a clip that was looked at, by one of `heads`."""
        return self.score_many(features.frames[None], labels, templates=templates, head=head)[0]

    def score_many(
        self,
        frames: Float[np.ndarray, "B T D"],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = TEMPLATES,
        head: str | None = None,
    ) -> tuple[TemplateScores, ...]:
        """Score each label in each template against clips of equal length that were looked at."""
        videos = self.video_features(torch.from_numpy(np.ascontiguousarray(frames)), head)
        return self._scores(videos, labels, templates)

    def rank(
        self,
        frames: UInt8[np.ndarray, "T H W 3"],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = TEMPLATES,
        head: str | None = None,
    ) -> Ranking:
        """Look at a clip and rank the labels."""
        return self.score(self.clip_features(frames), labels, templates=templates, head=head).ranking()

    def frame_rankings(
        self, features: ClipFeatures, labels: Sequence[str], *, templates: Sequence[str] = TEMPLATES
    ) -> tuple[Ranking, ...]:
        """Rank the labels for each frame on its own, before any head."""
        scored = self._scores(torch.from_numpy(features.frames), labels, templates)
        return tuple(each.ranking() for each in scored)

    def video_features(self, frames: Float[Tensor, "B T D"], head: str | None = None) -> Float[Tensor, "B D"]:
        """Return the feature of each clip, not normalised; ValueError for a head that is not here."""
        name = head or self.default_head
        if name not in self._heads:
            raise ValueError(f"{self.weights} has no head {name!r}; there are: {', '.join(self.heads)}.")
        with torch.inference_mode():
            return self._heads[name](frames)

    def text_features(self, labels: Sequence[str], templates: Sequence[str] = TEMPLATES) -> Float[Tensor, "M L D"]:
        """Return a unit vector for each label in each template."""
        if not labels:
            raise ValueError("Write at least one label.")
        kept = check_templates(templates)
        texts = [fill(template, label) for template in kept for label in labels]
        return self.backbone.encode_texts(texts).unflatten(0, (len(kept), len(labels)))

    def position_signal(self, features: ClipFeatures) -> float | None:
        """Return the mean length of Transf's places in time over that of the frames' features; None without Transf."""
        if DEFAULT_HEAD not in self._heads:
            return None
        places = self._heads[DEFAULT_HEAD].frame_position_embeddings.weight.detach()[: len(features.frames)]
        return float(places.norm(dim=1).mean()) / float(np.linalg.norm(features.frames, axis=1).mean())

    def unseen_words(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the words of the labels that training never showed this CLIP."""
        return self.backbone.unseen_words(labels)

    def too_long(self, labels: Sequence[str], *, templates: Sequence[str] = TEMPLATES) -> tuple[str, ...]:
        """Return the labels whose end is cut off in some template, because the text tower reads no further."""
        longest = max(check_templates(templates), key=len)
        return tuple(label for label in labels if self.backbone.too_long([fill(longest, label)]))

    def _scores(
        self, videos: Float[Tensor, "B D"], labels: Sequence[str], templates: Sequence[str]
    ) -> tuple[TemplateScores, ...]:
        texts, kept = self.text_features(labels, templates), check_templates(templates)  # (M, L, D)
        cosines = torch.einsum("mld,bd->bml", texts, normalize(videos, dim=-1)).numpy()
        return tuple(
            TemplateScores(labels=tuple(labels), templates=kept, cosines=each, logit_scale=SCALE) for each in cosines
        )
