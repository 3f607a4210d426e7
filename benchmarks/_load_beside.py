"""What works beside the live engine on the same database: retro scans of plans nobody has filled in yet, and training.

The law: they are the commands a person would type, in a process of low priority, one after the other until ended.
"""

from __future__ import annotations

import contextlib
import os
import sys
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks._soak_stage import rewritten
from core.cli import main

__all__ = ["serve"]

NICENESS = 15  # as the weekly jobs have


def serve(config: str, what: str, door: Connection) -> None:
    """Run a command again and again; say each time how it ended.

    Parameters
    ----------
    config : str
        The live engine's configuration.
    what : str
        ``retro-scan`` or ``train-meta``.
    door : Connection
    """
    with contextlib.suppress(AttributeError, OSError):  # Windows has no such thing
        os.nice(NICENESS)
    live = Path(config)
    said = (live.parent / f"{what}.out").open("w", encoding="utf-8", buffering=1)
    sys.stdout = sys.stderr = said
    own = live.with_name(f"{what}.yaml")
    commands = {
        "retro-scan": ["retro-scan", "--config", str(own)],
        "train-meta": ["train-meta", "--config", str(live)],
    }
    code, number = 0, 0
    while not code:  # it failed, or was told to end
        number += 1
        own.write_text(live.read_text(encoding="utf-8"), encoding="utf-8")
        rewritten(own, partial(_fresh, number))
        code = main(commands[what])
        door.send(code)


def _fresh(number: int, plain: dict[str, Any]) -> None:
    """Change a parameter a little: another plan, of which nothing is on record."""
    plain["signals"]["fibo"]["min_leg_atr"] = 3.0 + number / 1_000
