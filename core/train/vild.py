"""ViLD on the Toybox: boxes of base things, and proposals that a frozen CLIP speaks for.

Paper: Gu et al. 2022, ICLR 2022, https://arxiv.org/abs/2104.13921. In its order: a proposal network learns from boxes
of base categories; its proposals are stored with a CLIP's embeddings of them; then everything learns together, and no
step asks CLIP. As in the paper, what is not annotated is background, for the proposal network and for the text head,
even where it is a thing of a novel category: nothing in training says where such a thing is.

Different from it: the trunk begins as the CLIP's own ResNet instead of from nothing, AdamW for a few thousand steps
instead of SGD for 180,000, pictures of 128 pixels, and both heads (one branch, two branches) learn side by side.

Legend: B pictures, R regions, M stored proposals of a picture, K annotated things of one, S side of a picture.
"""

import copy
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou, roi_align

from core import checkpoints
from core.backbones.clip import open_clip_backbone
from core.checkpoints import WEIGHTS_FILE, Weights
from core.detection.proposals import encode
from core.detection.vild import Vild, VildSettings
from core.detection.vild_head import word_logits
from core.detection.vild_losses import class_loss, distillation_loss
from core.detection.vild_model import MASK_SIDE, Pyramid, VildNetwork, VildSize, trunk_of
from core.device import choose
from core.metrics.detection import average_precision, mean_of
from core.results import Boxes
from core.train.lseg_data import relight
from core.train.run import adam_w, schedule
from core.train.vild_data import Stored, stored_proposals, teach, toybox_scenes
from core.world.picture import picture
from core.world.scene import BASE, NOVEL
from core.world.shapes import CATEGORIES

WATCHED_SEED, WATCHED = 5_400_000, 60  # of the scenes that a run is watched on
MATCH = 0.5  # overlap from which a region is a thing's
MOST_MASKS = 4  # regions of a picture whose masks are taught
BOX_BETA = 1.0  # the release's Huber loss
Target = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class VildRecipe:
    """A small ViLD over an embedded CLIP."""

    checkpoint: str = "toybox-vild"
    clip: str = "toybox-resnet"  # teacher, text tower and first trunk
    pictures: int = 5_000
    picture: int = 128  # their side
    proposals: int = 12  # stored of each
    square: bool = True  # the teacher is shown squares: measured, it names Toybox things far better so
    stored: bool = True  # ask the teacher once, before the training; False: in every step
    batch: int = 8
    regions: int = 24  # of a picture, that carry the text loss
    foreground: float = 0.25  # of them at most: the release's
    proposal_steps: int = 400  # of the proposal network alone
    steps: int = 3_300
    learning_rate: float = 1.5e-3
    trunk_share: float = 0.3  # of the learning rate, for what is not new
    weight_decay: float = 0.02
    warmup: float = 0.04
    distill_weight: float = 1.0  # times the L1 distance over all numbers of an embedding
    max_gradient_norm: float = 5.0
    autocast_dtype: str | None = None
    seed: int = 0


class VildLesson:
    """What `core.train.run.Run` needs to train a ViLD."""

    def __init__(self, recipe: VildRecipe, cache: Path, data: str | None) -> None:
        """Draw or read the pictures, teach proposals, store CLIP's embeddings; ValueError when data are given."""
        if data is not None:
            raise ValueError("This recipe learns from Toybox scenes alone: leave --data out.")
        self.recipe, self.batch = recipe, recipe.batch
        self.scenes = toybox_scenes(recipe.seed, recipe.pictures, size=recipe.picture, cache=cache)
        weights = checkpoints.resolve("clip", recipe.clip)
        path = checkpoints.fetch(weights)
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.clip = open_clip_backbone(weights, choose("cpu"), {WEIGHTS_FILE: path})
        self.clip.model.visual.to(memory_format=torch.channels_last)
        torch.manual_seed(recipe.seed)
        self.model = VildNetwork(VildSize()).to(memory_format=torch.channels_last)
        self.model.trunk.load_state_dict(trunk_of(checkpoints.read_tensors(path)))
        self.stored = self._proposals(cache)
        self.words = Vild(self.model, self.clip, _watched_weights(), choose("cpu")).classifier(BASE)  # (words, D)
        self.model.requires_grad_(True)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW; the trunk, which is not new, moves more slowly."""
        return self._optimizer(self.model)

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the loss of a step: proposals, words, boxes, masks and the distance to CLIP's embeddings."""
        recipe = self.recipe
        with torch.random.fork_rng(devices=[]):  # torchvision's sampler draws from the global generator
            images, targets, kept, embeddings = self._batch(step, stream=3)
            pyramid = self._pyramid(images)
            proposals, losses = self._rpn(images, pyramid, targets)
            regions, chosen = self._sample(proposals, targets)
        side_hw = (recipe.picture, recipe.picture)
        features = self.model.regions(pyramid, regions, side_hw)
        distilled = self.model.regions(pyramid, kept, side_hw)
        loss = losses["loss_objectness"] + losses["loss_rpn_box_reg"]
        for head in (self.model.ensemble, self.model.vild):
            found = head(features, distilled)
            loss = loss + class_loss(word_logits(found.text, self.words, head.background), chosen["words"] + 1)
            distance = distillation_loss(
                F.normalize(found.image, dim=-1), embeddings, torch.ones(len(embeddings), dtype=torch.bool)
            )
            loss = loss + recipe.distill_weight * distance
            if found.codes is not None:
                loss = loss + _box_loss(found.codes, torch.cat(regions), chosen)
        return loss + self._mask_loss(pyramid, regions, chosen, targets)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return average precision at overlap 0.5 of base and novel words on fresh scenes, by head."""
        model = Vild(copy.deepcopy(self.model).eval(), self.clip, _watched_weights(), choose("cpu"))
        found: dict[str, list[Boxes]] = {head: [] for head in ("ensemble", "text", "image", "vild")}
        truths = []
        for number in range(WATCHED):
            view = picture(WATCHED_SEED + number, self.recipe.picture, count=1 + number % 4, samples=2)
            truths.append(view.boxes)
            parts = model.parts(view.rgb, CATEGORIES, VildSettings(pixels=self.recipe.picture))
            for head, boxes in found.items():
                boxes.append(parts.candidates(head).boxes(0.0))
        figures = {}
        for head, boxes in found.items():
            by_label = average_precision(boxes, truths, CATEGORIES)["ap50_by_label"]
            figures[f"ap50_base ({head})"] = mean_of(by_label, BASE)
            figures[f"ap50_novel ({head})"] = mean_of(by_label, NOVEL)
        return figures

    def facts(self) -> dict[str, Any]:
        """Return where everything came from."""
        return {
            "pictures": len(self.scenes),
            "base": list(BASE),
            "never_annotated": list(NOVEL),
            "sha256": {self.recipe.clip: self.sha256},
        }

    def _optimizer(self, model: VildNetwork) -> torch.optim.Optimizer:
        recipe = self.recipe
        new = [module for name, module in model.named_children() if name != "trunk"]
        optimizer = adam_w(torch.nn.ModuleList(new), recipe.learning_rate, recipe.weight_decay)
        old = list(model.trunk.parameters())
        optimizer.add_param_group({"params": old, "weight_decay": recipe.weight_decay, "share": recipe.trunk_share})
        return optimizer

    def _proposals(self, cache: Path) -> Stored:
        """Teach the proposal network, or read it back, and store its proposals with CLIP's embeddings."""
        recipe = self.recipe
        about = (recipe.seed, recipe.pictures, recipe.picture, recipe.batch, recipe.proposal_steps, self.sha256)
        rates = (recipe.learning_rate, recipe.trunk_share, recipe.weight_decay, repr(self.model.size))
        name = hashlib.sha256(repr((about, rates)).encode()).hexdigest()[:12]
        path = cache / f"vild-start-{name}.safetensors"
        if not path.exists():
            self._teach_proposals()
            save_file({key: value.contiguous() for key, value in self.model.state_dict().items()}, path)
        self.model.load_state_dict(load_file(path))
        stored = cache / f"vild-stored-{name}-{recipe.proposals}-{'squares' if recipe.square else 'boxes'}.npz"
        return stored_proposals(self.model, self.clip, self.scenes, recipe.proposals, stored, square=recipe.square)

    def _teach_proposals(self) -> None:
        """Let the trunk, the pyramid and the proposal network learn what a thing is from boxes of base things."""
        recipe, optimizer = self.recipe, self._optimizer(self.model)
        self.model.train()
        for step in range(recipe.proposal_steps):
            for group in optimizer.param_groups:
                group["lr"] = (
                    recipe.learning_rate
                    * group.get("share", 1.0)
                    * schedule(step / recipe.proposal_steps, recipe.warmup)
                )
            with torch.random.fork_rng(devices=[]):
                images, targets, _, _ = self._batch(step, stream=2)
                _, losses = self._rpn(images, self._pyramid(images), targets)
            optimizer.zero_grad(set_to_none=True)
            sum(losses.values()).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.max_gradient_norm)
            optimizer.step()

    def _batch(self, step: int, stream: int) -> tuple[Tensor, list[Target], list[Tensor], Tensor]:
        """Return a step's pictures, truth, stored boxes and their embeddings; seeds torch's global generator."""
        recipe, rng = self.recipe, np.random.default_rng((self.recipe.seed, stream, step))
        generator = torch.manual_seed(int(rng.integers(2**62)))
        picks = rng.integers(len(self.scenes), size=recipe.batch)
        mirrored = rng.random(recipe.batch) < 0.5
        images = torch.from_numpy(self.scenes.pictures[picks]).permute(0, 3, 1, 2).float() / 255
        things = torch.from_numpy(self.scenes.things[picks])
        images[mirrored], things[mirrored] = images[mirrored].flip(-1), things[mirrored].flip(-1)
        targets, kept, embeddings = [], [], []
        for row, pick in enumerate(picks):
            words = torch.from_numpy(self.scenes.words[pick]).long()
            there = words >= 0
            boxes = _mirrored(torch.from_numpy(self.scenes.boxes[pick])[there], bool(mirrored[row]), recipe.picture)
            targets.append({"boxes": boxes, "words": words[there], "things": things[row]})
            if stream != 2:
                stored = torch.from_numpy(self.stored.boxes[pick])
                valid = stored.amax(-1) > 0
                kept.append(_mirrored(stored[valid], bool(mirrored[row]), recipe.picture))
                embeddings.append(torch.from_numpy(self._taught(pick)).float()[valid])
        images = relight(images, generator).contiguous(memory_format=torch.channels_last)
        return images, targets, kept, torch.cat(embeddings) if embeddings else torch.zeros(0)

    def _taught(self, pick: int) -> np.ndarray:
        """Return what CLIP says of a picture's proposals: what was stored, or what it says now."""
        if self.recipe.stored:
            return self.stored.embeddings[pick]
        return teach(self.clip, self.scenes.pictures[pick], self.stored.boxes[pick], square=self.recipe.square)

    def _pyramid(self, images: Float[Tensor, "B 3 S S"]) -> Pyramid:
        if self.recipe.autocast_dtype is None:
            return self.model.pyramid(images)
        with torch.autocast("cpu", dtype=getattr(torch, self.recipe.autocast_dtype)):
            return self.model.pyramid(images)

    def _rpn(
        self, images: Float[Tensor, "B 3 S S"], pyramid: Pyramid, targets: list[Target]
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        sizes = [(self.recipe.picture, self.recipe.picture)] * len(images)
        return self.model.rpn(ImageList(images, sizes), pyramid, targets)

    def _sample(self, proposals: list[Tensor], targets: list[Target]) -> tuple[list[Tensor], Target]:
        """Draw regions among proposals and true boxes; say which thing each is, -1 for none."""
        regions, words, things, truth = [], [], [], []
        for found, target in zip(proposals, targets, strict=True):
            boxes = torch.cat([found, target["boxes"]])
            overlap = box_iou(target["boxes"], boxes)
            best, thing = overlap.max(0) if len(overlap) else (torch.zeros(len(boxes)), torch.zeros(len(boxes)).long())
            picks = _balanced(best >= MATCH, self.recipe.regions, self.recipe.foreground)
            inside = best[picks] >= MATCH
            thing = torch.where(inside, thing[picks], -1)
            regions.append(boxes[picks])
            things.append(thing)
            words.append(_looked_up(target["words"], thing))
            truth.append(_looked_up(target["boxes"], thing))
        return regions, {"words": torch.cat(words), "things": torch.cat(things), "boxes": torch.cat(truth)}

    def _mask_loss(
        self, pyramid: Pyramid, regions: list[Tensor], chosen: Target, targets: list[Target]
    ) -> Float[Tensor, ""]:
        """Return the cross entropy of the masks of a few regions that are things."""
        boxes, masks = [], []
        parts = chosen["things"].split([len(each) for each in regions])
        for each, things, target in zip(regions, parts, targets, strict=True):
            rows = (things >= 0).nonzero()[:MOST_MASKS, 0]
            boxes.append(each[rows])
            shown = (target["things"] == things[rows, None, None]).float()[:, None]  # (R, 1, S, S)
            if len(rows):
                numbered = torch.cat([torch.arange(len(rows), dtype=torch.float32)[:, None], each[rows]], 1)
                masks.append(roi_align(shown, numbered, (MASK_SIDE, MASK_SIDE), 1.0, 2)[:, 0])
        if not masks:
            return torch.zeros(())
        side_hw = (self.recipe.picture, self.recipe.picture)
        logits = self.model.mask(self.model.regions(pyramid, boxes, side_hw, masks=True))
        return F.binary_cross_entropy_with_logits(logits, (torch.cat(masks) >= 0.5).float())


def _mirrored(boxes: Float[Tensor, "R 4"], mirrored: bool, side: int) -> Float[Tensor, "R 4"]:
    return torch.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], 1) if mirrored else boxes


def _balanced(is_thing: Tensor, count: int, share: float) -> Int[Tensor, " R"]:
    """Draw rows, at most this share of them things."""
    things, others = is_thing.nonzero()[:, 0], (~is_thing).nonzero()[:, 0]
    things = things[torch.randperm(len(things))[: round(count * share)]]
    return torch.cat([things, others[torch.randperm(len(others))[: count - len(things)]]])


def _looked_up(table: Tensor, rows: Int[Tensor, " R"]) -> Tensor:
    """Return a table's rows, -1 where the row is -1."""
    padded = torch.cat([table, torch.full_like(table[:1] if len(table) else table.new_zeros(1, *table.shape[1:]), -1)])
    return padded[rows]


def _box_loss(codes: Float[Tensor, "R 4"], regions: Float[Tensor, "R 4"], chosen: Target) -> Float[Tensor, ""]:
    """Return the Huber loss of the regions that are things, over all regions, as the release counts it."""
    things = chosen["things"] >= 0
    wanted = encode(chosen["boxes"][things], regions[things])
    return F.smooth_l1_loss(codes[things], wanted, beta=BOX_BETA, reduction="sum") / max(1, len(regions))


def _watched_weights() -> Weights:
    return Weights(name="in training", system="vild")
