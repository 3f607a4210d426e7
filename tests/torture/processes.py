"""Processes that may die: forked from a parent that has imported everything and opened nothing.

The law: a fork costs some milliseconds where a new interpreter costs seconds, so that hundreds of deaths fit into a
minute; the parent holds no database open while it forks.
"""

from __future__ import annotations

import os
import signal
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ended", "forked", "wait"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended: its exit code or the signal that killed it, and what it said of an unforeseen error."""

    code: int
    signal: int = 0
    said: str = ""


def forked(work: Callable[[], int], trace: Path) -> int:
    """Do something in a child process; return its pid. An error nobody has named ends up in the file `trace`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forking beside BLAS threads
        pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        trace.unlink(missing_ok=True)
        code = work()
    except BaseException:  # noqa: BLE001 the child's outermost boundary: told to the parent, which judges it
        trace.write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(code)


def wait(pid: int, trace: Path, timeout_s: float = 120.0, meanwhile: Callable[[], None] = lambda: None) -> Ended:
    """Wait for a child's end; one that hangs is killed and told apart by the code 124."""
    until = time.monotonic() + timeout_s
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return Ended(124, said=f"it did not end within {timeout_s:.0f} s")
        meanwhile()
        time.sleep(0.002)
    if os.WIFSIGNALED(status):
        return Ended(0, os.WTERMSIG(status))
    lines = trace.read_text(encoding="utf-8").splitlines() if trace.exists() else []
    places = [line.strip() for line in lines if line.lstrip().startswith("File ")]
    return Ended(os.WEXITSTATUS(status), said=" | ".join((*places[-2:], lines[-1])) if lines else "")
