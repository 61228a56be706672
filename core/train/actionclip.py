"""ActionCLIP on the Toybox's motions: a CLIP's last layers, its text tower and every head, by the paper's loss.

Paper: Wang et al. 2021, https://arxiv.org/abs/2109.08472. Different from its training: the image tower is tuned only
from `tuned` on, so that what lies below is computed once for each film; all heads learn together on the same frames,
each by its own loss; a template is drawn for each action in a batch, not for each clip; a film and its reversal are
always in one batch, because they need the image tower only once; some films are watched in fewer frames, each
repeated, as short videos are. Captions never asked this CLIP which way a thing faces, and without that nothing tells a
clockwise spin from the other one: while it learns, the first four entries of each frame's feature are therefore also
asked for the thing's turn towards the viewer, which the Toybox knows, once and twice the angle (a car looks much the
same from behind). The run has three parts. First come the turn and, on the text's side, telling the actions' sentences
apart, each in one template from the others in another: this CLIP gives 'left' and 'right' the same feature. From then
on the sentences stay where they are, because the loss draws two of them together as long as the clips do not differ,
and then nothing draws the clips apart. Then spinning alone, then every motion: all at once, the heads settle on what
place and size tell, before there is a turn to be seen. Frames' features are scaled to a length like that of OpenAI's
CLIPs, about 10, which changes no cosine; and a place in time starts as long as a frame's feature, where the release
starts it at 0.02 an entry: beside this CLIP's features, 147 long, that would be 0.2 per cent, and invisible. With
`start`, both towers are another run's and stay as they are: the heads alone learn, from nothing, on features that are
computed once.

Legend: F films, B clips, T frames, D embedding size, C channels, L token positions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from open_clip.model import CLIP
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor, nn

from core import checkpoints
from core.action.fusion import HEADS, Conv1d, Lstm, MeanPool, Transf, TransfCls
from core.action.layouts import sha256, text_heads
from core.action.matching import matching_loss
from core.action.templates import TEMPLATES
from core.backbones.clip_model import CompactEmbedding, encode_text, from_tensors
from core.backbones.tokenizer import clip_tokenizer
from core.device import Device
from core.prompts import fill
from core.train.action_films import AT_ONCE, SHOWN, SPINNING, FrozenPart
from core.world.motion import ACTIONS

SEED = 8_000_000  # of the films that a run is watched on, far from those it learns from
WATCHED = 20  # of each motion


@dataclass(frozen=True, kw_only=True)
class ActionRecipe:
    """Heads for the motions of the Toybox on a frozen CLIP of which the last stages are tuned."""

    checkpoint: str = "toybox-actionclip"
    backbone: str = "toybox-resnet"
    start: str | None = None  # an ActionCLIP on this backbone whose towers are taken over and stay
    tuned: tuple[str, ...] = ("layer4",)  # stages of the image tower, besides the last projection
    films: int = 9_000  # each seen forwards and backwards; of spinning four times as many as of the other motions
    frames: int = 8
    frame_size: int = 64
    batch_films: int = 32
    steps: int = 3_000
    learning_rate: float = 1e-3  # of the heads
    tower_share: float = 0.5  # of it
    text_share: float = 0.5
    weight_decay: float = 0.1
    warmup: float = 0.05
    feature_length: float = 10.0
    position_share: float = 1.0  # the length of a place in time at the start, in lengths of a feature
    cls_layers: int = (
        3  # half of the release's, and a feed-forward four times as wide as the features, not 2048 numbers:
    )
    cls_width: int = 4  # the file would be twice as large, and 2048 is four times the release's own width
    turn_weight: float = 2.0  # of the squared error of the turn, as cosines and sines
    turn_length: float = 6.0  # of each of the two pairs of entries that tell it, beside a feature's 10
    turn_first: float = 0.25  # share of the run that is its first part
    spinning_until: float = 0.35  # share of it at which spinning alone ends
    fewer_frames: float = 0.15  # share of films watched in 2 or 4 frames, each repeated
    autocast_dtype: str | None = "bfloat16"
    seed: int = 0


class ActionNet(nn.Module):
    """What is tuned: the end of an image tower, a text tower, and the heads."""

    def __init__(self, recipe: ActionRecipe, whole: CLIP, known: Int[Tensor, " known"]) -> None:
        """Take the tuned parts out of a CLIP, its token table widened by `known`; the pooling stays outside, frozen."""
        super().__init__()
        visual = whole.visual
        self._pool = (visual.attnpool.requires_grad_(False),)  # in a tuple, it is no part of what is saved
        self.tuned, self.precision = recipe.tuned, recipe.autocast_dtype
        whole.visual = nn.Module()
        for stage in recipe.tuned:
            setattr(whole.visual, stage, getattr(visual, stage).to(memory_format=torch.channels_last))
        whole.visual.attnpool = nn.Module()
        whole.visual.attnpool.c_proj = visual.attnpool.c_proj.requires_grad_(True)
        whole.token_embedding = widened(whole.token_embedding, known)
        self.clip = whole
        width, heads = whole.text_projection.shape[1], text_heads(whole.state_dict())
        made = {
            "Conv_1D": Conv1d(width),
            "Conv_1D_fixed": Conv1d(width, as_released=False),
            "LSTM": Lstm(width),
            "Transf": Transf(width, heads, positions=recipe.frames),
            "Transf_cls": TransfCls(
                width, recipe.frames, layers=recipe.cls_layers, feed_forward=recipe.cls_width * width
            ),
        }
        std = recipe.position_share * recipe.feature_length / width**0.5
        nn.init.normal_(made["Transf"].frame_position_embeddings.weight, std=std)
        nn.init.normal_(made["Transf_cls"].transformer.pos_embed, std=std)
        self.heads = nn.ModuleDict(made)
        self.mean = MeanPool()

    def frames(self, maps: Float[Tensor, "F T C h w"]) -> Float[Tensor, "F T D"]:
        """Return the features of frames from what the frozen part made of them."""
        x = maps.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        with Device(name="cpu", autocast_dtype=self.precision, reason="as the recipe says").autocast():
            for stage in self.tuned:
                x = getattr(self.clip.visual, stage)(x)
            x = self._pool[0](x)
        return x.float().unflatten(0, maps.shape[:2])

    def clips(self, frames: Float[Tensor, "B T D"]) -> dict[str, Float[Tensor, "B D"]]:
        """Return each head's feature of each clip."""
        return {name: (self.mean if name == "meanP" else self.heads[name])(frames) for name in HEADS}

    def train(self, mode: bool = True) -> "ActionNet":
        """Keep the image tower's batch norms as they are: a batch of films is not like what they have seen."""
        super().train(mode)
        self.clip.visual.eval()
        return self


class ActionLesson:
    """One ActionCLIP by a recipe."""

    def __init__(self, recipe: ActionRecipe, cache: Path, data: str | None) -> None:
        """Draw the films and have the frozen part look at them; ValueError when other data are given."""
        if data is not None:
            raise ValueError("This recipe learns from Toybox films alone: leave --data out.")
        self.recipe, self.batch = recipe, 2 * recipe.batch_films
        path = checkpoints.fetch(checkpoints.resolve("clip", recipe.backbone))
        self.sha256 = sha256(path)
        whole = from_tensors(checkpoints.read_tensors(path))
        if not isinstance(whole.visual, ModifiedResNet):
            raise ValueError(f"wanted a CLIP with a ResNet, whose last stages can be tuned, got {recipe.backbone}")
        frozen = FrozenPart(
            whole.visual, recipe.tuned[0], self.sha256, cache, frames=recipe.frames, size=recipe.frame_size
        )
        self.films = frozen.films(recipe.seed, recipe.films // len(SHOWN))
        self.watched = frozen.films(SEED, WATCHED)
        self.spinning = np.flatnonzero(self.films.motions == SPINNING)
        tokenize = clip_tokenizer(whole.context_length)
        texts = [fill(template, action) for template in TEMPLATES for action in ACTIONS]
        self.tokens = tokenize(texts).unflatten(0, (len(TEMPLATES), len(ACTIONS)))  # (16, actions, L)
        torch.manual_seed(recipe.seed)
        self.model = ActionNet(recipe, whole, self.tokens.unique())
        self.features: Float[Tensor, "F T D"] | None = None
        if recipe.start is None:
            self._set_length()
        else:
            self._take_towers(recipe.start)
            self.features = self._seen(self.films.maps)
        self.scale = float(whole.logit_scale.requires_grad_(False).exp())

    def optimizer(self) -> torch.optim.Optimizer:
        """Return AdamW with the release's betas; the towers learn more slowly than the heads."""
        parts = (
            (self.model.heads, 1.0),
            (self.model.clip.visual, self.recipe.tower_share),
            (self._text_tower(), self.recipe.text_share),
        )
        groups = []
        for module, share in parts:
            trained = [p for p in module.parameters() if p.requires_grad]
            for decay, chosen in (
                (self.recipe.weight_decay, [p for p in trained if p.ndim >= 2]),
                (0.0, [p for p in trained if p.ndim < 2]),
            ):
                groups.append({"params": chosen, "weight_decay": decay, "share": share})
        return torch.optim.AdamW(groups, lr=self.recipe.learning_rate, betas=(0.9, 0.98))

    def loss(self, step: int) -> Float[Tensor, ""]:
        """Return the mean of the heads' losses on a few films, played both ways."""
        rng = np.random.default_rng((self.recipe.seed, 1, step))
        alone = step < self.recipe.spinning_until * self.recipe.steps
        picks = rng.choice(self.spinning if alone else len(self.films.motions), size=self.recipe.batch_films)
        torch.manual_seed(int(rng.integers(2**62)))  # of the dropout, so that a resumed run goes on the same
        frames = self._frames(picks)
        turn_loss = self._turn_loss(frames, torch.from_numpy(self.films.turns[picks]))
        if step < self.recipe.turn_first * self.recipe.steps:
            return self.recipe.turn_weight * turn_loss + self._sentence_loss(rng)
        places = torch.from_numpy(np.stack([self._places(rng) for _ in picks]))
        frames = frames[torch.arange(len(picks))[:, None], places]
        motions = torch.from_numpy(self.films.motions[picks])
        classes = torch.cat([2 * motions, 2 * motions + 1])
        with torch.no_grad():
            texts = self._texts(classes, torch.from_numpy(rng.integers(len(TEMPLATES), size=len(ACTIONS))))
        clips = self.model.clips(torch.cat([frames, frames.flip(1)]))
        losses = [matching_loss(each, texts, classes, self.scale) for each in clips.values()]
        return torch.stack(losses).mean() + self.recipe.turn_weight * turn_loss

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Return the share of films, played both ways, that each head names rightly in one template."""
        frames = self._seen(self.watched.maps)
        motions = torch.from_numpy(self.watched.motions)
        truth = torch.cat([2 * motions, 2 * motions + 1])
        texts = encode_text(self.model.clip, self.tokens[TEMPLATES.index("A video of {}")])
        texts = torch.nn.functional.normalize(texts, dim=-1)
        clips = self.model.clips(torch.cat([frames, frames.flip(1)]))
        found = {f"top1_{name}": (x @ texts.T).argmax(1) == truth for name, x in clips.items()}
        spins = torch.tensor([ACTIONS[i].startswith("spinning") for i in truth.tolist()])
        shares = {name: float(right.float().mean()) for name, right in found.items()}
        turn = float(self._turn_loss(frames, torch.from_numpy(self.watched.turns)))
        return shares | {
            "spinning_Transf": float(found["top1_Transf"][spins].float().mean()),
            "turn_error": turn,
            "pair_cosine": float((texts[::2] * texts[1::2]).sum(1).max()),  # of two sentences that mean opposites
        }

    def facts(self) -> dict[str, Any]:
        """Return which image tower the rest belongs to, and what was learnt from."""
        tower = {"weights": self.recipe.backbone, "sha256": self.sha256}
        return {"image_tower": tower, "films": len(self.films.motions), "actions": list(ACTIONS)}

    def _frames(self, picks: Int[np.ndarray, " F"]) -> Float[Tensor, "F T D"]:
        if self.features is not None:
            return self.features[torch.from_numpy(picks)]
        return self.model.frames(torch.from_numpy(self.films.maps[picks]).float())

    @torch.no_grad()
    def _seen(self, maps: Float[np.ndarray, "F T C h w"]) -> Float[Tensor, "F T D"]:
        """Return the features of all frames of films."""
        return torch.cat([self.model.frames(part.float()) for part in torch.from_numpy(maps).split(AT_ONCE)])

    def _take_towers(self, name: str) -> None:
        """Put another run's towers in and let them stay; ValueError where it is of another backbone."""
        weights = checkpoints.resolve("actionclip", name)
        tensors = checkpoints.read_tensors(checkpoints.fetch(weights))
        told = {key.removeprefix("clip."): value for key, value in tensors.items() if key.startswith("clip.")}
        if weights.card().get("image_tower", {}).get("sha256") != self.sha256 or set(told) != set(
            self.model.clip.state_dict()
        ):
            raise ValueError(f"Wanted an ActionCLIP that was trained here on {self.recipe.backbone}, got {name}.")
        self.model.clip.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in told.items()})
        self.model.eval().clip.requires_grad_(False)

    def _turn_loss(self, frames: Float[Tensor, "F T D"], turns: Float[Tensor, "F T"]) -> Float[Tensor, ""]:
        """Return the squared error of the turns that the frames tell, where there is one; guessing gives 0.5."""
        wanted = torch.stack([turns.cos(), turns.sin(), (2 * turns).cos(), (2 * turns).sin()], -1)
        told, seen = frames[..., : wanted.shape[-1]] / self.recipe.turn_length, ~turns.isnan()
        return (told[seen] - wanted[seen]).square().mean() if seen.any() else frames.sum() * 0

    def _sentence_loss(self, rng: np.random.Generator) -> Float[Tensor, ""]:
        """Return the loss of matching the actions in one choice of templates with the actions in another."""
        every = torch.arange(len(ACTIONS))
        one, other = (self._texts(every, torch.from_numpy(rng.integers(len(TEMPLATES), size=len(every)))) for _ in "ab")
        return matching_loss(one, other, every, self.scale)

    def _texts(self, classes: Int[Tensor, " B"], templates: Int[Tensor, " actions"]) -> Float[Tensor, "B D"]:
        """Return a sentence's feature for each clip, each action being in one of the templates."""
        return encode_text(self.model.clip, self.tokens[templates, torch.arange(len(ACTIONS))])[classes]

    def _places(self, rng: np.random.Generator) -> Int[np.ndarray, " T"]:
        """Return which frames a film is watched in: all, or a few, each repeated."""
        every = np.arange(self.recipe.frames)
        if rng.random() >= self.recipe.fewer_frames:
            return every
        few = self.recipe.frames // int(rng.choice((2, 4)))  # frames that stand for one
        return every // few * few + few // 2

    @torch.no_grad()
    def _set_length(self) -> None:
        """Scale the last projection so that frames' features have the recipe's length."""
        some = torch.from_numpy(self.films.maps[:AT_ONCE]).float()
        length = self.model.eval().frames(some).norm(dim=-1).mean()
        for parameter in self.model.clip.visual.attnpool.c_proj.parameters():
            parameter.mul_(self.recipe.feature_length / length)

    def _text_tower(self) -> nn.Module:
        """Return everything of the CLIP but its image tower, as one list of parameters."""
        named = self.model.clip.named_parameters()
        return nn.ParameterList([value for key, value in named if not key.startswith("visual.")])


def widened(table: CompactEmbedding, wanted: Int[Tensor, " wanted"]) -> CompactEmbedding:
    """Return a token table with rows for `wanted` too; new rows start at random, as long as the known ones."""
    old = table.token_ids.long()
    new = wanted[~torch.isin(wanted, old)]
    found = CompactEmbedding(torch.cat([old, new]), table.weight.shape[1])
    with torch.no_grad():
        found.weight.normal_(std=float(table.weight.std()))
        found.weight[: len(old)] = table.weight[:-1]
        found.weight[-1] = table.weight[-1]
    return found
