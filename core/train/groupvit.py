"""GroupViT from captions alone: no mask, no box and no place of anything is ever seen.

Paper: Xu et al., CVPR 2022, Sec. 3.2, https://arxiv.org/abs/2202.11094; losses as in NVlabs/GroupViT 13b7861,
models/multi_label_contrastive.py. Different from it, because there are minutes instead of days: the towers start from a
CLIP trained here, whose text tower stays as it is; a noun that several pictures of a batch share is one prompt that
belongs to all of them; two losses of places (groupvit_places.py) and one of outlines that pixels propose and the
sentences name (groupvit_outlines.py) come on top; and small pictures come before large ones.

Legend: B pictures, P prompts, D embedding size, K nouns, S side of the input.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from core import registry
from core.backbones.clip_model import HEAD_WIDTH
from core.checkpoints import Weights
from core.device import Device
from core.metrics.segmentation import Confusion, oracle_labels
from core.segmentation.groupvit import MEAN, STD, TOYBOX, GroupVitSegmenter
from core.segmentation.groupvit_model import Grouped, GroupVit, GroupVitSize, factor
from core.train.augment import MEAN as CLIP_MEAN
from core.train.augment import STD as CLIP_STD
from core.train.augment import augment
from core.train.data import tokenise, toybox_pairs
from core.train.groupvit_data import NOUNS, Collages, assembled, captioned, draw_scenes, noun_prompt, photos_only
from core.train.groupvit_outlines import OutlineTeacher, outline_loss, shares
from core.train.groupvit_places import agreement_loss, group_opinions, region_scores
from core.train.groupvit_start import start_from_clip
from core.train.losses import contrastive_loss
from core.train.lseg_data import cut, random_crops, relight
from core.world.captions import FRAMES
from core.world.picture import picture
from core.world.shapes import CATEGORIES

LEAST_ZOOM = 0.7
TRUNK = ("patch_embed", "pos_embed", ".blocks.")  # in the names of what comes from the CLIP
MEASURED = 128  # pictures that tell how large the CLIP's patches come out
WATCHED, WATCHED_SEED, WATCHED_PIXELS = 48, 5_000_000, 192  # scenes that a run is watched on
WATCHED_THRESHOLDS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, kw_only=True)
class Part:
    """Pictures of a batch that are cut into the same number of regions."""

    images: Float[Tensor, "B 3 S S"]
    tokens: Int[Tensor, "B P"]
    nouns: Bool[Tensor, "B R K"]  # of each region
    tiles: int  # regions along a side
    outlines: Float[Tensor, "B L _"] | None = None  # which share of each patch is what, the last being nothing


@dataclass(frozen=True, kw_only=True)
class GroupVitRecipe:
    """A small GroupViT on Toybox pictures with their sentences."""

    checkpoint: str = "toybox-groupvit"
    clip: str = "toybox-vit"  # whose parts it starts from
    teacher: str = "toybox-resnet"  # which names outlines
    depths: tuple[int, ...] = (3, 1, 1)
    group_tokens: tuple[int, ...] = (32, 8, 0)
    projector_width: int = 512
    toybox_pictures: int = 80_000  # the CLIPs' own
    scenes: int = 12_000  # drawn at twice the side
    batch: int = 64  # of small pictures
    batch_large: int = 32
    collage_share: float = 0.25  # of a batch of large pictures
    large_side: int = 160  # pixels of scenes and collages in the network
    steps: int = 2_800
    small_steps: int = 400  # of them see the CLIPs' pictures, the others scenes and collages
    learning_rate: float = 1e-3
    trunk_share: float = 0.7  # of the learning rate, for what comes from the CLIP
    weight_decay: float = 0.05
    warmup: float = 0.05  # share of the run
    places_weight: float = 2.0  # of patches that are asked for nouns
    agreement_weight: float = 1.0  # of groups that are to say of their patches what these say
    outlines_weight: float = 2.0  # of what groups say of them, and as much again for patches
    autocast_dtype: str | None = "bfloat16"  # of the image tower
    seed: int = 0


class GroupVitLesson:
    """Trains one GroupViT by a recipe."""

    def __init__(self, recipe: GroupVitRecipe, cache: Path, data: str | None) -> None:
        """Draw or read the pictures and make the network ready; ValueError when other data are given."""
        if data is not None:
            raise ValueError("This recipe learns from Toybox captions alone: leave --data out.")
        self.recipe, self.batch = recipe, recipe.batch
        clip = registry.load("clip", recipe.clip).backbone
        side, length = clip.preprocess.size, clip.context_length
        pairs = photos_only(
            toybox_pairs(recipe.seed, recipe.toybox_pictures, size=side, context_length=length, cache=cache)
        )
        self.side, self.small = side, captioned(pairs.pictures, pairs.tokens)
        self.collages = Collages(source=self.small)
        self.scenes = draw_scenes(recipe.seed, recipe.scenes, size=2 * side, context_length=length, cache=cache)
        self.device = Device(name="cpu", autocast_dtype=recipe.autocast_dtype, reason="cpu, as the recipe says")
        torch.manual_seed(recipe.seed)
        generator = torch.Generator().manual_seed(recipe.seed)
        size = _size(clip.model, recipe, side)
        self.model: GroupVit = start_from_clip(clip.model, size, self.small.pictures[:MEASURED], generator)
        prompts = [[noun_prompt(frame, noun) for frame in FRAMES] for noun in NOUNS]
        teacher = OutlineTeacher(registry.load("clip", recipe.teacher).backbone, prompts, len(CATEGORIES))
        self.labels = teacher.labels(self.scenes, cache)
        tokens = torch.from_numpy(tokenise([each for noun in prompts for each in noun], length)).long()
        self.prompts = self._read(tokens).unflatten(0, (len(NOUNS), -1))

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW; what comes from the CLIP learns more slowly, gains and biases do not decay."""
        groups = []
        for from_clip in (True, False):
            mine = [
                parameter
                for name, parameter in self.model.named_parameters()
                if parameter.requires_grad and any(part in name for part in TRUNK) == from_clip
            ]
            share = self.recipe.trunk_share if from_clip else 1.0
            for decay, matrices in ((self.recipe.weight_decay, True), (0.0, False)):
                chosen = [parameter for parameter in mine if (parameter.ndim >= 2) == matrices]
                groups.append({"params": chosen, "weight_decay": decay, "share": share})
        return torch.optim.AdamW(groups, lr=self.recipe.learning_rate, betas=(0.9, 0.98))

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the contrastive and the multi-label loss of whole pictures, and the two of places."""
        rng = np.random.default_rng((self.recipe.seed, 1, step))
        parts = self._small_part(rng) if step < self.recipe.small_steps else self._large_parts(rng)
        torch.manual_seed(int(rng.integers(2**62)))  # of the Gumbel noise, so that a resumed run goes on the same
        used = torch.cat([part.nouns.flatten(0, 1) for part in parts]).any(0)
        frames = torch.from_numpy(rng.integers(len(FRAMES), size=int(used.sum())))
        with self.device.autocast():
            patches, grouped = self._look(torch.cat([part.images for part in parts]))
        rows = torch.cat([grouped.pooled[:, None], grouped.groups], dim=1).float()
        pictures, groups = F.normalize(self.model.img_projector(rows), dim=-1).split([1, rows.shape[1] - 1], dim=1)
        tokens = torch.cat([part.tokens for part in parts])
        every = self.prompts[:, int(rng.integers(len(FRAMES)))]
        texts = torch.cat([self._read(tokens), self.prompts[used.nonzero()[:, 0], frames], every])
        projected = F.normalize(self.model.text_projector(texts), dim=-1)
        captions, prompts, every = projected.split([len(tokens), len(frames), len(every)])
        scale = factor(self.model.multi_label_logit_scale)
        whole = torch.cat([part.nouns.any(1) for part in parts])[:, used]
        loss = contrastive_loss(pictures[:, 0], captions, factor(self.model.logit_scale))
        loss = loss + multi_label_loss(pictures[:, 0] @ prompts.T, scale, whole)
        opinions = self._project_patches(patches) @ prompts.T  # (B, L, P)
        first, second = (soft.float() for soft in grouped.soft)
        through_groups = group_opinions(first, second, groups @ prompts.T)
        loss = loss + self.recipe.agreement_weight * agreement_loss(through_groups, opinions, scale.item())
        if (outlines := parts[0].outlines) is not None:
            count = len(outlines)
            said = group_opinions(first, second, groups @ every.T)[:count]
            for each in (said, self._project_patches(patches[:count]) @ every.T):
                loss = loss + self.recipe.outlines_weight * outline_loss(scale * each, outlines)
        split = opinions.split([len(part.images) for part in parts])
        scores = [region_scores(each, part.tiles) for each, part in zip(split, parts, strict=True)]
        regions = torch.cat([part.nouns.flatten(0, 1) for part in parts])[:, used]
        return loss + self.recipe.places_weight * multi_label_loss(torch.cat(scores), scale, regions)

    def validate(self) -> dict[str, float]:
        """Return mIoU over background and all categories at some thresholds, and with an oracle's words."""
        weights = Weights(name=self.recipe.checkpoint, system="groupvit")
        device = Device(name="cpu", autocast_dtype=None, reason="cpu")
        return watch(GroupVitSegmenter(copy.deepcopy(self.model), weights, device))

    def facts(self) -> dict[str, Any]:
        """Return what the card records of the data."""
        return {
            "masks": 0,
            "small_pictures": len(self.small),
            "scenes": len(self.scenes),
            "started_from": self.recipe.clip,
            "teacher": self.recipe.teacher,
        }

    def _small_part(self, rng: np.random.Generator) -> list["Part"]:
        """Return the pictures that the CLIPs learn from, not mirrored: their sentences tell left from right."""
        pictures, tokens, nouns = self.small.batch(rng, self.batch)
        images = self._augmented(pictures, rng, self.side, mirror=False)
        return [Part(images=images, tokens=tokens, nouns=nouns[:, None], tiles=1)]

    def _large_parts(self, rng: np.random.Generator) -> list["Part"]:
        """Return scenes and collages."""
        batch, side = self.recipe.batch_large, self.recipe.large_side
        tiled = round(self.recipe.collage_share * batch)
        picks = torch.from_numpy(rng.integers(len(self.scenes), size=batch - tiled))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        theta = random_crops(len(picks), least_zoom=LEAST_ZOOM, most_zoom=1.04, generator=generator)
        images = relight(cut(self.scenes.pictures[picks], theta, side), generator)
        scenes = Part(
            images=(images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None],
            tokens=self.scenes.tokens[picks, int(rng.integers(self.scenes.tokens.shape[1]))],
            nouns=self.scenes.nouns[picks][:, None],
            tiles=1,
            outlines=shares(self.labels[picks], theta, side // self.model.size.patch_size, len(CATEGORIES) + 1),
        )
        quarters, tokens, nouns = self.collages.batch(rng, tiled)
        images = self._augmented(quarters.flatten(0, 1), rng, side // 2, mirror=True)
        whole = assembled(images.unflatten(0, quarters.shape[:2]))
        return [scenes, Part(images=whole, tokens=tokens, nouns=nouns, tiles=2)]

    def _augmented(
        self, pictures: UInt8[Tensor, "B H W 3"], rng: np.random.Generator, side: int, *, mirror: bool
    ) -> Float[Tensor, "B 3 S S"]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        may_turn = torch.full((len(pictures),), mirror)
        return _as_imagenet(augment(pictures, may_turn, size=side, least_zoom=LEAST_ZOOM, generator=generator))

    def _look(self, images: Float[Tensor, "B 3 S S"]) -> tuple[Float[Tensor, "B L C"], Grouped]:
        """Return the patches that the first grouping gathers, and what became of them."""
        kept: list[Tensor] = []
        stage = self.model.img_encoder.layers[0]
        hook = stage.register_forward_hook(lambda _module, _inputs, out: kept.append(out[0]))
        grouped = self.model.img_encoder(images)
        hook.remove()
        return kept[0], grouped

    def _project_patches(self, patches: Float[Tensor, "B L C"]) -> Float[Tensor, "B L D"]:
        """Return patches in the shared space, normalised by the statistics of pictures and groups."""
        projector = self.model.img_projector.eval()
        found = projector(self.model.img_encoder.norm(patches.float()))
        projector.train(self.model.training)
        return F.normalize(found, dim=-1)

    @torch.no_grad()
    def _read(self, tokens: Int[Tensor, "M P"]) -> Float[Tensor, "M W"]:
        return torch.cat([self.model.text_encoder(part) for part in tokens.split(256)])


def multi_label_loss(
    cosines: Float[Tensor, "B P"], logit_scale: Float[Tensor, ""], belongs: Bool[Tensor, "B P"]
) -> Float[Tensor, ""]:
    """Return the cross entropy of each picture over all prompts and of each prompt over all pictures, averaged.

    `belongs` says which prompts are whose: a target is shared evenly among those. With K prompts of its own for each
    picture this is the release's multi_label_loss. Every picture and every prompt must have one.
    """
    logits = logit_scale * cosines
    rows, columns = (each / each.sum(1, keepdim=True) for each in (belongs.float(), belongs.T.float()))
    return (F.cross_entropy(logits, rows) + F.cross_entropy(logits.T, columns)) / 2


def watch(model: GroupVitSegmenter) -> dict[str, float]:
    """Return figures on scenes of one to four things, far from every seed that training or evaluation draws."""
    background = len(CATEGORIES)
    counts = {threshold: Confusion(background + 1) for threshold in WATCHED_THRESHOLDS}
    oracle = Confusion(background + 1)
    for i in range(WATCHED):
        view = picture(WATCHED_SEED + i, WATCHED_PIXELS, count=1 + i % 4, samples=2)
        truth = _with_background(view.categories.ids)
        found = model.segment(view.rgb, CATEGORIES, TOYBOX)
        oracle.add(oracle_labels(found.groups.map.astype(np.int32), truth), truth)
        for threshold, confusion in counts.items():
            confusion.add(_with_background(found.label_map(threshold).ids), truth)
    figures = {f"miou_at_{threshold:g}": confusion.mean_iou() for threshold, confusion in counts.items()}
    return figures | {"oracle_miou": oracle.mean_iou()}


def _with_background(ids: Int[np.ndarray, "H W"]) -> Int[np.ndarray, "H W"]:
    """Make background a label of its own, the last."""
    return np.where(ids < 0, len(CATEGORIES), ids).astype(np.int32)


def _as_imagenet(images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
    """Return pictures normalised as GroupViT wants them from such as CLIP wants."""
    old_mean, old_std, mean, std = (torch.tensor(each)[:, None, None] for each in (CLIP_MEAN, CLIP_STD, MEAN, STD))
    return (images * old_std + old_mean - mean) / std


def _size(clip: torch.nn.Module, recipe: GroupVitRecipe, side: int) -> GroupVitSize:
    width, _, patch, _ = clip.visual.conv1.weight.shape
    text_width = clip.ln_final.weight.shape[0]
    return GroupVitSize(
        image_size=side,
        patch_size=patch,
        width=width,
        heads=max(1, width // HEAD_WIDTH),
        depths=recipe.depths,
        group_tokens=recipe.group_tokens,
        output_groups=recipe.group_tokens,
        text_width=text_width,
        text_heads=max(1, text_width // HEAD_WIDTH),
        text_layers=len(clip.transformer.resblocks),
        context_length=clip.positional_embedding.shape[0],
        embed_dim=clip.text_projection.shape[1],
        projector_width=recipe.projector_width,
    )
