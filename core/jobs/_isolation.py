"""What happens to a job that fails: written down, told once, and kept from everybody else.

The law: a failure of one job ends no other, whether somebody has named it or not; only what is no `Exception` (an end
that was asked for) goes through. Whoever fails three times in a row is told of once, and once more when it is well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace

from core.clock import HOUR_MS, format_ms, monotonic_s
from core.config import Config, secrets_of
from core.errors import TraderError
from core.jobs._announce import note_rows
from core.jobs._desk import Desk, Report
from core.redact import redact

__all__ = ["TELL_AFTER", "Broken", "Failures", "guarded", "safe"]

TELL_AFTER = 3
"""Failures of a job in a row after which people are told."""

TOLD_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Broken(Report):
    """The report of a run that ended on an exception nobody has named: a mistake in the program."""


async def guarded(desk: Desk, name: str, work: Awaitable[Report], limit_s: float | None = None) -> Report:
    """Do a job's work; whatever it raises becomes its report.

    Parameters
    ----------
    desk : Desk
    name : str
        As in `job_runs`.
    work : awaitable
    limit_s : float, optional
        Seconds after which it is cancelled where it waits for somebody. Work that waits for nobody cannot be
        interrupted: that it took too long is a line of its report.

    Notes
    -----
    Transactions hold no await, so work that is cancelled has committed whole ones only; the rest is due again.
    """
    began_s = monotonic_s()
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            report = await work
    except TimeoutError as error:
        if not limit.expired():
            return _broken(desk, name, error)
        return Report(name, ok=False, problems=(f"given up after {limit_s:g} s, its limit; due again next time",))
    except TraderError as error:
        return Report(name, ok=False, problems=(str(error),), exit_code=error.exit_code)
    except Exception as error:  # noqa: BLE001 isolation: a mistake in one job must not take the others with it
        return _broken(desk, name, error)
    took_s = monotonic_s() - began_s
    if limit_s is None or took_s <= limit_s:
        return report
    return replace(report, problems=(*report.problems, f"took {took_s:.0f} s; its limit is {limit_s:g} s"))


def _broken(desk: Desk, name: str, error: Exception) -> Report:
    desk.log.error("%s: an exception nobody has named; the rest goes on", name, exc_info=error)
    told = " ".join(f"{type(error).__name__}: {error}".split())
    return Broken(name, ok=False, problems=(f"unexpected {told[:TOLD_CHARACTERS]}",))


def safe(text: str, config: Config) -> str:
    """Return a text as it may be stored: without secrets, and not longer than a page."""
    return redact(text, secrets_of(config))[: 4 * TOLD_CHARACTERS]


class Failures:
    """Counts failures in a row, by job, and tells people once.

    What was told is kept in `meta`, so that a process that is started again and again does not tell it again and
    again; and a job that comes and goes is told of at most once an hour.
    """

    def __init__(self) -> None:
        self._in_a_row: dict[str, int] = {}
        self._told_ms: dict[str, int] = {}  # since when people know that it fails; 0: they do not
        self._last_ms: dict[str, int] = {}  # when they were last told so

    @property
    def failing(self) -> tuple[str, ...]:
        """Jobs that failed at least `TELL_AFTER` times in a row, in order of name."""
        return tuple(sorted(name for name, count in self._in_a_row.items() if count >= TELL_AFTER))

    def note(self, desk: Desk, name: str, report: Report, now_ms: int) -> None:
        """Take note of how a run ended, and queue what people are to be told.

        Parameters
        ----------
        desk : Desk
        name : str
            As in `job_runs`.
        report : Report
        now_ms : int
            Market time.
        """
        count = self._in_a_row[name] = 0 if report.ok else self._in_a_row.get(name, 0) + 1
        try:
            if name not in self._told_ms:
                self._told_ms[name] = int(desk.reader.meta(_mark(name)) or 0)
            since_ms = self._told_ms[name]
            if report.ok and since_ms:
                self._tell(desk, name, 0, f"{name} works again.", f"mended:{name}:{since_ms}", now_ms)
            elif count >= TELL_AFTER and not since_ms and now_ms - self._last_ms.get(name, -HOUR_MS) >= HOUR_MS:
                why = report.problems[0] if report.problems else "no reason given"
                text = f"{name} failed {count} times in a row: {why}. The rest goes on; look at the log."
                self._last_ms[name] = now_ms
                self._tell(desk, name, now_ms, text, f"failing:{name}:{now_ms}", now_ms)
        except TraderError as error:  # told with the next run
            desk.log.warning("%s: how it fares could not be told (%s)", name, error)

    def _tell(self, desk: Desk, name: str, since_ms: int, text: str, key: str, now_ms: int) -> None:
        with desk.writer.transaction():
            desk.writer.queue(note_rows(key, safe(text, desk.config), list(desk.notifiers), now_ms))
            desk.writer.set_meta(_mark(name), str(since_ms))
        self._told_ms[name] = since_ms
        desk.log.warning("%s (%s)", text, format_ms(now_ms, desk.config.app.timezone))


def _mark(name: str) -> str:
    return f"failing:{name}"
