"""One training run of a CLIP: batches, steps, accuracies while it learns, and the export at its end.

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
from core.train import validation
from core.train.augment import augment
from core.train.data import Pairs, tokenise, toybox_pairs
from core.train.folder import RunFolder
from core.train.losses import class_prompt_loss, contrastive_loss, distillation_loss
from core.train.photos import read_photos
from core.train.recipes import ClipRecipe

LOG_STEPS = 20
SAVE_STEPS = 100
VALIDATE_STEPS = 400
MAX_LOGIT_SCALE = 100.0  # Radford et al. 2021, Sec. 2.5
WORD_DROPOUT = 0.02  # share of tokens shown as unknown, so that the unknown row learns what it is worth
TEXT_GROUPS = 4
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


class ClipRun:
    """Trains one CLIP by a recipe in a folder, from the start or from where the folder's checkpoint stands."""

    def __init__(self, recipe: ClipRecipe, out: Path, photos: str | None, *, resume: bool, command: str = "") -> None:
        """Make the data and the network ready; the data are cached beside the run's folder.

        `photos` is a source as in `read_photos`, `command` what the card will say started the run.
        """
        self.recipe, self.command = recipe, command
        self.folder = RunFolder(out)
        self.toys = toybox_pairs(
            recipe.seed,
            recipe.toybox_pictures,
            size=recipe.image_size,
            context_length=recipe.context_length,
            cache=out.parent / "cache",
        )
        self.photos: Pairs | None = None
        self.photo_test: Pairs | None = None
        if photos is not None:
            self.photos, self.photo_test = read_photos(
                photos, context_length=recipe.context_length, downloads=out.parent / "cache"
            )
        torch.manual_seed(recipe.seed)
        self.one_sided = torch.from_numpy(np.unique(tokenise([ONE_SIDED], 5)[0][1:4]))
        self.device = Device(name="cpu", autocast_dtype=recipe.autocast_dtype, reason="cpu, as the recipe says")
        self.teacher = self._teacher()
        self.model = self._student().to(memory_format=torch.channels_last)
        self.optimizer = self._optimizer()
        self.step, self.seconds = 0, 0.0
        if resume:
            self.step, self.seconds = self.folder.restore(self.model, self.optimizer)

    @property
    def samples(self) -> int:
        """Pairs seen so far."""
        return self.step * (self.recipe.batch_toys + (self.recipe.batch_photos if self.photos else 0))

    def train(self, minutes: float | None = None) -> None:
        """Go on until the recipe's steps are done, or for this many minutes altogether; then export."""
        while (progress := self._progress(minutes)) < 1:
            started = time.perf_counter()
            loss = self._step(progress)
            self.step += 1
            self.seconds += time.perf_counter() - started
            if self.step % LOG_STEPS == 0:
                self._log(loss=loss, progress=round(progress, 4))
            if self.step % VALIDATE_STEPS == 0:
                self._log(**self.validate())
            if self.step % SAVE_STEPS == 0:
                self._save()
        self._save()
        self.export()

    def batch(self, step: int) -> Batch:
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
        self.model.eval()
        found = validation.toybox_accuracy(self.model, self.recipe.image_size, self.recipe.context_length)
        if self.photo_test is not None and self.photo_test.names:
            found["photo_top1"] = validation.photo_accuracy(
                self.model, self.photo_test, self.recipe.image_size, self.recipe.context_length
            )
        return found

    def export(self) -> Path:
        """Write the weights as fp16 safetensors in OpenAI's key layout, with a card."""
        return self.folder.export(
            self.model,
            self.recipe,
            command=self.command,
            samples=self.samples,
            seconds=self.seconds,
            curve=[line for line in self.folder.lines() if "toy_top1" in line],
            photographs=len(self.photos) if self.photos else 0,
            photograph_classes=list(self.photos.names) if self.photos else [],
        )

    def _step(self, progress: float) -> float:
        """Take one optimiser step and return its loss; a loss that is not finite stops the run."""
        rate = self.recipe.learning_rate * _schedule(progress, self.recipe.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        loss = self._loss(self.batch(self.step))
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss.item()} at step {self.step}; {self.folder.state} is the last good one"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(max=float(np.log(MAX_LOGIT_SCALE)))
        return loss.item()

    def _loss(self, batch: Batch) -> Float[Tensor, ""]:
        pictures = batch.images.contiguous(memory_format=torch.channels_last)
        with self.device.autocast():
            images = self.model.encode_image(pictures).float()
        texts = self._encode_texts(batch.tokens)
        scale = self.model.logit_scale.exp()
        loss = contrastive_loss(images, texts, scale, batch.groups)
        for part, classes, prompts in zip(
            images.split([len(each) for each in batch.classes]), batch.classes, batch.prompts, strict=True
        ):
            if (classes >= 0).any():
                names = encode_text(self.model, prompts)
                loss = loss + self.recipe.class_weight * class_prompt_loss(part, names, scale, classes)
        if self.teacher is None:
            return loss
        with torch.no_grad():
            taught = torch.nn.functional.normalize(self.teacher.encode_image(pictures), dim=-1)
        words = torch.nn.functional.normalize(texts, dim=-1)
        learned = torch.nn.functional.normalize(images, dim=-1)
        imitation = distillation_loss(scale * learned @ words.T, scale * taught @ words.T)
        return loss + imitation + 4 * (1 - (learned * taught).sum(-1)).mean()

    def _encode_texts(self, tokens: Tensor) -> Float[Tensor, "B D"]:
        """Encode texts in groups of similar length, so that short ones are not run to the end of the longest."""
        order = tokens.argmax(1).argsort(stable=True)
        encoded = torch.cat([encode_text(self.model, tokens[part]) for part in order.chunk(TEXT_GROUPS)])
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

    def _student(self) -> CLIP:
        if self.teacher is not None:
            known = self.teacher.token_embedding.token_ids.long()
        else:
            tables = [self.toys.tokens] + ([self.photos.tokens] if self.photos is not None else [])
            known = torch.from_numpy(np.unique(np.concatenate([np.unique(table) for table in tables]))).long()
        is_known = torch.isin(torch.arange(int(known.max())), known)
        self.unseen_token = int((~is_known).nonzero()[-1])
        model = build(self.recipe.size(len(known) + 1), known)
        if self.teacher is not None:
            _take_text_tower(model, self.teacher)
        return model

    def _teacher(self) -> CLIP | None:
        if self.recipe.teacher is None:
            return None
        weights = checkpoints.resolve("clip", self.recipe.teacher)
        return from_tensors(checkpoints.read_tensors(checkpoints.fetch(weights))).requires_grad_(False)

    def _optimizer(self) -> torch.optim.AdamW:
        """Decay matrices only, not gains, biases and the temperature (Radford et al. 2021, Sec. 2.5)."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        return torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.ndim >= 2], "weight_decay": self.recipe.weight_decay},
                {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=self.recipe.learning_rate,
            betas=(0.9, 0.98),
        )

    def _progress(self, minutes: float | None) -> float:
        return self.step / self.recipe.steps if minutes is None else self.seconds / (60 * minutes)

    def _save(self) -> None:
        self.folder.save(self.model, self.optimizer, step=self.step, seconds=self.seconds)

    def _log(self, **values: Any) -> None:
        self.folder.log(step=self.step, samples=self.samples, seconds=round(self.seconds, 1), **values)


def _schedule(progress: float, warmup: float) -> float:
    """Return the share of the learning rate: a linear rise, then a cosine down to nothing."""
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + float(np.cos(np.pi * (progress - warmup) / (1 - warmup))))


def _take_text_tower(student: CLIP, teacher: CLIP) -> None:
    """Copy the teacher's text tower and temperature into the student and freeze them."""
    tensors = {key: value for key, value in teacher.state_dict().items() if not key.startswith("visual.")}
    student.load_state_dict(tensors, strict=False)
    for name, parameter in student.named_parameters():
        if not name.startswith("visual."):
            parameter.requires_grad_(False)
