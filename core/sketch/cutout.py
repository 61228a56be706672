"""The object alone on white paper, because strokes that go into a background are missing from the object.

Papers: Vinker et al. 2022, CLIPasso, Sec. 3.4 (which cuts out with U2-Net), https://arxiv.org/abs/2202.05822; Rother et
al. 2004, GrabCut, SIGGRAPH, https://doi.org/10.1145/1186562.1015720. Different from the first: no network of its own.
Where CLIP looks says what is surely object and what is surely not, and GrabCut finds the border between; a mask from
elsewhere (a segmenter's, or one painted by hand) takes their place.

Legend: H W the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

WHITE_LEVEL, WHITE_SHARE = 250, 0.98  # a border this bright, in this share, is paper already
SURE, LIKELY = 0.95, 0.7  # quantiles of saliency from which a pixel is surely, and probably, the object
MIDDLE = 0.3  # of the side: the object is looked for around the middle, this far in the sense of a Gaussian
EDGE_SHARE = 0.02  # of the side: a frame that is taken for background
ROUNDS = 5  # of GrabCut
SPREAD = 0.06  # of the side: how far saliency is blurred, because its grid is coarse
LEAST_OBJECT, MOST_OBJECT = 0.002, 0.9  # share of the picture; outside it the cut has failed


@dataclass(frozen=True, kw_only=True, eq=False)
class CutOut:
    """A picture on white, and which of its pixels were kept."""

    picture: np.ndarray  # (H, W, 3) uint8
    mask: np.ndarray  # (H, W) bool
    how: str  # 'given', 'paper' (it was on white already), 'grabcut', or 'failed' (nothing was cut)


def on_white(picture: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "_ _"]) -> UInt8[np.ndarray, "H W 3"]:
    """Return the picture with white wherever the mask is not."""
    if mask.shape != picture.shape[:2]:
        raise ValueError(f"wanted a mask of the picture's size {picture.shape[:2]}, got {mask.shape}")
    return np.where(mask[..., None], picture, np.uint8(255))


def cut_out(
    picture: UInt8[np.ndarray, "H W 3"],
    saliency: Float[np.ndarray, "H W"],
    mask: Bool[np.ndarray, "_ _"] | None = None,
) -> CutOut:
    """Put the object on white: by the mask where there is one, else by GrabCut from where CLIP looks."""
    if mask is not None:
        return CutOut(picture=on_white(picture, mask), mask=mask.astype(bool), how="given")
    if is_on_paper(picture):
        return CutOut(picture=picture, mask=(picture < WHITE_LEVEL).any(2), how="paper")
    found = grab_cut(picture, saliency)
    share = float(found.mean())
    if not LEAST_OBJECT <= share <= MOST_OBJECT:
        return CutOut(picture=picture, mask=np.ones(picture.shape[:2], bool), how="failed")
    return CutOut(picture=on_white(picture, found), mask=found, how="grabcut")


def is_on_paper(picture: UInt8[np.ndarray, "H W 3"]) -> bool:
    """Say whether nearly all of the picture's border is white."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    return float((border >= WHITE_LEVEL).all(1).mean()) >= WHITE_SHARE


def grab_cut(picture: UInt8[np.ndarray, "H W 3"], saliency: Float[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Return the object's pixels: GrabCut, told that the most salient pixels are it and that the frame is not."""
    height, width = picture.shape[:2]
    seen = cv2.GaussianBlur(saliency.astype(np.float32), (0, 0), max(1.0, SPREAD * min(height, width)))
    rows, columns = np.linspace(-0.5, 0.5, height), np.linspace(-0.5, 0.5, width)
    seen = seen * np.exp(-(rows[:, None] ** 2 + columns**2) / (2 * MIDDLE**2))
    labels = np.where(seen >= np.quantile(seen, LIKELY), cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[seen >= np.quantile(seen, SURE)] = cv2.GC_FGD
    frame = max(1, round(EDGE_SHARE * min(height, width)))
    labels[:frame], labels[-frame:], labels[:, :frame], labels[:, -frame:] = (cv2.GC_BGD,) * 4
    if not (labels == cv2.GC_FGD).any() or not saliency.any():
        return np.zeros((height, width), bool)
    bgr, models = np.ascontiguousarray(picture[..., ::-1]), [np.zeros((1, 65)), np.zeros((1, 65))]
    cv2.setRNGSeed(0)  # its mixtures begin at random: the same picture gives the same cut
    cv2.grabCut(bgr, labels, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    inside = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return _largest(inside)


def _largest(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Return the largest connected part, without holes."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return mask
    part = (parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(part, outlines, -1, 1, cv2.FILLED).astype(bool)
