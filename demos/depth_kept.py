"""What the depth tab asks and keeps: words and distances as they were typed, the answer, its files and its code."""

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.results import DepthAnswer, DepthMap

SYSTEM = "depthclip"
LEAST_WORDS, MOST_WORDS = 2, 32
LONGEST_WORD = 40  # named in a complaint
NEAREST_METRES, FARTHEST_METRES = 0.01, 1000.0
MOST_PIXELS = 1024  # longest side of a picture here: more is shrunk, because the network sees fewer
BREAKS = r"[,;\n，；、]"
FIELD_OF_VIEW_DEGREES = 60.0
CLOUD_SIDE = 400  # points along the longer side of the downloaded cloud
MILLIMETRES, MOST_MILLIMETRES = 1000, 65535

Scene = tuple[np.ndarray, DepthMap]  # a Toybox picture and its true depth


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """The answer on show, with what it was asked and, for a Toybox scene, the truth."""

    picture: np.ndarray  # (H, W, 3) uint8, as it was asked about
    answer: DepthAnswer
    template: str
    variant: str
    flip: bool  # whether the mirror image was asked too
    weights: str
    truth: DepthMap | None

    def settings(self, model: Any) -> Any:
        """Return what was asked, for the model to be asked again."""
        return replace(
            model.defaults,
            words=self.answer.words,
            bins_metres=self.answer.bins_metres,
            template=self.template,
            temperature=self.answer.temperature,
            variant=self.variant,
            flip=self.flip,
        )


def needed(kept: Kept | None) -> Kept:
    """Return the answer on show; ValueError where there is none."""
    if kept is None:
        raise ValueError("Estimate a picture's depth first.")
    return kept


def split_words(text: str) -> tuple[str, ...]:
    """Return the words about distance, in their order; ValueError for too few or too many."""
    words = tuple(" ".join(part.split()) for part in re.split(BREAKS, text) if part.strip())
    if not LEAST_WORDS <= len(words) <= MOST_WORDS:
        raise ValueError(f"Write from {LEAST_WORDS} to {MOST_WORDS} words about distance; these are {len(words)}.")
    return words


def split_bins(text: str) -> tuple[float, ...]:
    """Return the distances in metres; ValueError for what is not one."""
    parts = [part.strip() for part in re.split(BREAKS, text) if part.strip()]
    return tuple(_metres(part) for part in parts)


def check_counts(words: tuple[str, ...], bins_metres: tuple[float, ...]) -> None:
    """Raise ValueError unless there is a distance for each word."""
    if len(words) != len(bins_metres):
        raise ValueError(
            f"Give a distance for each word: there are {len(words)} words and {len(bins_metres)} distances."
        )


def true_bins(scene: Scene | None, words: str, language: str) -> str:
    """Return distances at which the true depths of the scene fall into equal parts, one for each word."""
    if scene is None:
        raise ValueError("Draw a Toybox scene first: only of those the true depth is known.")
    count = len(split_words(words))
    known = scene[1].metres[np.isfinite(scene[1].metres)]
    return ", ".join(f"{metres:.2f}" for metres in np.quantile(known, (np.arange(count) + 0.5) / count))


def shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a picture of at most MOST_PIXELS on its longer side."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((MOST_PIXELS, MOST_PIXELS))
    return np.asarray(image)


def write_files(kept: Kept | None, language: str) -> list[str]:
    """Write the depth as 16-bit PNG, NPY and PLY, and return the paths."""
    import trimesh

    kept = needed(kept)
    folder, metres = Path(tempfile.mkdtemp(prefix="depth-")), kept.answer.depth.metres
    paths = [folder / name for name in ("depth-millimetres.png", "depth-metres.npy", "depth-cloud.ply")]
    millimetres = np.clip(np.rint(metres * MILLIMETRES), 0, MOST_MILLIMETRES)
    Image.fromarray(millimetres.astype(np.uint16)).save(paths[0])
    np.save(paths[1], metres)
    points, colors = pinhole_points(kept)
    trimesh.PointCloud(points, colors).export(paths[2])
    return [str(path) for path in paths]


def pinhole_points(kept: Kept) -> tuple[np.ndarray, np.ndarray]:
    """Return points in metres, x right, y up, the camera looking along -z, and their colours; both (P, 3)."""
    metres = kept.answer.depth.metres
    height, width = metres.shape
    step = max(1, -(-max(height, width) // CLOUD_SIDE))
    focal_pixels = width / 2 / np.tan(np.radians(FIELD_OF_VIEW_DEGREES) / 2)
    rows, columns = np.mgrid[0:height:step, 0:width:step]
    z = metres[rows, columns]
    points = np.stack(
        [(columns + 0.5 - width / 2) / focal_pixels * z, -(rows + 0.5 - height / 2) / focal_pixels * z, -z], axis=-1
    )
    return points.reshape(-1, 3).astype(np.float32), kept.picture[rows, columns].reshape(-1, 3)


def as_python(kept: Kept | None) -> str:
    """Return the lines of Python that give the same numbers as the tab."""
    if kept is None:
        return ""
    asked = kept.answer
    return (
        "from dataclasses import replace\n\nimport numpy as np\nfrom PIL import Image\n\n"
        "from core import media, registry\n\n"
        f"model = registry.load({SYSTEM!r}, {kept.weights!r})\n"
        "settings = replace(\n    model.defaults,\n"
        f"    words={asked.words!r},\n    bins_metres={asked.bins_metres!r},\n"
        f"    template={kept.template!r},\n    temperature={asked.temperature!r},\n    variant={kept.variant!r},\n"
        f"    flip={kept.flip!r},\n)\n"
        'picture = Image.fromarray(media.read_image("picture.jpg"))  # your file\n'
        f"picture.thumbnail(({MOST_PIXELS}, {MOST_PIXELS}))\n"
        "metres = model.estimate(np.asarray(picture), settings).depth.metres\n"
        'print(f"{metres.min():.3f} {np.median(metres):.3f} {metres.max():.3f}")  # nearest, median, farthest\n'
    )


def _metres(text: str) -> float:
    least, most, shown = f"{NEAREST_METRES:g}", f"{FARTHEST_METRES:g}", text[:LONGEST_WORD]
    wrong = ValueError(f"Each distance is a number of metres from {least} to {most}; this one is not: {shown}")
    try:
        metres = float(text)
    except ValueError:
        raise wrong from None
    if not NEAREST_METRES <= metres <= FARTHEST_METRES:
        raise wrong
    return metres
