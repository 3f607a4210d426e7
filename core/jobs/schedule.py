"""The process: APScheduler runs what is due, the monotonic clock says when, and nothing a job meets ends it.

The law: the scheduler decides when to look, the market what time it is and the database what is to be done.
SIGINT and SIGTERM finish the stage that runs, or take it back, and end the process with exit code 0 within ten seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.clock import monotonic_s
from core.errors import TraderError
from core.jobs import alert, converse, cycle, maintain, summary
from core.jobs._aside import Aside
from core.jobs._clocks import Clocks
from core.jobs._desk import Desk, Report
from core.jobs._isolation import Broken, Failures, safe
from core.jobs._minutes import Minutes
from core.jobs._pace import Pacer
from core.jobs._pulse import Pulse
from core.jobs._signals import signals_to
from core.jobs._watchdog import Watchdog
from core.jobs.weekly import Weekly

__all__ = ["Schedule"]

ALERT_SECONDS = 1
ALERT_LIMIT_SECONDS = 1_800.0  # a long queue leaves at the messenger's pace; one that hangs begins again after this
CLOCK_SECONDS = 1
CONVERSE_SECONDS = 2
ASIDE_SECONDS = 60.0  # for a conversation or a summary; both are due again soon
MAINTAIN_MINUTES = 30
FINISH_SECONDS = 3.5  # for the stage that runs, and again for alerts that wait: an end within ten seconds
CANCEL_SECONDS = 0.5
END_SECONDS = 9.5  # whoever still hangs then is ended by the watchdog
BROKEN_CYCLES = 5  # in a row, after which a supervisor is to start the process anew

Refresh = Callable[[Desk], Desk]


class Schedule:
    """Runs the jobs of one desk until told to stop or the market ends.

    Parameters
    ----------
    desk : Desk
    refresh : callable
        Given the desk, returns the one to use from now on (the configuration is read again each cycle).
    on_cycle : callable, optional
        Called after each cycle with market time and the stages' reports.
    weekly : Weekly, optional
        Looks after each cycle whether a weekly job is due.
    watchdog : Watchdog, optional
        Hears of each cycle that ended.
    pulse : Pulse, optional
        Shows each cycle that ended to the outside.
    clocks : Clocks, optional
    """

    def __init__(
        self,
        desk: Desk,
        refresh: Refresh,
        on_cycle: Callable[[int, list[Report]], None] = lambda _now_ms, _reports: None,
        weekly: Weekly | None = None,
        watchdog: Watchdog | None = None,
        pulse: Pulse | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self.desk, self.refresh, self.on_cycle = desk, refresh, on_cycle
        self.cycles = 0
        self._weekly, self._watchdog, self._pulse = weekly, watchdog, pulse
        self._done = asyncio.Event()
        self._minutes = Minutes(self._done, clocks or Clocks(), self._show_life)
        self._ticking = asyncio.Lock()
        self._working: asyncio.Task[object] | None = None
        self._broken = 0
        self._failure: BaseException | None = None
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._pacer = Pacer(self._scheduler)
        self._failures = Failures()
        self._aside = Aside(self._failures, self._pacer.missed)

    async def once(self) -> list[Report]:
        """Run one full cycle and deliver what it has to say."""
        now_ms = await self.desk.market.advance()
        if now_ms is None:
            return []
        reports = await self._cycle(now_ms)
        await self._aside.run(self.desk, "summary", summary.run, ASIDE_SECONDS, now_ms=now_ms)
        await self._deliver()
        if self._pulse is not None:
            self._pulse.end(self.desk)
        return reports

    async def run(self, asked_to_end: Callable[[], bool] = lambda: False) -> None:
        """Run until a signal, `stop` or the end of the tape.

        Parameters
        ----------
        asked_to_end : callable, optional
            Whether a signal came before this was called; looked at once signals are handled here.

        Raises
        ------
        TraderError
            Cycle after cycle met what nobody had named: a new process may fare better.
        BaseException
            What was no `Exception`: somebody wants the process to end.
        """
        self._scheduler.add_listener(self._finished, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        with signals_to(self.stop, self._expect_end):
            if asked_to_end():
                return
            self._scheduler.start()
            if self._watchdog is not None:
                self._watchdog.start()
            self._pacer.once("cycle", self._tick, 0.0)
            self._pacer.every("alert", self._alert, ALERT_SECONDS)
            self._pacer.every("converse", self._converse, CONVERSE_SECONDS)
            self._pacer.every("maintain", self._maintain, MAINTAIN_MINUTES * 60)
            self._look_at_clocks()
            try:
                await self._done.wait()
                await self._finish()
            finally:
                self._scheduler.shutdown(wait=False)
                await self._aside.end(CANCEL_SECONDS)
                if self._weekly is not None:
                    await self._weekly.end()
        if self._failure is not None:
            raise self._failure
        if self._pulse is not None:
            self._pulse.end(self.desk)

    def stop(self) -> None:
        """Ask the process to end after the stage that runs."""
        self._expect_end()
        self._done.set()

    def _expect_end(self) -> None:
        self.desk.writer.hurry()
        if self._watchdog is not None and not self._done.is_set():
            self._watchdog.expect_end(END_SECONDS)

    async def _finish(self) -> None:
        """Let the stage that runs end, or take it back, and deliver what waits as far as there is time."""
        self._pacer.end()
        await asyncio.sleep(0)  # what was handed over and has not begun ends now
        try:
            async with asyncio.timeout(FINISH_SECONDS), self._ticking:
                pass  # the stage that runs has ended
        except TimeoutError:
            if self._working is not None:
                self.desk.log.warning("the stage that runs does not end; it is taken back and due at the next start")
                self._working.cancel()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CANCEL_SECONDS), self._ticking:
                        pass
        if self._failure is None:
            with contextlib.suppress(TimeoutError):  # what is not delivered in time waits in the outbox
                async with asyncio.timeout(FINISH_SECONDS):
                    await self._deliver()

    async def _tick(self) -> None:
        async with self._ticking:
            self._working = asyncio.current_task()
            try:
                now_ms = await self._minutes.next(self.desk.market)
                if now_ms is None:
                    self.stop()
                    return
                self.desk = self.refresh(self.desk)
                now_ms = self._forward(now_ms)
                await self._cycle(now_ms)
                await self._after_cycle(now_ms)
            except asyncio.CancelledError:
                if not self._done.is_set():
                    raise
            except BrokenPipeError as error:  # nobody reads what `on_cycle` prints: that is an end
                self._end_with(error)
            except Exception as error:  # noqa: BLE001 isolation: what fails between stages costs this minute, no more
                self._note_broken(error)
            finally:
                self._working = None
                if self._watchdog is not None:
                    self._watchdog.beat()

    async def _cycle(self, now_ms: int) -> list[Report]:
        """Run the stages, and show how they went to whoever looks."""
        began_s = monotonic_s()
        reports = await cycle.run(self.desk, now_ms, should_stop=self._done.is_set)
        took_ms = round((monotonic_s() - began_s) * 1000)
        self.cycles += 1
        for (name, _), report in zip(cycle.STAGES, reports, strict=False):
            self._failures.note(self.desk, name, report, now_ms)
        self._failures.note(self.desk, "cycle", Report("cycle"), now_ms)  # it came to its stages and out of them
        self.on_cycle(now_ms, reports)
        if self._pulse is not None:
            is_well = all(report.ok for report in reports)
            self._pulse.beat(self.desk, now_ms, self.cycles, took_ms, is_well, self._failures.failing)
        self._count_broken([line for report in reports if isinstance(report, Broken) for line in report.problems])
        return reports

    async def _after_cycle(self, now_ms: int) -> None:
        await self._aside.run(self.desk, "summary", summary.run, ASIDE_SECONDS, now_ms=now_ms)
        weekly = self._weekly
        if weekly is None or self._done.is_set():
            return

        async def look(desk: Desk, now_ms: int) -> Report:
            await self._minutes.patiently(desk.market, weekly.look(desk, now_ms))
            return Report("weekly")

        await self._aside.run(self.desk, "weekly", look, now_ms=now_ms)

    def _note_broken(self, error: Exception) -> None:
        """Write down a cycle that did not come to its stages, or did not come out of them."""
        told = " ".join(f"{type(error).__name__}: {error}".split())
        report = Report("cycle", ok=False, problems=(str(error) if isinstance(error, TraderError) else told,))
        if isinstance(error, TraderError):
            self.desk.log.warning("cycle: %s", error)
        else:
            self.desk.log.error("cycle: an exception nobody has named; the next minute is tried", exc_info=error)
        self._aside.write_down(self.desk, report, self.desk.market.now_ms())
        self._failures.note(self.desk, "cycle", report, self.desk.market.now_ms())
        if not isinstance(error, TraderError):
            self._count_broken([told])

    def _count_broken(self, why: list[str]) -> None:
        self._broken = self._broken + 1 if why else 0
        if self._broken >= BROKEN_CYCLES:
            told = safe(why[0], self.desk.config)
            self._end_with(TraderError(f"{self._broken} cycles in a row were broken ({told}); see the log"))

    def _end_with(self, error: BaseException) -> None:
        self._failure = error
        self.stop()

    def _forward(self, now_ms: int) -> int:
        """Return the time of the next cycle; write down minutes that had none."""
        now_ms, left_out = self._minutes.forward(self.desk, now_ms)
        if left_out:
            done = f"{left_out} minutes had no cycle of their own; this one does what they had to do"
            self._aside.write_down(self.desk, Report("cycle", counts={"left out": left_out}, problems=(done,)), now_ms)
        return now_ms

    def _show_life(self) -> None:
        if self._watchdog is not None:
            self._watchdog.beat()
        if self._pulse is not None:
            self._pulse.touch(self.desk)

    async def _alert(self) -> None:
        if not self._aside.is_running("alert"):
            await self._deliver()  # else a slow messenger is being served; what is new waits in the outbox

    async def _deliver(self) -> None:
        await self._aside.run(self.desk, "alert", alert.run, ALERT_LIMIT_SECONDS)

    async def _converse(self) -> None:
        await self._aside.run(self.desk, "converse", converse.run, ASIDE_SECONDS)

    async def _maintain(self) -> None:
        await self._aside.run(self.desk, "maintain", maintain.run, keeps_record=True)

    def _look_at_clocks(self) -> None:
        """Say when the wall clock was set or the machine slept, and wait for the minute anew."""
        if self._done.is_set():
            return
        told = self._minutes.clocks.look()
        if told:
            self.desk.log.warning("%s", told)
            if self.desk.market.live and self._pacer.is_waiting("cycle"):
                self._pacer.once("cycle", self._tick, self._minutes.wait_s(self.desk, has_stepped=True))
        asyncio.get_running_loop().call_later(CLOCK_SECONDS, self._look_at_clocks)

    def _finished(self, event: JobExecutionEvent) -> None:
        """Arm the next tick once the last one is over; end the process on what is no `Exception`."""
        if event.exception is not None:
            if not (self._done.is_set() and isinstance(event.exception, asyncio.CancelledError)):
                self._end_with(event.exception)
        elif event.job_id == "cycle" and not self._done.is_set():
            self._pacer.now("alert now", self._alert)
            self._pacer.once("cycle", self._tick, self._minutes.wait_s(self.desk))
