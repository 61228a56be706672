"""A CLIP ready for use: pictures and texts in, unit vectors out, whatever file it was opened from.

Embedded files, OpenAI's and others in their key layout become the same classes (clip_model.py); files of other
architectures (PE, MobileCLIP, SigLIP) become open_clip's. Preprocessing follows openai/CLIP clip/clip.py: Pillow
resizes the uint8 picture, because resizing tensors gives other numbers.

Legend: N pictures, M texts, D embedding size, S side of the network's input.
"""

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from jaxtyping import Float, Int, UInt8
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from core.backbones.clip_model import encode_image, encode_text, from_tensors, load_tensors, unseen_words
from core.backbones.learnt_classes import LearntClasses, taken_out
from core.backbones.tokenizer import clip_tokenizer, count_tokens
from core.checkpoints import CONFIG_FILE, TOKENIZER_FILES, WEIGHTS_FILE, Weights, read_tensors
from core.device import Device
from core.results import ScoreKind

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)  # openai/CLIP clip/clip.py
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGE_BATCH = 32
TEXT_BATCH = 256
KEPT_TEXTS = 20_000  # embeddings remembered: 40 MB at 512 numbers each

Tokenize = Callable[[list[str]], Tensor]


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """From a picture of any size to the network's input."""

    size: int
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    interpolation: str = "bicubic"
    squash: bool = False  # SigLIP and PE change the aspect instead of cropping

    def crop(self, size_hw: tuple[int, int]) -> tuple[float, float, float, float]:
        """Return the part of a picture that the network sees, xyxy in the picture's own pixels."""
        height, width = size_hw
        if self.squash:
            return 0.0, 0.0, float(width), float(height)
        left, top, resized = self._cut(size_hw)
        scale = (width / resized[1], height / resized[0])
        return left * scale[0], top * scale[1], (left + self.size) * scale[0], (top + self.size) * scale[1]

    def pixels(self, picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "S S 3"]:
        """Return what the network sees, before normalisation."""
        image = Image.fromarray(picture)
        filter_ = Image.Resampling[self.interpolation.upper()]
        if self.squash:
            return np.asarray(image.resize((self.size, self.size), filter_))
        left, top, (height, width) = self._cut(picture.shape[:2])
        if (height, width) != picture.shape[:2]:
            image = image.resize((width, height), filter_)
        return np.asarray(image.crop((left, top, left + self.size, top + self.size)))

    def __call__(self, picture: UInt8[np.ndarray, "H W 3"]) -> Float[Tensor, "3 S S"]:
        """Return the network's input."""
        scaled = torch.from_numpy(self.pixels(picture).copy()).permute(2, 0, 1).float() / 255
        return (scaled - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]

    def _cut(self, size_hw: tuple[int, int]) -> tuple[int, int, tuple[int, int]]:
        """Return left and top of the crop in the resized picture, and that picture's height and width."""
        height, width = size_hw
        if height <= width:
            resized = (self.size, int(self.size * width / height))
        else:
            resized = (int(self.size * height / width), self.size)
        top, left = (round((side - self.size) / 2) for side in resized)  # half to even, as torchvision's CenterCrop
        return left, top, resized


class ClipBackbone:
    """One CLIP on one device, with a memory of the texts it has encoded."""

    def __init__(
        self, model: nn.Module, tokenize: Tokenize, preprocess: Preprocess, device: Device, context_length: int
    ) -> None:
        """Move a model in evaluation mode to its device."""
        self.device = device
        self.model = model.to(device.torch_device()).requires_grad_(False)
        self.tokenize, self.preprocess, self.context_length = tokenize, preprocess, context_length
        self.learnt: LearntClasses | None = None
        self._texts: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def logit_scale(self) -> float:
        """The factor on cosines, 1 / temperature."""
        return float(self.model.logit_scale.exp())

    @property
    def logit_bias(self) -> float:
        """The number added to scaled cosines; 0 for softmax models."""
        return 0.0 if self.model.logit_bias is None else float(self.model.logit_bias)

    @property
    def kind(self) -> ScoreKind:
        """Whether its logits mean softmax over labels or a sigmoid each."""
        return "softmax" if self.model.logit_bias is None else "sigmoid"

    def encode_images(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float[Tensor, "N D"]:
        """Encode pictures of any sizes in batches, normalised, on the CPU."""
        batches = [pictures[i : i + IMAGE_BATCH] for i in range(0, len(pictures), IMAGE_BATCH)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow resizes without holding the interpreter's lock
            encoded = [self.encode_inputs(torch.stack(list(pool.map(self.preprocess, batch)))) for batch in batches]
        return torch.cat(encoded)

    def encode_inputs(self, inputs: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N D"]:
        """Encode preprocessed pictures, normalised, on the CPU."""
        with torch.inference_mode(), self.device.autocast():
            features = encode_image(self.model, inputs.to(self.device.torch_device()))
        return normalize(features.float(), dim=-1).cpu()

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "M D"]:
        """Encode texts, normalised, on the CPU; a text that was encoded before costs nothing."""
        with self._lock:
            missing = [text for text in dict.fromkeys(texts) if text not in self._texts]
            for start in range(0, len(missing), TEXT_BATCH):
                chunk = missing[start : start + TEXT_BATCH]
                self._texts.update(zip(chunk, self._encode(chunk), strict=True))
            found = torch.stack([self._texts[text] for text in texts])
            while len(self._texts) > KEPT_TEXTS:
                self._texts.popitem(last=False)
        return found

    def forget_texts(self) -> None:
        """Empty the memory of encoded texts."""
        with self._lock:
            self._texts.clear()

    def too_long(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return the texts that the context length cuts off."""
        if not isinstance(self.tokenize, SimpleTokenizer):
            return ()  # the tokenizers of other families cut without telling
        return tuple(text for text in texts if count_tokens(self.tokenize, text) > self.context_length)

    def unseen_words(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return the words that training never showed; always none for a published CLIP with the whole vocabulary."""
        table = getattr(getattr(self.model, "text", self.model), "token_embedding", None)
        return unseen_words(table, self.tokenize, texts)

    def _encode(self, texts: list[str]) -> list[Tensor]:
        tokens: Int[Tensor, "M L"] = self.tokenize(texts).to(self.device.torch_device())
        with torch.inference_mode(), self.device.autocast():
            return list(normalize(encode_text(self.model, tokens).float(), dim=-1).cpu())


def open_clip_backbone(weights: Weights, device: Device, files: Mapping[str, Path]) -> ClipBackbone:
    """Open any CLIP from files on the disk; ValueError in one sentence where they are not one."""
    tensors, learnt = taken_out(read_tensors(files[WEIGHTS_FILE]))
    config = _config(weights, files)
    if "token_embedding.weight" in tensors and "visual.conv1.weight" in tensors:
        model: nn.Module = from_tensors(tensors, quick_gelu=config["model_cfg"].get("quick_gelu", False))
    elif config["model_cfg"].get("vision_cfg"):
        model = load_tensors(_open_clip_model(config["model_cfg"]), tensors)
    else:
        raise ValueError(f"{files[WEIGHTS_FILE].name} is not a CLIP in OpenAI's key layout.")
    size = model.visual.image_size
    length = getattr(model, "context_length", None) or model.text.context_length
    backbone = ClipBackbone(
        model,
        _tokenizer(config["model_cfg"].get("text_cfg", {}), length, files),
        _preprocess(config["preprocess_cfg"], size if isinstance(size, int) else size[0]),
        device,
        length,
    )
    backbone.learnt = learnt
    return backbone


def _config(weights: Weights, files: Mapping[str, Path]) -> dict[str, Any]:
    """Return open_clip's model and preprocessing configuration; embedded and local files are like OpenAI's."""
    if CONFIG_FILE in files:
        return json.loads(files[CONFIG_FILE].read_text())
    if weights.architecture is None:
        return {"model_cfg": {"quick_gelu": True}, "preprocess_cfg": {}}
    tag = weights.name.partition("/")[2]
    return {
        "model_cfg": open_clip.get_model_config(weights.architecture),
        "preprocess_cfg": open_clip.get_pretrained_cfg(weights.architecture, tag),
    }


def _open_clip_model(config: dict[str, Any]) -> nn.Module:
    """Return an untrained model of open_clip's own classes."""
    sizes = {key: value for key, value in config.items() if key != "custom_text"}
    return (open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP)(**sizes)


def _preprocess(config: Mapping[str, Any], size: int) -> Preprocess:
    return Preprocess(
        size=size,
        mean=tuple(config.get("mean", OPENAI_MEAN)),
        std=tuple(config.get("std", OPENAI_STD)),
        interpolation=config.get("interpolation", "bicubic"),
        squash=config.get("resize_mode") == "squash",
    )


def _tokenizer(config: Mapping[str, Any], length: int, files: Mapping[str, Path]) -> Tokenize:
    """Return CLIP's BPE, or the model's own tokenizer from its files."""
    if "hf_tokenizer_name" not in config:
        return clip_tokenizer(length)
    if TOKENIZER_FILES[0] not in files:  # by its name it would be downloaded without being asked for
        raise ValueError(
            f"This CLIP has a tokenizer of its own: put {' and '.join(TOKENIZER_FILES)} beside its weights."
        )
    return HFTokenizer(
        str(files[TOKENIZER_FILES[0]].parent), context_length=length, **(config.get("tokenizer_kwargs") or {})
    )
