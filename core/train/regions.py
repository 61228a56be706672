"""Regions of a picture that its pixels alone propose, and the squares around them that a CLIP is shown.

Colours that the picture's border does not lead to (the boundary prior of Wei et al. 2012, Geodesic Saliency Using
Background Priors, ECCV), tidied by GrabCut (Rother et al. 2004, ACM TOG 23(3)). No true mask is asked for: on Toybox
scenes about one place in eight of things is missed, and things that touch are one region.

Legend: B pictures, H W their sides, h places along a side of a map, R regions, D embedding size.
"""

import cv2
import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from core.backbones.clip import ClipBackbone
from core.train.augment import normalise
from core.train.lseg_data import cut

BORDER = 0.12  # of half a side: pixels that are ground or sky for all we know
FARTHER = 7.0  # from the border's colour than this, in units of a and b of Lab, is something else
ROUNDS = 6  # of fitting the border's colour
LEAST_PIXELS = 20
MAX_REGIONS = 4  # in a picture
MARGIN = 1.2  # side of a region's square over the region's own; measured: CLIP names Toybox things best with this
Regions = list[tuple[int, Bool[np.ndarray, "h h"]]]  # picture and places


def foreground(rgb: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
    """Return the pixels that do not look like what the picture's border leads to; shadows do."""
    far = _from_border(rgb) > FARTHER
    if far.sum() < LEAST_PIXELS:
        return far
    marks = np.where(far, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[:2] = marks[-2:] = marks[:, :2] = marks[:, -2:] = cv2.GC_BGD
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    lab[..., 0] //= 2  # a shadow differs in this alone
    cv2.setRNGSeed(0)
    cv2.grabCut(lab, marks, None, np.zeros((1, 65)), np.zeros((1, 65)), 1, cv2.GC_INIT_WITH_MASK)
    return (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)


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
def spoken_for(clip: ClipBackbone, regions: Regions, pictures: UInt8[Tensor, "B H W 3"]) -> Float[Tensor, "R D"]:
    """Return a CLIP's unit vector for the square around each region, in the order of the regions."""
    owners = torch.tensor([index for index, _ in regions])
    theta = torch.stack([square(mask) for _, mask in regions])
    crops = cut(pictures[owners], theta, clip.preprocess.size)
    return F.normalize(clip.model.encode_image(normalise(crops)), dim=-1)


def _from_border(rgb: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
    """Return how far each pixel's a and b of Lab are from a smooth surface through the border's, fitted robustly."""
    height, width = rgb.shape[:2]
    smooth = cv2.GaussianBlur(rgb, (0, 0), 0.7).astype(np.float32) / 255
    colours = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)[..., 1:].reshape(-1, 2)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].reshape(2, -1)
    surface = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y, y**3], -1)
    prior = (np.minimum(1 - abs(x), 1 - abs(y)) < BORDER) + 0.05
    weights = prior
    for _ in range(ROUNDS):
        bent = np.linalg.lstsq(surface * weights[:, None], colours * weights[:, None], rcond=None)[0]
        distances = np.linalg.norm(colours - surface @ bent, axis=1)
        weights = prior / (1 + (distances / 3) ** 2)
    return distances.reshape(height, width)
