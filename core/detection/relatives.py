"""Published relatives of GLIP for who wants the best answer today; none of them is GLIP.

- Grounding DINO (Liu et al. 2024, ECCV, https://arxiv.org/abs/2303.05499) and MM Grounding DINO (Zhao et al. 2024,
  https://arxiv.org/abs/2401.02361): GLIP's fusion in a DETR; lists and sentences.
- OWLv2 (Minderer et al. 2023, NeurIPS, https://arxiv.org/abs/2306.09683): a dual encoder taught by its own boxes on web
  pictures; lists only, and no word changes another's score.

Networks and preprocessing are transformers'. A Grounding DINO's score of a phrase is the largest of its tokens', as its
authors take it; OWLv2 is asked 'a photo of a ...', as its authors ask.

Legend: R boxes, K of them kept, N words, T tokens.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from core.backbones.tokenizer import clip_tokenizer
from core.checkpoints import TOKENIZER_FILES, TRANSFORMERS_CONFIG, WEIGHTS_FILE, Weights
from core.detection.answer import Candidates
from core.detection.glip_chunker import noun_phrases
from core.detection.glip_postprocess import phrase_probabilities
from core.detection.glip_prompts import UNKNOWN, Prompt, batch_of, chunked_prompts, tokens_of_labels
from core.detection.grounding import Grounding, Span
from core.device import Device
from core.results import unique_labels

NAMES = {
    "grounding-dino": "Grounding DINO, a relative of GLIP",
    "mm-grounding-dino": "MM Grounding DINO, a relative of GLIP",
    "owlv2": "OWLv2, a relative of GLIP",
}
PREPROCESSOR = "preprocessor_config.json"
CONFIG_FILES = (TRANSFORMERS_CONFIG, PREPROCESSOR)  # that opening one needs besides its weights; a DINO's tokenizer too
OWL_TEMPLATE = "a photo of a {}"
OWL_TOKENS = 16  # of a query, with the two special ones
KEPT_BOXES = 300
LEAST = 1e-3  # scores below count as 0


def is_relative(files: Mapping[str, Path]) -> bool:
    """Say whether files on the disk are those of a relative."""
    return TRANSFORMERS_CONFIG in files and _kind(files[TRANSFORMERS_CONFIG]) in NAMES


def open_relative(weights: Weights, device: Device, files: Mapping[str, Path]) -> "GroundingDino | Owl":
    """Open a relative from files on the disk; ValueError where a part is missing or of another kind."""
    from transformers import AutoConfig, AutoImageProcessor, AutoModelForZeroShotObjectDetection

    kind = _kind(files[TRANSFORMERS_CONFIG])
    if kind not in NAMES:
        raise ValueError(f"wanted one of {', '.join(NAMES)}, got a configuration of {kind!r}")
    folder = files[WEIGHTS_FILE].parent
    config = AutoConfig.from_pretrained(files[TRANSFORMERS_CONFIG].parent, local_files_only=True)
    try:
        model = AutoModelForZeroShotObjectDetection.from_pretrained(folder, config=config, local_files_only=True)
        prepare = AutoImageProcessor.from_pretrained(files[PREPROCESSOR].parent, local_files_only=True)
        if kind == "owlv2":
            return Owl(model, prepare, weights, device)
        tokenizer = Tokenizer.from_file(str(files[TOKENIZER_FILES[0]]))
    except (OSError, KeyError) as error:
        raise ValueError(f"{NAMES[kind]} cannot be opened: {str(error).splitlines()[0]}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return GroundingDino(model, prepare, weights, device, tokenizer)


class Relative:
    """What both kinds hold: a network, what prepares a picture, and where it runs."""

    def __init__(self, model: Any, prepare: Any, weights: Weights, device: Device) -> None:
        """Move a network in evaluation mode to a device."""
        self.model = model.eval().requires_grad_(False).to(device.torch_device())
        self.prepare, self.device = prepare, device
        self.title = NAMES[model.config.model_type]
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = device.name, device.reason

    def _run(self, image: UInt8[np.ndarray, "H W 3"], **texts: Tensor) -> Any:
        inputs = self.prepare(images=Image.fromarray(image), return_tensors="pt")
        where = self.device.torch_device()
        with torch.inference_mode():  # in float32: DETR's boxes lose places in half precision
            return self.model(
                **{name: value.to(where) for name, value in inputs.items()},
                **{name: value.to(where) for name, value in texts.items()},
            )


class GroundingDino(Relative):
    """A Grounding DINO: lists and sentences, as GLIP."""

    def __init__(self, model: Any, prepare: Any, weights: Weights, device: Device, tokenizer: Tokenizer) -> None:
        """Take what splits words besides."""
        super().__init__(model, prepare, weights, device)
        self.tokenizer = tokenizer

    def unseen_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words that the weights have no token for."""
        parts = dict.fromkeys(part for word in words for part in word.split())
        return tuple(part for part in parts if UNKNOWN in self.tokenizer.encode(part).tokens)

    def detect(self, image: UInt8[np.ndarray, "H W 3"], words: Sequence[str]) -> Candidates:
        """Find boxes for each word of a list, in several prompts where it is long; ValueError for no words."""
        labels = unique_labels(words)
        if not labels:
            raise ValueError("Write at least one word.")
        lower = [word.lower() for word in labels]
        prompts = chunked_prompts(lower, self._count, most_tokens=self.model.config.max_text_len)
        parts = []
        for prompt in prompts:
            asked = Prompt(text=prompt.text + ".", spans=prompt.spans, labels=prompt.labels)
            boxes, own, _ = self._asked(image, asked)
            scores = np.zeros((len(boxes), len(labels)), np.float32)
            scores[:, list(prompt.labels)] = own
            parts.append((boxes, scores))
        boxes, scores = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Candidates(labels=labels, boxes_xyxy=boxes, scores=scores, size_hw=image.shape[:2])

    def ground(
        self, image: UInt8[np.ndarray, "H W 3"], sentence: str, spans: Sequence[Span] | None = None
    ) -> Grounding:
        """Find boxes for each noun phrase of a sentence; ValueError for one without a noun or too long a one."""
        wanted = tuple(phrase.span for phrase in noun_phrases(sentence)) if spans is None else tuple(spans)
        if not wanted:
            raise ValueError("The sentence names no thing that could be in a picture: write one with a noun in it.")
        if self._count(sentence) > self.model.config.max_text_len:
            raise ValueError(
                f"The sentence has {self._count(sentence)} tokens; {self.weights} reads "
                f"{self.model.config.max_text_len}: shorten it."
            )
        prompt = Prompt(text=sentence, spans=tuple((span,) for span in wanted), labels=tuple(range(len(wanted))))
        boxes, scores, encoding = self._asked(image, prompt)
        labels = tuple(sentence[first:last] for first, last in wanted)
        return Grounding(
            sentence=sentence,
            spans=wanted,
            candidates=Candidates(labels=labels, boxes_xyxy=boxes, scores=scores, size_hw=image.shape[:2]),
            tokens=tuple(encoding.tokens),
            phrase_tokens=tuple(tokens_of_labels(encoding, prompt.spans)),
        )

    def _count(self, text: str) -> int:
        return len(self.tokenizer.encode(text).ids)

    def _asked(
        self, image: UInt8[np.ndarray, "H W 3"], prompt: Prompt
    ) -> tuple[Float[np.ndarray, "R 4"], Float[np.ndarray, "R N"], Encoding]:
        encoding = self.tokenizer.encode(prompt.text)
        ids, mask = batch_of([encoding])
        found = self._run(image, input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids))
        tokens = tokens_of_labels(encoding, prompt.spans, self.model.config.max_text_len)
        scores = phrase_probabilities(found.logits[0].float(), tokens, "max").cpu()
        height, width = image.shape[:2]
        return *_best(_corners(found.pred_boxes[0].float().cpu(), (height, width)), scores, (height, width)), encoding


class Owl(Relative):
    """An OWLv2: lists only; a word's score does not depend on the others. Words are split as CLIP splits them."""

    def unseen_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return none: CLIP's vocabulary has a token for every byte."""
        return ()

    def detect(self, image: UInt8[np.ndarray, "H W 3"], words: Sequence[str]) -> Candidates:
        """Find boxes for each word of a list; ValueError for no words."""
        labels = unique_labels(words)
        if not labels:
            raise ValueError("Write at least one word.")
        ids = clip_tokenizer(OWL_TOKENS)([OWL_TEMPLATE.replace("{}", label) for label in labels]).long()
        mask = (torch.arange(OWL_TOKENS) <= ids.argmax(1, keepdim=True)).long()  # up to the end token, the highest
        found = self._run(image, input_ids=ids, attention_mask=mask)
        scores = found.logits[0].float().sigmoid().cpu()
        side = max(image.shape[:2])  # pictures are padded to squares
        boxes, own = _best(_corners(found.pred_boxes[0].float().cpu(), (side, side)), scores, image.shape[:2])
        return Candidates(labels=labels, boxes_xyxy=boxes, scores=own, size_hw=image.shape[:2])


def _kind(path: Path) -> str:
    """Return which model a configuration is of."""
    try:
        return str(json.loads(path.read_text("utf-8")).get("model_type", ""))
    except (ValueError, AttributeError):
        return ""


def _corners(boxes: Float[Tensor, "R 4"], size_hw: tuple[int, int]) -> Float[Tensor, "R 4"]:
    """Return boxes of middles and sides, in shares of a picture, as corners in its pixels."""
    middles, halves = boxes[:, :2], boxes[:, 2:] / 2
    scale = torch.tensor([size_hw[1], size_hw[0]] * 2)
    return torch.cat([middles - halves, middles + halves], 1) * scale


def _best(
    boxes: Float[Tensor, "R 4"], scores: Float[Tensor, "R N"], size_hw: tuple[int, int]
) -> tuple[Float[np.ndarray, "K 4"], Float[np.ndarray, "K N"]]:
    """Return the boxes that score best for any word, cut to the picture."""
    scores = scores.where(scores >= LEAST, 0.0)
    best = scores.amax(1)
    kept = best.topk(min(KEPT_BOXES, len(best))).indices
    kept = kept[best[kept] > 0]
    ends = np.array([size_hw[1], size_hw[0]] * 2, np.float32)
    return np.clip(boxes[kept].numpy(), 0, ends).astype(np.float32), scores[kept].numpy().astype(np.float32)
