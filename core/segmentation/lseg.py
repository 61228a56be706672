"""LSeg: words of the user's choice compared with a vector for every pixel.

Paper: Li et al. 2022, Language-driven Semantic Segmentation, ICLR 2022, https://arxiv.org/abs/2201.03546; network,
blocks and constants in lseg_model.py. Different from the released app (isl-org/lang-seg at bb00b21, lseg_app.py): one
look at the whole picture, its aspect kept, instead of 36 windows of a picture squeezed to 360 x 480. The released
evaluator is there too (`segment_windows`). Several scales and the mirror image, where asked for, are averaged as
vectors; products are linear, so that scores are the mean over the looks, and new words cost no look at all.

Words stand bare, without a template, as in the paper. 'other' is a word like any other.

Legend: N words, D embedding size, H W the picture, h w the grid of places: half of what the network sees.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from core.backbones.clip import ClipBackbone, Preprocess
from core.backbones.dpt import STRIDES
from core.backbones.tokenizer import clip_tokenizer
from core.checkpoints import WEIGHTS_FILE, Weights
from core.device import Device
from core.segmentation.answer import WordMaps, clean_words
from core.segmentation.lseg_evaluator import CROP, MOST_SCALE, EvaluatorSettings, window_scores
from core.segmentation.lseg_files import read_lseg
from core.segmentation.lseg_model import LsegNetwork, Regulariser, from_tensors, products

MEAN = STD = 0.5  # lseg_app.py: the ViT's, not CLIP's
MOST_PIXELS = 1024  # ours: attention's cost grows with the fourth power of the side
KEPT_LOOKS = 2  # pictures whose vectors are remembered: 88 MB each at the published size
COLORED_SHARE = 0.02  # of the places at either end of a principal component that are cut off


@dataclass(frozen=True, kw_only=True)
class LsegSettings:
    """How a picture is looked at, and which blocks tidy up; the defaults are for the published weights."""

    pixels: int = CROP  # longer side of what the network sees at scale 1
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False  # look at the mirror image too
    regulariser: Regulariser | None = None  # None: what the weights were trained with

    def __post_init__(self) -> None:
        if not STRIDES[-1] <= self.pixels <= MOST_PIXELS:
            raise ValueError(f"wanted {STRIDES[-1]} to {MOST_PIXELS} pixels, got {self.pixels}")
        if not self.scales or not all(0 < scale <= MOST_SCALE for scale in self.scales):
            raise ValueError(f"wanted scales above 0 and up to {MOST_SCALE}, got {self.scales}")


PUBLISHED = LsegSettings()
OVER_CROP = 1.25  # of what weights from the Toybox learned from: their crops show about four fifths of a picture


def open_lseg(weights: Weights, device: Device, files: Mapping[str, Path]) -> "Lseg":
    """Open an LSeg for the registry: embedded, the official Lightning file, or its flat mirror."""
    return Lseg(from_tensors(*read_lseg(files[WEIGHTS_FILE])), weights, device)


class Lseg:
    """An LSeg on one device, with a memory of the pictures it looked at last and of the words it was asked."""

    def __init__(self, network: LsegNetwork, weights: Weights, device: Device) -> None:
        """Move a network in evaluation mode, with its text tower, to a device."""
        self.network = network.to(device.torch_device()).requires_grad_(False)
        self.device = device
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = device.name, device.reason
        self.defaults = self._toybox() if weights.small else PUBLISHED
        self.regularisers = {each.name: each for each in network.regularisers}
        length = network.clip_pretrained.context_length
        self.texts = ClipBackbone(  # of which only the texts are used
            network.clip_pretrained, clip_tokenizer(length), Preprocess(size=CROP), device, length
        )
        self._looks: OrderedDict[tuple, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def segment(
        self, image: UInt8[np.ndarray, "H W 3"], words: Sequence[str], settings: LsegSettings | None = None
    ) -> WordMaps:
        """Score every word at every place; a picture that was just looked at is not looked at again.

        Raises ValueError where there is no word, or the weights have no kernel for the blocks asked for.
        """
        kept, settings = clean_words(words), settings or self.defaults
        regulariser = self.network.regulariser if settings.regulariser is None else settings.regulariser
        features = self._look(image, settings)
        with torch.inference_mode():
            before = products(features, self._texts(kept))
            after = self.network.regularise(before, regulariser)
        return WordMaps(
            words=kept,
            logits=after[0].cpu().numpy(),
            before=before[0].cpu().numpy(),
            size_hw=image.shape[:2],
        )

    def segment_windows(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        words: Sequence[str],
        settings: LsegSettings | None = None,
        evaluator: EvaluatorSettings | None = None,
    ) -> WordMaps:
        """Score with the released evaluator's windows and scales; many looks, none of them remembered.

        The evaluator adds the looks' scores up; here they are their mean, so that probabilities mean what they do
        for one look.
        """
        kept, settings = clean_words(words), settings or self.defaults
        evaluator = evaluator or self.windows(settings)
        texts = self._texts(kept)
        inputs = self._inputs(image, settings.pixels)

        def network(crop: Tensor) -> Tensor:
            with self.device.autocast():
                return self.network(crop, texts, settings.regulariser)

        with torch.inference_mode():
            scores = window_scores(network, inputs, evaluator)
        looks = len(evaluator.scales) * (2 if evaluator.flip else 1)
        return WordMaps(words=kept, logits=(scores[0] / looks).cpu().numpy(), size_hw=image.shape[:2])

    def windows(self, settings: LsegSettings | None = None) -> EvaluatorSettings:
        """Return the released evaluator's settings in proportion to what this network sees at once."""
        crop = -(-(settings or self.defaults).pixels // STRIDES[-1]) * STRIDES[-1]
        usual = EvaluatorSettings()
        return replace(usual, crop=crop, base=round(usual.base * crop / usual.crop))

    def feature_colors(
        self, image: UInt8[np.ndarray, "H W 3"], settings: LsegSettings | None = None
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Return the places' vectors as colours: red, green and blue are the three main ways in which they differ."""
        features = self._look(image, settings or self.defaults)[0]
        grid_hw = features.shape[1:]
        rows = features.flatten(1).T.cpu().double().numpy()  # (h w, D)
        rows = rows - rows.mean(0)
        _, vectors = np.linalg.eigh(rows.T @ rows)
        main = vectors[:, ::-1][:, :3]
        main = main * np.where(main[np.abs(main).argmax(0), range(main.shape[1])] < 0, -1, 1)  # eigenvectors' signs
        parts = rows @ main
        low, high = np.quantile(parts, (COLORED_SHARE, 1 - COLORED_SHARE), axis=0)
        shares = np.clip((parts - low) / np.maximum(high - low, 1e-9), 0, 1)
        return np.round(255 * shares).astype(np.uint8).reshape(*grid_hw, 3)

    def unseen_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words that the text tower's training never showed; they all look the same to it."""
        return self.texts.unseen_words(words)

    def forget(self) -> None:
        """Empty the memory of pictures and words."""
        with self._lock:
            self._looks.clear()
        self.texts.forget_texts()

    def _texts(self, words: Sequence[str]) -> Float[Tensor, "N D"]:
        return self.texts.encode_texts(words).to(self.device.torch_device())

    def _toybox(self) -> LsegSettings:
        """Return how weights from the Toybox look at a picture: at the size that they learned from."""
        vit = self.network.pretrained.model.size
        stride = STRIDES[-1]
        return LsegSettings(pixels=stride * max(1, round(OVER_CROP * vit.grid * vit.patch / stride)))

    def _look(self, image: UInt8[np.ndarray, "H W 3"], settings: LsegSettings) -> Float[Tensor, "1 D h w"]:
        """Return the mean vector of each place over the looks, from memory where there is one."""
        digest = hashlib.blake2b(np.ascontiguousarray(image).data).digest()
        key = (digest, image.shape, settings.pixels, settings.scales, settings.flip)
        with self._lock:
            if key in self._looks:
                self._looks.move_to_end(key)
                return self._looks[key]
        height, width = self._inputs_size(image.shape[:2], settings.pixels)
        grid_hw = (-(-height // 2), -(-width // 2))
        with torch.inference_mode():
            looks = [
                self._one_look(image, settings.pixels * scale, grid_hw, settings.flip) for scale in settings.scales
            ]
            found = looks[0] if len(looks) == 1 else torch.stack(looks).mean(0)
        with self._lock:
            self._looks[key] = found
            while len(self._looks) > KEPT_LOOKS:
                self._looks.popitem(last=False)
        return found

    def _one_look(
        self, image: UInt8[np.ndarray, "H W 3"], pixels: float, grid_hw: tuple[int, int], flip: bool
    ) -> Float[Tensor, "1 D h w"]:
        """Look once, or twice with the mirror image, and bring the places onto a grid that covers the picture."""
        inputs = self._inputs(image, round(pixels))
        size_hw = (inputs.shape[2], inputs.shape[3])
        bordered = _to_multiples(inputs)
        views = torch.cat([bordered, _to_multiples(inputs.flip(-1))]) if flip else bordered
        with self.device.autocast():
            features = self.network.features(views)
        features = _without_border(features, size_hw, (bordered.shape[2], bordered.shape[3]), grid_hw)
        return (features[:1] + features[1:].flip(-1)) / 2 if flip else features

    def _inputs_size(self, size_hw: tuple[int, int], pixels: int) -> tuple[int, int]:
        scale = pixels / max(size_hw)
        height, width = (max(1, round(side * scale)) for side in size_hw)
        return height, width

    def _inputs(self, image: UInt8[np.ndarray, "H W 3"], pixels: int) -> Float[Tensor, "1 3 H2 W2"]:
        """Resize a picture to this longer side, its aspect kept, and normalise it."""
        height, width = self._inputs_size(image.shape[:2], max(1, pixels))
        resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
        scaled = torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() / 255
        return ((scaled - MEAN) / STD).to(self.device.torch_device())


def _to_multiples(inputs: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "1 3 H2 W2"]:
    """Repeat the last row and column until the decoder can halve both sides; black would be one more thing to see."""
    stride = STRIDES[-1]
    height, width = (-(-side // stride) * stride for side in inputs.shape[2:])
    return F.pad(inputs, (0, width - inputs.shape[3], 0, height - inputs.shape[2]), mode="replicate")


def _without_border(
    features: Float[Tensor, "B D h w"], size_hw: tuple[int, int], bordered_hw: tuple[int, int], grid_hw: tuple[int, int]
) -> Float[Tensor, "B D h2 w2"]:
    """Read the map on a grid whose corners are the picture's; nothing happens where there was no border."""
    if size_hw == bordered_hw and tuple(features.shape[2:]) == grid_hw:
        return features
    ends = [2 * (side - 1) / max(1, whole - 1) - 1 for side, whole in zip(size_hw, bordered_hw, strict=True)]
    y, x = (torch.linspace(-1, end, places, device=features.device) for end, places in zip(ends, grid_hw, strict=True))
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)
    return F.grid_sample(features, grid.expand(len(features), -1, -1, -1), align_corners=True)
