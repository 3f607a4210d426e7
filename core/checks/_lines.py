"""What a diagnosis says: one line a thing looked at.

The law: a line says what was seen, and how to mend it wherever it is not as it should be; looking never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from core.errors import TraderError

__all__ = ["Level", "Line", "looked", "ok", "wrong"]

Level = Literal["ok", "warn", "FAIL"]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at.

    Parameters
    ----------
    level : str
        ``ok``; ``warn``, it works but not as well as it should; ``FAIL``, something does not work.
    name : str
        What was looked at.
    seen : str
        What was seen.
    mend : str
        What to do about it; ``""`` where nothing is to be done.
    """

    level: Level
    name: str
    seen: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.level:<4}  {self.name}: {self.seen}" + (f"  -> {self.mend}" if self.mend else "")


def ok(name: str, seen: str) -> Line:
    """Return a line on what is as it should be."""
    return Line("ok", name, seen)


def wrong(is_wrong: bool, level: Level, name: str, seen: str, mend: str) -> Line:
    """Return a line of a level with how to mend it, or that all is well."""
    return Line(level, name, seen, mend) if is_wrong else Line("ok", name, seen)


def looked(name: str, look: Callable[[], Iterable[Line]]) -> list[Line]:
    """Return the lines of one look; what keeps it from being taken is a line of its own.

    Parameters
    ----------
    name : str
        Of the thing, for that line.
    look : callable
        Returns or yields lines.
    """
    found: list[Line] = []
    try:
        found.extend(look())
    except TraderError as error:
        seen, _, mend = str(error).rpartition("; ")
        found.append(Line("FAIL", name, seen or mend, mend if seen else "see the line itself"))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        found.append(Line("FAIL", name, f"{where}{error.strerror or error}", "check permissions and the disk"))
    return found
