"""A small SAM from Toybox scenes: any region, from one click or one box, then from a click on what was wrong.

Paper: Kirillov et al., Segment Anything, ICCV 2023, https://arxiv.org/abs/2304.02643, Sec. 3 and App. A: focal and dice
loss 20 to 1, the least over three masks for the first prompt, the error of the predicted IoU, then one mask for the
prompts that follow. Different from it: two rounds of prompts instead of eleven, the single mask is taught from the
first one on, a region has one truth (no parts), and the encoder starts from a CLIP's image tower instead of an MAE's.
The decoder is told where things are before it learns: without `start_decoder` a run as short as this one hardly gets
beyond empty masks.

Legend: B pictures, P prompts of each, N = B x P, S side of a picture, K masks of a prompt.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from segment_anything.modeling import Sam
from torch import Tensor

from core import checkpoints
from core.segmentation.prompts import deepest_point
from core.segmentation.sam_model import DECODER_HEAD_WIDTH, SamSize, build_sam
from core.train.run import adam_w
from core.train.sam_data import PADDING, Scenes, crops, noisy_boxes, random_points, targets, toybox_scenes
from core.train.starting import go_on_from
from core.world.captions import MIN_SHARE

WATCHED_SEED = 5_000_000  # of the scenes that a run is watched on, far from those it learns from
WATCHED = 64
FOCAL_WEIGHT, DICE_WEIGHT, IOU_WEIGHT = 20.0, 1.0, 1.0  # App. A
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0  # Lin et al., ICCV 2017, Sec. 4


@dataclass(frozen=True, kw_only=True)
class SamRecipe:
    """A SAM of the package's classes, a hundredth of ViT-B's size."""

    checkpoint: str = "toybox-sam"
    encoder: str | None = "toybox-vit"  # weights whose image tower the encoder starts from
    start: str | None = None  # a whole SAM to go on from, a name or a file; its pictures may be smaller
    image_size: int = 128
    patch_size: int = 8
    width: int = 128
    depth: int = 5
    heads: int = 2
    window: int = 8
    global_blocks: tuple[int, ...] = (2, 4)
    channels: int = 128
    place_scale: float = 0.4  # of the random frequencies that code places; the package: 1
    sharpness: float = 1.7  # of the decoder's attention at the start, against PyTorch's own
    scenes: int = 10_000
    batch: int = 8
    prompts: int = 4
    steps: int = 4_000
    learning_rate: float = 6e-4
    weight_decay: float = 0.05
    warmup: float = 0.04
    autocast_dtype: str | None = "bfloat16"
    seed: int = 0

    def size(self) -> SamSize:
        """Return the architecture's numbers."""
        return SamSize(
            image_size=self.image_size,
            patch_size=self.patch_size,
            width=self.width,
            depth=self.depth,
            heads=self.heads,
            window=self.window,
            global_blocks=self.global_blocks,
            mlp_width=4 * self.width,
            channels=self.channels,
            decoder_heads=max(1, self.channels // DECODER_HEAD_WIDTH),
            decoder_mlp=2 * self.channels,
            iou_width=self.channels,
        )


class SamLesson:
    """Masks from prompts."""

    def __init__(self, recipe: SamRecipe, cache: Path, data: str | None) -> None:
        """Draw the scenes or read them back, and make the network; ValueError when photographs are given."""
        if data is not None:
            raise ValueError("This recipe learns from Toybox scenes alone: leave --data out.")
        self.recipe, self.cache, self.batch = recipe, cache, recipe.batch
        self.scenes = toybox_scenes(recipe.seed, recipe.scenes, size=recipe.image_size, cache=cache)
        torch.manual_seed(recipe.seed)
        self.model = build_sam(recipe.size())
        start_decoder(self.model, recipe.place_scale, recipe.sharpness)
        if recipe.start is not None:
            go_on_from(self.model, "sam", recipe.start)
        elif recipe.encoder is not None:
            start_encoder(self.model, recipe.encoder)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW over all of the network."""
        return adam_w(self.model, self.recipe.learning_rate, self.recipe.weight_decay)

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the loss of a step's two rounds of prompts; half of the first are clicks, half boxes."""
        rng = np.random.default_rng((self.recipe.seed, 1, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        picks = rng.integers(len(self.scenes), size=self.batch)
        images, regions = crops(
            torch.from_numpy(self.scenes.pictures[picks]), torch.from_numpy(self.scenes.regions[picks]), generator
        )
        truth = targets(regions, self.recipe.prompts, generator)  # (N, S, S)
        normal = (images - self.model.pixel_mean) / self.model.pixel_std
        normal = normal * (regions != PADDING)[:, None]
        with self._autocast():
            embedding = self.model.image_encoder(normal)
        embedding = embedding.float().repeat_interleave(self.recipe.prompts, 0)
        clicks, boxes = random_points(truth, generator), noisy_boxes(truth, generator)
        first, predicted = self._decode(embedding, self._sparse(clicks, boxes), None)
        loss = _first_loss(first, predicted, truth)
        rows = torch.arange(len(truth))
        mask = first[rows, predicted[:, 1:].argmax(1) + 1][:, None].detach()
        again = random_points((enlarge(mask, truth)[:, 0] > 0) != truth, generator)
        inside = truth[rows, again[:, 1].long(), again[:, 0].long()]
        second, predicted = self._decode(embedding, self._sparse(clicks, boxes, again, inside), mask)
        return loss + _next_loss(second[:, 0], predicted[:, 0], truth)

    def validate(self) -> dict[str, float]:
        """Return the mean IoU of one click and of one box on scenes that nobody trained on."""
        return self.measured(self.watched)

    @torch.inference_mode()
    def measured(self, scenes: Scenes) -> dict[str, float]:
        """Return the mean IoU of one click in the middle of each thing, and of the box around it."""
        point, box = [], []
        for picture, regions in zip(scenes.pictures, scenes.regions, strict=True):
            inside = regions != PADDING
            shown = picture[inside.any(1)][:, inside.any(0)]
            image = torch.from_numpy(shown).permute(2, 0, 1).float()
            truth = torch.from_numpy(_things(regions))
            with self._autocast():
                embedding = self.model.image_encoder(self.model.preprocess(image)[None])
            embedding = embedding.float().expand(len(truth), -1, -1, -1)
            clicks = torch.tensor([deepest_point(mask.numpy()) for mask in truth]).float()
            masks, predicted = self._decode(embedding, self._points(clicks[:, None], None), None)
            best = masks[torch.arange(len(masks)), predicted[:, 1:].argmax(1) + 1]
            point.append(overlap(enlarge(best[:, None], truth) > 0, truth))
            exact = noisy_boxes(truth, torch.Generator(), noise=0.0)
            masks, _ = self._decode(embedding, self._boxes(exact), None)
            box.append(overlap(enlarge(masks[:, :1], truth) > 0, truth))
        return {"iou_point": float(torch.cat(point).mean()), "iou_box": float(torch.cat(box).mean())}

    def facts(self) -> dict[str, Any]:
        """Return the number of scenes."""
        return {"scenes": len(self.scenes)}

    @cached_property
    def watched(self) -> Scenes:
        """Scenes to watch a run on."""
        return toybox_scenes(WATCHED_SEED, WATCHED, size=self.recipe.image_size, cache=self.cache)

    def _sparse(
        self, clicks: Tensor, boxes: Tensor, again: Tensor | None = None, inside: Tensor | None = None
    ) -> Float[Tensor, "N K C"]:
        """Encode the first half of the prompts as clicks and the second as boxes, with a further click each."""
        half = len(clicks) // 2
        ones = torch.ones(half, 1)
        points, labels = clicks[:half, None], ones
        if again is None:
            return torch.cat([self._points(points, labels), self._boxes(boxes[half:])])
        points = torch.cat([points, again[:half, None]], 1)
        labels = torch.cat([labels, inside[:half, None].float()], 1)
        more = (again[half:, None], inside[half:, None].float())
        return torch.cat([self._points(points, labels), self._boxes(boxes[half:], more)])

    def _points(self, points: Tensor, labels: Tensor | None) -> Tensor:
        labels = torch.ones(points.shape[:2]) if labels is None else labels
        return self.model.prompt_encoder(points=(points, labels), boxes=None, masks=None)[0]

    def _boxes(self, boxes: Tensor, points: tuple[Tensor, Tensor] | None = None) -> Tensor:
        return self.model.prompt_encoder(points=points, boxes=boxes, masks=None)[0]

    def _decode(
        self, embedding: Tensor, sparse: Tensor, masks: Tensor | None
    ) -> tuple[Float[Tensor, "N K s s"], Float[Tensor, "N K"]]:
        """Return the logits of all masks, the single one first, with their predicted IoUs.

        The package's decoder takes one picture for all prompts; a picture for each goes in with the dense prompt.
        """
        encoder = self.model.prompt_encoder
        dense = encoder(points=None, boxes=None, masks=masks)[1]
        with self._autocast():
            small, predicted = self.model.mask_decoder.predict_masks(
                image_embeddings=torch.zeros_like(embedding[:1]),
                image_pe=encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense + embedding,
            )
        return small.float(), predicted.float()

    def _autocast(self) -> torch.autocast:
        dtype = self.recipe.autocast_dtype
        return torch.autocast("cpu", getattr(torch, dtype or "bfloat16"), enabled=dtype is not None)


def _things(regions: Int[np.ndarray, "S S"]) -> Bool[np.ndarray, "N S S"]:
    """Return the masks of the things that show."""
    masks = regions == np.arange(regions.max() + 1)[:, None, None]
    return masks[masks.mean((1, 2)) >= MIN_SHARE]


def start_decoder(model: Sam, place_scale: float, sharpness: float) -> None:
    """Make a prompt attend to its own place, and its place to it, before anything is learnt.

    Queries and keys of the attention between prompts and picture start alike, so that equal codes of places match; with
    lower frequencies in these codes, near places match too.
    """
    transformer = model.mask_decoder.transformer
    between = [layer.cross_attn_token_to_image for layer in transformer.layers]
    between += [layer.cross_attn_image_to_token for layer in transformer.layers]
    with torch.no_grad():
        for attention in (*between, transformer.final_attn_token_to_image):
            attention.q_proj.weight.mul_(sharpness)
            attention.k_proj.weight.copy_(attention.q_proj.weight)
        model.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix.mul_(place_scale)


def start_encoder(model: Sam, name: str) -> None:
    """Put a CLIP ViT's image tower where it fits into a SAM's image encoder: patches, positions and blocks."""
    tensors = checkpoints.read_tensors(checkpoints.fetch(checkpoints.resolve("clip", name)))
    tower = {key.removeprefix("visual."): value.float() for key, value in tensors.items() if key.startswith("visual.")}
    encoder = model.image_encoder
    places = tower["positional_embedding"][1:]
    side = round(len(places) ** 0.5)
    grid = places.T.reshape(1, -1, side, side)
    grid = F.interpolate(grid, encoder.pos_embed.shape[1:3], mode="bicubic", align_corners=False)
    found = {"pos_embed": grid.permute(0, 2, 3, 1), "patch_embed.proj.weight": tower["conv1.weight"]}
    names = {
        "ln_1": "norm1",
        "ln_2": "norm2",
        "attn.in_proj_": "attn.qkv.",
        "attn.out_proj": "attn.proj",
        "mlp.c_fc": "mlp.lin1",
        "mlp.c_proj": "mlp.lin2",
    }
    for key, value in tower.items():
        if key.startswith("transformer.resblocks."):
            for theirs, ours in names.items():
                key = key.replace(theirs, ours)
            found[key.replace("transformer.resblocks", "blocks")] = value
    encoder.load_state_dict(found, strict=False)


def enlarge(logits: Float[Tensor, "N K s s"], truth: Bool[Tensor, "N S S"]) -> Float[Tensor, "N K S S"]:
    """Return masks at the size of their truth."""
    return F.interpolate(logits, truth.shape[-2:], mode="bilinear", align_corners=False)


def overlap(masks: Bool[Tensor, "N K S S"], truth: Bool[Tensor, "N S S"]) -> Float[Tensor, "N K"]:
    """Return the intersection over union of each mask with its truth."""
    truth = truth[:, None]
    return (masks & truth).sum((2, 3)) / (masks | truth).sum((2, 3)).clamp(min=1)


def _mask_loss(logits: Float[Tensor, "N *K S S"], truth: Bool[Tensor, "N *K S S"]) -> Float[Tensor, "N *K"]:
    """Return focal and dice loss of each mask, 20 to 1."""
    against = torch.where(truth, -logits, logits)  # the logit of being wrong
    wrong = against.sigmoid()
    weight = torch.where(truth, FOCAL_ALPHA, 1 - FOCAL_ALPHA)
    focal = (weight * wrong**FOCAL_GAMMA * F.softplus(against)).mean((-2, -1))
    area = truth.sum((-2, -1))
    missed = (wrong * truth).sum((-2, -1))
    added = wrong.sum((-2, -1)) - missed
    dice = 1 - (2 * (area - missed) + 1) / (2 * area - missed + added + 1)
    return FOCAL_WEIGHT * focal + DICE_WEIGHT * dice


def _first_loss(
    logits: Float[Tensor, "N K s s"], predicted: Float[Tensor, "N K"], truth: Bool[Tensor, "N S S"]
) -> Float[Tensor, ""]:
    """Return the loss of a first prompt: the single mask, the least over the others, and all predicted IoUs.

    Which of the others is the best is decided at the size they came in.
    """
    with torch.no_grad():
        coarse = F.interpolate(truth[:, None].float(), logits.shape[-2:], mode="area") > 0.5
        best = _mask_loss(logits[:, 1:], coarse.expand_as(logits[:, 1:])).argmin(1) + 1
        exact = overlap(enlarge(logits, truth) > 0, truth)
    chosen = torch.stack([logits[:, 0], logits[torch.arange(len(best)), best]], 1)
    losses = _mask_loss(enlarge(chosen, truth), truth[:, None].expand(-1, 2, -1, -1))
    return losses.sum(1).mean() + IOU_WEIGHT * F.mse_loss(predicted, exact)


def _next_loss(
    logits: Float[Tensor, "N s s"], predicted: Float[Tensor, " N"], truth: Bool[Tensor, "N S S"]
) -> Float[Tensor, ""]:
    """Return the loss of a further prompt: the single mask and its predicted IoU."""
    large = enlarge(logits[:, None], truth)
    exact = overlap(large.detach() > 0, truth)[:, 0]
    return _mask_loss(large[:, 0], truth).mean() + IOU_WEIGHT * F.mse_loss(predicted, exact)
