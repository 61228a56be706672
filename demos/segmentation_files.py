"""What leaves the segmentation tab: an index PNG, COCO JSON and CSV, and the lines of Python that do the same."""

import json
import tempfile
from pathlib import Path

from core.viz import segment_files
from core.viz.segment_files import Piece
from demos.segmentation_kept import LOOKS, MOST_PIXELS, OTHER, PLAIN_PIXELS, Kept, box_of, needed, negatives

FILES = ("labels.png", "coco.json", "labels.csv")
PICTURE = "picture.png"


def write_files(kept: Kept | None, threshold: float, language: str) -> list[str]:
    """Write the answer on show as index PNG, COCO JSON and CSV, and return the paths."""
    kept = needed(kept)
    found, labels = kept.label_map(threshold), kept.asked.words
    parts = pieces(kept, threshold)
    coco = segment_files.coco(parts, labels, found.ids.shape, PICTURE)
    folder = Path(tempfile.mkdtemp(prefix="segments-"))
    png, annotations, table = (folder / name for name in FILES)
    png.write_bytes(segment_files.index_png(found))
    annotations.write_text(json.dumps(coco, ensure_ascii=False), encoding="utf-8")
    table.write_text(segment_files.table(parts, labels), encoding="utf-8")
    return [str(png), str(annotations), str(table)]


def pieces(kept: Kept, threshold: float) -> list[Piece]:
    """Return SAM's named masks with their probability each, else one mask for each word that has a pixel."""
    if kept.asked.system != "sam" or kept.answer is None:
        return segment_files.pieces_of(kept.label_map(threshold))
    winners, shares = kept.answer.winners(threshold)
    return [
        Piece(mask=mask, label=int(winner), score=float(share))
        for mask, winner, share in zip(kept.answer.masks.masks, winners, shares, strict=True)
        if winner >= 0
    ]


def as_python(kept: Kept | None, threshold: float) -> str:
    """Return the lines of Python that give the same shares as the tab."""
    if kept is None or kept.answer is None:
        return ""
    asked = kept.asked
    lines = _sam_lines(kept) if asked.system == "sam" else _word_lines(kept)
    return (
        ("from dataclasses import replace\n\n" if asked.system != "groupvit" else "")
        + "import numpy as np\nfrom PIL import Image\n\nfrom core import media, registry\n\n"
        f"words = {asked.words!r}\n"
        f"model = registry.load({asked.system!r}, {asked.models.name(asked.system)!r})\n"
        f'picture = Image.fromarray(media.read_image("{PICTURE}"))  # your file\n'
        f"picture.thumbnail(({MOST_PIXELS}, {MOST_PIXELS}))\npicture = np.asarray(picture)\n"
        + lines
        + f"labels = answer.label_map({threshold!r})\n"
        "for index, word in enumerate(words):\n"
        '    print(f"{word}: {labels.mask(index).mean():.4f}")\n'
    )


def _word_lines(kept: Kept) -> str:
    asked = kept.asked
    if asked.system == "plain_clip":
        pixels = f"max({PLAIN_PIXELS}, model.backbone.preprocess.size)"
        return f"answer = model.segment(picture, words, replace(model.defaults, pixels={pixels}))\n"
    if asked.system == "lseg":
        more = f"(*words, {OTHER!r})" if asked.rest and OTHER not in asked.words else "words"
        knobs = "".join(f", {name}={value!r}" for name, value in LOOKS[asked.look].items())
        return f"answer = model.segment(picture, {more}, replace(model.defaults{knobs}))\n"
    return "answer = model.segment(picture, words)\n"


def _sam_lines(kept: Kept) -> str:
    asked = kept.asked
    points, inside = [click[:2] for click in asked.clicks], [click[2] for click in asked.clicks]
    masks = {
        "everything": "masks = model.everything(picture)\n",
        "points": f"masks = model.points(picture, {points!r}, {inside!r}, three={len(points) == 1})\n",
        "box": f"masks = model.box(picture, {box_of(asked.clicks) if len(points) > 1 else ()!r})\n",
    }[asked.prompt]
    if asked.prompt != "everything":
        masks += "masks = masks.chosen([i for i, mask in enumerate(masks.masks) if mask.any()][:1])\n"
    return (
        f'clip = registry.load("clip", {asked.models.namer!r}).backbone\n'
        + masks
        + f"settings = replace(model.default_region, mode={asked.mode!r})\n"
        f"negatives = {negatives() if asked.rest else ()!r}\n"
        "answer = model.label(picture, masks, words, clip, settings=settings, negatives=negatives)\n"
    )
