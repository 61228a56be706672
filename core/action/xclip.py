"""X-CLIP, a relative of ActionCLIP: frames exchange messages inside the image tower, and the clip rewrites its labels.

Paper: Ni et al., ECCV 2022, Expanding Language-Image Pretrained Models for General Video Recognition,
https://arxiv.org/abs/2208.02816. The network is transformers'; its sizes are read off the tensors, so a file alone is
enough. Different from transformers' forward: what the frames say is kept, so that other labels, and the same frames in
another order, need no second look. That is exact: messages between frames know no order, only the transformer behind
them does, and the patches that rewrite the labels are averaged over the frames.

Legend: T frames, P patches, C width of the image tower, D embedding size, M templates, L labels, S side of the input.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from core.action.scores import ClipFeatures, TemplateScores
from core.backbones.clip import Preprocess
from core.backbones.clip_model import HEAD_WIDTH
from core.backbones.tokenizer import clip_tokenizer, count_tokens
from core.checkpoints import Weights
from core.device import Device
from core.prompts import check_templates, fill
from core.results import Ranking

BARE = ("{}",)  # VideoX, X-CLIP/utils: class names as they are
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PROMPT_HEADS = 8
MARKS = ("mit.position_embedding", "prompts_visual_projection")  # tensors that only X-CLIP has
HEAD = "X-CLIP"


def is_xclip(tensors: Mapping[str, Tensor]) -> bool:
    """Say whether these are an X-CLIP in transformers' key layout."""
    return all(mark in tensors for mark in MARKS)


def config_of(tensors: Mapping[str, Tensor]) -> Any:
    """Return transformers' configuration of the X-CLIP that has these tensors."""
    from transformers import XCLIPConfig

    patches = tensors["vision_model.embeddings.patch_embedding.weight"]
    places = len(tensors["vision_model.embeddings.position_embedding.weight"]) - 1
    text = tensors["text_model.embeddings.token_embedding.weight"]
    _, frames, joint = tensors["mit.position_embedding"].shape
    vision = {
        "hidden_size": len(patches),
        "intermediate_size": len(tensors["vision_model.encoder.layers.0.mlp.fc1.bias"]),
        "num_hidden_layers": _count(tensors, "vision_model.encoder.layers."),
        "num_attention_heads": max(1, len(patches) // HEAD_WIDTH),
        "patch_size": patches.shape[-1],
        "image_size": patches.shape[-1] * round(places**0.5),
        "num_frames": frames,
        "mit_hidden_size": joint,
        "mit_intermediate_size": len(tensors["mit.encoder.layers.0.mlp.fc1.bias"]),
        "mit_num_hidden_layers": _count(tensors, "mit.encoder.layers."),
        "mit_num_attention_heads": max(1, joint // HEAD_WIDTH),
    }
    words = {
        "vocab_size": len(text),
        "hidden_size": text.shape[1],
        "intermediate_size": len(tensors["text_model.encoder.layers.0.mlp.fc1.bias"]),
        "num_hidden_layers": _count(tensors, "text_model.encoder.layers."),
        "num_attention_heads": max(1, text.shape[1] // HEAD_WIDTH),
        "max_position_embeddings": len(tensors["text_model.embeddings.position_embedding.weight"]),
    }
    return XCLIPConfig(
        text_config=words,
        vision_config=vision,
        projection_dim=len(tensors["visual_projection.weight"]),
        prompt_layers=_count(tensors, "prompts_generator.decoder."),
        prompt_num_attention_heads=PROMPT_HEADS,
    )


class XClip:
    """An X-CLIP with ActionCLIP's manners; it has one head, its own."""

    heads, default_head, margin = (HEAD,), HEAD, 1.0

    def __init__(self, model: Any, weights: Weights, device: Device) -> None:
        """Wrap transformers' XCLIPModel."""
        vision, text = model.config.vision_config, model.config.text_config
        self.device, self.frames = device, vision.num_frames
        self.model = model.eval().requires_grad_(False).to(device.torch_device())
        self.preprocess = Preprocess(
            size=vision.image_size, mean=IMAGENET_MEAN, std=IMAGENET_STD, interpolation="bilinear"
        )
        self.tokenize, self.templates = clip_tokenizer(text.max_position_embeddings), {"bare label": BARE}
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = device.name, device.reason

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], weights: Weights, device: Device) -> "XClip":
        """Build an X-CLIP of the size of these tensors; ValueError where they do not fit one another."""
        from transformers import XCLIPModel

        kept = {key: value.float() for key, value in tensors.items() if not key.endswith("position_ids")}
        try:
            model = XCLIPModel(config_of(kept))
            model.load_state_dict(kept)
        except (KeyError, RuntimeError, ValueError):
            raise ValueError(f"{weights.name} is not an X-CLIP in transformers' key layout.") from None
        return cls(model, weights, device)

    def clip_features(self, frames: UInt8[np.ndarray, "T H W 3"], *, shifted: bool = False) -> ClipFeatures:
        """Look at a clip of exactly `frames` frames; the temporal shift is not X-CLIP's."""
        if shifted:
            raise ValueError("X-CLIP passes messages between frames; it has no temporal shift.")
        if len(frames) != self.frames:
            raise ValueError(f"{self.weights} takes exactly {self.frames} frames; these are {len(frames)}.")
        inputs = torch.stack([self.preprocess(frame) for frame in frames]).to(self.device.torch_device())
        model = self.model
        with torch.inference_mode(), self.device.autocast():
            seen = model.vision_model(pixel_values=inputs)
            each = model.visual_projection(seen.pooler_output)  # (T, D)
            patches = model.prompts_visual_layernorm(seen.last_hidden_state[:, 1:]).mean(0)  # (P, C)
        return ClipFeatures(frames=each.float().cpu().numpy(), surroundings=patches.float().cpu().numpy())

    def crop_seen(self, frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """Return what the network sees of a frame."""
        return self.preprocess.pixels(frame)

    def score(
        self,
        features: ClipFeatures,
        labels: Sequence[str],
        *,
        templates: Sequence[str] = BARE,
        head: str | None = None,
    ) -> TemplateScores:
        """Score each label in each template against a clip that was looked at."""
        if head not in (None, HEAD):
            raise ValueError(f"{self.weights} has no head {head!r}; there is: {HEAD}.")
        if features.surroundings is None:
            raise ValueError("wanted features that X-CLIP has kept, got another model's")
        where = self.device.torch_device()
        with torch.inference_mode(), self.device.autocast():
            video = self.model.mit(torch.from_numpy(features.frames[None]).to(where)).pooler_output  # (1, D)
            patches = torch.from_numpy(features.surroundings[None]).to(where) @ self.model.prompts_visual_projection
            texts = self._text_features(labels, templates)  # (M, L, D)
            texts = texts + self.model.prompts_generator(texts, patches.expand(len(texts), -1, -1))
        cosines = normalize(texts.float(), dim=-1) @ normalize(video.float(), dim=-1)[0]
        return TemplateScores(
            labels=tuple(labels),
            templates=check_templates(templates),
            cosines=cosines.cpu().numpy(),
            logit_scale=float(self.model.logit_scale.exp()),
        )

    def rank(
        self,
        frames: UInt8[np.ndarray, "T H W 3"],
        labels: Sequence[str],
        *,
        templates: Sequence[str] = BARE,
        head: str | None = None,
    ) -> Ranking:
        """Look at a clip and rank the labels."""
        return self.score(self.clip_features(frames), labels, templates=templates, head=head).ranking()

    def frame_rankings(
        self, features: ClipFeatures, labels: Sequence[str], *, templates: Sequence[str] = BARE
    ) -> tuple[Ranking, ...]:
        """Rank the labels for each frame by its own feature, before the frames are put together."""
        with torch.inference_mode():
            texts = normalize(self._text_features(labels, templates).float(), dim=-1).cpu()
        frames = normalize(torch.from_numpy(features.frames), dim=-1)
        kept, scale = check_templates(templates), float(self.model.logit_scale.exp())
        scored = (texts @ frame for frame in frames)
        return tuple(
            TemplateScores(labels=tuple(labels), templates=kept, cosines=each.numpy(), logit_scale=scale).ranking()
            for each in scored
        )

    def unseen_words(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Return nothing: it has CLIP's whole vocabulary."""
        return ()

    def too_long(self, labels: Sequence[str], *, templates: Sequence[str] = BARE) -> tuple[str, ...]:
        """Return the labels whose end is cut off in some template."""
        longest = max(check_templates(templates), key=len)
        limit = self.model.config.text_config.max_position_embeddings
        return tuple(x for x in labels if count_tokens(self.tokenize, fill(longest, x)) > limit)

    def _text_features(self, labels: Sequence[str], templates: Sequence[str]) -> Float[Tensor, "M L D"]:
        if not labels:
            raise ValueError("Write at least one label.")
        kept = check_templates(templates)
        tokens = self.tokenize([fill(template, label) for template in kept for label in labels])
        found = self.model.get_text_features(tokens.to(self.device.torch_device())).pooler_output
        return found.unflatten(0, (len(kept), len(labels)))


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return len({key[len(prefix) :].split(".")[0] for key in tensors if key.startswith(prefix)})
