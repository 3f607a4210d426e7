"""The process: APScheduler ticks, and what is due runs.

The law: the scheduler decides when to look, the market what time it is and the database what is to be done.
SIGINT and SIGTERM finish the stage that runs and end the process with exit code 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from core.clock import ceil_to
from core.errors import TraderError
from core.jobs import alert, cycle, maintain
from core.jobs._desk import Desk, Report
from core.jobs.weekly import Weekly

__all__ = ["Schedule"]

SETTLE_MS = 3_000  # a candle is asked for this long after its close: exchanges publish it a moment late
ALERT_SECONDS = 1
FINISH_SECONDS = 4  # for the stage that runs, and again for alerts that wait: an end within ten seconds
MAINTAIN_MINUTES = 30

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
    """

    def __init__(
        self,
        desk: Desk,
        refresh: Refresh,
        on_cycle: Callable[[int, list[Report]], None] = lambda _now_ms, _reports: None,
        weekly: Weekly | None = None,
    ) -> None:
        self.desk, self.refresh, self.on_cycle = desk, refresh, on_cycle
        self.cycles = 0
        self._weekly = weekly
        self._done = asyncio.Event()
        self._ticking = asyncio.Lock()
        self._alerting = asyncio.Lock()
        self._failure: BaseException | None = None
        self._scheduler = AsyncIOScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    async def once(self) -> list[Report]:
        """Run one full cycle and deliver what it has to say."""
        now_ms = await self.desk.market.advance()
        if now_ms is None:
            return []
        reports = await cycle.run(self.desk, now_ms)
        await self._deliver()
        self.cycles += 1
        self.on_cycle(now_ms, reports)
        return reports

    async def run(self, asked_to_end: Callable[[], bool] = lambda: False) -> None:
        """Run until a signal, `stop` or the end of the tape.

        Parameters
        ----------
        asked_to_end : callable, optional
            Whether a signal came before this was called; looked at once signals are handled here.

        Raises
        ------
        BaseException
            What a job raised that nobody had named: the process must not go on as if nothing had happened.
        """
        self._scheduler.add_listener(self._finished, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
        self._scheduler.add_job(self._tick, self._next_tick(first=True), id="cycle")
        self._scheduler.add_job(self._alert, IntervalTrigger(seconds=ALERT_SECONDS), id="alert")
        self._scheduler.add_job(self._maintain, IntervalTrigger(minutes=MAINTAIN_MINUTES), id="maintain")
        with self._signals():
            if asked_to_end():
                return
            self._scheduler.start()
            try:
                await self._done.wait()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FINISH_SECONDS), self._ticking:
                        pass  # the stage that runs has ended
                if self._failure is None:
                    with contextlib.suppress(TimeoutError):  # what is not delivered in time waits in the outbox
                        async with asyncio.timeout(FINISH_SECONDS):
                            await self._deliver()
            finally:
                self._scheduler.shutdown(wait=False)
                if self._weekly is not None:
                    await self._weekly.end()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ask the process to end after the stage that runs."""
        self._done.set()

    async def _tick(self) -> None:
        async with self._ticking:
            now_ms = await self._advanced()
            if now_ms is None:
                self.stop()
                return
            self.desk = self.refresh(self.desk)
            reports = await cycle.run(self.desk, now_ms, should_stop=self._done.is_set)
            self.cycles += 1
            self.on_cycle(now_ms, reports)
            if self._weekly is not None and not self._done.is_set():
                await self._weekly.look(self.desk, now_ms)

    async def _advanced(self) -> int | None:
        """Return the market's next moment; None when it has ended, or when asked to stop before it comes."""
        if self._done.is_set():
            return None
        advancing = asyncio.ensure_future(self.desk.market.advance())
        stopping = asyncio.ensure_future(self._done.wait())
        try:
            await asyncio.wait((advancing, stopping), return_when=asyncio.FIRST_COMPLETED)
            return advancing.result() if advancing.done() else None
        finally:
            advancing.cancel()
            stopping.cancel()

    async def _alert(self) -> None:
        if self._alerting.locked():
            return  # a slow messenger is still being served; what is new waits behind it in the outbox
        await self._deliver()

    async def _deliver(self) -> None:
        async with self._alerting:
            await self._named("alert", alert.run)

    async def _maintain(self) -> None:
        await self._named("db_checkpoint", maintain.run)

    async def _named(self, name: str, job: Callable[[Desk, int], Awaitable[Report]]) -> None:
        """Run a job; a failure somebody has named is logged, and the job's next run makes it good."""
        try:
            report = await job(self.desk, self.desk.market.now_ms())
        except TraderError as error:
            self.desk.log.warning("%s: %s", name, error)
        else:
            for line in report.problems:
                self.desk.log.warning("%s: %s", name, line)

    def _next_tick(self, first: bool = False) -> DateTrigger:
        """Return the next moment to look: at once for a tape, else a little after the next close."""
        now = datetime.now(UTC)
        if not self.desk.market.live or first:
            return DateTrigger(now, timezone="UTC")
        market_ms = self.desk.market.now_ms()
        step = self.desk.config.incremental.run_seconds * 1000
        wait_ms = ceil_to(market_ms - SETTLE_MS + 1, step) + SETTLE_MS - market_ms
        return DateTrigger(now + timedelta(milliseconds=wait_ms), timezone="UTC")

    def _finished(self, event: JobExecutionEvent) -> None:
        """Arm the next tick once the last one is over; end the process on what no job has named."""
        if event.exception is not None:
            self._failure = event.exception
            self.stop()
        elif event.job_id == "cycle" and not self._done.is_set():
            self._scheduler.add_job(self._alert, id="alert now", replace_existing=True)
            self._scheduler.add_job(self._tick, self._next_tick(), id="cycle", replace_existing=True)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Turn SIGINT and SIGTERM into `stop` while inside."""
        loop = asyncio.get_running_loop()
        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in wanted}
        for number in wanted:  # signal.signal works on Windows too, add_signal_handler does not
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(self.stop))
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
