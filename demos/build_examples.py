"""Draw the example pictures and compute their answers: `python -m demos.build_examples`."""

import json
from typing import Any

from PIL import Image

from core import registry
from core.media import read_image
from core.prompts import TEMPLATES
from core.world.looks import view_as
from core.world.picture import picture
from demos.examples import ANSWERS, FOLDER, TEMPLATE_SET

PIXELS = 320
# file, Toybox seed, number of things, look, labels
CHOSEN: tuple[tuple[str, int, int | None, str, str], ...] = (
    ("car.jpg", 12, 1, "photo", "car, truck, airplane, boat, house"),
    ("colors.jpg", 3, 1, "photo", "orange dumbbell, red dumbbell, orange chair, blue dumbbell, purple ring"),
    ("scene.jpg", 0, None, "photo", "snowman, cone, tree, dog, ball"),
    ("drawing.jpg", 5, 1, "line drawing", "dog, bird, chair, table, person"),
    ("points.jpg", 21, 1, "point cloud", "airplane, car, mug, lamp, bed"),
    ("shape.jpg", 8, 1, "silhouette", "bottle, lamp, hammer, rocket, tree"),
)


def answers() -> dict[str, Any]:
    """Return the embedded model's answers to the example pictures as they lie in the folder."""
    model = registry.load("clip")
    rows = []
    for name, *_, labels in CHOSEN:
        asked = tuple(label.strip() for label in labels.split(","))
        ranking = model.rank(read_image(FOLDER / name), asked, templates=TEMPLATES[TEMPLATE_SET])
        cosines = [round(float(cosine), 5) for cosine in ranking.cosines]
        rows.append({"file": name, "labels": asked, "cosines": cosines, "logit_scale": ranking.logit_scale})
    return {"weights": model.weights, "licence": model.licence, "templates": TEMPLATE_SET, "answers": rows}


def main() -> None:
    """Write the pictures, then their answers."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, seed, count, look, _ in CHOSEN:
        Image.fromarray(view_as(picture(seed, PIXELS, count=count), look)).save(FOLDER / name, quality=90)
    ANSWERS.write_text(json.dumps(answers(), indent=1) + "\n")


if __name__ == "__main__":
    main()
