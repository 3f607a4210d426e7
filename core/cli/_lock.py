"""One scheduler a database.

The law: the lock is the operating system's, so it ends with the process that holds it however that ends; the file with
the pid beside it is only what a second one is told.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from core.errors import AlreadyRunning, DiskError
from core.store.lock import lock_path

__all__ = ["only_one"]

_LOOKED_AT_S = 0.2  # who asks whether it is held holds it for less
_LOOKS, _PAUSE_S = 10, 0.05  # the first one writes its pid a moment after it has the lock


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold the database's lock, so that one scheduler at a time writes it.

    Parameters
    ----------
    path : Path
        The database.

    Raises
    ------
    AlreadyRunning
        Another process holds it; its pid is named.
    DiskError
        The lock or the pid cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pid_file = path.with_name(path.name + ".pid")
    lock = FileLock(lock_path(path), timeout=_LOOKED_AT_S)
    try:
        lock.acquire()
    except Timeout as error:
        raise AlreadyRunning(
            f"{path}: another scheduler (pid {_holder(pid_file)}) is running on this database; end it first"
        ) from error
    try:
        try:
            pid_file.write_text(str(os.getpid()), encoding="ascii")
        except OSError as error:
            raise DiskError(f"{pid_file}: cannot be written ({error.strerror}); free some space there") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # one that stays is overwritten by the next
                pid_file.unlink()
    finally:
        lock.release()


def _holder(pid_file: Path) -> str:
    """Return the pid of who holds the lock, as far as can be told: one that was killed has left its own behind."""
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_S)
        try:
            told = pid_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        if told.isdecimal() and _may_run(int(told)):
            return told
    return "unknown"


def _may_run(pid: int) -> bool:
    """Say whether a process may exist; where the system does not tell, it may."""
    if os.name == "nt":
        return True  # signal 0 would end it there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    return True
