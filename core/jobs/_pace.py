"""When a job is handed to APScheduler: on the machine's monotonic clock, whatever its wall clock does.

The law: APScheduler is never told a moment to wait for. It would wait on the wall clock, which may step back an hour,
and then fires nothing for one. A job is given to it when its time has come, with a date that lies behind every clock.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from apscheduler.events import EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

__all__ = ["Pacer"]

_DUE = DateTrigger(datetime(1970, 1, 1, tzinfo=UTC), timezone="UTC")

Job = Callable[[], Awaitable[None]]


class Pacer:
    """Hands jobs to a scheduler, once after a while or again and again.

    Parameters
    ----------
    scheduler : AsyncIOScheduler
        One that runs on the loop this is used from.

    Attributes
    ----------
    missed : Counter of str
        Runs that were due and did not happen, by job: the one before was still at work, or the whole process stood
        still. Whoever reads a figure takes it away.
    """

    def __init__(self, scheduler: AsyncIOScheduler) -> None:
        self.missed: Counter[str] = Counter()
        self._scheduler = scheduler
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._has_ended = False
        scheduler.add_listener(self._note_missed, EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES)

    def once(self, name: str, job: Job, after_s: float) -> None:
        """Run a job after so many seconds; an earlier call of that name that is still to come is forgotten."""
        self._at(name, asyncio.get_running_loop().time() + after_s, lambda: self.now(name, job))

    def every(self, name: str, job: Job, seconds: float) -> None:
        """Run a job every so many seconds from now on; what is missed is counted and not made up for."""
        loop = asyncio.get_running_loop()

        def fire(due_s: float) -> None:
            late = max(0, int((loop.time() - due_s) // seconds))
            if late:
                self.missed[name] += late
            self._arm_next(name, due_s + (late + 1) * seconds, fire)
            self.now(name, job)

        self._arm_next(name, loop.time() + seconds, fire)

    def now(self, name: str, job: Job) -> None:
        """Run a job at once, unless it runs already."""
        if self._scheduler.running and not self._has_ended:
            self._scheduler.add_job(partial(self._run, job), _DUE, id=name, replace_existing=True)

    def is_waiting(self, name: str) -> bool:
        """Say whether a job's time is still to come."""
        return name in self._timers

    def end(self) -> None:
        """Hand nothing over from now on; what was handed over and has not begun will not."""
        self._has_ended = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._scheduler.running:
            self._scheduler.pause()

    async def _run(self, job: Job) -> None:
        """Run a job; one that is taken back because the process ends has not failed."""
        if self._has_ended:
            return
        try:
            await job()
        except asyncio.CancelledError:
            if not self._has_ended:
                raise

    def _arm_next(self, name: str, due_s: float, fire: Callable[[float], None]) -> None:
        self._at(name, due_s, lambda: fire(due_s))

    def _at(self, name: str, due_s: float, work: Callable[[], None]) -> None:
        def begin() -> None:
            self._timers.pop(name, None)
            work()

        earlier = self._timers.pop(name, None)
        if earlier is not None:
            earlier.cancel()
        self._timers[name] = asyncio.get_running_loop().call_at(due_s, begin)  # the loop counts monotonic seconds

    def _note_missed(self, event: JobEvent) -> None:
        self.missed[event.job_id] += 1
