"""Jobs beside the minute: alerts, conversations, summaries, upkeep, the weekly look.

The law: such a job runs once at a time, and whatever it meets ends neither the minute nor another job. Its run is a row
in `job_runs` where it did something, failed, or kept later ones of its own from running.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

from core.clock import monotonic_s
from core.errors import TraderError
from core.jobs._desk import Desk, Report
from core.jobs._isolation import Broken, Failures, guarded, safe

__all__ = ["Aside"]

Work = Callable[[Desk, int], Awaitable[Report]]

WAITING = "waiting"  # a count that is no deed
ROW_EVERY_S = 60.0  # while a job fails again and again


class Aside:
    """Runs jobs beside the minute.

    Parameters
    ----------
    failures : Failures
        Who counts failures in a row.
    missed : Counter of str
        Runs that were due and did not happen, by job; what is written down is taken away.
    """

    def __init__(self, failures: Failures, missed: Counter[str]) -> None:
        self._failures, self._missed = failures, missed
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[object]] = set()
        self._failed_s: dict[str, float] = {}

    def is_running(self, name: str) -> bool:
        """Say whether a job is at work."""
        return name in self._locks and self._locks[name].locked()

    async def run(
        self,
        desk: Desk,
        name: str,
        work: Work,
        limit_s: float | None = None,
        keeps_record: bool = False,
        now_ms: int | None = None,
    ) -> None:
        """Run a job, after the run of it that is under way.

        Parameters
        ----------
        desk : Desk
        name : str
            As in `job_runs`.
        work : callable
            ``run(desk, now_ms) -> Report``.
        limit_s : float, optional
            Seconds after which it is cancelled.
        keeps_record : bool
            It writes its runs down, and tells of its failures, itself: only what it raised is left.
        now_ms : int, optional
            Market time; the market's own when the job begins, where not given.
        """
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            async with self._locks.setdefault(name, asyncio.Lock()):
                at_ms, began_s = desk.market.now_ms() if now_ms is None else now_ms, monotonic_s()
                report = await guarded(desk, name, work(desk, at_ms), limit_s)
                took_ms = round((monotonic_s() - began_s) * 1000)
            for line in report.problems:
                desk.log.warning("%s: %s", name, line)
            is_ours = not keeps_record or isinstance(report, Broken)
            if is_ours:
                self.write_down(desk, replace(report, job=name), at_ms, took_ms)
            if is_ours or report.ok:
                self._failures.note(desk, name, report, at_ms)
        finally:
            if task is not None:
                self._tasks.discard(task)

    async def end(self, within_s: float) -> None:
        """Cancel what runs and wait for it, for so long at most."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)

    def write_down(self, desk: Desk, report: Report, now_ms: int, took_ms: int = 0) -> None:
        """Make a row of a run where there is anything to tell.

        Parameters
        ----------
        desk : Desk
        report : Report
            Its `job` names the row.
        now_ms : int
            Market time at which it began.
        took_ms : int
        """
        name = report.job
        skipped = self._missed.pop(name, 0)
        did = any(count for what, count in report.counts.items() if what != WAITING)
        if report.ok:
            self._failed_s.pop(name, None)
            if not (did or skipped):
                return
        elif not self._is_failure_due(name):
            return
        told = safe(str(report), desk.config) + (f"; {skipped} runs left out meanwhile" if skipped else "")
        try:
            desk.writer.put_job_run(name, now_ms, now_ms + took_ms, "ok" if report.ok else "failed", told)
        except TraderError as error:  # what the job did is committed; it is only not noted that it ran
            desk.log.warning("%s: %s", name, error)

    def _is_failure_due(self, name: str) -> bool:
        """Say whether a failure is to be written down: the first, then one a minute."""
        now_s = monotonic_s()
        if now_s - self._failed_s.get(name, float("-inf")) < ROW_EVERY_S:
            return False
        self._failed_s[name] = now_s
        return True
