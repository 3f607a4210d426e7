"""The engine under load: the live minute against an exchange over HTTP, in a process of its own.

The law: the exchange's clock jumps to the next close as soon as a cycle has ended; requests, their latency and their
pace take the time they take. What is measured is the exchange's time from a close to the end of the cycle that decided
it, the alerts queued with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from multiprocessing.connection import Connection
from time import perf_counter
from typing import Any

from benchmarks._load_stage import LoadStage
from core import app
from core.adapters.markets.ccxt import CcxtMarket
from core.clock import MINUTE_MS
from core.jobs import alert, cycle
from core.jobs._desk import Desk
from core.jobs._minutes import SETTLE_MS
from core.ports import Message

__all__ = ["Patient", "SteppedMarket", "serve"]

_SEND_S = 0.1  # a messenger's round trip
_LEAD_MS = 500  # before the moment a cycle is due, at least: the exchange's clock is read in it
_ALERT_S = 1.0


class SteppedMarket(CcxtMarket):
    """A live exchange whose clock goes from close to close.

    Parameters
    ----------
    base_url : str
    rate_limit_ms : int
    line : Connection
        To the exchange's process: told a time, it moves its clock there.
    from_ms : int
        A minute before the first close.
    """

    def __init__(self, base_url: str, rate_limit_ms: int, line: Connection, from_ms: int) -> None:
        super().__init__("bitget", rate_limit_ms, base_url)
        self.close_ms = from_ms
        self._line = line
        self._reading_ms = 3_000.0

    async def advance(self) -> int | None:
        """Have the exchange move on, read its clock, and wait as the scheduler does until the close has settled."""
        self.close_ms += MINUTE_MS
        due_ms = self.close_ms + SETTLE_MS
        self._line.send(round(due_ms - max(_LEAD_MS, 1.5 * self._reading_ms)))
        self._line.recv()
        began = perf_counter()
        await self.load_markets()  # which reads the clock as well
        self._reading_ms = (perf_counter() - began) * 1000
        while (now_ms := self.now_ms()) < due_ms:
            await asyncio.sleep((due_ms - now_ms) / 1000)
        return now_ms


class Patient:
    """A messenger that takes its time and refuses nothing."""

    name = "load"

    def __init__(self) -> None:
        self.sent = 0

    async def send(self, _message: Message) -> str:
        """Deliver after a round trip."""
        await asyncio.sleep(_SEND_S)
        self.sent += 1
        return str(self.sent)

    async def check(self) -> None:
        """Return: it can be reached."""

    async def close(self) -> None:
        """Release connections: there are none."""


def serve(
    values: dict[str, Any], url: str, rate_limit_ms: int, warm: int, minutes: int, line: Connection, door: Connection
) -> None:
    """Play some minutes that do not count and some that do; say each, then what came of all of them."""
    stage = LoadStage(**values)
    market = SteppedMarket(url, rate_limit_ms, line, stage.start_ms)
    door.send(asyncio.run(_play(stage, market, warm, minutes, door)))


async def _play(stage: LoadStage, market: SteppedMarket, warm: int, minutes: int, door: Connection) -> dict[str, Any]:
    log = logging.getLogger("load")
    log.setLevel(logging.CRITICAL)
    desk = app.open_desk(app.config_source(stage.config, None, {}), log, market)
    messenger = Patient()
    desk.notifiers = {messenger.name: messenger}
    alerting = asyncio.create_task(_alerts(desk))
    told: list[dict[str, Any]] = []
    try:
        for number in range(warm + minutes):
            one = await _minute(desk, market)
            if number >= warm:
                told.append(one)
            door.send((number + 1, one["late_ms"]))
    finally:
        alerting.cancel()
        queued = len(desk.reader.outbox())
        await market.close()
        desk.writer.close()
    return {"minutes": told, "queued": queued, "sent": messenger.sent}


async def _minute(desk: Desk, market: SteppedMarket) -> dict[str, Any]:
    now_ms = await market.advance()
    assert now_ms is not None
    began, before = perf_counter(), len(desk.reader.outbox())
    reports = await cycle.run(desk, now_ms)
    took_s, late_ms = perf_counter() - began, market.now_ms() - market.close_ms
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(report.counts)
    runs = desk.reader.job_runs(limit=2 * len(reports))
    mine = runs[runs["started_ms"] == now_ms]
    stages = dict(zip(mine["job"], (mine["finished_ms"] - mine["started_ms"]).tolist(), strict=True))
    return {
        "close_ms": market.close_ms,
        "late_ms": late_ms,
        "cycle_s": took_s,
        "stages_ms": stages,
        "behind": _behind(desk, market.close_ms),
        "queued": len(desk.reader.outbox()) - before,
        "problems": [line for report in reports for line in report.problems],
        **{name: counts[name] for name in ("closes", "signals", "moved", "settlements")},
    }


def _behind(desk: Desk, close_ms: int) -> int:
    """Return how many symbols have not come to the close."""
    base = desk.config.data.base_timeframe
    marks = desk.reader.marks(desk.exchange, base)
    return sum((marks[symbol, base].frontier_ms or 0) < close_ms for symbol in desk.symbols if (symbol, base) in marks)


async def _alerts(desk: Desk) -> None:
    """Deliver once a second, as the scheduler does beside the cycle."""
    while True:
        await asyncio.sleep(_ALERT_S)
        await alert.run(desk, desk.market.now_ms())
