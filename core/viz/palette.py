"""The one place for colours: Okabe and Ito's palette, safe for colour-blind eyes.

Source: Okabe and Ito 2008, https://jfly.uni-koeln.de/color.

Legend: H height, W width.
"""

import numpy as np
from jaxtyping import Float

OKABE_ITO: tuple[str, ...] = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#999999",
)
MARK = "#D55E00"  # frames and the diagonal of a matrix
# dark to bright, readable as grey; the stops of cividis (Nunez et al. 2018)
SEQUENTIAL: tuple[str, ...] = ("#00224E", "#35456C", "#666970", "#948E77", "#C8B866", "#FEE838")


def color_of(index: int) -> str:
    """Return the colour of a label by its index in the user's list, as #rrggbb; the palette repeats."""
    return OKABE_ITO[index % len(OKABE_ITO)]


def rgb(color: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of a colour written #rrggbb."""
    if len(color) != 7 or not color.startswith("#"):
        raise ValueError(f"wanted a colour as #rrggbb, got {color!r}")
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def sequential(share: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 3"]:
    """Return the sequential scale's red, green and blue, 0 to 255, for values from 0 (dark) to 1 (bright)."""
    stops = np.array([rgb(color) for color in SEQUENTIAL], np.float32)
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(share, places, stops[:, channel]) for channel in range(3)], axis=-1)
