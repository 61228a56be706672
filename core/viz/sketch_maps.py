"""What CLIPasso looks at before it draws: edges, and the places where strokes may begin and do.

Legend: S side of the canvas, N strokes.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from core.viz.palette import color_of, rgb

DOT_PIXELS = 4.0  # radius on a canvas of 224
FADED = 0.35  # of the picture below the dots


def edge_picture(edges: Bool[np.ndarray, "S S"]) -> UInt8[np.ndarray, "S S 3"]:
    """Return edges black on white."""
    return np.where(edges[..., None], np.uint8(0), np.uint8(255)).repeat(3, axis=2)


def starts_picture(
    picture: UInt8[np.ndarray, "S S 3"], starts_xy: list[Float[np.ndarray, "N 2"]]
) -> UInt8[np.ndarray, "S S 3"]:
    """Return the picture faded, with a dot where each stroke begins; each seed has its own colour."""
    faded = (255 - FADED * (255.0 - picture)).astype(np.uint8)
    image = Image.fromarray(faded)
    pen, radius = ImageDraw.Draw(image), DOT_PIXELS * picture.shape[0] / 224
    for seed, points in enumerate(starts_xy):
        for x, y in points.tolist():
            box = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(box, fill=rgb(color_of(seed)), outline=(0, 0, 0))
    return np.asarray(image)
