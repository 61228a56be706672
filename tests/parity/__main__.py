"""`python -m tests.parity FOLDER`: print each golden value's largest relative error; exit 1 above a tolerance."""

import importlib
import sys
from pathlib import Path

from tests.parity.compare import cases


def main(folder: Path) -> int:
    """Compare with one folder of goldens and return the exit code."""
    system, found = cases(folder)
    lines = [line for case in found for line in importlib.import_module(f"tests.parity.{system}").run(case)]
    for line in lines:
        print(f"{'ok  ' if line.good else 'FAIL'} {line.error:9.2e}  {line.name}")
    failed = sum(not line.good for line in lines)
    print(f"{system}: {len(lines) - failed} of {len(lines)} golden values agree")
    return 1 if failed or not lines else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.parity FOLDER")
    sys.exit(main(Path(sys.argv[1])))
