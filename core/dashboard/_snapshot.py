"""A database at one moment: what answers are kept under.

The law: two snapshots are equal only while neither the file nor its log has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Snapshot", "snapshot_of"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A database at one moment: what answers are kept under.

    Parameters
    ----------
    path : str
        The file.
    stamp : tuple of int
        Differs whenever the content does.
    """

    path: str
    stamp: tuple[int, ...]


def snapshot_of(path: Path) -> Snapshot:
    """Return the database as it is now, by size and time of change of the file and of its log."""
    found: list[int] = []
    for part in (path, path.with_name(path.name + "-wal")):
        try:
            status = part.stat()
        except FileNotFoundError:
            found += [0, 0]
        else:
            found += [status.st_mtime_ns, status.st_size]
    return Snapshot(str(path), tuple(found))
