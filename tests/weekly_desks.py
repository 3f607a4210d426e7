"""What a weekly job's process can meet when it opens its desk; callables that another process can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import NoReturn

from core.errors import ModelError
from core.jobs._desk import Desk

__all__ = ["fails", "is_killed", "takes_long", "tells"]


def fails() -> Desk:
    raise ModelError("nothing can be learned today")


def is_killed() -> Desk:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def takes_long(seconds: float, began: Path) -> Desk:
    """Say who works, and work for a while."""
    began.write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(seconds)
    raise ModelError("done")


def tells(into: Path) -> NoReturn:
    """Write down who and how urgent the process is."""
    with into.open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {os.nice(0)}\n")
    raise ModelError("told")
