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
  are pictures without any annotation, in which pixels alone propose regions (regions.py); each is cut out, shown to
  the frozen CLIP, and its pixels are drawn to that vector (the idea of ViLD, Gu et al. 2022, Sec. 3.3). CLIP's vectors
  of pictures lie apart from those of words, so the step between the two, measured on base things, is added first. A
  region that lies as near to a base word then as that word's own things do is drawn to the word itself. No novel word
  or mask is ever read.
- Cross entropy leaves open where a pixel lies among words that are not on the list: an annotated pixel is drawn to its
  own word besides, and told from regions that CLIP does not take for it, some of which are novel things.
- What is exported has its vectors moved a little along 'other', to where outlines fit best on annotated pictures.

Legend: B pictures, S side of a crop, h places along a side of the map, N words, D embedding size, R regions.
"""

import copy
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from open_clip.transformer import VisionTransformer
from torch import Tensor

from core import checkpoints
from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.backbones.dpt import DptSize, quarters
from core.checkpoints import WEIGHTS_FILE
from core.device import choose
from core.metrics.segmentation import Confusion
from core.segmentation.lseg_model import LOGIT_SCALE, LsegNetwork, Regulariser, products, text_tower
from core.train.lseg_data import NAMES, cut, cut_labels, random_crops, relight, toybox_scenes
from core.train.lseg_regions import NO_REGION, RegionTeacher
from core.train.lseg_start import folded_vit
from core.train.run import adam_w
from core.train.starting import go_on_from
from core.world.picture import picture
from core.world.scene import BASE, NOVEL
from core.world.shapes import CATEGORIES

log = logging.getLogger(__name__)
OTHER = "other"  # the released app's word for what is none of the others
OWN_BLOCKS = Regulariser(kind="bottleneck", blocks=2)
ABLATION = tuple(
    Regulariser(kind=kind, blocks=blocks)
    for kind, blocks in (("bottleneck", 1), ("bottleneck", 4), ("depthwise", 1), ("depthwise", 2), ("depthwise", 4))
)
OTHER_WEIGHT = 2.0  # of a pixel of no thing: with less, outlines come out wider than IoU likes, on base things too
SIDE_WEIGHT = 0.5  # of the loss on the scores before the blocks
WATCHED_SEED, WATCHED = 5_300_000, 80  # of the pictures that a run is watched on
SHIFTS = tuple(round(0.01 * step, 2) for step in range(11))  # of vectors towards 'other', in their own mean length
CALIBRATED = 120  # annotated pictures that the shift is chosen on
COMPARED = 48  # regions of other pictures that a step compares with


@dataclass(frozen=True, kw_only=True)
class LsegRecipe:
    """A small LSeg on the text tower of an embedded CLIP."""

    checkpoint: str = "toybox-lseg"
    clip: str = "toybox-resnet"  # its text tower is kept, its image tower speaks for regions
    vit: str = "toybox-vit"  # the ViT to begin from
    start: str | None = None  # a whole LSeg of these sizes to go on from, a name or a file
    annotated: int = 9_000  # pictures with masks, base things only
    plain: int = 8_000  # pictures without
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
    least_region: int = 20  # places of the map
    word_weight: float = 1.0  # of how far an annotated pixel is from its own word
    apart_weight: float = 1.0  # of telling it from regions that are something else
    region_weight: float = 2.0
    contrast_weight: float = 1.5  # of how regions compare with one another
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
        self.shift = 0.0
        self.teacher = RegionTeacher(self.clip, self.words, self.scenes, self.hashes, cache)
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
        plain = rng.integers(len(self.scenes.plain), size=recipe.batch_plain)
        plain_theta = random_crops(recipe.batch_plain, least_zoom=0.6, most_zoom=1.04, generator=generator)
        images = torch.cat([images, cut(torch.from_numpy(self.scenes.plain[plain]), plain_theta, recipe.crop)])
        annotated, without = self._features(2 * relight(images, generator) - 1).split(
            [recipe.batch_annotated, recipe.batch_plain]
        )
        chosen, target = _label_list(truth, rng)
        others = torch.from_numpy(rng.integers(len(self.teacher.taught), size=COMPARED))
        places = cut_labels(torch.from_numpy(self.teacher.places[plain]), plain_theta, recipe.crop)
        distance, contrast = self._region_losses(without, places, torch.cat([self.words, self.teacher.taught[others]]))
        return (
            self._pixel_loss(annotated, self.words[chosen], target, step)
            + recipe.word_weight * self._word_distance(annotated, truth)
            + recipe.apart_weight * self._apart_loss(annotated, truth, others)
            + recipe.region_weight * distance
            + recipe.contrast_weight * contrast
        )

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

    @torch.inference_mode()
    def exported(self) -> LsegNetwork:
        """Return the network with the bias of its vectors moved along 'other' to where base things' IoU is best.

        What is drawn to regions draws the ground around them too; how much of that is right, annotated pictures say.
        """
        network = copy.deepcopy(self.model).eval()
        bias, other = network.scratch.head1.bias, self.words[-1]
        pictures = torch.from_numpy(self.scenes.pictures[-CALIBRATED:]).permute(0, 3, 1, 2).float() / 127.5 - 1
        labels = self.scenes.labels[-CALIBRATED:].astype(np.int64)
        maps = torch.cat([network.scratch(network.pretrained(each)) for each in pictures.split(self.batch)])
        vectors = network.scratch.head1(maps)
        length, found = vectors.norm(dim=1).mean(), []
        for shift in SHIFTS:
            moved = F.normalize(vectors + (shift * length * other)[:, None, None], dim=1)
            confusion = Confusion(len(self.words))
            for one, truth in zip(moved, labels, strict=True):
                scores = network.regularise(products(one[None], self.words), OWN_BLOCKS)
                scores = F.interpolate(scores, size=truth.shape, mode="bilinear", align_corners=True)
                confusion.add(scores[0].argmax(0).numpy(), truth)
            found.append(float(np.nanmean(confusion.iou()[:-1])))
        self.shift = SHIFTS[int(np.argmax(found))]
        log.info("IoU of base things by shift: %s", dict(zip(SHIFTS, found, strict=True)))
        bias += self.shift * length * other
        return network

    def facts(self) -> dict[str, Any]:
        """Return where everything came from."""
        return {"base": list(BASE), "never_annotated": list(NOVEL), "sha256": self.hashes, "shift": self.shift}

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
        other = ABLATION[step % len(ABLATION)]
        weights = _weights(len(words), len(words) - 1)
        own, before, beside = (
            F.cross_entropy(scores, target, weights)
            for scores in (
                self.model.regularise(logits, OWN_BLOCKS),
                logits,
                self.model.regularise(logits.detach(), other),
            )
        )
        return own + SIDE_WEIGHT * before + beside

    def _word_distance(self, features: Float[Tensor, "B D h h"], truth: Int[Tensor, "B h h"]) -> Float[Tensor, ""]:
        """Return one minus the cosine of a pixel with its own word, which keeps words away that no mask speaks of."""
        return (1 - torch.einsum("bdhw,bhwd->bhw", features, self.words[truth])).mean()

    def _apart_loss(
        self, features: Float[Tensor, "B D h h"], truth: Int[Tensor, "B h h"], others: Int[Tensor, " R"]
    ) -> Float[Tensor, ""]:
        """Return the cross entropy with all words and these regions of plain pictures on the list.

        A region that CLIP takes for the pixel's own word is not on it.
        """
        logits = products(features, torch.cat([self.words, self.teacher.taught[others]]))
        count = len(self.words)
        same = F.one_hot(self.teacher.alike[others], count + 1)[:, :count].bool()  # (R, N)
        masked = torch.cat([torch.zeros(count, count, dtype=torch.bool), same])[:, truth]
        weights = _weights(logits.shape[1], len(NAMES))
        return F.cross_entropy(logits.masked_fill(masked.transpose(0, 1), -torch.inf), truth, weights)

    def _region_losses(
        self, features: Float[Tensor, "B D h h"], places: Int[Tensor, "B h h"], beside: Float[Tensor, "N D"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return how far the pixels of regions are from what CLIP says of these, 0 where there is no region.

        `places` holds the number of each place's region. The first is one minus the cosine. The second is the
        divergence from how CLIP's vector compares with the words and with other regions: it parts what the cosine
        alone leaves half-way to the nearest base word.
        """
        distances, divergences = [], []
        for index, region in enumerate(places):
            numbers, sizes = region[region != NO_REGION].unique(return_counts=True)
            for number in numbers[sizes >= self.recipe.least_region]:
                taught = self.teacher.taught[number]
                pixels = features[index][:, region == number].T  # (pixels, D)
                distances.append((1 - pixels @ taught).mean())
                compared = (LOGIT_SCALE * pixels @ beside.T).log_softmax(-1)
                wanted = (LOGIT_SCALE * taught @ beside.T).softmax(-1)
                divergences.append(F.kl_div(compared, wanted.expand_as(compared), reduction="batchmean"))
        if not distances:
            return features.sum() * 0, features.sum() * 0
        return torch.stack(distances).mean(), torch.stack(divergences).mean()


def _weights(count: int, other: int) -> Float[Tensor, " N"]:
    weights = torch.ones(count)
    weights[other] = OTHER_WEIGHT
    return weights


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
