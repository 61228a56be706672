"""Stands in for `python -m core.train` where a queue is tested: counts steps, and ends as PRETEND says.

It keeps the protocol: log.jsonl, status.json, state.pt, weights at the end, SIGTERM saves and ends with code 0.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

STEPS = 5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--data")
    parser.add_argument("--weights")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    asked_to_end = []
    signal.signal(signal.SIGTERM, lambda *_: asked_to_end.append(True))
    way = os.environ.get("PRETEND", "")
    state = asked.out / "state.pt"
    step = int(state.read_text()) if asked.resume and state.exists() else 0
    most = 10**9 if way == "forever" and not asked.resume else STEPS

    def status(name: str, sentence: str = "") -> None:
        values = {"state": name, "sentence": sentence, "pid": os.getpid(), "step": step, "steps": STEPS}
        (asked.out / "status.part").write_text(json.dumps(values))
        os.replace(asked.out / "status.part", asked.out / "status.json")

    print("token" if "SUITE_TRAIN_TOKEN" in os.environ else "no token", flush=True)
    if way == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        asked_to_end, most = [], 10**9
    while step < most and not asked_to_end:
        step += 1
        with (asked.out / "log.jsonl").open("a") as log:
            line = {"step": step, "seconds": step, "loss": 1 / step, "learning_rate": 1e-3, "progress": step / STEPS}
            log.write(json.dumps(line) + "\n")
        state.write_text(str(step))
        status("running")
        if way == "fails" and step == 2:
            status("failed", "The loss became nan at step 2.")
            print("The loss became nan at step 2.", file=sys.stderr)
            sys.exit(2)
        if way == "killed" and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if way == "mute" and step == 2:
            sys.exit(3)
        time.sleep(0.05)
    if asked_to_end:
        status("stopped", "Stopped at its owner's wish.")
        return
    (asked.out / "tiny.safetensors").write_bytes(b"weights")
    status("finished")


if __name__ == "__main__":
    main()
