"""GLIP on the Toybox: boxes of base things, sentences, and pseudo boxes for what sentences name.

Paper: Li et al. 2022, Grounded Language-Image Pre-training, CVPR 2022, https://arxiv.org/abs/2112.03857: detection and
grounding in one loss (Sec. 3.1), then a teacher's boxes for the phrases of captions (Sec. 3.3). What is annotated by
hand, and what is not:

- Annotated: boxes and class names of the 18 base categories, and which phrase of a sentence means which box, in
  pictures that show base things only. No box of a novel thing is ever read, and no novel word stands in a prompt about
  an annotated picture, so that no novel thing was punished as background.
- Sentences alone: pictures of base and novel things with a sentence that names everything that shows.
- Pseudo boxes: half way through the run the network itself, which has seen base boxes only, says in the sentences'
  pictures where there is a 'thing' (a word that it learnt from base boxes); the embedded CLIP, which learnt from
  sentences, says which of these boxes each phrase means, through the region scorer. They are computed once and kept.
  From then on, a part of each batch are these pictures, asked with their sentence or with its nouns as a list.

Initial knowledge, where the paper takes a Swin from ImageNet and BERT from its corpus: the Swin first imitates the
maps of the embedded CLIP's ResNet, on pictures of both kinds without their boxes, in the first steps;
the word vectors are those of CLIP's text tower, which stay as they are.
Different from the paper besides: sizes, three levels instead of five, squares of 3 strides for anchors instead of 8,
no exponential mean of weights. Focal loss of tokens, GIoU weighted by centerness, and centerness as released.

Legend: B pictures, K things, T tokens, P places of all levels, S side of a crop, D embedding size.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from core import checkpoints
from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.backbones.swin import SwinSize
from core.checkpoints import WEIGHTS_FILE
from core.detection.glip_anchors import level_anchors
from core.detection.glip_frame import MEAN_BGR, STD_BGR
from core.detection.glip_model import GlipNetwork, GlipSize
from core.detection.glip_prompts import batch_of, word_tokenizer
from core.device import choose
from core.train.glip_data import cropped_boxes, toybox_scenes, vocabulary
from core.train.glip_imitation import Imitation
from core.train.glip_loss import Truth, glip_loss
from core.train.glip_prompting import Example, annotated_example, pseudo_example, token_targets
from core.train.glip_pseudo import Pseudo, pseudo_boxes
from core.train.glip_watch import watched_figures
from core.train.lseg_data import cut, random_crops, relight
from core.train.run import adam_w
from core.train.starting import go_on_from
from core.world.scene import BASE, NOVEL

LEAST_LEFT = 0.4  # share of a box that must be in the crop


@dataclass(frozen=True, kw_only=True)
class GlipRecipe:
    """A small GLIP that begins with what the embedded CLIP knows."""

    checkpoint: str = "toybox-glip"
    clip: str = "toybox-resnet"
    start: str | None = None  # a whole GLIP of these sizes to go on from, a name or a file
    annotated: int = 4_500  # pictures with boxes, base things only
    plain: int = 4_000  # pictures with a sentence alone
    picture: int = 160  # their side, and that of the network's input
    batch: int = 10
    batch_pseudo: int = 4  # of these, once there are pseudo boxes
    swin_width: int = 32
    swin_depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    window: int = 5
    channels: int = 64
    layers: int = 2
    joint: int = 128
    text_intermediate: int = 256
    most_tokens: int = 64
    anchor_scale: float = 3.0  # an anchor's side over its level's stride
    imitation_share: float = 0.18  # of the steps, which take less than half the time of the others
    pseudo_share: float = 0.5  # of the steps, after which pseudo boxes are there
    token_weight: float = 1.0  # of the tokens' loss against those of boxes and centerness
    naming_weight: float = 0.0  # of telling a thing's tokens from the others of its prompt
    steps: int = 4_400
    validate_steps: int = 400
    learning_rate: float = 1e-3  # of the Swin
    new_share: float = 1.0  # times it, of what begins when words come in
    weight_decay: float = 0.02
    warmup: float = 0.02  # share of the run
    autocast_dtype: str | None = "bfloat16"  # of the Swin: two thirds of the time
    seed: int = 0

    def size(self, words: int, width: int) -> GlipSize:
        """Return the network's numbers for a vocabulary and the width of its word vectors."""
        return GlipSize(
            swin=SwinSize(width=self.swin_width, depths=self.swin_depths, heads=(2, 4, 8, 16), window=self.window),
            channels=self.channels,
            layers=self.layers,
            levels=3,
            joint=self.joint,
            text_width=width,
            text_layers=2,
            text_heads=width // 32,
            text_intermediate=self.text_intermediate,
            vocabulary=words,
            positions=self.most_tokens,
        )


class GlipLesson:
    """What `core.train.run.Run` needs to train a GLIP."""

    def __init__(self, recipe: GlipRecipe, cache: Path, data: str | None) -> None:
        """Draw or read the pictures and build the network; ValueError when data are given."""
        if data is not None:
            raise ValueError("This recipe learns from Toybox scenes alone: leave --data out.")
        self.recipe, self.batch, self.cache = recipe, recipe.batch, cache
        self.scenes = toybox_scenes(recipe.seed, recipe.annotated, recipe.plain, size=recipe.picture, cache=cache)
        self.clip, self.hash = _embedded(recipe.clip)
        words = vocabulary()
        self.tokenizer = word_tokenizer(words)
        vectors = word_vectors(self.clip, words)
        torch.manual_seed(recipe.seed)
        self.model = GlipNetwork(recipe.size(len(words), vectors.shape[1]), words)
        self.model.set_sampling(True)
        table = self.model.language_backbone.body["model"].embeddings.word_embeddings
        table.weight.data.copy_(vectors)
        table.weight.requires_grad_(False)
        if recipe.start is not None:
            go_on_from(self.model, "glip", recipe.start)
        self.imitation = Imitation(self.clip.model.visual, recipe.size(1, 32).swin.channels[1:], self._images())
        places = [recipe.picture // stride for stride in self.model.size.strides]
        self.anchors = [
            level_anchors((side, side), stride, recipe.anchor_scale)
            for side, stride in zip(places, self.model.size.strides, strict=True)
        ]

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW; what is new when words come in takes larger steps than the Swin does by then."""
        body = self.model.backbone["body"]
        optimizer = adam_w(body, self.recipe.learning_rate, self.recipe.weight_decay)
        old = {id(parameter) for parameter in body.parameters()}
        new = [p for p in self.model.parameters() if p.requires_grad and id(p) not in old]
        for members, decay in (
            ([p for p in new if p.ndim > 1], self.recipe.weight_decay),
            ([p for p in new if p.ndim < 2], 0.0),
        ):
            optimizer.add_param_group({"params": members, "weight_decay": decay, "share": self.recipe.new_share})
        return optimizer

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the loss of a step: imitation first, then boxes and words, later with pseudo boxes among them."""
        recipe, rng = self.recipe, np.random.default_rng((self.recipe.seed, 5, step))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        if step < int(recipe.imitation_share * recipe.steps):
            return self._imitated(rng, generator)
        taught = step >= int(recipe.pseudo_share * recipe.steps) and len(self.pseudo.kept) > 0
        examples = [
            annotated_example(self.scenes, int(rng.integers(len(self.scenes.pictures))), rng)
            for _ in range(recipe.batch - (recipe.batch_pseudo if taught else 0))
        ]
        if taught:
            kept = self.pseudo.kept
            picks = kept[rng.integers(len(kept), size=recipe.batch_pseudo)]
            examples += [pseudo_example(self.scenes, self.pseudo, int(pick), rng) for pick in picks]
        return self._found(examples, generator)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return AP50 of base and of novel words and the recall of phrases, on fresh scenes."""
        return watched_figures(self.model, self.tokenizer, self.recipe.picture, self.recipe.anchor_scale)

    def facts(self) -> dict[str, Any]:
        """Return where everything came from."""
        return {
            "annotated_with_boxes": list(BASE),
            "pseudo_boxes_only": list(NOVEL),
            "pseudo": self.pseudo.facts() if self.recipe.steps > 100 else {},
            "sha256": {self.recipe.clip: self.hash},
        }

    @cached_property
    def pseudo(self) -> Pseudo:
        """The teacher's boxes: read back where they were kept, else found now, by the network as it is now."""
        key = hashlib.sha256(repr((asdict(self.recipe), self.hash)).encode()).hexdigest()[:12]
        return pseudo_boxes(
            self.model,
            self.tokenizer,
            self.clip,
            self.scenes,
            anchor_scale=self.recipe.anchor_scale,
            path=self.cache / f"glip-pseudo-{key}.npz",
        )

    def _found(self, examples: Sequence[Example], generator: torch.Generator) -> Float[Tensor, ""]:
        """Return the loss of finding the examples' things in crops of their pictures."""
        size = self.recipe.picture
        theta = random_crops(len(examples), least_zoom=0.75, most_zoom=1.0, generator=generator)
        pictures = torch.from_numpy(np.stack([each.picture for each in examples]))
        images = relight(cut(pictures, theta, size), generator)
        prompts = [each.spoken(bool(turn)) for each, turn in zip(examples, theta[:, 0, 0] < 0, strict=True)]
        encodings = self.tokenizer.encode_batch([prompt.text for prompt in prompts])
        ids, mask = batch_of(encodings)
        truths = []
        for example, prompt, encoding, frame in zip(examples, prompts, encodings, theta, strict=True):
            boxes, left = cropped_boxes(example.boxes, frame, size, size)
            tokens, counted = token_targets(prompt, encoding, len(boxes), ids.shape[1])
            there = (left >= LEAST_LEFT) & tokens.any(1)
            truths.append(Truth(boxes[there], tokens[there], counted))
        scores = self.model(self._pyramid(images), ids, mask)
        return glip_loss(scores, self.anchors, truths, mask, self.recipe.token_weight, self.recipe.naming_weight)

    def _pyramid(self, images: Float[Tensor, "B 3 S S"]) -> list[Float[Tensor, "B _ _ _"]]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.recipe.autocast_dtype is not None):
            maps = self.model.pyramid(network_scale(images))
        return [level.float() for level in maps]

    def _imitated(self, rng: np.random.Generator, generator: torch.Generator) -> Float[Tensor, ""]:
        """Return how far the Swin's maps are from those of CLIP's ResNet."""
        pictures = self._images(rng.integers(len(self.scenes.pictures) + len(self.scenes.plain), size=self.batch))
        theta = random_crops(len(pictures), least_zoom=0.6, most_zoom=1.05, generator=generator)
        images = relight(cut(pictures, theta, self.recipe.picture), generator)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.recipe.autocast_dtype is not None):
            maps = self.model.backbone["body"](network_scale(images))
        return self.imitation.loss([level.float() for level in maps], images)

    def _images(self, picks: Int[np.ndarray, " B"] | None = None) -> Tensor:
        """Return pictures of both kinds by number; without numbers, some for measuring."""
        first = len(self.scenes.pictures)
        chosen = np.arange(0, first, max(1, first // 64)) if picks is None else picks
        return torch.from_numpy(
            np.stack([self.scenes.pictures[i] if i < first else self.scenes.plain[i - first] for i in chosen])
        )


def network_scale(images: Float[Tensor, "B 3 S S"]) -> Float[Tensor, "B 3 S S"]:
    """Return pictures of 0 to 1 as GLIP's network wants them: blue first, released mean and deviation."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN_BGR, STD_BGR))
    return (255 * images.flip(1) - mean) / std


def word_vectors(clip: ClipBackbone, words: Sequence[str]) -> Float[Tensor, "V D"]:
    """Return CLIP's vector for each word, what all have in common taken away, at unit length."""
    vectors = clip.encode_texts(words)
    return F.normalize(vectors - vectors.mean(0), dim=-1)


def _embedded(name: str) -> tuple[ClipBackbone, str]:
    weights = checkpoints.resolve("clip", name)
    path = checkpoints.fetch(weights)
    files: Mapping[str, Path] = {WEIGHTS_FILE: path}
    return open_clip_backbone(weights, choose("cpu"), files), hashlib.sha256(path.read_bytes()).hexdigest()
