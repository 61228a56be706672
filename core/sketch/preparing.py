"""What happens to a picture before its first stroke: cut out, made square, looked at, and sown with starts.

Paper: Vinker et al. 2022, CLIPasso, SIGGRAPH, Sec. 3.2 and 3.4, https://arxiv.org/abs/2202.05822. Different from it: a
picture that is not square gets white margins where it is not stretched as released, a blank one is refused, and every
seed has a generator of its own.

Legend: S side of the canvas, N strokes.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from core.backbones.clip import ClipBackbone
from core.sketch.cutout import CutOut, cut_out
from core.sketch.saliency import clip_saliency, sample_starts, start_chances, walk, xdog
from core.sketch.settings import ClipassoSettings

CANVAS_PIXELS = 224  # config.py, image_scale
BLANK_LEVELS = 3  # a picture whose brightness varies less has nothing to draw


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """What is known about a picture before the first stroke moves; everything at the canvas' size (S, S)."""

    picture: np.ndarray  # (S, S, 3) uint8: what is drawn after
    cut: CutOut | None
    saliency: np.ndarray  # (S, S) float32, 0 to 1
    edges: np.ndarray  # (S, S) bool
    chances: np.ndarray  # (S, S) float32, of a stroke beginning there; sums to 1
    starts: tuple[np.ndarray, ...]  # for each seed (N, 4, 2) float32, x and y in pixels
    remarks: tuple[str, ...] = ()


def prepare(
    attention: ClipBackbone,
    image: UInt8[np.ndarray, "H W 3"],
    settings: ClipassoSettings,
    mask: Bool[np.ndarray, "_ _"] | None = None,
) -> Prepared:
    """Cut out, make square, look for saliency and edges and draw the starts; ValueError for a blank picture.

    A mask of the picture's size, where there is one, is used even if `settings.cut_out` is off.
    """
    _refuse_blank(image)
    square = fit_square(image, stretch=settings.stretch)
    cut = None
    if mask is not None or settings.cut_out:
        saliency = clip_saliency(attention, square)
        cut = cut_out(square, saliency, None if mask is None else _fit_mask(mask, image, settings))
        square = cut.picture
        _refuse_blank(square)
    saliency = clip_saliency(attention, square)
    dog = xdog(square)
    if settings.start == "random":
        chances = np.full(saliency.shape, 1 / saliency.size, np.float32)
    else:
        chances = start_chances(saliency, dog.edges if settings.start == "saliency" else None, settings.temperature)
    seeds = range(settings.first_seed, settings.first_seed + settings.seeds)
    return Prepared(
        picture=square,
        cut=cut,
        saliency=saliency,
        edges=dog.edges,
        chances=chances,
        starts=tuple(_starts(chances, settings.strokes, np.random.default_rng(seed)) for seed in seeds),
        remarks=("The object could not be told from its background.",) if cut and cut.how == "failed" else (),
    )


def fit_square(image: UInt8[np.ndarray, "H W 3"], *, stretch: bool) -> UInt8[np.ndarray, "S S 3"]:
    """Return a picture at the canvas' size: stretched, or in the middle of a white square."""
    if not stretch:
        height, width = image.shape[:2]
        side = max(height, width)
        paper = np.full((side, side, 3), 255, np.uint8)
        top, left = (side - height) // 2, (side - width) // 2
        paper[top : top + height, left : left + width] = image
        image = paper
    resized = Image.fromarray(image).resize((CANVAS_PIXELS, CANVAS_PIXELS), Image.Resampling.BICUBIC)
    return np.array(resized)


def _fit_mask(
    mask: Bool[np.ndarray, "_ _"], image: UInt8[np.ndarray, "H W 3"], settings: ClipassoSettings
) -> Bool[np.ndarray, "S S"]:
    """Bring a mask to the canvas as the picture is brought."""
    if mask.shape != image.shape[:2]:
        raise ValueError(f"wanted a mask of the picture's size {image.shape[:2]}, got {mask.shape}")
    dark = np.repeat(np.where(mask, np.uint8(0), np.uint8(255))[..., None], 3, axis=2)
    return fit_square(dark, stretch=settings.stretch)[..., 0] < 128


def _starts(chances: Float[np.ndarray, "S S"], count: int, rng: np.random.Generator) -> Float[np.ndarray, "N 4 2"]:
    pixels = sample_starts(chances, count, rng)
    shares = pixels[:, ::-1] / np.array(chances.shape[::-1])
    return walk(shares, rng.random((count, 3, 2)), CANVAS_PIXELS)


def _refuse_blank(image: UInt8[np.ndarray, "H W 3"]) -> None:
    if int(np.ptp(image.reshape(-1, 3), axis=0).max()) < BLANK_LEVELS:
        raise ValueError("This picture is blank: there is nothing to draw.")
