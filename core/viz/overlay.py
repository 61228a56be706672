"""Things laid over a picture: heat, frames, painted words. The picture given is never written to.

Legend: H height, W width.
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from core.results import HeatMap
from core.viz.palette import MARK, rgb, sequential


def heat(
    picture: UInt8[np.ndarray, "H W 3"], heat_map: HeatMap, *, opacity: float = 0.65
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay a heat map over the picture in grey; brightest where the map is highest, values below 0 count as 0.

    Raises ValueError when map and picture differ in size.
    """
    values = np.clip(heat_map.values, 0, None)
    if values.shape != picture.shape[:2]:
        raise ValueError(f"wanted a map of {picture.shape[:2]}, got {values.shape}")
    share = values / max(float(values.max()), 1e-12)
    grey = picture.mean(2, keepdims=True).repeat(3, axis=2)
    mixed = (1 - opacity) * grey + opacity * sequential(share)
    return np.clip(mixed, 0, 255).astype(np.uint8)


def frame(
    picture: UInt8[np.ndarray, "H W 3"], box_xyxy: tuple[float, float, float, float]
) -> UInt8[np.ndarray, "H W 3"]:
    """Darken what lies outside a box and draw its border."""
    x0, y0, x1, y1 = (round(edge) for edge in box_xyxy)
    out = (picture * 0.35).astype(np.uint8)
    out[y0:y1, x0:x1] = picture[y0:y1, x0:x1]
    image = Image.fromarray(out)
    width = max(2, min(picture.shape[:2]) // 100)
    ImageDraw.Draw(image).rectangle((x0, y0, x1 - 1, y1 - 1), outline=rgb(MARK), width=width)
    return np.asarray(image)


def paint_word(picture: UInt8[np.ndarray, "H W 3"], word: str) -> UInt8[np.ndarray, "H W 3"]:
    """Stick a white label with a word across the middle of the picture."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    height, width = picture.shape[:2]
    font = ImageFont.load_default(size=max(8, height // 5))
    left, top, right, bottom = draw.textbbox((0, 0), word, font=font)
    scale = min(1.0, 0.8 * width / max(1, right - left))
    font = ImageFont.load_default(size=max(8, scale * height / 5))
    left, top, right, bottom = draw.textbbox((width / 2, height / 2), word, font=font, anchor="mm")
    edge = max(2, height // 40)
    draw.rectangle((left - edge, top - edge, right + edge, bottom + edge), fill="white", outline="black")
    draw.text((width / 2, height / 2), word, fill="black", font=font, anchor="mm")
    return np.asarray(image)


def enlarged(picture: UInt8[np.ndarray, "H W 3"], pixels: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """Repeat a small picture's pixels until its shorter side has about so many; each stays a square."""
    times = max(1, pixels // min(picture.shape[:2]))
    return picture.repeat(times, 0).repeat(times, 1)


def beside(picture: UInt8[np.ndarray, "H W 3"], *, widths: int = 3) -> UInt8[np.ndarray, "H W2 3"]:
    """Put the picture at the left end of a grey canvas this many times as wide, so that a centre crop loses it."""
    height, width = picture.shape[:2]
    canvas = np.full((height, widths * max(width, height), 3), 128, np.uint8)
    canvas[:, :width] = picture
    return canvas
