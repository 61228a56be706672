"""GroupViT as a segmenter: words in, a label for each pixel out, through groups that no mask ever taught.

Paper: Xu et al., CVPR 2022, GroupViT: Semantic Segmentation Emerges from Text Supervision,
https://arxiv.org/abs/2202.11094; the way from groups to pixels is in groupvit_inference.py. Different from the
authors' evaluation: the whole picture goes through the network at once, as in their demo, not in windows.

Legend: H and W the picture's height and width, G1 and G2 groups of the first and second grouping, L patches on a grid,
N words, T templates, M texts, D embedding size.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor

from core.backbones.clip_model import unseen_words
from core.backbones.tokenizer import clip_tokenizer, count_tokens
from core.checkpoints import WEIGHTS_FILE, Weights, read_tensors
from core.device import Device
from core.prompts import check_templates, fill
from core.results import LabelMap
from core.segmentation import groupvit_inference as inference
from core.segmentation.answer import clean_words
from core.segmentation.groupvit_model import GroupVit, factor
from core.segmentation.groupvit_weights import from_tensors

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as GroupViT's segmentation/configs have it
LONGEST = 2048  # pixels; the same configs: img_scale=(2048, 448)
KEPT_LOOKS = 4  # pictures remembered
KEPT_TEXTS = 5_000  # embeddings remembered
TEXT_BATCH = 256


def check_threshold(threshold: float) -> None:
    """Raise ValueError for a background threshold outside 0 to 1."""
    if not 0 <= threshold <= 1:
        raise ValueError(f"wanted a background threshold from 0 to 1, got {threshold}")


@dataclass(frozen=True, kw_only=True)
class GroupVitSettings:
    """How a picture is looked at and how words win pixels; these are the release's for PASCAL VOC."""

    pixels: int = 448  # of the shorter side in the network
    threshold: float = 0.95  # a pixel whose best score is lower is background; 0.35 for PASCAL Context
    most_words: int = inference.MOST_WORDS  # that may win in one picture
    templates: tuple[str, ...] = ("a photo of a {}.",)

    def __post_init__(self) -> None:
        """Check the numbers; ValueError for one that makes no sense."""
        if self.pixels < 1 or self.most_words < 1:
            raise ValueError(f"wanted at least 1 pixel and 1 word, got {self.pixels} and {self.most_words}")
        check_threshold(self.threshold)


RELEASED = GroupVitSettings()
TOYBOX = GroupVitSettings(pixels=160, threshold=0.3)  # for weights of core/train/groupvit.py, which sees 160 pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """What the network saw in one picture, kept so that other words cost no second look."""

    first: Float[np.ndarray, "G1 L"]  # softmax over the groups of the first grouping, for each patch
    second: Float[np.ndarray, "G2 G1"]  # softmax over the groups of the second, for each group of the first
    features: Float[np.ndarray, "G2 D"]  # of the second groups, in the shared space, not normalised
    picture: Float[np.ndarray, " D"]  # of their mean
    grid_hw: tuple[int, int]
    size_hw: tuple[int, int]
    logit_scale: float

    @cached_property
    def map(self) -> Int[np.ndarray, "H W"]:
        """The second-stage group of each pixel."""
        return self._stretched(self.second @ self.first)

    @cached_property
    def first_map(self) -> Int[np.ndarray, "H W"]:
        """The first-stage group of each pixel: parts, where the second stage has wholes."""
        return self._stretched(self.first)

    def stage(self, number: int) -> LabelMap:
        """Return the groups of stage 1 or 2 as labels; ValueError for another stage."""
        if number not in (1, 2):
            raise ValueError(f"wanted stage 1 or 2, got {number}")
        ids, count = (self.first_map, len(self.first)) if number == 1 else (self.map, len(self.second))
        return LabelMap(ids=ids.astype(np.int32), labels=tuple(f"group {i + 1}" for i in range(count)))

    def _stretched(self, soft: Float[np.ndarray, "G L"]) -> Int[np.ndarray, "H W"]:
        stretched = inference.attention_map(torch.from_numpy(soft), self.grid_hw, self.size_hw)
        return stretched.argmax(0).numpy()


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupWords:
    """How well each word fits each group of a picture; the threshold can move without asking the network again."""

    words: tuple[str, ...]
    groups: Groups
    cosines: Float[np.ndarray, "G2 N"]  # of each group with each word
    picture_cosines: Float[np.ndarray, " N"]  # of the whole picture with each word
    kept: Bool[np.ndarray, " N"]  # the words that may win in this picture
    scores: Float[np.ndarray, "G2 N"]  # softmax over the kept words, times softmax over all
    threshold: float  # where nothing else is said

    def limit(self, threshold: float | None = None) -> float:
        """Return the score below which a group is background: the threshold, but never above the best group's score."""
        chosen = self.threshold if threshold is None else threshold
        check_threshold(chosen)
        return inference.background_limit(torch.from_numpy(self.scores), chosen)

    def group_words(self, threshold: float | None = None) -> Int[np.ndarray, " G2"]:
        """Return the word of each group by index, -1 for background."""
        return np.where(self.scores.max(1) < self.limit(threshold), -1, self.scores.argmax(1))

    def label_map(self, threshold: float | None = None) -> LabelMap:
        """Return the word of each pixel, -1 for background."""
        return LabelMap(ids=self.group_words(threshold)[self.groups.map].astype(np.int32), labels=self.words)

    def shares(self, threshold: float | None = None) -> Float[np.ndarray, " N"]:
        """Return the share of the picture's pixels that each word has, 0 to 1; what is missing to 1 is background."""
        ids = self.label_map(threshold).ids
        return np.bincount(ids[ids >= 0], minlength=len(self.words)) / max(1, ids.size)

    def scores_at(self, x: int, y: int) -> Float[np.ndarray, " N"]:
        """Return each word's score at one pixel, which is its group's; ValueError outside the picture."""
        height, width = self.groups.size_hw
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"wanted a pixel inside {width} x {height}, got x = {x}, y = {y}")
        return self.scores[self.groups.map[y, x]]

    def word_map(self, index: int) -> Float[np.ndarray, "H W"]:
        """Return one word's score at every pixel."""
        return self.scores[self.groups.map, index]


def class_embedding(texts: Float[Tensor, "N T D"]) -> Float[Tensor, "N D"]:
    """Average each word's templates as they are, then normalise: the release does not normalise each template."""
    return F.normalize(texts.mean(1), dim=-1)


def network_size(size_hw: tuple[int, int], shorter: int, patch: int) -> tuple[int, int]:
    """Return the whole numbers of patches nearest to a picture whose shorter side is `shorter`, in pixels."""
    scale = min(shorter / min(size_hw), LONGEST / max(size_hw))
    height, width = (max(1, round(side * scale / patch)) * patch for side in size_hw)
    return height, width


def open_groupvit(weights: Weights, device: Device, files: Mapping[str, Path]) -> "GroupVitSegmenter":
    """Open a GroupViT for the registry; ValueError where the file is no GroupViT."""
    return GroupVitSegmenter(from_tensors(read_tensors(files[WEIGHTS_FILE])), weights, device)


class GroupVitSegmenter:
    """A GroupViT on one device, with a memory of the pictures it looked at last and of the words it was asked."""

    def __init__(self, model: GroupVit, weights: Weights, device: Device) -> None:
        """Move a model in evaluation mode to its device; `weights` says where it came from."""
        self.device = device
        self.model = model.to(device.torch_device()).requires_grad_(False)
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = device.name, device.reason
        self.defaults = TOYBOX if weights.small else RELEASED
        self.tokenize = clip_tokenizer(model.size.context_length)
        self._looks: OrderedDict[tuple, Groups] = OrderedDict()
        self._texts: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def most_groups(self) -> int:
        """How many segments a picture can have at most, by construction."""
        return [count for count in self.model.size.output_groups if count][-1]

    def segment(
        self, image: UInt8[np.ndarray, "H W 3"], words: Sequence[str], settings: GroupVitSettings | None = None
    ) -> GroupWords:
        """Give each pixel a word or background; ValueError for no word. Words given twice count once."""
        return self.label(self.look(image, settings), words, settings)

    def look(self, image: UInt8[np.ndarray, "H W 3"], settings: GroupVitSettings | None = None) -> Groups:
        """Return the groups of one picture, which need no word; one that was just looked at is not looked at again."""
        pixels = (settings or self.defaults).pixels
        key = (hashlib.blake2b(np.ascontiguousarray(image).data).digest(), image.shape, pixels)
        with self._lock:
            if key in self._looks:
                self._looks.move_to_end(key)
                return self._looks[key]
        found = self._look(image, pixels)
        with self._lock:
            self._looks[key] = found
            while len(self._looks) > KEPT_LOOKS:
                self._looks.popitem(last=False)
        return found

    def forget(self) -> None:
        """Empty the memory of pictures and of words."""
        with self._lock:
            self._looks.clear()
        self.forget_texts()

    def forget_texts(self) -> None:
        """Empty the memory of words alone."""
        with self._lock:
            self._texts.clear()

    def label(self, groups: Groups, words: Sequence[str], settings: GroupVitSettings | None = None) -> GroupWords:
        """Give the groups of a picture that was looked at their words; ValueError for no word."""
        settings = settings or self.defaults
        own = tuple(dict.fromkeys(clean_words(words)))  # the same word twice would share its probability with itself
        texts = self.text_features(own, settings.templates)
        features, picture = torch.from_numpy(groups.features), torch.from_numpy(groups.picture)
        logits = inference.group_logits(features, texts, groups.logit_scale)
        picture_logits = inference.group_logits(picture[None], texts, groups.logit_scale)[0]
        kept = inference.kept_words(picture_logits, settings.most_words)
        return GroupWords(
            words=own,
            groups=groups,
            cosines=(logits / groups.logit_scale).numpy(),
            picture_cosines=(picture_logits / groups.logit_scale).numpy(),
            kept=kept.numpy(),
            scores=inference.group_scores(logits, kept).numpy(),
            threshold=settings.threshold,
        )

    def text_features(self, words: Sequence[str], templates: Sequence[str]) -> Float[Tensor, "N D"]:
        """Return a unit vector for each word; a text that was encoded before costs nothing."""
        kept = check_templates(templates)
        texts = [fill(template, word) for word in words for template in kept]
        with self._lock:
            missing = [text for text in dict.fromkeys(texts) if text not in self._texts]
            for start in range(0, len(missing), TEXT_BATCH):
                chunk = missing[start : start + TEXT_BATCH]
                self._texts.update(zip(chunk, self._encode(chunk), strict=True))
            found = torch.stack([self._texts[text] for text in texts])
            while len(self._texts) > KEPT_TEXTS:
                self._texts.popitem(last=False)
        return class_embedding(found.unflatten(0, (len(words), len(kept))))

    def too_long(self, words: Sequence[str], settings: GroupVitSettings | None = None) -> tuple[str, ...]:
        """Return the words whose end is cut off in some prompt, because the text tower reads no further."""
        longest = max((settings or self.defaults).templates, key=len)
        length = self.model.size.context_length
        return tuple(word for word in words if count_tokens(self.tokenize, fill(longest, word)) > length)

    def unseen_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the single words that training never showed the text tower; none for published weights."""
        return unseen_words(self.model.text_encoder.token_embedding, self.tokenize, words)

    def _encode(self, texts: list[str]) -> list[Tensor]:
        tokens = self.tokenize(texts).to(self.device.torch_device())
        with torch.inference_mode(), self.device.autocast():
            return list(self.model.encode_text(tokens).float().cpu())

    def _look(self, image: UInt8[np.ndarray, "H W 3"], pixels: int) -> Groups:
        inputs = self._inputs(image, pixels)
        with torch.inference_mode(), self.device.autocast():
            picture, grouped = self.model.encode_image(inputs)
            features = self.model.img_projector(grouped.groups)
        patch = self.model.size.patch_size
        first, second = (soft[0].float().cpu().numpy() for soft in grouped.soft)
        return Groups(
            first=first,
            second=second,
            features=features[0].float().cpu().numpy(),
            picture=picture[0].float().cpu().numpy(),
            grid_hw=(inputs.shape[2] // patch, inputs.shape[3] // patch),
            size_hw=(image.shape[0], image.shape[1]),
            logit_scale=float(factor(self.model.logit_scale)),
        )

    def _inputs(self, image: UInt8[np.ndarray, "H W 3"], pixels: int) -> Float[Tensor, "1 3 H2 W2"]:
        height, width = network_size(image.shape[:2], pixels, self.model.size.patch_size)
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        scaled = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() / 255
        inputs = (scaled - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
        return inputs.to(self.device.torch_device())
