"""A piece of work in a process of its own, at low priority.

The law: however that process ends, there is a report; who is cancelled ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from core.errors import TraderError
from core.jobs import _workers
from core.jobs._desk import Report

__all__ = ["elsewhere"]

Task = TypeVar("Task")

_NICENESS = 15  # of 19: whoever does the minute's work comes first


async def elsewhere(work: Callable[[Task], Report], task: Task, name: str, timeout_s: float | None = None) -> Report:
    """Do one piece of work in a process of its own; cancelled, end that process.

    Parameters
    ----------
    work : callable
        One that another process can import.
    task : object
        What it is given; can be pickled.
    name : str
        The job's, for a report on a process that left none.
    timeout_s : float, optional
        Seconds after which it is ended; it may take as long as it likes where not given.
    """
    context = multiprocessing.get_context("spawn")
    answer, door = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work, task, name, door), daemon=True)
    try:
        process.start()
    except OSError as error:
        answer.close()
        return Report(name, ok=False, problems=(f"its process could not be started ({error.strerror or error})",))
    finally:
        door.close()
    try:
        return await asyncio.to_thread(_received, answer, name, timeout_s)
    finally:
        process.terminate()
        process.join()
        answer.close()


def _received(answer: Connection, name: str, timeout_s: float | None) -> Report:
    try:
        if not answer.poll(timeout_s):
            why = f"its process was ended after {timeout_s:.0f} s without an answer; nothing was changed by halves"
            return Report(name, ok=False, problems=(why,))
        report: Report = answer.recv()
    except (EOFError, OSError):
        why = "its process ended before its work was done (killed, or out of memory?); nothing was changed by halves"
        return Report(name, ok=False, problems=(why,))
    return report


def _work(work: Callable[[Task], Report], task: Task, name: str, door: Connection) -> None:
    """Do the work, in the other process, and hand in the report."""
    _workers.begin_process()
    with contextlib.suppress(AttributeError, OSError):  # Windows has no such thing; a container may forbid it
        os.nice(_NICENESS)
    try:
        report = work(task)
    except TraderError as error:
        report = Report(name, ok=False, problems=(str(error),), exit_code=error.exit_code)
    except Exception as error:  # noqa: BLE001  process boundary: shown without secrets, which multiprocessing would not
        sys.excepthook(type(error), error, error.__traceback__)
        raise SystemExit(1) from None
    door.send(report)
