"""Back-ups that are there: their names, their times, and which of them are kept.

The law: only files that bear a back-up's name are ever taken for one, or removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.durable import sync_folder

__all__ = ["Backup", "drop", "is_ours", "listed", "name_of", "spare"]

_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Backup:
    """A back-up that is there.

    Parameters
    ----------
    path : pathlib.Path
        The copy of the database; the archive beside it has the same name and ends in ``.zip``.
    taken_ms : int
        When, from its name.
    bytes : int
        Of both.
    """

    path: Path
    taken_ms: int
    bytes: int

    @property
    def archive(self) -> Path:
        """The models and the configuration of that time."""
        return self.path.with_suffix(".zip")


def name_of(database: Path, taken_ms: int) -> str:
    """Return the name of a back-up.

    Examples
    --------
    >>> name_of(Path("data/ohlcv.db"), 1_700_000_000_000)
    'ohlcv-20231114T221320Z.db'
    """
    return f"{database.stem}-{datetime.fromtimestamp(taken_ms / 1000, tz=UTC).strftime(_STAMP)}{database.suffix}"


def listed(folder: Path, database: Path) -> list[Backup]:
    """Return the back-ups of a database in a folder, oldest first."""
    found = []
    for path in folder.glob(f"{database.stem}-*") if folder.is_dir() else ():
        taken_ms = _taken_ms(path.name, database.stem, database.suffix)
        if taken_ms is not None and path.is_file():
            archive = path.with_suffix(".zip")
            size = path.stat().st_size + (archive.stat().st_size if archive.is_file() else 0)
            found.append(Backup(path, taken_ms, size))
    return sorted(found, key=lambda backup: backup.taken_ms)


def spare(taken_ms: Iterable[int], daily: int, weekly: int) -> list[int]:
    """Return which back-ups are not kept, oldest first.

    Kept are the newest of each of the last `daily` days and of each of the last `weekly` weeks that have one.

    Parameters
    ----------
    taken_ms : iterable of int
        When each was taken.
    daily, weekly : int

    Examples
    --------
    >>> day = 86_400_000
    >>> spare([day, day + 1, 2 * day], daily=2, weekly=0)
    [86400000]
    """
    newest_first = sorted(set(taken_ms), reverse=True)
    days: dict[object, int] = {}
    weeks: dict[object, int] = {}
    for moment_ms in newest_first:
        moment = datetime.fromtimestamp(moment_ms / 1000, tz=UTC)
        days.setdefault(moment.date(), moment_ms)
        weeks.setdefault(moment.isocalendar()[:2], moment_ms)
    kept = {*list(days.values())[:daily], *list(weeks.values())[:weekly]}
    return [moment_ms for moment_ms in reversed(newest_first) if moment_ms not in kept]


def is_ours(name: str, database: Path) -> bool:
    """Say whether a name is one that `take` gives."""
    return any(_taken_ms(name, database.stem, suffix) is not None for suffix in (database.suffix, ".zip"))


def _taken_ms(name: str, stem: str, suffix: str) -> int | None:
    """Return when the back-up of a name was taken; None where `take` gives no such name."""
    match = re.fullmatch(rf"{re.escape(stem)}-((?:19[7-9]|20\d)\d{{5}}T\d{{6}}Z){re.escape(suffix)}", name)
    if match is None:
        return None
    try:
        taken = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)
    except ValueError:  # digits that are no date
        return None
    return round(taken.timestamp() * 1000)


def drop(backups: Iterable[Backup], folder: Path) -> None:
    """Remove back-ups, the copy first: an archive without one is no back-up."""
    for backup in backups:
        backup.path.unlink(missing_ok=True)
        backup.archive.unlink(missing_ok=True)
    sync_folder(folder)
