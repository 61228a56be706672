"""The command line that measures: `python -m core.evaluate SYSTEM [--weights NAME] [--seed N] [--size N] [--json]`."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core import registry
from core.evaluate.actionclip import evaluate_actionclip
from core.evaluate.clip import evaluate_clip
from core.evaluate.clip4clip import evaluate_clip4clip
from core.evaluate.clipasso import evaluate_clipasso
from core.evaluate.depthclip import evaluate_depthclip
from core.evaluate.groupvit import evaluate_groupvit
from core.evaluate.lseg import evaluate_lseg
from core.evaluate.pointclip import evaluate_pointclip
from core.evaluate.sam import evaluate_sam

EVALUATIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "clip": evaluate_clip,
    "lseg": evaluate_lseg,
    "groupvit": evaluate_groupvit,
    "sam": evaluate_sam,
    "clip4clip": evaluate_clip4clip,
    "actionclip": evaluate_actionclip,
    "pointclip": evaluate_pointclip,
    "depthclip": evaluate_depthclip,
    "clipasso": evaluate_clipasso,
}

SIZES = {
    "clip": 1000,
    "lseg": 200,
    "groupvit": 200,
    "sam": 120,
    "clip4clip": 200,
    "actionclip": 240,
    "pointclip": 960,
    "depthclip": 100,
    "clipasso": 72,
}


def main() -> None:
    """Measure one system and print the figures."""
    parser = argparse.ArgumentParser(
        prog="python -m core.evaluate", description="Measure a system on pictures nobody trained on."
    )
    parser.add_argument("system", choices=EVALUATIONS)
    parser.add_argument("--weights", help="name, hf-hub: name or file (default: the embedded weights)")
    parser.add_argument("--seed", type=int, default=0, help="of the Toybox pictures or clouds (default: 0)")
    parser.add_argument("--size", type=int, help=f"Toybox pictures or clouds a figure (default: {SIZES})")
    parser.add_argument("--photos", type=Path, help="folder or zip with CLASS/picture files, or test/CLASS/...")
    parser.add_argument("--card", action="store_true", help="write the figures into the weights' own card")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    arguments.size = arguments.size or SIZES[arguments.system]
    started = time.perf_counter()
    try:
        found = EVALUATIONS[arguments.system](arguments)
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
