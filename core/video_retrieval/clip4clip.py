"""CLIP4Clip: which clip does a sentence mean? Any CLIP looks at frames, and a head makes one score of them.

Paper: Luo et al., Neurocomputing 2022, https://arxiv.org/abs/2104.08860; ArrowLuo/CLIP4Clip at 508ffa3. The features of
frames are kept apart from the scores: other texts, other heads, fewer frames, and the clip played backwards cost no
look at the pictures. Any published CLIP is the paper's zero-shot meanP. The embedded weights hold the text tower and
the heads; their image tower is the embedded CLIP's.

Legend: N clips, T frames, M texts, D embedding size.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from core import checkpoints
from core.backbones.clip import IMAGE_BATCH, KEPT_TEXTS, TEXT_BATCH, ClipBackbone, Preprocess, open_clip_backbone
from core.backbones.clip_model import encode_image, encode_text, from_tensors
from core.backbones.tokenizer import clip_tokenizer
from core.checkpoints import WEIGHTS_FILE, Weights, read_tensors
from core.device import Device
from core.video_retrieval.heads import VideoHeads, heads_from_tensors
from core.video_retrieval.kept import file_key, kept_array, model_key
from core.video_retrieval.layouts import CLIP_PREFIX, TUBE_KEY, clip_part, from_transformers, is_transformers
from core.video_retrieval.patches import TubePatch, see_along_time

MAX_FRAMES = 12  # of a clip of half a minute (Sec. 4.1); 64 for paragraphs and minutes
DEFAULT_HEAD = "seqTransf"  # the paper's best where there is much to learn from (Table 1)
MOST_FRAMES = 1000  # of one clip: more is a film, and is cut into clips first

Features = Float[np.ndarray, "_ D"]  # of the frames of one clip, not normalised


def open_clip4clip(weights: Weights, device: Device, files: Mapping[str, Path]) -> "Clip4Clip":
    """Open CLIP4Clip for the registry: embedded heads, the release's or transformers' layout, or any CLIP as meanP."""
    tensors = read_tensors(files[WEIGHTS_FILE])
    if is_transformers(tensors):
        return Clip4Clip(_backbone(from_transformers(tensors), device), weights)
    if f"{CLIP_PREFIX}text_projection" not in tensors:
        return Clip4Clip(open_clip_backbone(weights, device, files), weights)
    clip = clip_part(tensors)
    if not any(key.startswith("visual.") for key in clip):
        clip |= _borrowed_tower(files[WEIGHTS_FILE])
    kernel = clip.pop(TUBE_KEY) if TUBE_KEY in clip and clip[TUBE_KEY].ndim == 5 else None  # a ResNet's has 4
    backbone = _backbone(clip, device)
    if kernel is not None:
        see_along_time(backbone.model.visual, MAX_FRAMES, kernel.float().to(device.torch_device()))
    heads = heads_from_tensors(tensors, width=clip["text_projection"].shape[1])
    return Clip4Clip(backbone, weights, heads)


class Clip4Clip:
    """A CLIP and the heads that its file has; meanP is always there."""

    def __init__(self, backbone: ClipBackbone, weights: Weights, heads: VideoHeads | None = None) -> None:
        """Wrap an opened CLIP; `weights` says where it came from."""
        self.backbone = backbone
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = backbone.device.name, backbone.device.reason
        self.frames = MAX_FRAMES
        self._words: dict[str, Tensor] = {}
        self._heads = heads or VideoHeads(self._width(), names=())
        self._heads = self._heads.eval().requires_grad_(False).to(backbone.device.torch_device())

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that can be asked, as the paper names them."""
        return self._heads.names

    @property
    def default_head(self) -> str:
        """The head to ask where none is named: the one that sees order, where it is there."""
        return DEFAULT_HEAD if DEFAULT_HEAD in self.heads else self.heads[0]

    @property
    def logit_scale(self) -> float:
        """The factor on the cosines of the loose heads."""
        return self.backbone.logit_scale

    def encode(self, clips: Sequence[UInt8[np.ndarray, "_ _ _ 3"]]) -> tuple[Features, ...]:
        """Look at the frames of clips, which may differ in number and size, and return what is worth keeping.

        Frames reversed, left out or repeated afterwards are what looking again would have given, but for a 3D patch,
        which sees a frame's neighbours. Raises ValueError for a clip without frames or with more than MOST_FRAMES.
        """
        for clip in clips:
            if not 0 < len(clip) <= MOST_FRAMES:
                raise ValueError(f"wanted 1 to {MOST_FRAMES} frames a clip, got {len(clip)}")
        if not len(clips):
            return ()
        patch = getattr(self.backbone.model.visual, "conv1", None)
        if isinstance(patch, TubePatch):
            return tuple(self._look_along(patch, clip) for clip in clips)
        pictures = [frame for clip in clips for frame in clip]
        seen = [self._look(pictures[start : start + IMAGE_BATCH]) for start in range(0, len(pictures), IMAGE_BATCH)]
        return tuple(np.split(np.concatenate(seen), np.cumsum([len(clip) for clip in clips])[:-1]))

    def encode_file(
        self, path: str | Path, frames: Callable[[], UInt8[np.ndarray, "_ _ _ 3"]], *, looked_at: str
    ) -> Features:
        """Look at the frames of a file, or read from the disk what the same weights saw in the same bytes before.

        `looked_at` says which frames of it `frames()` reads.
        """
        name = f"{file_key(Path(path), looked_at)}-{model_key(self.backbone)}"
        return kept_array(name, lambda: self.encode([frames()])[0])

    def scores(
        self, features: Sequence[Features], texts: Sequence[str], head: str = "meanP"
    ) -> Float[np.ndarray, "M N"]:
        """Return the logits of each text against each clip that `encode` has seen.

        Scaled cosines for loose heads; the tight head's own number, unbounded, where only the order means anything.
        Raises ValueError for no text, no clip, a head that is not there or too many frames for its positions.
        """
        if not len(features):
            raise ValueError("Give at least one clip.")
        frames, mask = _padded(features)
        device = self.backbone.device.torch_device()
        scale = torch.tensor(self.logit_scale, device=device)
        with torch.inference_mode():
            words = self._texts(texts).to(device)
            found = self._heads.scores(head, words, frames.to(device), mask.to(device), scale)
        return found.float().cpu().numpy()

    def clip_vectors(self, features: Sequence[Features], head: str = "meanP") -> Float[np.ndarray, "N D"]:
        """Return a loose head's unit vector of each clip, whose products with texts are cosines."""
        frames, mask = _padded(features)
        device = self.backbone.device.torch_device()
        with torch.inference_mode():
            return self._heads.clip_vectors(head, frames.to(device), mask.to(device)).cpu().numpy()

    def film_strip(self, features: Features, texts: Sequence[str]) -> Float[np.ndarray, "T M"]:
        """Return the cosine of each frame with each text, before any head: what each frame looks like on its own."""
        frames = normalize(torch.from_numpy(features.copy()), dim=-1)
        return (frames @ normalize(self._texts(texts), dim=-1).T).numpy()

    def frame_norms(self, features: Features) -> Float[np.ndarray, " T"]:
        """Return the norm of each frame, as the heads take it in."""
        frames = torch.from_numpy(features.copy())[None].to(self.backbone.device.torch_device())
        return self._heads.scaled(frames)[0].norm(dim=-1).cpu().numpy()

    def position_norms(self) -> Float[np.ndarray, " P"]:
        """Return the norm of each position's vector; ValueError where no head has positions."""
        if not hasattr(self._heads, "frame_position_embeddings"):
            raise ValueError("These weights have no head with positions in time.")
        return self._heads.frame_position_embeddings.weight.norm(dim=-1).cpu().numpy()

    def with_positions_scaled(self, factor: float) -> "Clip4Clip":
        """Return the same model with the positions of its heads multiplied, to hear how much they carry."""
        heads = heads_from_tensors(self._heads.state_dict(), width=self._heads.width, heads=self._attention_heads())
        for name, parameter in heads.named_parameters():
            if "position_embeddings" in name:
                parameter.data *= factor
        return Clip4Clip(self.backbone, Weights(name=self.weights, system="clip4clip", licence=self.licence), heads)

    def unseen_words(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Return the words of the texts that training never showed."""
        return self.backbone.unseen_words(texts)

    def _look(self, pictures: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float[np.ndarray, "T D"]:
        inputs = torch.stack([self.backbone.preprocess(picture) for picture in pictures])
        with torch.inference_mode(), self.backbone.device.autocast():
            seen = encode_image(self.backbone.model, inputs.to(self.backbone.device.torch_device()))
        return seen.float().cpu().numpy()

    def _look_along(self, patch: TubePatch, clip: UInt8[np.ndarray, "_ _ _ 3"]) -> Features:
        patch.frames = len(clip)
        return self._look(list(clip))

    def _texts(self, texts: Sequence[str]) -> Float[Tensor, "M D"]:
        """Return the texts as the heads take them, not normalised; a text that was asked before costs nothing."""
        if not len(texts):
            raise ValueError("Write at least one sentence.")
        known = {text: self._words[text] for text in texts if text in self._words}
        missing = list(dict.fromkeys(text for text in texts if text not in known))
        for start in range(0, len(missing), TEXT_BATCH):
            chunk = missing[start : start + TEXT_BATCH]
            known |= zip(chunk, self._encode_texts(chunk), strict=True)
        self._words = dict(list({**self._words, **known}.items())[-KEPT_TEXTS:])
        return torch.stack([known[text] for text in texts])

    def _encode_texts(self, texts: list[str]) -> Float[Tensor, "M D"]:
        device = self.backbone.device
        tokens = self.backbone.tokenize(texts).to(device.torch_device())
        with torch.inference_mode(), device.autocast():
            return encode_text(self.backbone.model, tokens).float().cpu()

    def _width(self) -> int:
        return self._encode_texts(["a"]).shape[1]

    def _attention_heads(self) -> int | None:
        for module in self._heads.modules():
            if hasattr(module, "in_proj_weight"):
                return module.heads
        return None


def _padded(features: Sequence[Features]) -> tuple[Float[Tensor, "N T D"], Int[Tensor, "N T"]]:
    """Return clips of different lengths in one tensor, zeros after their end, and which frames are there.

    They are copied, because torch takes no array that was turned round.
    """
    longest = max(len(each) for each in features)
    frames = torch.zeros(len(features), longest, features[0].shape[1])
    mask = torch.zeros(len(features), longest, dtype=torch.long)
    for place, each in enumerate(features):
        frames[place, : len(each)] = torch.from_numpy(each.copy())
        mask[place, : len(each)] = 1
    return frames, mask


def _backbone(tensors: Mapping[str, Tensor], device: Device) -> ClipBackbone:
    """Return a CLIP in OpenAI's layout with QuickGELU, as CLIP4Clip's are."""
    model = from_tensors(tensors, quick_gelu=True)
    size, length = model.visual.image_size, model.context_length
    preprocess = Preprocess(size=size if isinstance(size, int) else size[0])
    return ClipBackbone(model, clip_tokenizer(length), preprocess, device, length)


def _borrowed_tower(path: Path) -> dict[str, Tensor]:
    """Return the image tower that embedded heads were trained on; ValueError where another one lies there."""
    card = json.loads(path.with_suffix(".json").read_text()) if path.with_suffix(".json").is_file() else {}
    if "backbone" not in card or "backbone_sha256" not in card:
        raise ValueError(f"{path.name} has no image tower, and no card beside it says whose it uses.")
    clip = checkpoints.fetch(checkpoints.resolve("clip", card["backbone"]))
    if hashlib.sha256(clip.read_bytes()).hexdigest() != card["backbone_sha256"]:
        raise ValueError(f"{path.name} was trained on another {card['backbone']} than the one here: train it again.")
    return {key: value for key, value in read_tensors(clip).items() if key.startswith("visual.")}
