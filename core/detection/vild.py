"""ViLD: boxes for any words, from proposals that know no words and a CLIP that knows them.

Paper: Gu et al. 2022, Open-vocabulary Object Detection via Vision and Language Knowledge Distillation, ICLR 2022,
https://arxiv.org/abs/2104.13921. Two paths through one class:

- 'vild': the network's own heads, trained to say what a CLIP says of a region; one pass over the picture.
- 'crops': the paper's baseline, 'CLIP on cropped regions' (Sec. 3.2), with any CLIP: two crops of each proposal go
  through its image tower, and its answer is averaged with the objectness. The proposals are those of the embedded
  network, which learned from Toybox scenes what a thing looks like.

Different from the paper: proposals are 100 instead of 1000, and a picture that was just looked at is not looked at
again, so that new words cost a product.

Legend: R boxes, N words, D embedding size, H W the picture.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from core import checkpoints
from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.checkpoints import WEIGHTS_FILE, Weights
from core.detection.answer import Candidates
from core.detection.proposals import STRIDE, Frame
from core.detection.vild_crops import SCALES, encode_crops
from core.detection.vild_head import word_logits
from core.detection.vild_model import Pyramid, VildNetwork, from_tensors
from core.detection.vild_parts import HEADS, VildParts
from core.detection.vild_prompts import ONE, TEMPLATES, plain, sentences
from core.detection.vild_scores import WEIGHT, crop_scores, image_probabilities, text_probabilities
from core.device import Device
from core.results import unique_labels

EMBEDDED, TEACHER = "toybox-vild", "toybox-resnet"  # files that ship with the project
BASE_WORDS = (  # whose boxes the embedded network was taught
    "ball",
    "cube",
    "cone",
    "ring",
    "chair",
    "table",
    "bed",
    "lamp",
    "bottle",
    "car",
    "airplane",
    "boat",
    "house",
    "tree",
    "snowman",
    "hammer",
    "person",
    "dog",
)
MOST_PIXELS = 1024
MOST_PROPOSALS = 300  # the paper's at inference
KEPT_LOOKS = 4  # pictures
MASK_THRESHOLD = 0.5
MARK = "rpn.head.cls_logits.weight"  # a tensor that a ViLD has and a CLIP has not
Route = Literal["vild", "crops"]
PATHS: dict[str, str] = {
    "vild": "ViLD: heads taught by a CLIP",
    "crops": "CLIP on cropped regions, the baseline of ViLD's paper",
}


@dataclass(frozen=True, kw_only=True)
class VildSettings:
    """How a picture is looked at and how heads are mixed."""

    head: str | None = None  # one of HEADS; None: ensemble, or crops where there are no heads
    weight: float = WEIGHT  # of the text head for base words; the image head has it for all others
    base: tuple[str, ...] | None = None  # words that count as base; None: those that were taught
    against: tuple[str, ...] = ()  # words that share the probability and are not asked for
    templates: str = "one"  # name in TEMPLATES
    proposals: int | None = None  # the best of them; None: 100 for heads, 30 for crops
    pixels: int = 192  # longer side of what the network sees; by_pixels of the evaluation says why not fewer
    discard_background: bool = False  # take the background out before the text head's softmax
    scales: tuple[float, ...] = SCALES  # of the crops
    square: bool | None = None  # crops are squares around the boxes; None: for the embedded CLIP only

    def __post_init__(self) -> None:
        if self.head is not None and self.head not in HEADS:
            raise ValueError(f"wanted one of {', '.join(HEADS)}, got {self.head!r}")
        if self.templates not in TEMPLATES:
            raise ValueError(f"wanted one of {', '.join(TEMPLATES)}, got {self.templates!r}")
        if not 0 <= self.weight <= 1:
            raise ValueError(f"wanted a weight from 0 to 1, got {self.weight}")
        if not STRIDE <= self.pixels <= MOST_PIXELS:
            raise ValueError(f"wanted {STRIDE} to {MOST_PIXELS} pixels, got {self.pixels}")
        if self.proposals is not None and not 1 <= self.proposals <= MOST_PROPOSALS:
            raise ValueError(f"wanted 1 to {MOST_PROPOSALS} proposals, got {self.proposals}")
        if not self.scales or not all(0 < scale <= 4 for scale in self.scales):
            raise ValueError(f"wanted scales above 0 and up to 4, got {self.scales}")


SETTINGS = VildSettings()
HEAD_PROPOSALS, CROP_PROPOSALS = 100, 30


@dataclass(frozen=True, kw_only=True, eq=False)
class VildLook:
    """What a network sees in a picture before anyone has said a word: R places, the likeliest to hold a thing first."""

    proposals_xyxy: Float[np.ndarray, "R 4"]  # pixels of the picture, as the proposal network has them
    boxes_xyxy: Float[np.ndarray, "R 4"]  # after the class-agnostic regression
    objectness: Float[np.ndarray, " R"]  # 0 to 1
    text: Float[np.ndarray, "R D"]  # unit vectors of the text branch
    image: Float[np.ndarray, "R D"]  # of the branch that imitates CLIP
    vild: Float[np.ndarray, "R D"]  # of the head with one branch
    size_hw: tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """A look with what masks are made from."""

    look: VildLook
    pyramid: Pyramid
    frame: Frame


def open_vild(weights: Weights, device: Device, files: Mapping[str, Path]) -> "Vild":
    """Open the embedded ViLD, or any CLIP for the paper's baseline; either needs the other's embedded file."""
    if weights.system == "vild" or _is_vild(weights):
        teacher = checkpoints.resolve("clip", TEACHER)
        clip = open_clip_backbone(teacher, device, {WEIGHTS_FILE: checkpoints.fetch(teacher)})
        return Vild(from_tensors(checkpoints.read_tensors(files[WEIGHTS_FILE])), clip, weights, device)
    return Vild(own_network(), open_clip_backbone(weights, device, files), weights, device, path="crops")


def own_network() -> VildNetwork:
    """Return the embedded network, whose proposals the baseline takes."""
    return from_tensors(checkpoints.read_tensors(checkpoints.fetch(checkpoints.resolve("vild", EMBEDDED))))


def _is_vild(weights: Weights) -> bool:
    """Say whether a user's own file is a ViLD of this project rather than a CLIP."""
    return not weights.embedded and weights.path is not None and MARK in checkpoints.read_tensors(weights.path)


class Vild:
    """A proposal network and a CLIP on one device, with a memory of the pictures it looked at last."""

    def __init__(
        self, network: VildNetwork, clip: ClipBackbone, weights: Weights, device: Device, *, path: Route = "vild"
    ) -> None:
        """Move a network in evaluation mode to a device; on the path 'crops' its heads are not asked."""
        self.network = network.to(device.torch_device()).requires_grad_(False)
        self.clip, self.device, self.path = clip, device, path
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = device.name, device.reason
        self.path_title = PATHS[path]
        self.heads = HEADS if path == "vild" else ("crops",)
        self.squares = path == "vild" or weights.small
        self._seen: OrderedDict[tuple, _Seen] = OrderedDict()
        self._crops: OrderedDict[tuple, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def default_head(self) -> str:
        """The head that is asked where the settings name none."""
        return "ensemble" if self.path == "vild" else "crops"

    def look(self, image: UInt8[np.ndarray, "H W 3"], settings: VildSettings = SETTINGS) -> VildLook:
        """Return the places that may hold a thing; from memory where the picture was just looked at."""
        return self._look(image, settings).look

    def detect(
        self, image: UInt8[np.ndarray, "H W 3"], words: Sequence[str], settings: VildSettings = SETTINGS
    ) -> Candidates:
        """Score every word at every place. Raises ValueError for no word and for a head that the path has not."""
        head = settings.head or self.default_head
        return self.parts(image, words, settings, heads=(head,)).candidates(head, settings.weight)

    def parts(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        words: Sequence[str],
        settings: VildSettings = SETTINGS,
        heads: Sequence[str] | None = None,
    ) -> VildParts:
        """Return what each head says of each place, so that weights can move; errors as in `detect`.

        `heads` names those that are asked; without it all are but the crops, which cost passes through CLIP.
        """
        labels = unique_labels(words)
        if not labels:
            raise ValueError("Write at least one word.")
        asked = heads or tuple(head for head in self.heads if head != "crops") or ("crops",)
        missing = next((head for head in asked if head not in self.heads), None)
        if missing is not None:
            raise ValueError(f"{self.weights} has no head {missing!r}: it can be asked for {', '.join(self.heads)}.")
        look = self.look(image, settings)
        count = len(labels)
        every = labels + tuple(word for word in unique_labels(settings.against) if word not in labels)
        texts = self.classifier(every, settings.templates).to(self.device.torch_device())
        scores: dict[str, np.ndarray] = {}
        background = None
        with torch.inference_mode():
            if {"text", "ensemble"} & set(asked):
                logits = word_logits(self._tensor(look.text), texts, self.network.ensemble.background)
                background = logits.softmax(-1)[:, 0].cpu().numpy()
                scores["text"] = self._numpy(
                    text_probabilities(logits, discard_background=settings.discard_background), count
                )
            if {"image", "ensemble"} & set(asked):
                scores["image"] = self._numpy(image_probabilities(word_logits(self._tensor(look.image), texts)), count)
            if "vild" in asked:
                logits = word_logits(self._tensor(look.vild), texts, self.network.vild.background)
                scores["vild"] = self._numpy(
                    text_probabilities(logits, discard_background=settings.discard_background), count
                )
        if "crops" in asked:
            scores["crops"] = self._crop_scores(image, look, texts, settings)[:, :count]
        base = BASE_WORDS if settings.base is None else settings.base
        return VildParts(
            labels=labels,
            base=np.array([label.lower() in {word.lower() for word in base} for label in labels]),
            boxes_xyxy=look.boxes_xyxy,
            objectness=look.objectness,
            background=background,
            scores=scores,
            size_hw=look.size_hw,
        )

    def masks(
        self, image: UInt8[np.ndarray, "H W 3"], indices: Sequence[int], settings: VildSettings = SETTINGS
    ) -> Bool[np.ndarray, "K H W"]:
        """Return the masks of some of a look's final boxes."""
        return self.masks_of(image, self.look(image, settings).boxes_xyxy[list(indices)], settings)

    def masks_of(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        boxes_xyxy: Float[np.ndarray, "K 4"],
        settings: VildSettings = SETTINGS,
    ) -> Bool[np.ndarray, "K H W"]:
        """Return the masks of any boxes, from the class-agnostic head."""
        if not len(boxes_xyxy):
            return np.zeros((0, *image.shape[:2]), bool)
        seen, boxes = self._look(image, settings), torch.from_numpy(boxes_xyxy)
        with torch.inference_mode():
            inside = seen.frame.inside(boxes).to(self.device.torch_device())
            features = self.network.regions(seen.pyramid, [inside], seen.frame.padded_hw, masks=True)
            shares = self.network.mask(features).sigmoid().cpu()
        pasted = paste_masks_in_image(shares[:, None], boxes, image.shape[:2])
        return pasted[:, 0].numpy() > MASK_THRESHOLD

    def classifier(self, words: Sequence[str], templates: str = "one") -> Float[Tensor, "N D"]:
        """Return a unit vector for each word, the mean over its sentences."""
        chosen = TEMPLATES[templates]
        said = [
            sentence
            for word in words
            for sentence in ([plain(chosen[0], word)] if chosen is ONE else sentences(word, chosen))
        ]
        return F.normalize(self.clip.encode_texts(said).unflatten(0, (len(words), -1)).mean(1), dim=-1)

    def unseen_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words that the text tower's training never showed; they all look the same to it."""
        return self.clip.unseen_words(words)

    def forget(self) -> None:
        """Empty the memory of pictures and words."""
        with self._lock:
            self._seen.clear()
            self._crops.clear()
        self.clip.forget_texts()

    def _crop_scores(
        self, image: UInt8[np.ndarray, "H W 3"], look: VildLook, texts: Float[Tensor, "N D"], settings: VildSettings
    ) -> Float[np.ndarray, "R N"]:
        """Ask the CLIP itself, at its own temperature and with its own sigmoids where it has them."""
        square = self.squares if settings.square is None else settings.square
        key = (*self._key(image, settings), self._count(settings), settings.scales, square)
        with self._lock:
            embeddings = self._crops.get(key)
        if embeddings is None:
            embeddings = encode_crops(self.clip, image, look.boxes_xyxy, scales=settings.scales, square=square)
            self._keep(self._crops, key, embeddings)
        logits = self.clip.logit_scale * embeddings @ texts.cpu().T + self.clip.logit_bias
        probabilities = logits.sigmoid() if self.clip.kind == "sigmoid" else logits.softmax(-1)
        return crop_scores(probabilities, torch.from_numpy(look.objectness)).numpy()

    def _look(self, image: UInt8[np.ndarray, "H W 3"], settings: VildSettings) -> _Seen:
        key = (*self._key(image, settings), self._count(settings))
        with self._lock:
            if key in self._seen:
                self._seen.move_to_end(key)
                return self._seen[key]
        seen = self._see(image, settings)
        self._keep(self._seen, key, seen)
        return seen

    def _see(self, image: UInt8[np.ndarray, "H W 3"], settings: VildSettings) -> _Seen:
        network, frame = self.network, Frame.of(image.shape[:2], settings.pixels)
        with torch.inference_mode():
            with self.device.autocast():
                pyramid = network.pyramid(frame.inputs(image).to(self.device.torch_device()))
            boxes, objectness = network.propose(pyramid, frame.inner_hw, frame.padded_hw)
            boxes, objectness = boxes[: self._count(settings)], objectness[: self._count(settings)]
            features = network.regions(pyramid, [boxes], frame.padded_hw)
            found = network.ensemble(features)
            single = network.vild(features)
            refined = network.refine(found.codes, boxes, frame.inner_hw)
        look = VildLook(
            proposals_xyxy=frame.outside(boxes.cpu()).numpy(),
            boxes_xyxy=frame.outside(refined.cpu()).numpy(),
            objectness=objectness.cpu().numpy(),
            text=F.normalize(found.text, dim=-1).cpu().numpy(),
            image=F.normalize(found.image, dim=-1).cpu().numpy(),
            vild=F.normalize(single.text, dim=-1).cpu().numpy(),
            size_hw=image.shape[:2],
        )
        return _Seen(look=look, pyramid=pyramid, frame=frame)

    def _count(self, settings: VildSettings) -> int:
        usual = HEAD_PROPOSALS if (settings.head or self.default_head) != "crops" else CROP_PROPOSALS
        return settings.proposals or usual

    @staticmethod
    def _key(image: UInt8[np.ndarray, "H W 3"], settings: VildSettings) -> tuple:
        digest = hashlib.blake2b(np.ascontiguousarray(image).data).digest()
        return digest, image.shape, settings.pixels

    def _keep(self, memory: OrderedDict, key: tuple, found: object) -> None:
        with self._lock:
            memory[key] = found
            while len(memory) > KEPT_LOOKS:
                memory.popitem(last=False)

    def _tensor(self, rows: Float[np.ndarray, "R D"]) -> Float[Tensor, "R D"]:
        return torch.from_numpy(rows).to(self.device.torch_device())

    @staticmethod
    def _numpy(scores: Float[Tensor, "R _"], count: int) -> Float[np.ndarray, "R N"]:
        return scores[:, :count].float().cpu().numpy()
