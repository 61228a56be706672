"""GLIP: boxes for the words of a class list, and for the phrases of a sentence, by one model.

Paper: Li et al. 2022, Grounded Language-Image Pre-training, CVPR 2022, https://arxiv.org/abs/2112.03857; network in
glip_model.py, prompts in glip_prompts.py, the released thresholds in glip_postprocess.py. A class list is a sentence
like any other ('cat. dog. person'), so that detection is grounding (Sec. 3.1). Different from the released demo
(microsoft/GLIP at 9dda955): candidates are kept with a score for every word, so that thresholds and overlaps are
chosen afterwards; a list that does not fit into one prompt is asked in several, and each answers for its own words; a
picture's pyramid, which knows no words, is remembered, so that new words cost the head alone.

A score is the geometric mean of a phrase's probability and the box's centerness (paper's released code; Sec. 4).

Legend: N words, R boxes, T tokens, P places, H W the picture, h w a level's sides.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from tokenizers import Encoding, Tokenizer

from core.checkpoints import Weights
from core.detection.answer import Candidates
from core.detection.glip_anchors import SCALE
from core.detection.glip_chunker import noun_phrases
from core.detection.glip_frame import Looked, apart, network_input, own_frame, placed, token_maps
from core.detection.glip_model import GlipNetwork, Scores
from core.detection.glip_postprocess import AGGREGATIONS, Aggregation, phrase_probabilities
from core.detection.glip_prompts import (
    LABELS_A_PROMPT,
    MOST_TOKENS,
    SEPARATOR,
    UNKNOWN,
    Prompt,
    batch_of,
    chunked_prompts,
    class_prompt,
    tokens_of_labels,
)
from core.detection.grounding import Alignment, Grounding, Span
from core.device import Device
from core.results import unique_labels

LEAST_SIDE, MOST_SIDE = 32, 1333
KEPT_PICTURES = 2  # whose pyramids are remembered
KEPT_BOXES = 300  # of a prompt; TEST.DETECTIONS_PER_IMG for LVIS
KEPT_IN_ALL, LEAST_KEPT = 1500, 30  # of a list in many prompts, so that 2,000 words stay a small table
ALIGNED_BOXES = 10


@dataclass(frozen=True, kw_only=True)
class GlipSettings:
    """How a picture is looked at and a list is asked; the defaults are for the published weights."""

    short_side: int = 800  # INPUT.MIN_SIZE_TEST; 480 and 640 cost less
    least: float = 0.05  # MODEL.ATSS.INFERENCE_TH: probabilities up to it count as 0
    aggregation: Aggregation = "mean"  # of a phrase's tokens
    most_tokens: int = MOST_TOKENS
    labels_a_prompt: int = LABELS_A_PROMPT  # TEST.CHUNKED_EVALUATION
    separator: str = SEPARATOR
    anchor_scale: float = SCALE  # an anchor's side over its level's stride
    exchange: bool = True  # whether places and tokens exchange anything: deep fusion
    flat_offsets: bool = True  # as the released kernel reads them

    def __post_init__(self) -> None:
        if not LEAST_SIDE <= self.short_side <= MOST_SIDE:
            raise ValueError(f"wanted a short side of {LEAST_SIDE} to {MOST_SIDE} pixels, got {self.short_side}")
        if not 0 <= self.least < 1 or self.aggregation not in AGGREGATIONS:
            raise ValueError(f"wanted a threshold from 0 to 1 and one of {', '.join(AGGREGATIONS)}, got {self}")
        if self.most_tokens < 4 or self.labels_a_prompt < 1:
            raise ValueError(f"wanted room for at least one label in a prompt, got {self}")


PUBLISHED = GlipSettings()
TOYBOX = GlipSettings(short_side=224, least=0.01, most_tokens=64, anchor_scale=3.0)  # for the embedded weights


class Glip:
    """A GLIP on one device, with a memory of the pictures it looked at last."""

    def __init__(
        self,
        network: GlipNetwork,
        tokenizer: Tokenizer,
        weights: Weights,
        device: Device,
        defaults: GlipSettings = PUBLISHED,
    ) -> None:
        """Move a network in evaluation mode to a device; `tokenizer` splits words as the weights learnt them."""
        self.network = network.to(device.torch_device())
        self.tokenizer, self.device, self.defaults = tokenizer, device, defaults
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = device.name, device.reason
        self._looks: OrderedDict[tuple, Looked] = OrderedDict()
        self._lock = threading.Lock()

    def detect(
        self, image: UInt8[np.ndarray, "H W 3"], words: Sequence[str], settings: GlipSettings | None = None
    ) -> Candidates:
        """Find boxes for each word of a list; ValueError for no words, or a word that fits into no prompt."""
        chosen, labels = settings or self.defaults, unique_labels(words)
        if not labels:
            raise ValueError("Write at least one word.")
        prompts = self.prompts(labels, chosen)
        look = self.look(image, chosen)
        boxes, scores = [np.zeros((0, 4), np.float32)], [np.zeros((0, len(labels)), np.float32)]
        most = min(KEPT_BOXES, max(LEAST_KEPT, KEPT_IN_ALL // len(prompts)))
        for prompt in prompts:
            found, own = self._asked(look, prompt, chosen, most)
            wide = np.zeros((len(found), len(labels)), np.float32)
            wide[:, list(prompt.labels)] = own
            boxes.append(found)
            scores.append(wide)
        return Candidates(
            labels=labels, boxes_xyxy=np.concatenate(boxes), scores=np.concatenate(scores), size_hw=image.shape[:2]
        )

    def ground(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        sentence: str,
        settings: GlipSettings | None = None,
        spans: Sequence[Span] | None = None,
    ) -> Grounding:
        """Find boxes for each noun phrase of a sentence, or for the given spans of its characters.

        Raises ValueError for a sentence without a noun, one that is too long, and a span outside it.
        """
        chosen = settings or self.defaults
        wanted = tuple(phrase.span for phrase in noun_phrases(sentence)) if spans is None else tuple(spans)
        if not wanted:
            raise ValueError("The sentence names no thing that could be in a picture: write one with a noun in it.")
        if not all(0 <= first < last <= len(sentence) for first, last in wanted):
            raise ValueError(f"wanted spans inside the {len(sentence)} characters of the sentence, got {wanted}")
        prompt = Prompt(text=sentence, spans=tuple((span,) for span in wanted), labels=tuple(range(len(wanted))))
        encoding = self._encoded(prompt, chosen)
        boxes, scores = self._asked(self.look(image, chosen), prompt, chosen)
        return Grounding(
            sentence=sentence,
            spans=wanted,
            candidates=Candidates(
                labels=tuple(sentence[first:last] for first, last in wanted),
                boxes_xyxy=boxes,
                scores=scores,
                size_hw=image.shape[:2],
            ),
            tokens=tuple(encoding.tokens),
            phrase_tokens=tuple(tokens_of_labels(encoding, prompt.spans, chosen.most_tokens)),
        )

    def alignment(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        prompt: str | Sequence[str],
        settings: GlipSettings | None = None,
        most: int = ALIGNED_BOXES,
    ) -> Alignment:
        """Compare every token of a sentence, or of a list as it is asked, with the best boxes and with every place."""
        chosen = settings or self.defaults
        asked = _as_prompt(prompt, chosen)
        encoding = self._encoded(asked, chosen)
        look = self.look(image, chosen)
        scores = self._scores(look, encoding, chosen)
        probabilities = torch.cat(scores.tokens, 1)[0].sigmoid()  # (P, T)
        boxes, centerness = placed(scores, look, chosen.anchor_scale)
        words = [t for own in tokens_of_labels(encoding, asked.spans, chosen.most_tokens) for t in own]
        words = words or list(range(1, len(encoding.ids) - 1))
        best = (probabilities[:, words].amax(1) * centerness).sqrt()
        kept = apart(boxes, best, most)
        stride = self.network.size.strides[0]
        return Alignment(
            prompt=asked.text,
            tokens=tuple(encoding.tokens),
            boxes_xyxy=own_frame(boxes[kept], look),
            probabilities=probabilities[kept].cpu().numpy(),
            places=token_maps(scores).cpu().numpy(),
            seen_hw=tuple(-(-side // stride) for side in look.resized_hw),
            size_hw=look.size_hw,
        )

    def word_logits(
        self,
        image: UInt8[np.ndarray, "H W 3"],
        word: str,
        sentences: Sequence[str],
        settings: GlipSettings | None = None,
    ) -> tuple[float, ...]:
        """Return the logit of the same word in each of several sentences, at the place where the first is surest of it.

        A sentence that does not hold the word is an error. Without deep fusion the sentence moves it through the text
        encoder alone, in a dual encoder not at all.
        """
        chosen, look, place, found = settings or self.defaults, self.look(image, settings or self.defaults), None, []
        for sentence in sentences:
            first = sentence.lower().find(word.lower())
            if first < 0 or not word:
                raise ValueError(f"The sentence {sentence!r} does not hold the word {word!r}.")
            prompt = Prompt(text=sentence, spans=(((first, first + len(word)),),), labels=(0,))
            encoding = self._encoded(prompt, chosen)
            tokens = list(tokens_of_labels(encoding, prompt.spans, chosen.most_tokens)[0])
            scores = self._scores(look, encoding, chosen)
            logits = torch.cat(scores.tokens, 1)[0][:, tokens].mean(1)
            if place is None:
                place = int((logits.sigmoid() * placed(scores, look, chosen.anchor_scale)[1]).argmax())
            found.append(float(logits[place]))
        return tuple(found)

    def prompts(self, words: Sequence[str], settings: GlipSettings | None = None) -> list[Prompt]:
        """Return what a list is asked as: one prompt where it fits, else several; ValueError for a word too long.

        Words of a tuned prompt are asked by it, where names are joined as usual.
        """
        chosen, tuned = settings or self.defaults, self.network.tuned
        if tuned is not None and chosen.separator == SEPARATOR:
            first, others = tuned.asked(words)
            if first is not None:
                rest = self._plain_prompts([words[place] for place in others], chosen) if others else []
                return [first, *(replace(each, labels=tuple(others[i] for i in each.labels)) for each in rest)]
        return self._plain_prompts(words, chosen)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has, with the two special ones."""
        return len(self.tokenizer.encode(text).ids)

    def unseen_words(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words that the weights have no token for; what a tuned prompt learnt is no such word."""
        tuned = self.network.tuned
        others = words if tuned is None else [words[place] for place in tuned.asked(words)[1]]
        parts = dict.fromkeys(part for word in others for part in word.split())
        return tuple(part for part in parts if UNKNOWN in self.tokenizer.encode(part).tokens)

    def forget(self) -> None:
        """Empty the memory of pictures."""
        with self._lock:
            self._looks.clear()

    def look(self, image: UInt8[np.ndarray, "H W 3"], settings: GlipSettings) -> Looked:
        """Return a picture's pyramid; one of the last few pictures, known by its pixels, costs nothing."""
        digest = hashlib.sha256(np.ascontiguousarray(image)).hexdigest()
        key = (digest, image.shape, settings.short_side)
        with self._lock:
            if key in self._looks:
                self._looks.move_to_end(key)
                return self._looks[key]
        inputs, resized_hw = network_input(image, settings.short_side)
        with torch.inference_mode(), self.device.autocast():
            maps = self.network.pyramid(inputs.to(self.device.torch_device()))
        found = Looked([level.float() for level in maps], resized_hw, image.shape[:2])
        with self._lock:
            self._looks[key] = found
            while len(self._looks) > KEPT_PICTURES:
                self._looks.popitem(last=False)
        return found

    def _plain_prompts(self, words: Sequence[str], settings: GlipSettings) -> list[Prompt]:
        long = next((word for word in words if self.count_tokens(word) > settings.most_tokens), None)
        if long is not None:
            raise ValueError(f"The word {long[:40]!r} is longer than a whole prompt of {settings.most_tokens} tokens.")
        return [
            class_prompt(
                [words[label] for label in part.labels], separator=settings.separator, first_label=part.labels[0]
            )
            for part in chunked_prompts(
                words, self.count_tokens, most_tokens=settings.most_tokens, most=settings.labels_a_prompt
            )
        ]

    def _asked(
        self, look: Looked, prompt: Prompt, settings: GlipSettings, most: int = KEPT_BOXES
    ) -> tuple[Float[np.ndarray, "R 4"], Float[np.ndarray, "R N"]]:
        """Return the best boxes of a prompt, in the picture's frame, with a score for each of its labels."""
        encoding = self._encoded(prompt, settings)
        labels = tokens_of_labels(encoding, prompt.spans, settings.most_tokens)
        scores = self._scores(look, encoding, settings)
        probabilities = phrase_probabilities(torch.cat(scores.tokens, 1)[0], labels, settings.aggregation)  # (P, N)
        probabilities = probabilities.where(probabilities > settings.least, 0.0)
        boxes, centerness = placed(scores, look, settings.anchor_scale)
        found = (probabilities * centerness[:, None]).sqrt()
        best = found.amax(1)
        kept = best.topk(min(most, len(best))).indices
        kept = kept[best[kept] > 0]
        return own_frame(boxes[kept], look), found[kept].cpu().numpy().astype(np.float32)

    def _encoded(self, prompt: Prompt, settings: GlipSettings) -> Encoding:
        encoding = self.tokenizer.encode(prompt.text)
        if len(encoding.ids) > settings.most_tokens:
            raise ValueError(
                f"The sentence has {len(encoding.ids)} tokens; {self.weights} reads {settings.most_tokens}: shorten it."
            )
        return encoding

    def _scores(self, look: Looked, encoding: Encoding, settings: GlipSettings) -> Scores:
        ids, mask = (each.to(self.device.torch_device()) for each in batch_of([encoding]))
        with self._lock, torch.inference_mode(), self.device.autocast():  # the two ways below are the network's own
            self.network.set_ways(exchange=settings.exchange, flat_offsets=settings.flat_offsets)
            found = self.network(list(look.maps), ids, mask)
        return replace(
            found,
            boxes=[each.float() for each in found.boxes],
            centerness=[each.float() for each in found.centerness],
            tokens=[each.float() for each in found.tokens],
        )


def _as_prompt(prompt: str | Sequence[str], settings: GlipSettings) -> Prompt:
    if isinstance(prompt, str):
        if not prompt.strip():
            raise ValueError("Write a sentence or at least one word.")
        phrases = noun_phrases(prompt)
        spans = tuple((phrase.span,) for phrase in phrases)
        return Prompt(text=prompt, spans=spans, labels=tuple(range(len(spans))))
    words = unique_labels(prompt)
    if not words:
        raise ValueError("Write at least one word.")
    return class_prompt(words, separator=settings.separator)
