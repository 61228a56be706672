"""LSeg on the Toybox: masks of base things, and regions that a frozen CLIP speaks for.

Paper: Li et al. 2022, ICLR, https://arxiv.org/abs/2201.03546: per-pixel cross entropy against the words of a frozen
text tower. Different from it:

- The label list changes from step to step, and pixels whose label is not on it are 'other': the released zero-shot
  models are trained against 'others', the demo model is not trained for 'other' at all. Grounds and skies are 'other'
  too: this CLIP's vectors for their names lie so close together that LSeg's fixed temperature cannot part them.
- The scores before the regularisation blocks carry the loss too, so that one network can be read with and without
  them; kernels for other kinds and numbers of blocks learn beside it, on scores that they cannot change.
- The ViT does not begin from ImageNet-21k but from the embedded ViT of CLIP, which knows the Toybox; its first
  normalisation, which LSeg's ViT lacks, is folded into the patches with the mean deviation of a token.
- Novel words: with masks alone the pixels of a thing that was never annotated go to the nearest base word. So there
  are pictures without any annotation, in which what the network itself separates from the rest is cut out, shown to
  the frozen CLIP, and its pixels are drawn to that vector (the idea of ViLD, Gu et al. 2022, Sec. 3.3, with the
  network's own regions for proposals). CLIP's vectors of pictures lie apart from those of words, so the step between
  the two, measured on base things, is added first. No novel word or mask is ever read.

Legend: B pictures, S side of a crop, h places along a side of the map, N words, D embedding size, R regions.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from open_clip.transformer import VisionTransformer
from torch import Tensor

from core import checkpoints
from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.backbones.dpt import DptSize, Vit, quarters
from core.checkpoints import WEIGHTS_FILE
from core.device import choose
from core.metrics.segmentation import Confusion
from core.segmentation.lseg_model import LOGIT_SCALE, LsegNetwork, Regulariser, products, text_tower
from core.train.augment import MEAN, STD, normalise
from core.train.lseg_data import NAMES, cut, cut_labels, random_crops, relight, toybox_scenes
from core.train.run import adam_w
from core.train.starting import go_on_from
from core.world.picture import picture
from core.world.scene import BASE, NOVEL
from core.world.shapes import CATEGORIES

OTHER = "other"  # the released app's word for what is none of the others
OWN_BLOCKS = Regulariser(kind="bottleneck", blocks=2)
ABLATION = tuple(
    Regulariser(kind=kind, blocks=blocks)
    for kind, blocks in (("bottleneck", 1), ("bottleneck", 4), ("depthwise", 1), ("depthwise", 2), ("depthwise", 4))
)
OTHER_WEIGHT = 0.4  # of a pixel of no thing, of which there are four times as many
SIDE_WEIGHT = 0.5  # of the loss on the scores before the blocks
WATCHED_SEED, WATCHED = 5_300_000, 80  # of the pictures that a run is watched on
MAX_REGIONS = 4  # in a picture
SHARPNESS = 1.5  # how far a region's vector goes from the mean, in its own distances: parts the words better
BRIDGED = 240  # annotated pictures that the step from pictures to words is measured on
MARGIN = 1.2  # side of a region's square over the region's own; measured: CLIP names Toybox things best with this
Regions = list[tuple[int, Bool[np.ndarray, "h h"]]]  # picture and places


@dataclass(frozen=True, kw_only=True)
class LsegRecipe:
    """A small LSeg on the text tower of an embedded CLIP."""

    checkpoint: str = "toybox-lseg"
    clip: str = "toybox-resnet"  # its text tower is kept, its image tower speaks for regions
    vit: str = "toybox-vit"  # the ViT to begin from
    start: str | None = None  # a whole LSeg of these sizes to go on from, a name or a file
    annotated: int = 9_000  # pictures with masks, base things only
    plain: int = 6_000  # pictures without
    picture: int = 128  # their side
    crop: int = 96
    batch_annotated: int = 12
    batch_plain: int = 6
    channels: tuple[int, int, int, int] = (48, 64, 96, 128)
    features: int = 64
    steps: int = 6_000
    learning_rate: float = 1e-3
    vit_share: float = 0.4  # of the learning rate, for what is not new
    weight_decay: float = 0.02
    warmup: float = 0.04  # share of the run
    first_region_step: int = 500  # before it the network separates nothing yet
    least_region: int = 20  # places of the map
    region_weight: float = 2.0
    first_contrast_step: int = 1300  # from it on regions are also told from one another; before it they are too rough
    contrast_weight: float = 1.5
    autocast_dtype: str | None = "bfloat16"  # of the image tower: half the time
    seed: int = 0


class LsegLesson:
    """What `core.train.run.Run` needs to train an LSeg."""

    def __init__(self, recipe: LsegRecipe, cache: Path, data: str | None) -> None:
        """Draw or read the pictures and build the network; ValueError when data are given."""
        if data is not None:
            raise ValueError("This recipe learns from Toybox scenes alone: leave --data out.")
        self.recipe, self.batch = recipe, recipe.batch_annotated + recipe.batch_plain
        self.scenes = toybox_scenes(recipe.seed, recipe.annotated, recipe.plain, size=recipe.picture, cache=cache)
        self.clip, clip_path = _embedded(recipe.clip)
        vit, vit_path = _embedded(recipe.vit)
        self.hashes = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in (clip_path, vit_path)}
        self.words = self.clip.encode_texts([*NAMES, OTHER])  # (N, D), bare words as in the paper
        self.pictures_mean, self.words_mean = self._means()
        torch.manual_seed(recipe.seed)
        network = _network(recipe, vit.model.visual, checkpoints.read_tensors(clip_path))
        self.model = network.to(memory_format=torch.channels_last)
        if recipe.start is not None:
            go_on_from(self.model, "lseg", recipe.start, apart="clip_pretrained.")
            return
        samples = torch.from_numpy(self.scenes.plain[:64]).permute(0, 3, 1, 2).float() / 255
        self.model.pretrained.model.load_state_dict(
            folded_vit(vit.model.visual, self.model.pretrained.model, samples, self.recipe.crop)
        )

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW; the ViT, which is not new, moves more slowly."""
        optimizer = adam_w(self.model.scratch, self.recipe.learning_rate, self.recipe.weight_decay)
        reassembly = [p for name, p in self.model.pretrained.named_parameters() if name.startswith("act_")]
        optimizer.add_param_group({"params": reassembly, "weight_decay": self.recipe.weight_decay})
        old = list(self.model.pretrained.model.parameters())
        optimizer.add_param_group(
            {"params": old, "weight_decay": self.recipe.weight_decay, "share": self.recipe.vit_share}
        )
        return optimizer

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the loss of a step: cross entropy on annotated pictures, cosine distance on regions of plain ones."""
        recipe, rng = self.recipe, np.random.default_rng((self.recipe.seed, 3, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        picks = rng.integers(len(self.scenes.pictures), size=recipe.batch_annotated)
        theta = random_crops(recipe.batch_annotated, least_zoom=0.6, most_zoom=1.04, generator=generator)
        images = cut(torch.from_numpy(self.scenes.pictures[picks]), theta, recipe.crop)
        truth = cut_labels(torch.from_numpy(self.scenes.labels[picks]), theta, recipe.crop)
        plain = torch.from_numpy(self.scenes.plain[rng.integers(len(self.scenes.plain), size=recipe.batch_plain)])
        plain_theta = random_crops(recipe.batch_plain, least_zoom=0.6, most_zoom=1.04, generator=generator)
        images = torch.cat([images, cut(plain, plain_theta, recipe.crop)])
        features = self._features(2 * relight(images, generator) - 1)
        chosen, target = _label_list(truth, rng)
        loss = self._pixel_loss(features[: recipe.batch_annotated], self.words[chosen], target, step)
        if step < recipe.first_region_step:
            return loss
        distance, contrast = self._region_losses(features[recipe.batch_annotated :], plain, plain_theta)
        loss = loss + recipe.region_weight * distance
        return loss if step < recipe.first_contrast_step else loss + recipe.contrast_weight * contrast

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return the mean IoU of base and of novel things on fresh scenes, all words and 'other' on the list."""
        words = self.clip.encode_texts([*CATEGORIES, OTHER])
        counts = {blocks.name: Confusion(len(words)) for blocks in self.model.regularisers}
        for number in range(WATCHED):
            view = picture(WATCHED_SEED + number, self.recipe.picture, count=1 + number % 4, samples=2)
            truth = np.where(view.categories.ids < 0, len(CATEGORIES), view.categories.ids)
            inputs = torch.from_numpy(view.rgb).permute(2, 0, 1)[None].float() / 127.5 - 1
            logits = products(self.model.features(inputs), words)
            for blocks in self.model.regularisers:
                scores = F.interpolate(
                    self.model.regularise(logits, blocks), size=truth.shape, mode="bilinear", align_corners=True
                )
                counts[blocks.name].add(scores[0].argmax(0).numpy(), truth)
        found = {}
        for name, confusion in counts.items():
            kinds = {"seen": BASE, "novel": NOVEL}
            for kind, members in kinds.items():
                found[f"miou_{kind} ({name})"] = confusion.mean_iou([CATEGORIES.index(each) for each in members])
        return found

    def facts(self) -> dict[str, Any]:
        """Return where everything came from."""
        return {"base": list(BASE), "never_annotated": list(NOVEL), "sha256": self.hashes}

    def _features(self, inputs: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B D h h"]:
        if self.recipe.autocast_dtype is None:
            return self.model.features(inputs)
        with torch.autocast("cpu", dtype=getattr(torch, self.recipe.autocast_dtype)):
            return self.model.features(inputs)

    def _pixel_loss(
        self, features: Float[Tensor, "B D h h"], words: Float[Tensor, "N D"], target: Int[Tensor, "B h h"], step: int
    ) -> Float[Tensor, ""]:
        """Return the cross entropy after the network's own blocks, before them, and after those of one ablation."""
        logits = products(features, words)
        weights = torch.ones(len(words))
        weights[-1] = OTHER_WEIGHT
        other = ABLATION[step % len(ABLATION)]
        own, before, beside = (
            F.cross_entropy(scores, target, weights)
            for scores in (
                self.model.regularise(logits, OWN_BLOCKS),
                logits,
                self.model.regularise(logits.detach(), other),
            )
        )
        return own + SIDE_WEIGHT * before + beside

    def _region_losses(
        self, features: Float[Tensor, "B D h h"], pictures: Tensor, theta: Float[Tensor, "B 2 3"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return how far the pixels of regions are from what CLIP says of these, 0 where there is no region.

        The first is one minus the cosine. The second is the divergence from how CLIP's vector compares with the words
        and with the other regions: it parts what the cosine alone leaves half-way to the nearest base word.
        """
        with torch.no_grad():
            other = products(features.detach(), self.words).softmax(1)[:, -1]
            regions = separate((other < 0.5).numpy(), self.recipe.least_region)
            if not regions:
                return features.sum() * 0, features.sum() * 0
            spoken = self._spoken_for(regions, pictures, theta) - self.pictures_mean
            taught = F.normalize(SHARPNESS * spoken + self.words_mean, dim=-1)
            beside = torch.cat([self.words, taught])
            wanted = (LOGIT_SCALE * taught @ beside.T).softmax(-1)
        distances, divergences = [], []
        for number, (index, mask) in enumerate(regions):
            pixels = features[index][:, torch.from_numpy(mask)].T  # (pixels, D)
            distances.append((1 - pixels @ taught[number]).mean())
            compared = (LOGIT_SCALE * pixels @ beside.T).log_softmax(-1)
            divergences.append(F.kl_div(compared, wanted[number].expand_as(compared), reduction="batchmean"))
        return torch.stack(distances).mean(), torch.stack(divergences).mean()

    @torch.no_grad()
    def _means(self) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
        """Return the mean of CLIP's vectors for pictures of base things, and for their words."""
        labels = torch.from_numpy(self.scenes.labels[:BRIDGED])
        whole = torch.eye(2, 3).expand(len(labels), 2, 3)
        things = cut_labels(labels, whole, self.recipe.picture) < len(NAMES)
        regions = separate(things.numpy(), self.recipe.least_region)
        spoken = self._spoken_for(regions, torch.from_numpy(self.scenes.pictures[: len(labels)]), whole)
        return spoken.mean(0), self.words[:-1].mean(0)

    def _spoken_for(self, regions: Regions, pictures: Tensor, theta: Float[Tensor, "B 2 3"]) -> Float[Tensor, "R D"]:
        """Return CLIP's unit vector for the square around each region, cut from the whole picture."""
        owners = torch.tensor([index for index, _ in regions])
        inner = torch.stack([square(mask) for _, mask in regions])
        outer = theta[owners]
        joined = torch.cat([outer[:, :, :2] @ inner[:, :, :2], outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]], 2)
        crops = cut(pictures[owners], joined, self.clip.preprocess.size)
        return F.normalize(self.clip.model.encode_image(normalise(crops)), dim=-1)


def separate(foreground: Bool[np.ndarray, "B h h"], least: int) -> Regions:
    """Return the connected regions of at least this many places, the largest few of each picture."""
    found: Regions = []
    for index, mask in enumerate(foreground):
        labels, count = scipy.ndimage.label(mask)
        sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        order = [number for number in np.argsort(-sizes, kind="stable")[:MAX_REGIONS] if sizes[number] >= least]
        found += [(index, labels == number + 1) for number in order]
    return found


def square(mask: Bool[np.ndarray, "h h"]) -> Float[Tensor, "2 3"]:
    """Return the affine map from the frame of the square around a region to that of the map, both -1 to 1."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    places = len(mask)
    half = MARGIN * max(np.ptp(rows) + 1, np.ptp(columns) + 1) / places
    middle_x, middle_y = ((ends[0] + ends[-1] + 1) / places - 1 for ends in (columns, rows))
    return torch.tensor([[half, 0, middle_x], [0, half, middle_y]], dtype=torch.float32)


@torch.no_grad()
def folded_vit(
    visual: VisionTransformer, vit: Vit, samples: Float[Tensor, "B 3 _ _"], side: int
) -> Mapping[str, Tensor]:
    """Return CLIP's ViT as LSeg's: colours centred on 0.5, the first normalisation folded into patches and positions.

    A normalisation divides each token by its own deviation; the folded one divides by the mean over `samples`.
    """
    weight, std, mean = visual.conv1.weight, torch.tensor(STD)[:, None, None], torch.tensor(MEAN)[:, None, None]
    kernel = weight * 0.5 / std
    bias = (weight * ((0.5 - mean) / std)).sum((1, 2, 3))
    table = visual.positional_embedding
    grid_side = round((len(table) - 1) ** 0.5)
    grid = table[1:].T.unflatten(1, (grid_side, grid_side))[None]
    places = F.interpolate(grid, size=(vit.size.grid, vit.size.grid), mode="bilinear")[0].flatten(1).T
    images = F.interpolate(samples, size=(side, side), mode="bilinear")
    tokens = F.conv2d(2 * images - 1, kernel, bias, stride=vit.size.patch).flatten(2).transpose(1, 2) + places
    norm = visual.ln_pre
    gain = norm.weight / tokens.std(-1, correction=0).mean()
    first = norm(visual.class_embedding + table[0])
    found = {
        "cls_token": first[None, None],
        "pos_embed": torch.cat([torch.zeros_like(first)[None], _centred(places) * gain + norm.bias])[None],
        "patch_embed.proj.weight": _centred(kernel.flatten(1).T).T.unflatten(1, kernel.shape[1:])
        * gain[:, None, None, None],
        "patch_embed.proj.bias": _centred(bias) * gain,
    }
    for number, block in enumerate(visual.transformer.resblocks):
        parts = {
            "norm1": block.ln_1,
            "norm2": block.ln_2,
            "attn.proj": block.attn.out_proj,
            "mlp.fc1": block.mlp.c_fc,
            "mlp.fc2": block.mlp.c_proj,
        }
        found |= {f"blocks.{number}.{name}.weight": part.weight for name, part in parts.items()}
        found |= {f"blocks.{number}.{name}.bias": part.bias for name, part in parts.items()}
        found[f"blocks.{number}.attn.qkv.weight"] = block.attn.in_proj_weight
        found[f"blocks.{number}.attn.qkv.bias"] = block.attn.in_proj_bias
    return found


def _centred(x: Tensor) -> Tensor:
    """Take the mean over the last side away, as a normalisation does first."""
    return x - x.mean(-1, keepdim=True)


def _label_list(truth: Int[Tensor, "B _ _"], rng: np.random.Generator) -> tuple[Int[Tensor, " N"], Tensor]:
    """Draw which of NAMES are on the list, 'other' last; a pixel whose name is not on it is 'other'."""
    listed = np.ones(len(NAMES) + 1, bool)
    if rng.random() < 0.5:
        listed[:-1] = rng.random(len(NAMES)) < 0.6
    chosen = torch.from_numpy(np.flatnonzero(listed))
    place = torch.full((len(NAMES) + 1,), len(chosen) - 1)
    place[chosen] = torch.arange(len(chosen))
    return chosen, place[truth]


def _embedded(name: str) -> tuple[ClipBackbone, Path]:
    weights = checkpoints.resolve("clip", name)
    path = checkpoints.fetch(weights)
    return open_clip_backbone(weights, choose("cpu"), {WEIGHTS_FILE: path}), path


def _network(recipe: LsegRecipe, visual: VisionTransformer, clip: Mapping[str, Tensor]) -> LsegNetwork:
    layers = len(visual.transformer.resblocks)
    size = DptSize(
        width=visual.conv1.out_channels,
        layers=layers,
        patch=visual.patch_size[0],
        grid=recipe.crop // visual.patch_size[0],
        channels=recipe.channels,
        features=recipe.features,
        heads=visual.transformer.resblocks[0].attn.num_heads,
        hooks=quarters(layers),
    )
    text = text_tower(clip)
    return LsegNetwork(size, text.output_dim, text=text, regulariser=OWN_BLOCKS, ablation=ABLATION)
