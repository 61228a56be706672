"""Draw the example pictures and compute their answers: `python -m demos.build_examples`."""

import json
from dataclasses import dataclass
from typing import Any

from PIL import Image

from core import registry
from core.media import read_image
from core.prompts import TEMPLATES
from core.world.looks import view_as
from core.world.picture import picture
from demos.examples import ANSWERS, FOLDER, TEMPLATE_SET

PIXELS = 320


@dataclass(frozen=True)
class Chosen:
    """A Toybox picture to show: its seed and look, the labels asked, and which of them is true."""

    file: str
    seed: int
    look: str
    labels: str
    true: str
    count: int | None = 1
    pairs: str = "seen"


CHOSEN = (
    Chosen("car.jpg", 6, "photo", "truck, airplane, car, boat, house", "car"),
    Chosen("colors.jpg", 163, "photo", "red mug, blue bottle, green mug, blue mug", "blue mug", pairs="held-out"),
    Chosen("scene.jpg", 47, "photo", "tree, mug, bottle, boat, ball", "bottle", count=None),
    Chosen("drawing.jpg", 133, "line drawing", "bed, table, chair, hammer, person", "chair"),
    Chosen("points.jpg", 378, "point cloud", "table, chair, lamp, airplane, mug", "airplane"),
    Chosen("shape.jpg", 49, "silhouette", "bottle, ball, lamp, mug, hammer", "mug"),
)


def answers() -> dict[str, Any]:
    """Return the embedded model's answers to the example pictures as they lie in the folder."""
    model = registry.load("clip")
    rows = []
    for chosen in CHOSEN:
        asked = tuple(label.strip() for label in chosen.labels.split(","))
        ranking = model.rank(read_image(FOLDER / chosen.file), asked, templates=TEMPLATES[TEMPLATE_SET])
        cosines = [round(float(cosine), 5) for cosine in ranking.cosines]
        rows.append({"file": chosen.file, "labels": asked, "cosines": cosines, "logit_scale": ranking.logit_scale})
    return {"weights": model.weights, "licence": model.licence, "templates": TEMPLATE_SET, "answers": rows}


def main() -> None:
    """Write the pictures, then their answers."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for chosen in CHOSEN:
        view = picture(chosen.seed, PIXELS, count=chosen.count, pairs=chosen.pairs)
        Image.fromarray(view_as(view, chosen.look)).save(FOLDER / chosen.file, quality=90)
    ANSWERS.write_text(json.dumps(answers(), indent=1) + "\n")


if __name__ == "__main__":
    main()
