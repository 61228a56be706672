"""A CLIP goes on learning from somebody's photographs: all of it, or low-rank adapters beside it.

Papers: Goyal et al. 2023, Finetune like you pretrain, CVPR, https://arxiv.org/abs/2212.00638 (captions and class
prompts with CLIP's own loss, both towers); Hu et al. 2022 for the adapters (lora.py); Wortsman et al. 2022 for weights
between start and end (wise_ft.py). Different from the first: pictures with a class learn from the cross entropy of
CLIP's zero-shot classifier over all classes' prompts, not over those that are in the batch.

Legend: B pictures, S side of the input, D embedding size.
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from open_clip.model import CLIP
from torch import Tensor

from core import checkpoints
from core.backbones.clip import open_clip_backbone
from core.backbones.clip_model import encode_text
from core.backbones.tokenizer import clip_tokenizer
from core.device import choose
from core.train import lora, presets, validation, wise_ft
from core.train.ahead import Ahead
from core.train.augment import augment
from core.train.data import Pairs, tokenise
from core.train.large_batch import cached_backward
from core.train.losses import class_prompt_loss, contrastive_loss
from core.train.machines import ALONE, Machines
from core.train.photos import Photographs, photographs
from core.train.run import adam_w
from core.train.starting import licence_of
from core.train.vocabulary import grow, knows
from core.world.shapes import CATEGORIES

MAX_LOGIT_SCALE = 100.0  # Radford et al. 2021, Sec. 2.5
TEMPLATES = ("{}", "a {}", "a photo of a {}", "a photo of a {}.", "a picture of a {}", "an image of a {}")
MOST_PROMPTS = 128  # classes whose prompts are encoded in a step
LEAST_ZOOM = 0.7
TOY_PIXELS = 128  # a side of the unrelated pictures at most
SHOWN = 10  # pictures and captions of the matrix
CAPTIONED = 200  # pictures that are searched by their caption
LARGE, LARGE_SHARE = 20_000_000, 0.01  # parameters; of the learning rate: 1e-5, as WiSE-FT and Goyal et al. have it
METHODS = ("full", "lora")


@dataclass(frozen=True, kw_only=True)
class FineTuneRecipe:
    """Some more steps for a CLIP, on photographs."""

    checkpoint: str
    method: str  # of METHODS
    start: str = "toybox-resnet"  # weights to begin from
    rank: int = 8  # of the adapters
    wise_ft: float = 1.0  # share of the tuned weights in what is exported
    batch: int = 64
    epochs: float | None = None  # times through the photographs, in place of the steps
    steps: int = 600
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    validate_steps: int = 100
    seen_steps: int = 50
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B photographs, and the sentences that they are to be told apart by."""

    images: Float[Tensor, "B 3 S S"]
    classes: Tensor | None  # (B,) index into the prompts; None where each has its own sentence
    tokens: Tensor  # (C, L) prompts of classes, or (B, L) sentences


class FineTuneLesson:
    """One CLIP that learns from photographs."""

    def __init__(self, recipe: FineTuneRecipe, cache: Path, data: str | None) -> None:
        """Open the CLIP and read the photographs; ValueError in one sentence where there are too few."""
        self.model = opened(recipe.start)
        self.size, self.context = input_size(self.model), self.model.context_length
        self.photos = labelled(data, size=self.size, context_length=self.context, cache=cache)
        self.train, self.test = self.photos.train, self.photos.test
        if recipe.epochs is not None:
            recipe = replace(recipe, steps=max(1, round(recipe.epochs * len(self.train) / recipe.batch)))
        self.licence = licence_of("clip", recipe.start)
        if Path(recipe.start).is_file():  # the card need not say in which folder of this machine
            recipe = replace(recipe, start=Path(recipe.start).name)
        self.recipe, self.batch = recipe, recipe.batch
        self.familiar = tuple(name for name in CATEGORIES if knows(self.model, name))
        self.before = self._figures(self.model)
        torch.manual_seed(recipe.seed)
        generator = torch.Generator().manual_seed(recipe.seed)
        self.new_words = grow(self.model, torch.from_numpy(self.train.tokens), generator)
        self.start = {key: value.clone() for key, value in self.model.state_dict().items()}
        self.model.requires_grad_(True)
        if recipe.method == "lora":
            self.model = lora.adapt(self.model, recipe.rank, self.new_words)
        self.machines, self.chunk = ALONE, 0
        self.batches = Ahead(self.draw)

    def spread(self, machines: Machines, chunk: int = 0) -> None:
        """Go over several processes or to a GPU; encode `chunk` pictures at a time where it is not 0 (GradCache)."""
        machines.share(self.batch)
        self.machines, self.chunk = machines, chunk
        self.model.to(machines.device)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW; a large network, which has seen far more, moves far more slowly."""
        found = adam_w(self.model, self.recipe.learning_rate, self.recipe.weight_decay)
        if self.recipe.method == "full" and sum(p.numel() for p in self.model.parameters()) > LARGE:
            for group in found.param_groups:
                group["share"] = LARGE_SHARE
        return found

    def draw(self, step: int) -> Batch:
        """Return the batch of a step; it depends on the seed and the step only."""
        rng = np.random.default_rng((self.recipe.seed, 9, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        picks = rng.integers(len(self.train), size=self.batch)
        pictures = torch.from_numpy(self.train.pictures[picks])
        mirror = torch.full((self.batch,), self.train.same_sentences)  # a sentence may speak of left and right
        images = augment(pictures, mirror, size=self.size, least_zoom=LEAST_ZOOM, generator=generator)
        if not self.train.same_sentences:
            tokens = self.train.tokens[picks, rng.integers(self.train.tokens.shape[1], size=self.batch)]
            return Batch(images=images, classes=None, tokens=torch.from_numpy(tokens).long())
        listed, places = np.unique(self.train.classes[picks], return_inverse=True)
        others = np.setdiff1d(np.arange(len(self.train.names)), listed)
        room = max(0, MOST_PROMPTS - len(listed))
        listed = np.concatenate([listed, rng.permutation(others)[:room]])
        template = str(rng.choice(TEMPLATES))
        prompts = tokenise([template.format(self.train.names[i]) for i in listed], self.context)
        return Batch(images=images, classes=torch.from_numpy(places), tokens=torch.from_numpy(prompts).long())

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the loss over the batch's sentences."""
        batch = self._next(step)
        features = self._encode(batch, self.machines.share(self.batch))
        return self._objective(batch, *(self.machines.gather(each) for each in features))

    def backward(self, step: int, parts: int = 1) -> Float[Tensor, ""]:
        """Add the gradients of one of `parts` batches of a step, encoded in pieces, and return its loss."""
        batch = self._next(step)
        return cached_backward(
            self.model,
            lambda rows: self._encode(batch, rows),
            lambda *features: self._objective(batch, *features),
            self.machines.share(self.batch),
            self.chunk,
            self.machines,
            parts,
        )

    def validate(self) -> dict[str, float]:
        """Return figures now and before, on photographs that were held back and on unrelated Toybox things."""
        now = self._figures(self.plain())
        return {key: value for name in now for key, value in ((name, now[name]), (f"{name}_before", self.before[name]))}

    def seen(self) -> dict[str, np.ndarray]:
        """Return a few held-back photographs, their sentences, all cosines and what each is taken for."""
        picks = shown(self.test)
        names = self.test.names or tuple(said(self.test, picks))
        prompts = [f"a photo of a {name}." for name in self.test.names] or list(names)
        captions = said(self.test, picks)
        model = self.plain().eval()
        guesses = validation.classify(model, self.test.pictures[picks], prompts, self.size, self.context)
        return {
            "similarity": validation.cosines(model, self.test.pictures[picks], captions, self.size, self.context),
            "pictures": self.test.pictures[picks],
            "captions": np.array(captions),
            "predictions": np.array([names[i] for i in guesses]),
        }

    def plain(self) -> CLIP:
        """Return the CLIP as it is now, without adapters beside its weights."""
        return lora.merged(self.model) if self.recipe.method == "lora" else self.model

    def exported(self) -> CLIP:
        """Return the CLIP that is written: between start and end where the recipe says so."""
        return wise_ft.interpolated(self.plain(), self.start, self.recipe.wise_ft)

    def facts(self) -> dict[str, Any]:
        """Return what was read, the figures before, and those along the way between start and end."""
        tuned = self.plain()
        between = {share: wise_ft.interpolated(tuned, self.start, share) for share in wise_ft.SHARES}
        return {
            "licence": self.licence,
            "data": self.photos.report.card(),
            "photographs": len(self.train),
            "photograph_classes": list(self.train.names),
            "before": self.before,
            "exported": self._figures(wise_ft.interpolated(tuned, self.start, self.recipe.wise_ft)),
            "wise_ft": {f"{share:g}": self._figures(model) for share, model in between.items()},
            "new_words": self.new_words,
            "trained_parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
        }

    def _next(self, step: int) -> Batch:
        if self.recipe.method == "lora":
            lora.keep_statistics(self.model)
        else:
            with torch.no_grad():
                self.model.logit_scale.clamp_(max=float(np.log(MAX_LOGIT_SCALE)))
        return self.batches(step)

    def _encode(self, batch: Batch, rows: slice) -> tuple[Tensor, ...]:
        """Return the image features of some rows, and the text features where each picture has its own sentence."""
        device = self.machines.device
        with self.machines.autocast():
            images = self.model.encode_image(batch.images[rows].to(device)).float()
            if batch.classes is not None:
                return (images,)
            return images, encode_text(self.model, batch.tokens[rows].to(device)).float()

    def _objective(
        self, batch: Batch, images: Float[Tensor, "B D"], texts: Float[Tensor, "B D"] | None = None
    ) -> Float[Tensor, ""]:
        scale, device = self.model.logit_scale.exp(), images.device
        if texts is None:
            prompts = encode_text(self.model, batch.tokens.to(device))
            return class_prompt_loss(images, prompts, scale, batch.classes.to(device))
        groups = torch.unique(batch.tokens, dim=0, return_inverse=True)[1]
        return contrastive_loss(images, texts, scale, groups.to(device))

    @torch.inference_mode()
    def _figures(self, model: CLIP) -> dict[str, float]:
        """Return the accuracy on held-back photographs and on unrelated things."""
        model.eval()
        found = {}
        if self.test.names:
            found["photo_top1"] = validation.photo_accuracy(model, self.test, self.size, self.context)
        else:
            found["photo_r1"] = validation.caption_accuracy(model, self.test, CAPTIONED, self.size)
        if len(self.familiar) > 1:
            pictures, kinds = presets.watched(self.familiar, min(self.size, TOY_PIXELS))
            guesses = validation.classify(model, pictures, [f"a {n}" for n in self.familiar], self.size, self.context)
            found["toy_top1"] = float((guesses == kinds).mean())
        return found


def opened(name: str) -> CLIP:
    """Return a copy of a CLIP to train; ValueError for one that is not here, or not built as OpenAI's are."""
    weights = checkpoints.resolve("clip", name)
    model = open_clip_backbone(weights, choose("cpu"), checkpoints.fetch_all(weights)).model
    if not isinstance(model, CLIP):
        raise ValueError(
            f"{weights.name} is not built as OpenAI's CLIPs are: begin with an embedded one or ViT-B-32/openai."
        )
    return copy.deepcopy(model)


def input_size(model: CLIP) -> int:
    """Return the side of the pictures that a CLIP takes."""
    size = model.visual.image_size
    return size if isinstance(size, int) else size[0]


def labelled(data: str | None, *, size: int, context_length: int, cache: Path) -> Photographs:
    """Read photographs to fine-tune on; ValueError in one sentence where there are too few, or of one class only."""
    if data is None:
        raise ValueError("Fine-tuning needs photographs: give --data a folder of class folders, a CSV or a COCO file.")
    found = photographs(data, context_length=context_length, downloads=cache, pixels=size)
    name = found.report.source
    if found.report.read == 1:
        raise ValueError(f"There is one picture in {name}: give at least two a class.")
    if len(found.train.names) == 1 and found.train.same_sentences:
        raise ValueError(
            f"All pictures of {name} are of one class, {found.train.names[0]!r}: give at least two classes."
        )
    if not len(found.train) or not len(found.test):
        raise ValueError(f"{name} has too few pictures to hold one back for measuring: give at least two a class.")
    return found


def shown(pairs: Pairs) -> np.ndarray:
    """Return the indices of a few pictures, of different classes where there are classes."""
    if not pairs.names:
        return np.arange(min(SHOWN, len(pairs)))
    return np.unique(pairs.classes, return_index=True)[1][:SHOWN]


def said(pairs: Pairs, picks: np.ndarray) -> list[str]:
    """Return a sentence for each of some pictures."""
    if pairs.names and (pairs.classes[picks] >= 0).all():
        return [f"a photo of a {pairs.names[i]}." for i in pairs.classes[picks]]
    texts = [clip_tokenizer().decode(row[1 : row.argmax()].tolist()) for row in pairs.tokens[picks, 0]]
    return [text.strip() for text in texts]
