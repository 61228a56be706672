"""A COCO file with boxes and outlines, drawn so small that a test reads it at once."""

import json

import numpy as np
from PIL import Image

CLASSES = {3: "red_square", 7: "blue square"}
COLORS = {3: (230, 40, 40), 7: (40, 40, 230)}


def coco_folder(folder, pictures=12, size=(96, 64)):
    """Write pictures of one square each, a COCO file beside them, and return the file."""
    rng = np.random.default_rng(0)
    images, notes = [], []
    for number in range(pictures):
        kind = (3, 7)[number % 2]
        x, y, side = int(rng.integers(4, 50)), int(rng.integers(4, 30)), int(rng.integers(16, 30))
        rgb = np.full((size[1], size[0], 3), 200, np.uint8)
        rgb[y : y + side, x : x + side] = COLORS[kind]
        Image.fromarray(rgb).save(folder / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]})
        outline = [[x, y, x + side, y, x + side, y + side, x, y + side]]
        notes.append({"image_id": number, "category_id": kind, "bbox": [x, y, side, side], "segmentation": outline})
    content = {
        "images": images,
        "annotations": notes,
        "categories": [{"id": key, "name": name} for key, name in CLASSES.items()],
    }
    path = folder / "notes.json"
    path.write_text(json.dumps(content))
    return path
