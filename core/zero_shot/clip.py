"""CLIP as a zero-shot classifier.

Paper: Radford et al. 2021, Sec. 3.1, https://arxiv.org/abs/2103.00020. Ensembles are made as in openai/CLIP,
notebooks/Prompt_Engineering_for_ImageNet.ipynb: normalise each prompt's embedding, average, normalise again.

Legend: N pictures, L labels, T templates, M captions, D embedding size.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid, normalize

from core.backbones.clip import IMAGE_BATCH, ClipBackbone, open_clip_backbone
from core.checkpoints import Weights
from core.device import Device
from core.prompts import check_templates, fill
from core.results import HeatMap, PairMatrix, Ranking
from core.zero_shot.attribution import METHODS

BARE = ("{}",)


def open_clip_system(weights: Weights, device: Device, files: Mapping[str, Path]) -> "ZeroShotClip":
    """Open a CLIP for the registry."""
    return ZeroShotClip(open_clip_backbone(weights, device, files), weights)


def ensemble(prompts: Float[Tensor, "L T D"]) -> Float[Tensor, "L D"]:
    """Average the unit vectors of each label's prompts and normalise again (Sec. 3.1.4)."""
    return normalize(normalize(prompts, dim=-1).mean(1), dim=-1)


class ZeroShotClip:
    """Any CLIP, with free-text labels."""

    def __init__(self, backbone: ClipBackbone, weights: Weights) -> None:
        """Wrap an opened CLIP; `weights` says where it came from."""
        self.backbone, self.learnt = backbone, backbone.learnt
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = backbone.device.name, backbone.device.reason

    def rank(
        self, image: UInt8[np.ndarray, "H W 3"], labels: Sequence[str], *, templates: Sequence[str] = BARE
    ) -> Ranking:
        """Score each label against one picture; ValueError for no label."""
        return self.rank_many([image], labels, templates=templates)[0]

    def rank_many(
        self,
        images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = BARE,
    ) -> tuple[Ranking, ...]:
        """Score each label against each picture."""
        return self.rank_encoded(self.encode(images), labels, templates=templates)

    def rank_stream(
        self,
        images: Iterable[UInt8[np.ndarray, "_ _ 3"]],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = BARE,
    ) -> Iterator[Ranking]:
        """Score each label against pictures as they come, in batches: no more than one batch is in memory."""
        pictures = iter(images)
        while batch := list(islice(pictures, IMAGE_BATCH)):
            yield from self.rank_many(batch, labels, templates=templates)

    def encode(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float[np.ndarray, "N D"]:
        """Return unit vectors for pictures, to be ranked against several sets of labels."""
        return self.backbone.encode_images(images).numpy()

    def rank_encoded(
        self, features: Float[np.ndarray, "N D"], labels: Sequence[str], *, templates: Sequence[str] = BARE
    ) -> tuple[Ranking, ...]:
        """Score each label against pictures that `encode` has seen."""
        cosines = torch.from_numpy(features) @ self._classifier(labels, templates).T  # (N, L)
        return tuple(self._ranking(tuple(labels), row) for row in cosines.numpy())

    def prompt_cosines(
        self, image: UInt8[np.ndarray, "H W 3"], labels: Sequence[str], templates: Sequence[str]
    ) -> Float[np.ndarray, "L T"]:
        """Return the cosine of each single prompt with a picture."""
        feature = self.backbone.encode_images([image])[0]
        return (self._prompts(labels, templates) @ feature).numpy()

    def pair_matrix(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], captions: Sequence[str]) -> PairMatrix:
        """Return all pictures against all captions, with the training loss of that batch where it is square."""
        if not images or not captions:
            raise ValueError("Give at least one picture and one caption.")
        cosines = self.backbone.encode_images(images) @ self.backbone.encode_texts(captions).T
        logits = self.backbone.logit_scale * cosines + self.backbone.logit_bias
        return PairMatrix(
            cosines=cosines.numpy(),
            captions=tuple(captions),
            logit_scale=self.backbone.logit_scale,
            logit_bias=self.backbone.logit_bias,
            loss=self._loss(logits) if len(images) == len(captions) else None,
        )

    def heat_maps(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = BARE,
        method: str = "gradient",
    ) -> tuple[HeatMap, ...]:
        """Return where each label's score came from, at the picture's size; 0 outside what the network saw.

        `method` is 'gradient' (LayerCAM for a ResNet, relevance through attention for a ViT) or 'occlusion' (how far
        the cosine falls when a grey square covers the place). Raises ValueError for another one.
        """
        if method not in METHODS:
            raise ValueError(f"wanted one of {', '.join(METHODS)}, got {method!r}")
        values = METHODS[method](self.backbone, image, self._classifier(labels, templates))
        return tuple(HeatMap(values=value, label=label) for value, label in zip(values, labels, strict=True))

    def crop_seen(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """Return what the network sees of a picture, after resizing and cropping."""
        return self.backbone.preprocess.pixels(image)

    def crop_box(self, image: UInt8[np.ndarray, "H W 3"]) -> tuple[float, float, float, float]:
        """Return the part of a picture that the network sees, xyxy in the picture's pixels."""
        return self.backbone.preprocess.crop(image.shape[:2])

    def unseen_words(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return the words of the labels that training never showed this CLIP."""
        return () if self._knows(labels) else self.backbone.unseen_words(labels)

    def too_long(self, labels: Sequence[str], *, templates: Sequence[str] = BARE) -> tuple[str, ...]:
        """Return the labels whose end is cut off in some prompt, because the text tower reads no further."""
        if self._knows(labels):
            return ()
        longest = max(check_templates(templates), key=len)
        return tuple(label for label in labels if self.backbone.too_long([fill(longest, label)]))

    def _prompts(self, labels: Sequence[str], templates: Sequence[str]) -> Float[Tensor, "L T D"]:
        if not labels:
            raise ValueError("Write at least one label.")
        kept = check_templates(templates)
        if self.learnt is not None and self._knows(labels):
            return self.learnt.of(labels)[:, None].expand(-1, len(kept), -1)
        texts = [fill(template, label) for label in labels for template in kept]
        return self.backbone.encode_texts(texts).reshape(len(labels), len(kept), -1)

    def _classifier(self, labels: Sequence[str], templates: Sequence[str]) -> Float[Tensor, "L D"]:
        return ensemble(self._prompts(labels, templates))

    def _knows(self, labels: Sequence[str]) -> bool:
        """Say whether a probe learnt a vector for each of these labels, so that no sentence is asked."""
        return self.learnt is not None and self.learnt.known(labels)

    def _ranking(self, labels: tuple[str, ...], cosines: Float[np.ndarray, " L"]) -> Ranking:
        return Ranking(
            labels=labels,
            cosines=cosines,
            logit_scale=float(self.learnt.scale) if self._knows(labels) else self.backbone.logit_scale,
            logit_bias=self.backbone.logit_bias,
            kind=self.backbone.kind,
        )

    def _loss(self, logits: Float[Tensor, "N N"]) -> float:
        """Return the loss that training gives this square of logits: CLIP's Fig. 3, or SigLIP's Eq. 1."""
        if self.backbone.kind == "sigmoid":
            signs = 2 * torch.eye(len(logits)) - 1
            return float(-logsigmoid(signs * logits).sum() / len(logits))
        diagonal = torch.arange(len(logits))
        return float((cross_entropy(logits, diagonal) + cross_entropy(logits.T, diagonal)) / 2)
