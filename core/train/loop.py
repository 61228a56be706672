"""What a CLIP learns from: its batches, its loss, and its accuracies on the way.

Legend: B pairs, D embedding size.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from open_clip.model import CLIP
from torch import Tensor

from core import checkpoints
from core.backbones.clip_model import build, encode_text, from_tensors
from core.device import Device
from core.train import presets, validation
from core.train.ahead import Ahead
from core.train.augment import augment
from core.train.data import Pairs, tokenise, toybox_pairs
from core.train.large_batch import cached_backward
from core.train.losses import class_prompt_loss, contrastive_loss, distillation_loss
from core.train.machines import ALONE, Machines
from core.train.photos import read_photos
from core.train.recipes import ClipRecipe
from core.train.run import adam_w
from core.world.captions import with_article

MAX_LOGIT_SCALE = 100.0  # Radford et al. 2021, Sec. 2.5
TOKEN_DEVIATION = 0.02  # of a token table that was just built
WORD_DROPOUT = 0.02  # share of tokens shown as unknown, so that the unknown row learns what it is worth
TEXT_GROUPS, LEAST_GROUP = 4, 40  # at most; sentences in one, since a small group costs as much as a larger one
ONE_SIDED = "left right word"  # a caption with one of these must not be mirrored
CLASS_TEMPLATES = ("{}", "a {}", "a photo of a {}.", "a picture of a {}", "a photo of a {}", "an image of a {}")
LEAST_ZOOM_TOYS, LEAST_ZOOM_PHOTOS = 0.8, 0.7


@dataclass(frozen=True, kw_only=True)
class Batch:
    """B pairs ready for the network."""

    images: Float[Tensor, "B 3 S S"]
    tokens: Tensor  # (B, L) int64
    groups: Tensor  # (B,) int64, equal where the sentences say the same
    classes: tuple[Tensor, ...]  # for each source of pictures, (B_source,) int64, -1 for none
    prompts: tuple[Tensor, ...]  # for each source, its class names in one template, (C, L) int64


class ClipLesson:
    """One CLIP by a recipe."""

    def __init__(self, recipe: ClipRecipe, cache: Path, data: str | None) -> None:
        """Make the data and the network ready; what is drawn or downloaded is kept in `cache`.

        `data` are photographs: a source as in `read_photos`, or none.
        """
        self.recipe = recipe
        started = time.perf_counter()
        self.toys = self._toys(cache)
        self.preparation = time.perf_counter() - started  # seconds
        self.photos: Pairs | None = None
        self.photo_test: Pairs | None = None
        if data is not None:
            self.photos, self.photo_test = read_photos(data, context_length=recipe.context_length, downloads=cache)
        self.batch = recipe.batch_toys + (recipe.batch_photos if self.photos else 0)
        torch.manual_seed(recipe.seed)
        self.one_sided = torch.from_numpy(np.unique(tokenise([ONE_SIDED], 5)[0][1:4]))
        self.device = Device(name="cpu", autocast_dtype=recipe.autocast_dtype, reason="cpu, as the recipe says")
        self.teacher = self._teacher()
        self.model = self._student().to(memory_format=torch.channels_last)
        self.machines, self.chunk = ALONE, 0
        self.batches = Ahead(self.draw)

    def spread(self, machines: Machines, chunk: int = 0) -> None:
        """Go over several processes or to a GPU, and encode `chunk` pairs at a time where it is not 0 (GradCache)."""
        machines.share(self.batch)
        if chunk and self.teacher is not None:
            raise ValueError("A recipe with a teacher encodes its batch in one piece: leave --grad-cache out.")
        self.machines, self.chunk = machines, chunk
        self.model.to(machines.device)
        if self.teacher is not None:
            self.teacher.to(machines.device)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW; the text tower may move more slowly."""
        found = adam_w(self.model, self.recipe.learning_rate, self.recipe.weight_decay)
        if self.recipe.text_share == 1.0:
            return found
        image = {id(parameter) for parameter in self.model.visual.parameters()}
        for group in list(found.param_groups):
            text = [parameter for parameter in group["params"] if id(parameter) not in image]
            group["params"] = [parameter for parameter in group["params"] if id(parameter) in image]
            found.add_param_group({**group, "params": text, "share": self.recipe.text_share})
        return found

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the contrastive loss, the class prompts' and, with a teacher, the imitation's."""
        batch = self._next(step)
        images, texts = self._encode(batch, self.machines.share(self.batch))
        loss = self._objective(batch, self.machines.gather(images), self.machines.gather(texts))
        return loss if self.teacher is None else loss + self._imitation(batch, images, texts)

    def backward(self, step: int, parts: int = 1) -> Float[Tensor, ""]:
        """Add the gradients of one of `parts` batches of a step, encoded in pieces, and return its loss."""
        batch = self._next(step)
        return cached_backward(
            self.model,
            lambda rows: self._encode(batch, rows),
            lambda images, texts: self._objective(batch, images, texts),
            self.machines.share(self.batch),
            self.chunk,
            self.machines,
            parts,
        )

    def facts(self) -> dict[str, Any]:
        """Return how many photographs there were, and of what."""
        return {
            "photographs": len(self.photos) if self.photos else 0,
            "photograph_classes": list(self.photos.names) if self.photos else [],
        }

    def draw(self, step: int) -> Batch:
        """Return the batch of a step; it depends on the seed and the step only."""
        rng = np.random.default_rng((self.recipe.seed, 1, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        parts = [self._part(self.toys, self.recipe.batch_toys, LEAST_ZOOM_TOYS, rng, generator)]
        if self.photos is not None:
            parts.append(self._part(self.photos, self.recipe.batch_photos, LEAST_ZOOM_PHOTOS, rng, generator))
        tokens = torch.cat([part.tokens for part in parts])
        groups = torch.cat([part.groups for part in parts])
        same_text = torch.unique(tokens, dim=0, return_inverse=True)[1]
        return Batch(
            images=torch.cat([part.images for part in parts]),
            tokens=self._drop_words(tokens, generator),
            groups=torch.where(groups >= 0, -1 - groups, same_text),
            classes=tuple(part.classes[0] for part in parts),
            prompts=tuple(part.prompts[0] for part in parts),
        )

    def validate(self) -> dict[str, float]:
        """Return accuracies on fresh Toybox pictures and on test photographs."""
        size, context = self.recipe.image_size, self.recipe.context_length
        if self.recipe.categories:
            pictures, kinds = presets.watched(self.recipe.categories, size)
            names = [with_article(name) for name in self.recipe.categories]
            guesses = validation.classify(self.model, pictures, names, size, context)
            found = {"toy_top1": float((guesses == kinds).mean())}
        else:
            found = validation.toybox_accuracy(self.model, size, context)
        if self.photo_test is not None and self.photo_test.names:
            found["photo_top1"] = validation.photo_accuracy(self.model, self.photo_test, size, context)
        return found

    def seen(self) -> dict[str, np.ndarray]:
        """Return a few fresh pictures, their captions, all cosines between them, and what each is taken for."""
        names = self.toys.names
        pictures, captions, _ = presets.exhibits(names, self.recipe.image_size)
        return validation.seen(
            self.model, pictures, captions, names, self.recipe.image_size, self.recipe.context_length
        )

    def _next(self, step: int) -> Batch:
        """Return the batch of a step, with the temperature kept within bounds."""
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=float(np.log(MAX_LOGIT_SCALE)))
        return self.batches(step)

    def _encode(self, batch: Batch, rows: slice) -> tuple[Float[Tensor, "_ D"], Float[Tensor, "_ D"]]:
        """Return the image and text features of some rows of a batch."""
        with self.device.autocast(), self.machines.autocast():
            images = self.model.encode_image(self._pictures(batch, rows)).float()
        with self.machines.autocast():
            texts = self._encode_texts(batch.tokens[rows].to(self.machines.device)).float()
        return images, texts

    def _pictures(self, batch: Batch, rows: slice) -> Float[Tensor, "_ 3 S S"]:
        return batch.images[rows].to(self.machines.device).contiguous(memory_format=torch.channels_last)

    def _objective(self, batch: Batch, images: Float[Tensor, "B D"], texts: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
        """Return the loss of a whole batch's features."""
        scale, device = self.model.logit_scale.exp(), images.device
        loss = contrastive_loss(images, texts, scale, batch.groups.to(device))
        for part, classes, prompts in zip(
            images.split([len(each) for each in batch.classes]), batch.classes, batch.prompts, strict=True
        ):
            if self.recipe.class_weight and (classes >= 0).any():
                names = encode_text(self.model, prompts.to(device))
                loss = loss + self.recipe.class_weight * class_prompt_loss(part, names, scale, classes.to(device))
        return loss

    def _imitation(self, batch: Batch, images: Float[Tensor, "B D"], texts: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
        """Return how far the student's words for pictures, and its vectors, are from the teacher's."""
        with torch.no_grad():
            pictures = self._pictures(batch, self.machines.share(self.batch))
            taught = torch.nn.functional.normalize(self.teacher.encode_image(pictures), dim=-1)
        scale = self.model.logit_scale.exp()
        words = torch.nn.functional.normalize(texts, dim=-1)
        learned = torch.nn.functional.normalize(images, dim=-1)
        imitation = distillation_loss(scale * learned @ words.T, scale * taught @ words.T)
        return imitation + 4 * (1 - (learned * taught).sum(-1)).mean()

    def _encode_texts(self, tokens: Tensor) -> Float[Tensor, "B D"]:
        """Encode texts in groups of similar length, so that short ones are not run to the end of the longest."""
        order = tokens.argmax(1).argsort(stable=True)
        groups = max(1, min(TEXT_GROUPS, len(tokens) // LEAST_GROUP))
        encoded = torch.cat([encode_text(self.model, tokens[part]) for part in order.chunk(groups)])
        return encoded[order.argsort()]

    def _part(
        self,
        pairs: Pairs,
        count: int,
        least_zoom: float,
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> Batch:
        picks = rng.integers(len(pairs), size=count)
        tokens = torch.from_numpy(pairs.tokens[picks, rng.integers(pairs.tokens.shape[1], size=count)]).long()
        mirror = ~torch.isin(tokens, self.one_sided).any(1)
        images = augment(
            torch.from_numpy(pairs.pictures[picks]),
            mirror,
            size=self.recipe.image_size,
            least_zoom=least_zoom,
            generator=generator,
        )
        template = str(rng.choice(CLASS_TEMPLATES))
        prompts = tokenise([template.format(name) for name in pairs.names], self.recipe.context_length)
        classes = torch.from_numpy(pairs.classes[picks])
        return Batch(
            images=images,
            tokens=tokens,
            groups=classes if pairs.same_sentences else torch.full((count,), -1),
            classes=(classes,),
            prompts=(torch.from_numpy(prompts).long(),),
        )

    def _drop_words(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """Show a few words as unknown ones; start, end and padding stay."""
        ends = tokens.argmax(1, keepdim=True)
        inside = torch.arange(tokens.shape[1])[None]
        dropped = (torch.rand(tokens.shape, generator=generator) < WORD_DROPOUT) & (inside > 0) & (inside < ends)
        return torch.where(dropped, self.unseen_token, tokens)

    def _toys(self, cache: Path) -> Pairs:
        """Draw the Toybox pictures or read them back."""
        recipe = self.recipe
        how = {"size": recipe.image_size, "context_length": recipe.context_length, "cache": cache}
        if recipe.categories:
            return presets.preset_pairs(recipe.seed, recipe.toybox_pictures, recipe.categories, **how)
        return toybox_pairs(recipe.seed, recipe.toybox_pictures, **how)

    def _student(self) -> CLIP:
        if self.teacher is not None:
            known = self.teacher.token_embedding.token_ids.long()
        else:
            tables = [self.toys.tokens] + ([self.photos.tokens] if self.photos is not None else [])
            known = torch.from_numpy(np.unique(np.concatenate([np.unique(table) for table in tables]))).long()
        is_known = torch.isin(torch.arange(int(known.max())), known)
        self.unseen_token = int((~is_known).nonzero()[-1])
        model = build(self.recipe.size(len(known) + 1), known)
        with torch.no_grad():
            model.token_embedding.weight.mul_(self.recipe.token_deviation / TOKEN_DEVIATION)
            for name, gain in model.visual.named_parameters():
                if self.recipe.residual_start and name.endswith("bn3.weight") and name.startswith("layer"):
                    gain.fill_(self.recipe.residual_start)
        if self.teacher is not None:
            _take_text_tower(model, self.teacher)
        return model

    def _teacher(self) -> CLIP | None:
        if self.recipe.teacher is None:
            return None
        weights = checkpoints.resolve("clip", self.recipe.teacher)
        return from_tensors(checkpoints.read_tensors(checkpoints.fetch(weights))).requires_grad_(False)


def _take_text_tower(student: CLIP, teacher: CLIP) -> None:
    """Copy the teacher's text tower and temperature into the student and freeze them."""
    tensors = {key: value for key, value in teacher.state_dict().items() if not key.startswith("visual.")}
    student.load_state_dict(tensors, strict=False)
    for name, parameter in student.named_parameters():
        if not name.startswith("visual."):
            parameter.requires_grad_(False)
