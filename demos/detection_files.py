"""What leaves the detection tab: COCO JSON, CSV and YOLO's lines, and the lines of Python that find the same boxes."""

import json
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from core.results import Boxes
from core.viz import box_files
from demos.detection_kept import CROPS, FREE_HEADS, Kept, Masked, needed
from demos.detection_show import MOST_BOXES, Look, shown_boxes
from demos.segmentation_kept import MOST_PIXELS

FILES = ("coco.json", "boxes.csv", "picture.txt", "classes.txt")
PICTURE = "picture.png"


def write_files(
    language: str,
    kept: Kept | None,
    masked: Masked | None,
    least: float,
    overlap: float,
    weight: float,
    *own: float,
) -> list[str]:
    """Write the boxes on show as COCO JSON, with their masks where they have some, CSV and YOLO's two files."""
    kept = needed(kept)
    boxes = shown_boxes(kept, Look(least=least, overlap=overlap, weight=weight, own=own))
    labels = kept.labels
    coco = box_files.coco(boxes, labels, PICTURE, _all_masks(boxes, masked))
    texts = (
        json.dumps(coco, ensure_ascii=False, indent=1),
        box_files.table(boxes),
        box_files.yolo(boxes, labels),
        "".join(f"{label}\n" for label in labels),
    )
    folder = Path(tempfile.mkdtemp(prefix="boxes-"))
    for name, text in zip(FILES, texts, strict=True):
        (folder / name).write_text(text, encoding="utf-8")
    return [str(folder / name) for name in FILES]


def as_python(kept: Kept | None, least: float, overlap: float, weight: float, *own: float) -> str:
    """Return the lines of Python that find the boxes on show."""
    if kept is None:
        return ""
    asked, labels = kept.asked, kept.labels
    limits = Look(least=least, overlap=overlap, weight=weight, own=own).limits(len(labels))
    one = limits[0] if len(set(limits)) == 1 else limits
    return (
        "import numpy as np\nfrom PIL import Image\n\nfrom core import media, registry\n\n"
        f"model = registry.load({asked.system!r}, {asked.weights!r})\n"
        f'picture = Image.fromarray(media.read_image("{PICTURE}"))  # your file\n'
        f"picture.thumbnail(({MOST_PIXELS}, {MOST_PIXELS}))\npicture = np.asarray(picture)\n"
        + _asking(kept, weight)
        + f"boxes = found.boxes(threshold={one!r}, overlap={overlap!r}, most={MOST_BOXES})\n"
        "for label, score, box in zip(boxes.labels, boxes.scores, boxes.boxes_xyxy):\n"
        '    print(f"{label} {score:.4f}", *(f"{edge:.1f}" for edge in box))\n'
    )


def _asking(kept: Kept, weight: float) -> str:
    if kept.spans:
        return f"found = model.ground(picture, {kept.asked.text.strip()!r}).candidates\n"
    words = f"words = {kept.labels!r}\n"
    if kept.parts is None:
        return words + "found = model.detect(picture, words)\n"
    heads = tuple(head for head in (*FREE_HEADS, CROPS) if head in kept.parts.scores)
    return (
        words
        + f"parts = model.parts(picture, words, heads={heads!r})\n"
        + f"found = parts.candidates({kept.head!r}, {weight!r})\n"
    )


def _all_masks(boxes: Boxes, masked: Masked | None) -> Bool[np.ndarray, "N H W"] | None:
    """Return a mask for each box, empty where none was made; None where none has one."""
    if masked is None:
        return None
    places, masks = masked.of(boxes)
    found = np.zeros((len(boxes.labels), *boxes.size_hw), bool)
    found[places] = masks
    return found
