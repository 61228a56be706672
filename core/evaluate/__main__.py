"""The command line that measures: `python -m core.evaluate SYSTEM [--weights NAME] [--seed N] [--size N] [--json]`."""

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from core import registry

EVALUATIONS: dict[str, tuple[str, int]] = {  # name: module:function, and how many pictures or clouds a figure takes
    "clip": ("core.evaluate.clip:evaluate_clip", 1000),
    "lseg": ("core.evaluate.lseg:evaluate_lseg", 200),
    "groupvit": ("core.evaluate.groupvit:evaluate_groupvit", 200),
    "sam": ("core.evaluate.sam:evaluate_sam", 120),
    "vild": ("core.evaluate.vild:evaluate_vild", 200),
    "glip": ("core.evaluate.glip:evaluate_glip", 200),
    "clip4clip": ("core.evaluate.clip4clip:evaluate_clip4clip", 200),
    "actionclip": ("core.evaluate.actionclip:evaluate_actionclip", 240),
    "pointclip": ("core.evaluate.pointclip:evaluate_pointclip", 960),
    "depthclip": ("core.evaluate.depthclip:evaluate_depthclip", 100),
    "clipasso": ("core.evaluate.clipasso:evaluate_clipasso", 72),
    "train_preset": ("core.evaluate.train_preset:evaluate_train_preset", 1000),
    "finetune": ("core.evaluate.finetune:evaluate_finetune", 500),
}


def main() -> None:
    """Measure one system and print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m core.evaluate", description="Measure a system on pictures nobody trained on."
    )
    parser.add_argument("system", choices=EVALUATIONS)
    parser.add_argument("--weights", help="name, hf-hub: name or file (default: the embedded weights)")
    parser.add_argument("--seed", type=int, default=0, help="of the Toybox pictures or clouds (default: 0)")
    parser.add_argument("--size", type=int, help="pictures or clouds a figure (default: the system's own)")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, for train_preset (default: 3)")
    parser.add_argument("--photos", type=Path, help="folder or zip with CLASS/picture files, or test/CLASS/...")
    parser.add_argument("--card", action="store_true", help="write the figures into the weights' own card")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    where, size = EVALUATIONS[arguments.system]
    arguments.size = arguments.size or size
    module, function = where.split(":")
    started = time.perf_counter()
    try:
        found = getattr(importlib.import_module(module), function)(arguments)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    found["seconds"] = round(time.perf_counter() - started, 1)
    if arguments.card:
        write_card(arguments.system, arguments.weights, found)
    if arguments.json:
        print(json.dumps(found))
        return
    for key, value in found.items():
        print(f"{key:24} {value:.4f}" if isinstance(value, float) else f"{key:24} {value}")


def write_card(system: str, name: str | None, figures: dict[str, Any]) -> None:
    """Put the figures into the card of the weights that they measure; ValueError where there is none.

    What a system trained on top of a CLIP has its own card beside the CLIP's: NAME-SYSTEM.json.
    """
    weights = registry.weights_card(system, name)
    if weights.path is None:
        raise ValueError(f"{weights.name} has no card to write into.")
    own = weights.path.with_suffix(".json")
    path = own if weights.system == system else own.with_name(f"{own.stem}-{system}.json")
    if not path.exists():
        raise ValueError(f"{weights.name} has no card to write into.")
    card = json.loads(path.read_text())
    card["metrics"] = figures
    path.write_text(json.dumps(card, indent=1) + "\n")


if __name__ == "__main__":
    main()
