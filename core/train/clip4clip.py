"""CLIP4Clip's four heads on Toybox clips, with the text tower of an embedded CLIP that learns the words of motion.

Paper: Luo et al., Neurocomputing 2022, https://arxiv.org/abs/2104.08860. Different from it: the image tower is frozen,
so frames are looked at once; the four heads learn at once on one text tower, a loss each; a batch holds every clip with
its reversal, whose caption differs in the verb alone; features are brought to `input_norm` and positions to a share of
it, because at this CLIP's own norm positions are not heard; transformers start at random, not from the text tower's
blocks, because so they learn the direction of time sooner; beside the captions, the names of the actions are matched;
the tight head sees a part of the batch. Before all that the text tower learns that verbs matter: this CLIP gives a
sentence and the one with the opposite verb the same vector, and where texts do not differ no head can learn to tell
their clips apart. With `start`, the text tower is another run's and stays as it is: the heads alone learn, from
nothing, on features that are kept.

Legend: B clips of a step, T frames, D embedding size, L token positions.
"""

import hashlib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from open_clip.model import CLIP
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from core import checkpoints
from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.backbones.clip_model import CompactEmbedding, encode_text
from core.device import Device
from core.metrics.retrieval import preferred, ranks
from core.train.clips import SeenClips, look, seen_clips
from core.train.data import tokenise
from core.train.run import adam_w
from core.video_retrieval.heads import HEADS, VideoHeads, symmetric_loss
from core.video_retrieval.layouts import CLIP_PREFIX
from core.world.clips import gallery, opposite
from core.world.motion import ACTIONS, partner

SEED = 5_000_000  # of the clips that a run is watched on, far from those it learns from
WATCHED = 144
SENTENCE_SHARES = (0.1, 0.6, 0.3)  # of the bare, the coloured and the framed sentence
SHORTER_SHARE = 0.25  # of the steps show fewer frames, so that shorter clips are understood too
SHORTER = (4, 6, 8, 10)
FEATURE_NOISE = 0.03  # of a frame's norm, so that no clip is learnt by heart
ACTION_TEMPLATES = ("something {}", "a thing {}", "a video of a thing {}")
VERB_WEIGHT = 10.0  # so that its gradients are about as long as those of the losses that follow
MAX_LOGIT_SCALE = 100.0  # Radford et al. 2021, Sec. 2.5


@dataclass(frozen=True, kw_only=True)
class Clip4ClipRecipe:
    """Four heads and the text tower, on the frozen image tower of `backbone`."""

    checkpoint: str = "toybox-clip4clip"
    backbone: str = "toybox-resnet"
    start: str | None = None  # a CLIP4Clip on this backbone whose text tower is taken over and stays
    clips: int = 6_000  # drawn; each is seen mirrored and backwards too
    frames: int = 12  # CLIP4Clip's for clips of half a minute (Sec. 4.1)
    layers: int = 3  # as many as this CLIP's text tower has; the paper has 4
    batch: int = 48  # clips a step, each with its reversal
    tight_batch: int = 8  # of them for the tight head, whose cost grows with the square
    input_norm: float = 11.3  # the square root of 128: one a number
    position_share: float = 0.5  # of input_norm that a position's norm starts with
    text_share: float = 1.0  # of the learning rate for the text tower, to which the words of motion are new
    action_weight: float = 1.0  # of the actions' loss against the captions'
    word_steps: int = 600  # the first ones, in which the text tower alone learns to tell verbs apart
    verb_share: float = 0.7  # of the object's vector that a verb's is long
    steps: int = 2_400
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: float = 0.05
    seed: int = 0


class Clip4ClipLesson:
    """The text tower and the heads, and what a step of theirs costs."""

    def __init__(self, recipe: Clip4ClipRecipe, cache: Path, data: str | None) -> None:
        """Draw the clips and have the image tower look at them; ValueError when photographs are given."""
        if data is not None:
            raise ValueError("This recipe learns from Toybox clips alone: leave --data out.")
        self.recipe = recipe
        weights = checkpoints.resolve("clip", recipe.backbone)
        files = checkpoints.fetch_all(weights)
        self.sha256 = hashlib.sha256(files[checkpoints.WEIGHTS_FILE].read_bytes()).hexdigest()
        device = Device(name="cpu", autocast_dtype=None, reason="cpu, as the recipe says")
        backbone = open_clip_backbone(weights, device, files)
        self.context_length = backbone.context_length
        self.clips = seen_clips(
            backbone,
            self.sha256,
            recipe.seed,
            recipe.clips,
            frames=recipe.frames,
            size=backbone.preprocess.size,
            cache=cache,
        )
        self.watched = _watched(backbone, recipe.frames)
        torch.manual_seed(recipe.seed)
        self.teacher = text_tower(deepcopy(backbone.model), torch.empty(0, dtype=torch.long))
        self.verbs = torch.linalg.qr(torch.randn(self.teacher.text_projection.shape[1], len(ACTIONS)))[0].T
        if recipe.start is None:
            self.model = learner(backbone.model, recipe, _words(self.clips, self.context_length))
        else:
            self.model = beginner(backbone.model, recipe, self.sha256)

    @property
    def batch(self) -> int:
        """Clips a step, reversals too."""
        return 2 * self.recipe.batch

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW, the text tower at a share of the rate."""
        text = adam_w(self.model.clip, self.recipe.learning_rate, self.recipe.weight_decay).param_groups
        taken = {id(parameter) for group in text for parameter in group["params"]}
        rest = adam_w(self.model, self.recipe.learning_rate, self.recipe.weight_decay).param_groups
        for group in rest:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in taken]
        for group in text:
            group["share"] = self.recipe.text_share
        return torch.optim.AdamW(text + rest, betas=(0.9, 0.98))

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the sum of the four heads' losses; in the first steps, the text tower's on verbs."""
        frames, texts, acted = self._drawn(step)
        if step < self.recipe.word_steps:
            return self._verb_loss(texts + self._action_texts(step), acted + list(ACTIONS))
        mask = torch.ones(frames.shape[:2], dtype=torch.long)
        with torch.no_grad():
            self.model.clip.logit_scale.clamp_(max=float(np.log(MAX_LOGIT_SCALE)))
        scale = self.model.clip.logit_scale.exp()
        words = encode_text(self.model.clip, self._tokens(texts))
        few = self._few(len(frames))
        prompts = encode_text(self.model.clip, self._tokens(self._action_texts(step)))
        actions = torch.tensor([ACTIONS.index(action) for action in acted])
        losses = []
        for head in self.model.names:
            part = few if head == "tightTransf" else slice(None)
            losses.append(symmetric_loss(self.model.scores(head, words[part], frames[part], mask[part], scale)))
            if head != "meanP":  # which could only learn to doubt
                named = self.model.scores(head, prompts, frames[part], mask[part], scale).T  # (B, actions)
                losses.append(self.recipe.action_weight * cross_entropy(named, actions[part]))
        return torch.stack(losses).sum()

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return each head's recall at 1 and how often it tells a clip from its reversal, on fresh clips."""
        found: dict[str, float] = {}
        frames, texts = self.watched.features, [sentences[1] for sentences in self.watched.sentences]
        others = [opposite(text, action) for text, action in zip(texts, self.watched.actions, strict=True)]
        words, wrong = (encode_text(self.model.clip, self._tokens(each)) for each in (texts, others))
        mask = torch.ones(frames.shape[:2], dtype=torch.long)
        scale = self.model.clip.logit_scale.exp()
        for head in self.model.names:
            right = self.model.scores(head, words, frames, mask, scale)
            reverse = self.model.scores(head, words, frames.flip(1), mask, scale)
            found[f"r1_{head}"] = float((ranks(right.numpy()) == 1).mean())
            found[f"direction_{head}"] = preferred(right.diagonal().numpy(), reverse.diagonal().numpy())
        chosen = self.model.scores("seqTransf", wrong, frames, mask, scale).diagonal()
        right = self.model.scores("seqTransf", words, frames, mask, scale).diagonal()
        by_action = zip(self.watched.actions, (right > chosen).tolist(), strict=True)
        told: dict[str, list[bool]] = {action: [] for action in ACTIONS}
        for action, good in by_action:
            told[action].append(good)
        found |= {f"seqTransf {action}": float(np.mean(good)) for action, good in told.items() if good}
        return found

    def facts(self) -> dict[str, Any]:
        """Return what the card records besides: the image tower that the heads belong to."""
        return {"backbone": self.recipe.backbone, "backbone_sha256": self.sha256, "clips": len(self.clips)}

    def _verb_loss(self, texts: list[str], actions: list[str]) -> Float[Tensor, ""]:
        """Return how far sentences are from this CLIP's vector of their object plus a vector of their action's own."""
        objects = [spoken_of(text, action) for text, action in zip(texts, actions, strict=True)]
        with torch.no_grad():
            seen = normalize(encode_text(self.teacher, self._tokens(objects)), dim=-1)
        added = self.verbs[[ACTIONS.index(action) for action in actions]]
        wanted = normalize(seen + self.recipe.verb_share * added, dim=-1)
        found = normalize(encode_text(self.model.clip, self._tokens(texts)), dim=-1)
        return VERB_WEIGHT * (1 - (wanted * found).sum(-1)).mean()

    def _action_texts(self, step: int) -> list[str]:
        """Return every action in one of a few sentences without a thing's name."""
        return [ACTION_TEMPLATES[step % len(ACTION_TEMPLATES)].format(action) for action in ACTIONS]

    def _tokens(self, texts: list[str]) -> Int[Tensor, "B L"]:
        return torch.from_numpy(tokenise(texts, self.context_length)).long()

    def _drawn(self, step: int) -> tuple[Float[Tensor, "B T D"], list[str], list[str]]:
        """Return the clips of a step, each followed by its reversal, with a caption and an action each."""
        rng = np.random.default_rng((self.recipe.seed, 1, step))
        picks = rng.integers(len(self.clips), size=self.recipe.batch)
        kinds = rng.choice(len(SENTENCE_SHARES), p=SENTENCE_SHARES, size=self.recipe.batch)
        places = np.arange(self.recipe.frames)
        if rng.random() < SHORTER_SHARE:
            count = min(int(rng.choice(SHORTER)), self.recipe.frames)
            places = np.linspace(0, self.recipe.frames - 1, count).astype(int)
        frames = self.clips.features[picks][:, places]
        noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**62))))
        frames = frames + FEATURE_NOISE * frames.norm(dim=-1, keepdim=True) / frames.shape[-1] ** 0.5 * noise
        texts, acted = [], []
        for pick, kind in zip(picks, kinds, strict=True):
            text, action = self.clips.sentences[pick][kind], self.clips.actions[pick]
            texts += [text, opposite(text, action)]
            acted += [action, partner(action)]
        return torch.stack([frames, frames.flip(1)], 1).flatten(0, 1), texts, acted

    def _few(self, count: int) -> slice:
        return slice(0, min(count, 2 * self.recipe.tight_batch))


def learner(model: CLIP, recipe: Clip4ClipRecipe, words: Tensor) -> VideoHeads:
    """Return heads with positions from the text tower, which becomes their `clip`; `words` are its tokens."""
    tower = text_tower(model, words).requires_grad_(True)
    width, positions = tower.text_projection.shape[1], len(tower.positional_embedding)
    heads = VideoHeads(width, layers=recipe.layers, positions=positions, names=HEADS)
    heads.input_norm.fill_(recipe.input_norm)
    placed = normalize(tower.positional_embedding.detach(), dim=-1) * recipe.input_norm * recipe.position_share
    for table in (heads.frame_position_embeddings, heads.cross.embeddings.position_embeddings):
        table.weight.data.copy_(placed)
    heads.add_module("clip", tower)
    return heads


def beginner(model: CLIP, recipe: Clip4ClipRecipe, sha256: str) -> VideoHeads:
    """Return new heads beside the text tower of `start`, which stays; ValueError where it is of another backbone."""
    weights = checkpoints.resolve("clip4clip", recipe.start)
    tensors = checkpoints.read_tensors(checkpoints.fetch(weights))
    if f"{CLIP_PREFIX}token_embedding.token_ids" not in tensors or weights.card().get("backbone_sha256") != sha256:
        raise ValueError(f"Wanted a CLIP4Clip that was trained here on {recipe.backbone}, got {weights.name}.")
    heads = learner(model, recipe, tensors[f"{CLIP_PREFIX}token_embedding.token_ids"].long())
    told = {key.removeprefix(CLIP_PREFIX): value for key, value in tensors.items() if key.startswith(CLIP_PREFIX)}
    heads.clip.load_state_dict({key: v.float() if v.is_floating_point() else v for key, v in told.items()})
    heads.clip.requires_grad_(False)
    return heads


def spoken_of(sentence: str, action: str) -> str:
    """Return what a sentence speaks of, without its verb and its frame: 'a red ball'."""
    for verb in (action, action.replace("moving to", "rolling to")):
        sentence = sentence.removesuffix(f" {verb}")
    return sentence.removeprefix("a video of ")


def text_tower(model: CLIP, words: Tensor) -> CLIP:
    """Take the image tower off a CLIP and give its token table rows for `words`, which start at random."""
    del model.visual
    old = model.token_embedding
    if isinstance(old, CompactEmbedding):
        known = old.token_ids.long().cpu()
        new = words[~torch.isin(words, known)]
        table = CompactEmbedding(torch.cat([known, new]), old.weight.shape[1])
        fresh = old.weight[:-1].std() * torch.randn(len(new), old.weight.shape[1])
        table.weight.data = torch.cat([old.weight[:-1], fresh, old.weight[-1:]]).detach().clone()
        model.token_embedding = table
    return model


def _words(clips: SeenClips, context_length: int) -> Tensor:
    """Return the tokens of every sentence, of its opposite and of every action's name."""
    told = zip(clips.actions, clips.sentences, strict=True)
    texts = {text for action, sentences in told for one in sentences for text in (one, opposite(one, action))}
    texts |= {template.format(action) for template in ACTION_TEMPLATES for action in ACTIONS}
    return torch.from_numpy(np.unique(tokenise(sorted(texts), context_length))).long()


def _watched(backbone: ClipBackbone, frames: int) -> SeenClips:
    """Return fresh clips with different captions."""
    shown = list(gallery(SEED, WATCHED, frames=frames, size=backbone.preprocess.size))
    return SeenClips(
        features=torch.from_numpy(look(backbone, np.stack([each.film.frames for each in shown]))),
        actions=tuple(each.action for each in shown),
        sentences=tuple(each.sentences for each in shown),
    )
