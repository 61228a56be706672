"""Where a sketch should begin: CLIP's attention times the picture's edges, as a distribution over pixels.

Paper: Vinker et al. 2022, CLIPasso, SIGGRAPH, Sec. 3.2, https://arxiv.org/abs/2202.05822. The numbers are those of
yael-vinker/CLIPasso at 92262f7, models/painter_params.py, written anew from facts about it. XDoG: Winnemoeller et al.
2012, Computers and Graphics 36. Otsu 1979, IEEE SMC 9, with bin centres and `>=`, because the plateau of XDoG's dark
side lies just below its threshold and flips as a whole under the other convention.

Different from it: a picture without edges falls back on attention alone instead of dividing by zero, and a CLIP without
attention over patches (a ResNet) tells its own relevance: LayerCAM (Jiang et al. 2021) of its embedding's length.

Legend: A layers, M heads, P tokens (class token first), g side of the patch grid, H W the canvas, n samples.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from core.backbones.clip import OPENAI_MEAN, OPENAI_STD, ClipBackbone
from core.backbones.clip_model import is_plain_vit

TEMPERATURE = 0.3  # Sec. 3.2 of the code's defaults (config.py, softmax_temp)
LUMA = (0.2125, 0.7154, 0.0721)  # of scikit-image's rgb2gray
SIGMA, SIGMA_RATIO, GAMMA, PHI, EPSILON = 0.8, 10.0, 0.98, 200.0, -0.1  # painter_params.py, XDoG_
OTSU_BINS = 256
WALK = 0.05  # of the canvas: width of a step from one control point to the next (painter_params.py, get_path)
LEAST_GRID = 7  # a side that a ResNet's relevance needs, as ViT-B/32 has


@dataclass(frozen=True, kw_only=True, eq=False)
class Xdog:
    """An extended difference of Gaussians, step by step."""

    gray: np.ndarray  # (H, W) float32, of the picture as CLIP's normalisation leaves it
    fine: np.ndarray  # (H, W) float32, blurred with SIGMA
    coarse: np.ndarray  # (H, W) float32, blurred with SIGMA * SIGMA_RATIO
    soft: np.ndarray  # (H, W) float32, 0 to 1
    threshold: float  # Otsu's
    edges: np.ndarray  # (H, W) bool; in effect a mask of dark regions rather than of thin lines


def class_attention(visual: VisionTransformer, inputs: Float[Tensor, "1 3 S S"]) -> Float[Tensor, "A M P P"]:
    """Return the softmaxed attention of every layer and head of a ViT."""
    attentions = []
    with torch.inference_mode():
        x = visual._embeds(inputs)  # (1, P, width)
        for block in visual.transformer.resblocks:
            normed = block.ln_1(x)
            mixed, weights = block.attn(normed, normed, normed, need_weights=True, average_attn_weights=False)
            attentions.append(weights[0])
            x = x + block.ls_1(mixed)
            x = x + block.ls_2(block.mlp(block.ln_2(x)))
    return torch.stack(attentions)


def attention_grid(attention: Float[Tensor, "A M P P"]) -> Float[Tensor, "g g"]:
    """Average how much the class token attends to each patch, over heads and layers."""
    rows = attention.mean(1)[:, 0, 1:]  # (A, P - 1)
    side = round(rows.shape[1] ** 0.5)
    return rows.mean(0).reshape(side, side)


def stretched(grid: Float[Tensor, "g g"], size_hw: tuple[int, int]) -> Float[np.ndarray, "H W"]:
    """Stretch a grid bicubically over the canvas, then let it span 0 to 1."""
    large = F.interpolate(grid[None, None].float(), size=size_hw, mode="bicubic", align_corners=False)
    return spanned(large[0, 0].cpu().numpy())


def spanned(values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Shift and scale values to 0 to 1; all ones where they are all the same."""
    low, high = values.min(), values.max()
    if high <= low:
        return np.ones_like(values)
    return (values - low) / (high - low)


def clip_saliency(backbone: ClipBackbone, picture: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
    """Return how much a CLIP looks at each pixel of a square picture, 0 to 1: attention, or a ResNet's relevance."""
    inputs = backbone.preprocess(picture)[None].to(backbone.device.torch_device())
    visual = backbone.model.visual
    if is_plain_vit(visual):
        grid = attention_grid(class_attention(visual, inputs))
    elif isinstance(visual, ModifiedResNet):
        grid = resnet_relevance(visual, inputs)
    else:
        raise ValueError("wanted a CLIP ResNet or ViT to look for saliency, got another architecture")
    return stretched(grid, picture.shape[:2])


def resnet_relevance(visual: ModifiedResNet, inputs: Float[Tensor, "1 3 S S"]) -> Float[Tensor, "g g"]:
    """Weigh each place and channel of the deepest fine stage by its gradient on the embedding's length."""
    with torch.enable_grad():
        features, stages = visual.stem(inputs), [visual.layer1, visual.layer2, visual.layer3, visual.layer4]
        while stages and (deeper := stages[0](features)).shape[-1] >= LEAST_GRID:
            features, stages = deeper, stages[1:]
        features = features.detach().requires_grad_()
        length = visual.attnpool(nn.Sequential(*stages)(features)).norm()
        (gradient,) = torch.autograd.grad(length, features)
    return (gradient.clamp(min=0) * features.detach()).sum(1)[0]


def xdog(picture: UInt8[np.ndarray, "H W 3"]) -> Xdog:
    """Find the dark sides of a picture's edges."""
    normalised = (picture.astype(np.float32) / 255 - np.float32(OPENAI_MEAN)) / np.float32(OPENAI_STD)
    gray = normalised @ np.float32(LUMA)
    fine, coarse = gaussian_filter(gray, SIGMA), gaussian_filter(gray, SIGMA * SIGMA_RATIO)  # reflecting borders
    difference = fine - GAMMA * coarse
    soft = spanned(np.where(difference < EPSILON, 1.0, 1.0 + np.tanh(PHI * difference)).astype(np.float32))
    threshold = otsu(soft)
    return Xdog(gray=gray, fine=fine, coarse=coarse, soft=soft, threshold=threshold, edges=soft < threshold)


def otsu(values: Float[np.ndarray, "H W"]) -> float:
    """Return the bin centre that splits the values into two classes furthest apart."""
    if values.min() == values.max():
        return float(values.min())
    counts, ends = np.histogram(values, OTSU_BINS)
    centres = (ends[:-1] + ends[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centres) / below
    mean_above = (np.cumsum((counts * centres)[::-1]) / np.cumsum(counts[::-1]))[::-1]
    between = below[:-1] * above[1:].astype(np.float64) * (mean_below[:-1] - mean_above[1:]) ** 2
    return float(centres[int(between.argmax())])


def start_chances(
    saliency: Float[np.ndarray, "H W"], edges: Bool[np.ndarray, "H W"] | None, temperature: float = TEMPERATURE
) -> Float[np.ndarray, "H W"]:
    """Return the chance that a stroke begins at each pixel: a softmax over what is salient and, if given, an edge.

    Values lie in 0 to 1, so a temperature of 0.3 favours the best pixel over the worst only 28 times (e^(1/0.3)): which
    pixels are edges decides more. The chances sum to 1.
    """
    if not temperature > 0:
        raise ValueError(f"wanted a temperature above 0, got {temperature}")
    values = spanned(saliency)
    if edges is not None and (values * edges > 0).any():
        values = values * edges
    heights = np.where(values > 0, values / np.float32(temperature), -np.inf).astype(np.float32)
    chances = np.exp(heights - heights.max())
    return chances / chances.sum()


def sample_starts(
    chances: Float[np.ndarray, "H W"], count: int, rng: np.random.Generator | np.random.RandomState
) -> Int[np.ndarray, "n 2"]:
    """Draw pixels without replacement, row and column each; more than there are chances for are drawn anew."""
    possible = int((chances > 0).sum())
    flat = chances.ravel()
    if possible >= count:
        drawn = rng.choice(flat.size, size=count, replace=False, p=flat)
    else:
        drawn = rng.choice(flat.size, size=count, replace=True, p=flat)
    return np.stack(np.unravel_index(drawn, chances.shape), axis=1)


def walk(
    starts_xy: Float[np.ndarray, "n 2"], draws: Float[np.ndarray, "n 3 2"], canvas: int, step: float = WALK
) -> Float[np.ndarray, "n 4 2"]:
    """Turn starts (in shares of the canvas) and uniform draws into strokes: each point a small step from the last."""
    steps = step * (np.asarray(draws, np.float64) - 0.5)
    points = np.concatenate([starts_xy[:, None], steps], axis=1).cumsum(1)  # (n, 4, 2)
    return (points * canvas).astype(np.float32)
