"""A process that holds one side of a comparison: builds it once, then runs a round each time it is told to.

The law: what a round returns is plain numbers, and only the side itself knows which part of a round is timed.
Usage: python -m benchmarks._worker MODULE:FUNCTION ARGUMENTS-AS-JSON
"""

from __future__ import annotations

import importlib
import json
import sys

from benchmarks._measure import Round


def main(name: str, given: str) -> int:
    """Serve rounds until standard input ends."""
    module, function = name.split(":")
    side: Round = getattr(importlib.import_module(module), function)(**json.loads(given))
    answers, sys.stdout = sys.stdout, sys.stderr  # what a side prints must not pass for an answer
    for _ in sys.stdin:
        print(json.dumps(side()), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
