"""`python -m core list`; `python -m core SYSTEM INPUT... [--labels "a,b"] [--weights NAME] [--json] [--out FOLDER]`.

The same functions as the app's. Bad input gets one sentence and exit code 2; the other inputs are still answered.
"""

import argparse
import importlib
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from core import registry
from core.prompts import TEMPLATES

COMMANDS: dict[str, str] = {  # system: the module of core.commands that answers for it
    "clip": "clip",
    "lseg": "lseg",
    "groupvit": "groupvit",
    "sam": "sam",
    "plain_clip": "lseg",
    "vild": "vild",
    "glip": "glip",
    "clip4clip": "clip4clip",
    "moments": "moments",
    "actionclip": "actionclip",
    "pointclip": "pointclip",
    "depthclip": "depthclip",
    "clipasso": "clipasso",
    "clipdraw": "clipdraw",
}


def main() -> None:
    """Run one command."""
    arguments = _parser().parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if arguments.system == "list":
        _list(arguments.json)
        return
    started = time.perf_counter()
    command = importlib.import_module(f"core.commands.{COMMANDS[arguments.system]}")
    found: list[dict[str, Any]] = []
    failed: list[tuple[str, str]] = []
    try:
        if not arguments.inputs:
            raise ValueError("Give at least one file, folder or zip file.")
        for result in command.answers(arguments, failed):
            found.append(result)
            if not arguments.json:
                print("\n".join(command.lines(result)))
    except ValueError as error:
        sys.exit(_complain(str(error)))
    for name, reason in failed:
        _complain(f"{name}: {reason}")
    if arguments.out:
        command.write(arguments.out, found)
    if arguments.json:
        reasons = [{"input": name, "reason": reason} for name, reason in failed]
        seconds = round(time.perf_counter() - started, 3)
        answer = {"system": arguments.system, "results": found, "failed": reasons, "seconds": seconds}
        print(json.dumps(answer, ensure_ascii=False))
    if failed:
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description=__doc__.splitlines()[0])
    parser.add_argument("system", choices=("list", *registry.names()))
    parser.add_argument("inputs", nargs="*", help="files, folders or zip files")
    parser.add_argument("--labels", default="", help='labels, for example "dog, cat, car"')
    parser.add_argument("--sentence", default="", help="a sentence whose noun phrases get boxes (glip)")
    parser.add_argument("--weights", help="name, hf-hub: name or file (default: the embedded weights)")
    parser.add_argument("--templates", choices=TEMPLATES, default="one template", help="prompts around each label")
    parser.add_argument("--up", choices=("y", "z"), default="y", help="the axis of 3D files that points upwards")
    parser.add_argument("--download", action="store_true", help="allow the weights to be downloaded")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--out", type=Path, help="folder for files of the results")
    return parser


def _list(as_json: bool) -> None:
    rows = []
    for system in registry.SYSTEMS:
        for name in registry.weights_names(system.name):
            weights = registry.weights_card(system.name, name)
            row = {"system": system.name, "task": system.task, "weights": name}
            rows.append(row | {"here": weights.available, "about": weights.describe()})
    if as_json:
        print(json.dumps({"systems": rows}))
        return
    for row in rows:
        print(f"{row['system']:8} {row['task']:10} {'here    ' if row['here'] else 'on the hub'}  {row['about']}")


def _complain(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
