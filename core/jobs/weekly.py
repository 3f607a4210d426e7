"""The weekly jobs: train, calibrate, tune. Due in market time, run in a process of their own at low priority.

The law: a job that was due while nobody ran is run once, when somebody does; one that ends badly is reported and due
again a week later, with everything as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from core.clock import monotonic_s
from core.config import Config
from core.errors import TraderError
from core.jobs._desk import Desk, Report
from core.jobs._elsewhere import elsewhere

__all__ = ["JOBS", "Weekly", "due", "last_due_ms"]

JOBS = ("auto_train", "auto_calibrate", "auto_tune")
"""In the order in which they build on each other."""

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def last_due_ms(day_of_week: str, hour_utc: int, minute: int, now_ms: int) -> int:
    """Return the newest moment at or before `now_ms` at which a weekly job was due, UTC ms.

    Examples
    --------
    >>> from core.clock import format_ms, parse_time
    >>> format_ms(last_due_ms("sun", 21, 30, parse_time("2026-02-02T12:00")))
    '2026-02-01 21:30 UTC'
    """
    now = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    at = now.replace(hour=hour_utc, minute=minute, second=0, microsecond=0)
    at -= timedelta(days=(now.weekday() - _DAYS.index(day_of_week)) % 7)
    if at > now:
        at -= timedelta(days=7)
    return round(at.timestamp() * 1000)


def due(config: Config, done_ms: dict[str, int], now_ms: int) -> list[tuple[str, int]]:
    """Return the jobs that are due and since when, in the order they are to be run.

    Parameters
    ----------
    config : Config
    done_ms : dict of str to int
        By job, the moment it was last run for; a job that is not there has never been due.
    now_ms : int
        Market time.
    """
    auto = config.auto
    jobs = zip(JOBS, (auto.weekly_train, auto.weekly_calibrate, auto.weekly_tune), strict=True)
    found = []
    for name, job in jobs:
        at_ms = last_due_ms(job.day_of_week, job.hour_utc, job.minute, now_ms)
        if auto.enabled and config.models.meta.enabled and job.enable and done_ms.get(name, at_ms) < at_ms:
            found.append((name, at_ms))
    return found


Job = Callable[[Desk, int, bool], Coroutine[Any, Any, Report]]


@dataclass(frozen=True, slots=True)
class _Task:
    """What the process is given."""

    reopen: Callable[[], Desk] | None
    name: str
    now_ms: int
    live: bool


@dataclass(slots=True)
class Weekly:
    """Starts what is due, one job at a time, and says how it went."""

    _running: asyncio.Task[None] | None = field(default=None, init=False)

    async def look(self, desk: Desk, now_ms: int) -> None:
        """Start what is due. A tape waits until it is done; a live market does not.

        Parameters
        ----------
        desk : Desk
        now_ms : int
            Market time.
        """
        if desk.reopen is None or (self._running is not None and not self._running.done()):
            return
        if self._running is not None:
            ended, self._running = self._running, None
            ended.result()  # what nobody has named is told by whoever looks, once
        try:
            found = due(desk.config, _done(desk, now_ms), now_ms)
        except TraderError as error:  # the next cycle looks again
            desk.log.warning("weekly: %s", error)
            return
        if not found:
            return
        self._running = asyncio.create_task(self._run(desk, found, now_ms))
        if not desk.market.live:
            await self._running

    async def end(self) -> None:
        """Give up what runs; it is due again at the next start."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    async def _run(self, desk: Desk, jobs: list[tuple[str, int]], now_ms: int) -> None:
        for name, due_ms in jobs:
            at_ms = desk.market.now_ms() if desk.market.live else now_ms
            began_s = monotonic_s()
            report = await elsewhere(_work, _Task(desk.reopen, name, at_ms, desk.market.live), name)
            took_ms = round((monotonic_s() - began_s) * 1000)
            try:
                with desk.writer.transaction():
                    desk.writer.set_meta(_mark(name), str(due_ms))
                    status = "ok" if report.ok else "failed"
                    desk.writer.put_job_run(name, at_ms, at_ms + took_ms, status, str(report))
            except TraderError as error:  # what the job did is committed; it is only not noted that it ran
                desk.log.warning("%s: %s", name, error)
            desk.log.info("%s", report.counted())
            for line in report.problems:
                desk.log.warning("%s: %s", name, line)


def _mark(name: str) -> str:
    return f"weekly:{name}"


def _done(desk: Desk, now_ms: int) -> dict[str, int]:
    """Return for which moment each job was last run; a job seen for the first time is not due before the next."""
    found = {}
    for name in JOBS:
        done = desk.reader.meta(_mark(name))
        if done is None:
            desk.writer.set_meta(_mark(name), str(now_ms))
        found[name] = now_ms if done is None else int(done)
    return found


def _work(task: _Task) -> Report:
    """Do one job, in the other process."""
    from core.jobs import calibrate, train, tune

    assert task.reopen is not None  # nothing is started without
    desk = task.reopen()
    try:
        jobs: dict[str, Job] = {"auto_train": train.run, "auto_calibrate": calibrate.run, "auto_tune": tune.run}
        return asyncio.run(jobs[task.name](desk, task.now_ms, task.live))
    finally:
        desk.writer.close()
