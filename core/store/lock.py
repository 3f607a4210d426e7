"""The lock of a database: whoever holds it is its one scheduler.

The law: it is the operating system's, so it ends with the process that holds it, however that ends.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["is_held", "lock_path"]


def lock_path(database: Path) -> Path:
    """Return where the lock of a database lies.

    Examples
    --------
    >>> lock_path(Path("data/ohlcv.db")).name
    'ohlcv.db.lock'
    """
    return database.with_name(f"{database.name}.lock")


def is_held(database: Path) -> bool:
    """Say whether a scheduler holds the lock of a database.

    Notes
    -----
    To look is to hold it for a moment, for which a scheduler that starts waits.
    """
    from filelock import FileLock, Timeout  # loads slowly, and most of those who may ask need not

    lock = lock_path(database)
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
