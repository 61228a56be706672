"""CLIPDraw: a sentence becomes strokes in colour, with no picture to draw after.

Paper: Frans et al. 2021, CLIPDraw: Exploring Text-to-Drawing Synthesis through Language-Image Encoders,
https://arxiv.org/abs/2106.14843. Numbers from kvfrans/clipdraw's notebook and predict.py, written anew from facts about
them. A path is one to three cubic segments end to end; points, widths and colours are moved by an Adam each.

Different from it: the network's normalisation is on (the notebook forgot it, predict.py has it); a path's segments are
strokes of their own, so that a half transparent path is darker where they meet; a network whose input is smaller than
the canvas is shown the strokes drawn at its own size; several seeds are drawn as one batch with shared random views.

Legend: B seeds, J paths, N strokes (segments) of all paths, Q control points of all paths, V views, S the input's side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from core.backbones.clip import ClipBackbone, open_clip_backbone
from core.checkpoints import Weights
from core.device import Device
from core.results import Strokes
from core.sketch.augment import CLIPDRAW_VIEWS, draw_views, show
from core.sketch.losses import features_of
from core.sketch.rasterizer import draw_color
from core.sketch.run import Run, Schedule, Terms

MOST_PATHS, MOST_SEEDS = 512, 8
CANVAS_PIXELS = 224  # the notebook's canvas_width
STEP = 0.1  # of the canvas: width of a step from one control point to the next (the notebook's radius)
LEAST_WIDTH, MOST_WIDTH = 2.0, 100.0  # 1 and 50 in the notebook, which counts half widths
NEGATIVES = ("A badly drawn sketch.", "Many ugly, messy drawings.")  # the notebook's; off by default
NEGATIVE_WEIGHT = 0.3
SLOWER_AT = ((0.5, 0.4), (0.75, 0.1))  # shares of the run from which the points' learning rate is this factor of it


@dataclass(frozen=True, kw_only=True)
class ClipDrawSettings:
    """How a sentence is drawn; the defaults are the paper's setting."""

    paths: int = 256
    segments: tuple[int, int] = (1, 3)  # least and most cubic segments of a path
    iterations: int = 1000
    seeds: int = 1
    first_seed: int = 0
    augmentations: int = 4  # random views a step; 0 looks at the drawing itself instead
    width: float = LEAST_WIDTH  # of a stroke at the start, all of it, in pixels of the canvas
    points_rate: float = 1.0
    widths_rate: float = 0.2  # 0.1 for half a width
    colors_rate: float = 0.01
    negative_weight: float = NEGATIVE_WEIGHT
    evaluate_every: int = 10

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("strokes", self.paths, 1, MOST_PATHS),
            ("seeds", self.seeds, 1, MOST_SEEDS),
            ("random views", self.augmentations, 0, 64),
            ("pixels of width", self.width, LEAST_WIDTH, MOST_WIDTH),
        ):
            if not low <= value <= high:
                raise ValueError(f"wanted {low} to {high} {name}, got {value}")
        if not 1 <= self.segments[0] <= self.segments[1] <= 8:
            raise ValueError(f"wanted 1 to 8 segments a path, least first, got {self.segments}")
        self.schedule  # noqa: B018 checks the other numbers

    @property
    def schedule(self) -> Schedule:
        """How long it draws."""
        return Schedule(iterations=self.iterations, evaluate_every=self.evaluate_every)


PAPER = ClipDrawSettings()
CPU = ClipDrawSettings(  # for networks that see 64 pixels: one of theirs is 3.5 of the canvas
    paths=24, iterations=100, width=10.0, points_rate=3.5, widths_rate=0.5, colors_rate=0.03
)
PRESETS: dict[str, ClipDrawSettings] = {"paper": PAPER, "CPU": CPU}


def open_clipdraw(weights: Weights, device: Device, files: Mapping[str, Path]) -> "ClipDraw":
    """Open CLIPDraw on any CLIP for the registry."""
    return ClipDraw(open_clip_backbone(weights, device, files), weights)


class ClipDraw:
    """Any CLIP, asked to draw a sentence."""

    def __init__(self, backbone: ClipBackbone, weights: Weights) -> None:
        """Wrap an opened CLIP; `weights` says where it came from."""
        self.backbone = backbone
        self.weights, self.licence = weights.name, weights.licence
        self.device_name, self.device_reason = backbone.device.name, backbone.device.reason
        self.presets, self.negatives = PRESETS, NEGATIVES
        self.defaults = CPU

    def start(self, text: str, settings: ClipDrawSettings | None = None, *, negatives: Sequence[str] = ()) -> Run:
        """Return a run that has drawn nothing yet; its sketches are the seeds. ValueError for an empty text."""
        settings, wanted = settings or self.defaults, " ".join(text.split())
        if not wanted:
            raise ValueError("Write what is to be drawn.")
        unwanted = [cleaned for each in negatives if (cleaned := " ".join(each.split()))]
        encoded = self.backbone.encode_texts([wanted, *unwanted])
        return Run(TextDrawing(self.backbone, encoded[:1], encoded[1:], settings), settings.schedule, keep_best=False)

    def unseen_words(self, text: str) -> tuple[str, ...]:
        """Return the words that training never showed this CLIP."""
        return self.backbone.unseen_words([text])


class TextDrawing:
    """B drawings of one sentence."""

    def __init__(
        self,
        backbone: ClipBackbone,
        wanted: Float[Tensor, "1 D"],
        unwanted: Float[Tensor, "M D"],
        settings: ClipDrawSettings,
    ) -> None:
        """Throw the strokes on the paper."""
        self.backbone, self.settings = backbone, settings
        self.where = backbone.device.torch_device()
        self.wanted, self.unwanted = wanted.to(self.where), unwanted.to(self.where)
        rng = np.random.default_rng(settings.first_seed)
        low, high = settings.segments
        lengths = rng.integers(low, high + 1, settings.paths)  # the same for every seed, so that they form a batch
        self.corners, self.owner = (torch.from_numpy(each).to(self.where) for each in strokes_of(lengths))
        seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
        drawn = [_scatter(lengths, np.random.default_rng((seed, 1))) for seed in seeds]
        self.points, self.colors = (
            torch.from_numpy(np.stack(each).astype(np.float32)).to(self.where).requires_grad_()
            for each in zip(*drawn, strict=True)
        )  # (B, Q, 2), (B, J, 4)
        self.widths = self.points.new_full(self.colors.shape[:2], settings.width).requires_grad_()  # (B, J)
        self.optimizers = [
            torch.optim.Adam([parameter], lr=rate)
            for parameter, rate in (
                (self.points, settings.points_rate),
                (self.widths, settings.widths_rate),
                (self.colors, settings.colors_rate),
            )
        ]
        self.generator = torch.Generator().manual_seed(settings.first_seed)

    def learn(self, iteration: int) -> Float[np.ndarray, " B"]:
        """Take one step of the three optimisers and return each drawing's loss before it."""
        settings, size = self.settings, self.backbone.preprocess.size
        self.optimizers[0].param_groups[0]["lr"] = settings.points_rate * slower(iteration / settings.iterations)
        pictures = self._drawn()
        if settings.augmentations:
            maps = draw_views(settings.augmentations, size, CLIPDRAW_VIEWS, self.generator)
            pictures = show(pictures, maps, fill=CLIPDRAW_VIEWS.fill)
        losses = torch.stack(list(self._terms(pictures).values())).sum(0).reshape(len(self.points), -1).sum(1)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        losses.sum().backward()
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            self.widths.clamp_(LEAST_WIDTH, MOST_WIDTH)
            self.colors.clamp_(0, 1)
        return losses.detach().cpu().numpy()

    def measure(self) -> Terms:
        """Return minus the cosine with the text, and the weighted cosines with the negative ones, without views."""
        with torch.no_grad():
            return {name: term.cpu().numpy() for name, term in self._terms(self._drawn()).items()}

    def strokes(self) -> tuple[Strokes, ...]:
        """Return the drawings on the canvas, a stroke for each segment."""
        owner = self.owner.cpu().numpy()
        points, widths, colors = (
            each.detach().cpu().numpy() for each in (self.points[:, self.corners], self.widths, self.colors)
        )
        size_hw = (CANVAS_PIXELS, CANVAS_PIXELS)
        return tuple(
            Strokes(points=p, widths=w[owner], colors=c[owner], size_hw=size_hw)
            for p, w, c in zip(points, widths, colors, strict=True)
        )

    def _drawn(self) -> Float[Tensor, "B 3 S S"]:
        size = self.backbone.preprocess.size
        scale = size / CANVAS_PIXELS
        points, widths = self.points[:, self.corners] * scale, self.widths[:, self.owner] * scale
        return draw_color(points, widths, self.colors[:, self.owner], (size, size))

    def _terms(self, pictures: Float[Tensor, "V 3 S S"]) -> dict[str, Float[Tensor, " V"]]:
        wanted = self.backbone.preprocess
        mean, std = (pictures.new_tensor(each)[:, None, None] for each in (wanted.mean, wanted.std))
        seen = normalize(features_of(self.backbone.model, (pictures - mean) / std, maps=False).pooled, dim=-1)
        terms = {"text": -(seen @ self.wanted.T)[:, 0]}
        if len(self.unwanted):
            terms["negatives"] = self.settings.negative_weight * (seen @ self.unwanted.T).sum(1)
        return terms


def strokes_of(lengths: Int[np.ndarray, " J"]) -> tuple[Int[np.ndarray, "N 4"], Int[np.ndarray, " N"]]:
    """Return the four control points of each segment, by their places among all paths' points, and each one's path.

    A path of n segments has 3 n + 1 points; neighbouring segments share one.
    """
    first = np.concatenate([[0], np.cumsum(3 * lengths + 1)[:-1]])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return (first[owner] + 3 * within)[:, None] + np.arange(4), owner


def slower(share: float) -> float:
    """Return the factor on the points' learning rate when this share of the run is behind."""
    return next((factor for start, factor in reversed(SLOWER_AT) if share >= start), 1.0)


def _scatter(
    lengths: Int[np.ndarray, " J"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "Q 2"], Float[np.ndarray, "J 4"]]:
    """Begin each path anywhere, walk on in small steps, and colour it at random."""
    paths = []
    for length in lengths:
        steps = STEP * (rng.random((3 * length, 2)) - 0.5)
        paths.append(np.concatenate([rng.random((1, 2)), steps]).cumsum(0))
    return CANVAS_PIXELS * np.concatenate(paths), rng.random((len(lengths), 4))
