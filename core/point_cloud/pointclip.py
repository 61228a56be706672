"""PointCLIP: any CLIP looks at a cloud of points from several sides, and the sides vote.

Paper: Zhang et al., CVPR 2022, https://arxiv.org/abs/2112.02413. The score is that of ZrrSkywalker/PointCLIP at
8656f2c, trainers/zeroshot.py: scale * sum_v weight_v * cosine_v / sqrt(V). It ranks as the mean cosine does, and its
softmax is sharper by sqrt(V). Few-shot adds an adapter (adapter.py); an ensemble adds another classifier's logits.

Legend: B clouds, V views, L labels, D embedding size, S side of the network's input.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from core import checkpoints
from core.backbones.clip import IMAGE_BATCH, ClipBackbone, open_clip_backbone
from core.backbones.clip_model import encode_image
from core.checkpoints import WEIGHTS_FILE, Weights, read_tensors
from core.device import Device
from core.point_cloud.adapter import (
    WEIGHT_GRID,
    InterViewAdapter,
    adapter_from_tensors,
    search_view_weights,
    view_parts,
)
from core.point_cloud.projection import BRIGHT, PRESETS, RELEASED_ZERO_SHOT, ViewSettings, project
from core.prompts import check_templates, fill
from core.results import Cloud, ViewScores

ZERO_SHOT_TEMPLATES = ("point cloud depth map of a {}.",)  # trainers/zeroshot.py
FEW_SHOT_TEMPLATES = ("point cloud of a big {}.",)  # trainers/fewshot.py
MOST_VIEWS, COARSE_GRID = 10, (0.5, 1.0)  # ten views have too many combinations of four weights for a click
ADAPTER_ENDING = "-pointclip.safetensors"  # NAME.safetensors has its adapter in NAME-pointclip.safetensors


def open_pointclip(weights: Weights, device: Device, files: Mapping[str, Path]) -> "PointClip":
    """Open PointCLIP on any CLIP for the registry, with the few-shot adapter where one lies beside its weights.

    A file that is an adapter alone brings the CLIP along that its card names.
    """
    clip = files[WEIGHTS_FILE]
    if clip.name.endswith(ADAPTER_ENDING):
        return PointClip(_backbone_of(weights, device), weights, adapter_from_tensors(read_tensors(clip)))
    beside = clip.with_name(f"{clip.stem}{ADAPTER_ENDING}")
    adapter = adapter_from_tensors(read_tensors(beside)) if beside.is_file() else None
    return PointClip(open_clip_backbone(weights, device, files), weights, adapter)


def _backbone_of(weights: Weights, device: Device) -> ClipBackbone:
    name = weights.card().get("recipe", {}).get("backbone")
    if name is None:
        raise ValueError(f"{weights.name} is an adapter without the card beside it that says for which CLIP.")
    clip = checkpoints.resolve("clip", name)
    return open_clip_backbone(clip, device, checkpoints.fetch_all(clip))


def ensemble_logits(
    ours: Float[np.ndarray, "*B L"], classical: Float[np.ndarray, "*B L"], share: float
) -> Float[np.ndarray, "*B L"]:
    """Mix in a point network's logits by its share, 0 to 1; at 0.5 it ranks as the paper's sum does."""
    if not 0 <= share <= 1:
        raise ValueError(f"wanted a share from 0 to 1, got {share}")
    return ((1 - share) * ours + share * classical).astype(np.float32)


class PointClip:
    """Any CLIP, shown a cloud of points from several sides; clouds in the unit sphere, +Y up."""

    def __init__(self, backbone: ClipBackbone, weights: Weights, adapter: InterViewAdapter | None = None) -> None:
        """Wrap an opened CLIP; `weights` says where it came from."""
        self.backbone, self.adapter = backbone, adapter
        backbone.model.visual.to(memory_format=torch.channels_last)  # as the views are laid out, see _encode
        self.presets, self.templates = PRESETS, {"zero-shot": ZERO_SHOT_TEMPLATES, "few-shot": FEW_SHOT_TEMPLATES}
        self.weights, self.licence = weights.name, weights.licence
        self.default_settings = BRIGHT if weights.small else RELEASED_ZERO_SHOT  # the look that it learned from
        self.device_name, self.device_reason = backbone.device.name, backbone.device.reason

    def views(self, cloud: Cloud, settings: ViewSettings = RELEASED_ZERO_SHOT) -> UInt8[np.ndarray, "V S S"]:
        """Return what the network is shown, as grey pictures; raw depths are scaled so that the farthest is white."""
        drawn = self._draw(cloud, settings)
        top = float(drawn.max()) if (settings.variant, settings.look) == ("v1", "released") else 1.0
        return (drawn / max(top, 1e-6) * 255).clamp(0, 255).round().byte().cpu().numpy()

    def view_features(
        self, clouds: Sequence[Cloud], settings: ViewSettings = RELEASED_ZERO_SHOT
    ) -> Float[np.ndarray, "B V D"]:
        """Return the backbone's feature of each view of each cloud, not normalised, as an adapter takes them."""
        if not clouds:
            raise ValueError("Give at least one cloud of points.")
        at_once = max(1, IMAGE_BATCH // settings.views)
        batches = [clouds[i : i + at_once] for i in range(0, len(clouds), at_once)]
        features = [
            self._encode(torch.cat([self._draw(cloud, settings) for cloud in batch]), settings) for batch in batches
        ]
        return torch.cat(features).unflatten(0, (len(clouds), settings.views)).numpy()

    def classify(
        self,
        cloud: Cloud,
        labels: Sequence[str],
        *,
        templates: Sequence[str] = ZERO_SHOT_TEMPLATES,
        settings: ViewSettings = RELEASED_ZERO_SHOT,
        adapted: bool = False,
    ) -> ViewScores:
        """Score each label against each side of a cloud; `adapted` asks for the few-shot adapter."""
        return self.score(self.view_features([cloud], settings), labels, templates=templates, adapted=adapted)[0]

    def score(
        self,
        features: Float[np.ndarray, "B V D"],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = ZERO_SHOT_TEMPLATES,
        adapted: bool = False,
    ) -> tuple[ViewScores, ...]:
        """Score each label against clouds that `view_features` has seen."""
        text, seen = self.text_features(labels, templates), torch.from_numpy(features)
        scale = self.backbone.logit_scale
        if adapted:
            cosines = view_parts(self._adapt(seen), text)
            scale /= features.shape[1] ** 0.5  # the whole vector is normalised, not each view
        else:
            cosines = normalize(seen, dim=-1) @ text.T  # (B, V, L)
        return tuple(ViewScores(labels=tuple(labels), cosines=each, logit_scale=scale) for each in cosines.numpy())

    def search_weights(
        self,
        clouds: Sequence[Cloud],
        truth: Int[np.ndarray, " B"],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = ZERO_SHOT_TEMPLATES,
        settings: ViewSettings = RELEASED_ZERO_SHOT,
    ) -> tuple[Float[np.ndarray, " V"], float]:
        """Return the view weights that name most of these labelled clouds rightly, and what share of them."""
        cosines = self._cosines(clouds, labels, templates, settings)
        return search_view_weights(cosines, truth, grid=WEIGHT_GRID if settings.views < MOST_VIEWS else COARSE_GRID)

    def weighted_top1(
        self,
        clouds: Sequence[Cloud],
        truth: Int[np.ndarray, " B"],
        labels: Sequence[str],
        weights: Float[np.ndarray, " V"],
        *,
        templates: Sequence[str] = ZERO_SHOT_TEMPLATES,
        settings: ViewSettings = RELEASED_ZERO_SHOT,
    ) -> float:
        """Return the share of labelled clouds that the views name rightly when they count by these weights."""
        cosines = self._cosines(clouds, labels, templates, settings)
        return float((np.einsum("bvl,v->bl", cosines, weights).argmax(1) == truth).mean())

    def text_features(
        self, labels: Sequence[str], templates: Sequence[str] = ZERO_SHOT_TEMPLATES
    ) -> Float[Tensor, "L D"]:
        """Return a unit vector for each label, the mean over its prompts; underscores become spaces, as released."""
        if not labels:
            raise ValueError("Write at least one label.")
        kept = check_templates(templates)
        texts = [fill(template, label.replace("_", " ")) for label in labels for template in kept]
        prompts = self.backbone.encode_texts(texts).reshape(len(labels), len(kept), -1)
        return normalize(prompts.mean(1), dim=-1)

    def _cosines(
        self, clouds: Sequence[Cloud], labels: Sequence[str], templates: Sequence[str], settings: ViewSettings
    ) -> Float[np.ndarray, "B V L"]:
        scored = self.score(self.view_features(clouds, settings), labels, templates=templates)
        return np.stack([each.cosines for each in scored])

    def _draw(self, cloud: Cloud, settings: ViewSettings) -> Float[Tensor, "V S S"]:
        if not len(cloud.points):
            raise ValueError("This cloud has no points.")
        points = torch.tensor(cloud.points).to(self.backbone.device.torch_device())
        return project(points[None], settings, self.backbone.preprocess.size)[0]

    def _encode(self, drawn: Float[Tensor, "N S S"], settings: ViewSettings) -> Float[Tensor, "N D"]:
        inputs = drawn[:, None].expand(-1, 3, -1, -1)
        if settings.look == "bright":
            wanted = self.backbone.preprocess
            mean, std = (drawn.new_tensor(each)[:, None, None] for each in (wanted.mean, wanted.std))
            inputs = (inputs - mean) / std
        inputs = inputs.contiguous(memory_format=torch.channels_last)  # a ResNet is faster on it
        with torch.inference_mode(), self.backbone.device.autocast():
            features = encode_image(self.backbone.model, inputs)
        return features.float().cpu()

    def _adapt(self, features: Float[Tensor, "B V D"]) -> Float[Tensor, "B V D"]:
        if self.adapter is None:
            raise ValueError("There is no few-shot adapter here: open one with the weights, or classify without it.")
        wanted = (self.adapter.views, self.adapter.channels)
        if tuple(features.shape[1:]) != wanted:
            got = tuple(features.shape[1:])
            raise ValueError(f"wanted the {wanted[0]} views of {wanted[1]} numbers that the adapter learned, got {got}")
        with torch.inference_mode():
            return self.adapter(features)
