"""GLIP on somebody's boxes: its prompt alone, whose tokens' vectors gain something, or all of the network.

Paper: Li et al. 2022, Grounded Language-Image Pre-training, CVPR 2022, https://arxiv.org/abs/2112.03857, Sec. 5.2;
rate and weight decay as microsoft/GLIP at 9dda955 has them for 'language_prompt_v2' (0.05 and 0.25). With a tuned
prompt every weight of the network stays, so that nothing it could do before is forgotten, and a class that its words do
not know can be taught all the same: its tokens have a place of their own. Full tuning moves everything but the word
table, and is measured on base things of the Toybox besides. Learns from Toybox boxes of the novel things, whose boxes
the embedded GLIP has not seen, or from a COCO file. Different from the paper: each picture and its mirror image are
seen at one size; of a frozen network the pyramid of each is computed once.

Legend: K things, T tokens, h w a level's sides.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from core import checkpoints
from core.detection.glip import Glip
from core.detection.glip_anchors import level_anchors
from core.detection.glip_files import open_glip
from core.detection.glip_frame import LONGEST_SHARE, network_input, resized_size
from core.detection.glip_model import Levels
from core.detection.glip_prompts import batch_of, class_prompt, tokens_of_labels
from core.detection.glip_tuned import TunedPrompt
from core.device import choose
from core.metrics.detection import average_precision, mean_of
from core.results import Boxes
from core.train.coco import Annotated, annotated
from core.train.glip_loss import Truth, glip_loss
from core.train.glip_watch import shown_boxes
from core.train.photos import Report
from core.train.run import adam_w
from core.train.starting import licence_of
from core.world.picture import picture
from core.world.scene import BASE, NOVEL

FIRST, FIRST_WATCHED = 43_000_000, 5_450_000  # seeds of the Toybox's pictures, to learn from and to be watched on
FIRST_UNRELATED, MOST_UNRELATED = 5_470_000, 40  # of base things, for what is forgotten
SEED_STEP = 100_000
TOY_PIXELS, MOST_THINGS, SAMPLES = 224, 4, 2
KEPT_BYTES = 1_500_000_000  # of pyramids in memory
LEAST_SCORE = 0.01  # of a box that average precision is told of
MOST_MEASURED = 60  # pictures
MOST_NAMED = 12
SHOWN, SHOWN_PIXELS = 12, 96  # classes of the matrix, and the side of their pictures


@dataclass(frozen=True, kw_only=True)
class GlipTuningRecipe:
    """Some steps for a GLIP that is here already; the numbers are those of prompt tuning."""

    checkpoint: str = "glip-tuned"
    method: str = "prompt"  # or full
    start: str = "toybox-glip"  # any GLIP, by name or file
    pictures: int = 120  # of the Toybox, where no others are given
    batch: int = 4
    steps: int = 300
    learning_rate: float = 0.05
    weight_decay: float = 0.25
    warmup: float = 0.05
    validate_steps: int = 100
    seen_steps: int = 50
    seed: int = 0


class GlipTuningLesson:
    """What `core.train.run.Run` needs to tune a GLIP; the file is a whole one, whatever part of it learnt."""

    def __init__(self, recipe: GlipTuningRecipe, cache: Path, data: str | None) -> None:
        """Open the GLIP and read or draw the pictures; ValueError where the classes do not fit into one prompt."""
        self.glip = _opened(recipe.start)
        self.network, self.settings = self.glip.network, self.glip.defaults
        longest = round(LONGEST_SHARE * self.settings.short_side)
        self.data = data
        if data is None:
            self.train, self.test, self.names, self.report = _toybox(recipe)
        else:
            found = annotated(data, longest=longest)
            self.train, self.test, self.names, self.report = found.train, found.test, found.names, found.report
        self.licence = licence_of("glip", recipe.start)
        if Path(recipe.start).is_file():  # the card need not say in which folder of this machine
            recipe = replace(recipe, start=Path(recipe.start).name)
        self.recipe, self.batch = recipe, recipe.batch
        self.prompt = class_prompt(self.names)
        encoding = self.glip.tokenizer.encode(self.prompt.text)
        if len(encoding.ids) > self.settings.most_tokens:
            raise ValueError(
                f"The {len(self.names)} classes of {self.report.source} make a prompt of {len(encoding.ids)} tokens; "
                f"{self.glip.weights} reads {self.settings.most_tokens}: give fewer classes."
            )
        self.ids, self.mask = batch_of([encoding])
        self.tokens = tokens_of_labels(encoding, self.prompt.spans, self.settings.most_tokens)
        self.full, text = recipe.method == "full", self.network.language_backbone
        text.tuned = None  # what an earlier run tuned is not gone on from
        self.unrelated = tuple(islice(_toys(FIRST_UNRELATED, BASE), MOST_UNRELATED)) if self.full else ()
        self.before = self._figures()
        torch.manual_seed(recipe.seed)
        if self.full:
            self.model: nn.Module = self.network.requires_grad_(True)
            for fixed in (text.body["model"].embeddings.word_embeddings, self.network.rpn["head"].cls_logits):
                fixed.requires_grad_(False)
        else:
            self.model = text.tuned = TunedPrompt(self.names, self.ids[0], self.network.size.text_width)
        self._kept: OrderedDict[tuple[int, bool], Levels] = OrderedDict()
        self._kept_bytes = 0

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW, whose decay draws a prompt back to the words that it began as."""
        return adam_w(self.model, self.recipe.learning_rate, self.recipe.weight_decay)

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the mean of a few pictures' losses; every class is asked of each."""
        rng = np.random.default_rng((self.recipe.seed, 11, step))
        picks, turns = rng.integers(len(self.train), size=self.batch), rng.random(self.batch) < 0.5
        losses = [self._loss(int(pick), bool(turn)) for pick, turn in zip(picks, turns, strict=True)]
        return torch.stack(losses).mean()

    def validate(self) -> dict[str, float]:
        """Return the average precision of the classes on pictures that nobody learnt from, now and before."""
        now = self._figures()
        return {key: value for name in now for key, value in ((name, now[name]), (f"{name}_before", self.before[name]))}

    def seen(self) -> dict[str, np.ndarray]:
        """Return a held-back picture of each class, the best score of every class in it, and which is the best."""
        shown = {kind: one for one in reversed(self.test) for kind in one.kinds}
        names = [name for name in self.names if name in shown][:SHOWN]
        places = [self.names.index(name) for name in names]
        self.glip.forget()
        scores = np.stack([self.glip.detect(shown[name].rgb, self.names).best()[places] for name in names])
        side = (SHOWN_PIXELS, SHOWN_PIXELS)
        return {
            "similarity": scores,
            "pictures": np.stack([np.asarray(Image.fromarray(shown[name].rgb).resize(side)) for name in names]),
            "captions": np.array(names),
            "predictions": np.array([names[best] for best in scores.argmax(1)]),
        }

    def exported(self) -> nn.Module:
        """Return the whole network with the prompt that was tuned."""
        return self.network

    def facts(self) -> dict[str, Any]:
        """Return what was read, and what the weights are good for."""
        named = ", ".join(self.names[:MOST_NAMED]) + (" and more" if len(self.names) > MOST_NAMED else "")
        prompt = f"a GLIP with a tuned prompt, which answers for {named}; other words are asked as before"
        return {
            "licence": self.licence,
            "data": self.report.card(),
            "pictures": len(self.train),
            "classes": list(self.names),
            "before": self.before,
            "trained_parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "use": f"a GLIP tuned for {named}" if self.full else prompt,
        }

    def _loss(self, index: int, mirrored: bool) -> Float[Tensor, ""]:
        one = self.train[index]
        maps = self._pyramid(index, mirrored)
        rows, columns = resized_size(one.rgb.shape[:2], self.settings.short_side)
        scale = np.array([columns / one.rgb.shape[1], rows / one.rgb.shape[0]] * 2, np.float32)
        boxes = torch.from_numpy(one.boxes * scale)
        if mirrored:
            boxes = torch.stack([columns - boxes[:, 2], boxes[:, 1], columns - boxes[:, 0], boxes[:, 3]], 1)
        meant = torch.zeros(len(boxes), self.ids.shape[1], dtype=torch.bool)
        for row, kind in enumerate(one.kinds):
            meant[row, list(self.tokens[self.names.index(kind)])] = True
        truth = Truth(boxes, meant, torch.ones(self.ids.shape[1], dtype=torch.bool))
        anchors = [
            level_anchors(tuple(level.shape[2:]), stride, self.settings.anchor_scale)
            for level, stride in zip(maps, self.network.size.strides, strict=True)
        ]
        return glip_loss(self.network(maps, self.ids, self.mask), anchors, [truth], self.mask)

    def _pyramid(self, index: int, mirrored: bool) -> Levels:
        """Return a picture's pyramid; where no step changes it, from memory as far as there is room."""
        key = (index, mirrored)
        if key not in self._kept:
            rgb = self.train[index].rgb
            inputs, _ = network_input(np.ascontiguousarray(rgb[:, ::-1]) if mirrored else rgb, self.settings.short_side)
            if self.full:
                return self.network.pyramid(inputs)
            with torch.no_grad():
                maps = self.network.pyramid(inputs)
            self._kept_bytes += sum(level.numel() * level.element_size() for level in maps)
            self._kept[key] = maps
            while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
                _, gone = self._kept.popitem(last=False)
                self._kept_bytes -= sum(level.numel() * level.element_size() for level in gone)
        return list(self._kept[key])

    def _figures(self) -> dict[str, float]:
        self.glip.forget()  # pyramids of the weights as they were
        found = {"ap50": self._precision(self.test[:MOST_MEASURED], self.names)}
        return found | ({"toy_ap50": self._precision(self.unrelated, BASE)} if self.unrelated else {})

    def _precision(self, pictures: Sequence[Annotated], names: Sequence[str]) -> float:
        found = [self.glip.detect(each.rgb, names).boxes(LEAST_SCORE) for each in pictures]
        by_label = average_precision(found, [_truth(each) for each in pictures], names)["ap50_by_label"]
        return round(mean_of(by_label), 4)


def _opened(name: str) -> Glip:
    """Return a GLIP of one's own to tune; ValueError for a relative, which has no such prompt."""
    weights = checkpoints.resolve("glip", name)
    found = open_glip(weights, choose("cpu"), checkpoints.fetch_all(weights))
    if not isinstance(found, Glip):
        raise ValueError(f"{name} is no GLIP but a relative, whose prompt is read otherwise: begin with a GLIP.")
    found.network.set_sampling(True)
    return found


def _toybox(
    recipe: GlipTuningRecipe,
) -> tuple[tuple[Annotated, ...], tuple[Annotated, ...], tuple[str, ...], Report]:
    """Draw pictures with novel things in them, and the boxes of these."""
    train = tuple(islice(_toys(FIRST + SEED_STEP * recipe.seed, NOVEL), recipe.pictures))
    test = tuple(islice(_toys(FIRST_WATCHED, NOVEL), MOST_MEASURED))
    return train, test, NOVEL, Report(source="the Toybox", read=len(train) + len(test), skipped=0)


def _toys(first: int, names: Sequence[str]) -> Iterator[Annotated]:
    """Yield Toybox pictures of one to four things, some of these names, from a seed on."""
    for seed in count(first):
        view = picture(seed, TOY_PIXELS, count=1 + seed % MOST_THINGS, samples=SAMPLES)
        truth = shown_boxes(view)
        kept = [place for place, label in enumerate(truth.labels) if label in names]
        if kept:
            yield Annotated(
                rgb=view.rgb, boxes=truth.boxes_xyxy[kept], kinds=tuple(truth.labels[place] for place in kept)
            )


def _truth(one: Annotated) -> Boxes:
    return Boxes(
        boxes_xyxy=one.boxes.astype(np.float32),
        labels=one.kinds,
        scores=np.ones(len(one.kinds), np.float32),
        size_hw=one.rgb.shape[:2],
    )
