"""Who has a database open, as far as the operating system tells: on Linux, for processes it lets us see.

The law: a name is given only where the system itself names the process; an empty answer means "cannot be told".
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Holder", "connected", "reading"]

_LOCKS = Path("/proc/locks")
# Bytes of the -shm file, see "WAL-Index Locks" in SQLite's description of its file format: eight locks from 120 on,
# the last five held by readers; and one that every connection holds for as long as it is open.
_READ_FIRST, _READ_LAST = 123, 127
_ALL_FIRST, _ALL_LAST = 120, 128


@dataclass(frozen=True, slots=True)
class Holder:
    """A process: its number, and what it is called."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name})"


def reading(path: Path) -> list[Holder]:
    """Return the other processes that have a question open on a database, by number."""
    return _holders(path, _READ_FIRST, _READ_LAST)


def connected(path: Path) -> list[Holder]:
    """Return the other processes that have a database open, by number."""
    return _holders(path, _ALL_FIRST, _ALL_LAST)


def _holders(path: Path, first: int, last: int) -> list[Holder]:
    try:
        index = path.with_name(f"{path.name}-shm").stat()
        lines = _LOCKS.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):  # another system, or nobody has it open
        return []
    here = f"{os.major(index.st_dev):02x}:{os.minor(index.st_dev):02x}:{index.st_ino}"
    pids = {pid for line in lines if (pid := _pid_of(line.split(), here, first, last)) not in (0, os.getpid())}
    return [Holder(pid, _name(pid)) for pid in sorted(pids)]


def _pid_of(words: list[str], file: str, first: int, last: int) -> int:
    """Return who holds a lock on these bytes, from a line such as ``1: POSIX ADVISORY READ 812 08:01:77 124 124``."""
    if len(words) != 8 or words[1] != "POSIX" or words[5] != file or not words[4].isdigit():
        return 0
    ends = last if words[7] == "EOF" else int(words[7])
    return int(words[4]) if int(words[6]) <= last and ends >= first else 0


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip() or "unnamed"
    except OSError:
        return "unnamed"
