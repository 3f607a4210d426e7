"""The engine under test, in a process of its own: the scheduler over a market with troubles, and gauges beside it.

The law: what is measured runs as in production, through `Schedule` and `Weekly`, in a process that did nothing before.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks import _data
from benchmarks._soak_faults import FaultyMarket, FaultyNotifier, Troubles
from benchmarks._soak_gauges import file_bytes
from benchmarks._soak_stage import Plan
from benchmarks._soak_time import Beside, Timetable
from benchmarks._soak_watch import Gauges, Kinds
from core import app
from core.adapters.markets.replay import ReplayMarket, Tape
from core.adapters.markets.synthetic import instrument_of
from core.cli._log import log_to_files
from core.cli.engine import refreshed
from core.clock import DAY_MS, MINUTE_MS, format_ms
from core.jobs import alert
from core.jobs._desk import Desk, Report
from core.jobs.schedule import Schedule
from core.jobs.weekly import JOBS

__all__ = ["serve"]

_LAST_LETTERS = 50  # rounds of delivery after the last minute, each a market minute on


def serve(values: dict[str, Any], door: Connection) -> None:
    """Play the plan; say the market's time every market hour, and at the end what was measured."""
    plan = Plan(**values)
    told = (plan.config.parent / "engine.out").open("w", encoding="utf-8", buffering=1)
    sys.stdout = sys.stderr = told
    door.send(asyncio.run(_play(plan, door)))


async def _play(plan: Plan, door: Connection) -> dict[str, Any]:
    source = app.config_source(plan.config, None, {})
    log_to_files(source.current)
    log, kinds = logging.getLogger("trader"), Kinds()
    log.setLevel(logging.INFO)
    log.addHandler(kinds)
    troubles = Troubles(plan.start_ms, plan.calm_ms if plan.faults else plan.start_ms, plan.gaps_until_ms)
    runs = {symbol: _data.load_candles(plan.tape(place)) for place, symbol in enumerate(plan.symbols)}
    tape = Tape.of(runs, {symbol: instrument_of(symbol) for symbol in plan.symbols})
    played = ReplayMarket(tape, _data.EXCHANGE, plan.start_ms, plan.end_ms, step_ms=plan.step_ms, synthetic=True)
    faulty = FaultyMarket(played, troubles, plan.symbols)
    gauges, weekly, notifier = Gauges(plan), Beside(), FaultyNotifier(played, troubles)
    market = Timetable(faulty, gauges)
    desk = app.open_desk(source, log, market)
    desk.notifiers = {notifier.name: notifier}
    market.desk, market.weekly = desk, weekly
    signals: Counter[str] = Counter()
    weeklies: dict[tuple[str, int], tuple[str, str]] = {}  # looked at on the way: old runs are forgotten

    def on_cycle(now_ms: int, reports: list[Report]) -> None:
        for report in reports:
            signals.update({name: report.counts.get(name, 0) for name in ("signals", "filled", "finished")})
        busy = [str(report) for report in reports if any(report.counts.values())]
        log.info("%s  %s", format_ms(now_ms), " | ".join(busy) or "nothing new")  # as the engine does
        market.desk = schedule.desk
        if gauges.end(now_ms):
            weeklies.update(_weekly_runs(desk))
            door.send((now_ms, round(float(gauges.hours["rss"][-1]) / 2**20, 1)))

    schedule = Schedule(desk, lambda now: refreshed(now, source), on_cycle, weekly)
    try:
        await schedule.run()
        await _deliver_rest(schedule.desk, plan.end_ms)
        runs_of = desk.reader.job_runs(limit=1_000_000)
        weeklies.update(_weekly_runs(desk))
        return {
            **gauges.told(),
            "faults": dict(faulty.faults),
            "messages": dict(notifier.counts),
            "problems": dict(kinds.counts.most_common()),
            "undelivered": len(desk.reader.outbox(state="queued")),
            "work": dict(signals),
            "job_runs": len(runs_of),
            "runs_days": desk.config.app.retention.runs_days,
            "oldest_run_days": (plan.end_ms - int(runs_of.loc[runs_of["status"] == "ok", "started_ms"].min())) / DAY_MS,
            "weekly_ok": sum(status == "ok" for status, _ in weeklies.values()),
            "weekly_failed": [detail for status, detail in weeklies.values() if status != "ok"],
            "upkeep_ms": market.took_ms,
            "differ": _differing(desk, plan, runs),
            "log_bytes": sum(file_bytes(path) for path in plan.config.parent.glob("logs/*")),
        }
    finally:
        desk.writer.close()


def _weekly_runs(desk: Desk) -> dict[tuple[str, int], tuple[str, str]]:
    """Return the newest runs of the weekly jobs by name and beginning: how they ended, and what they said."""
    rows = [row for name in JOBS for row in desk.reader.job_runs(job=name, limit=2).to_dict("records")]
    return {(str(row["job"]), int(row["started_ms"])): (str(row["status"]), str(row["detail"])) for row in rows}


async def _deliver_rest(desk: Desk, now_ms: int) -> None:
    """Deliver what waits for its next try; by now everybody can be reached."""
    for late in range(_LAST_LETTERS):
        if desk.reader.outbox(state="queued").empty:
            return
        await alert.run(desk, now_ms + late * MINUTE_MS)


def _differing(desk: Desk, plan: Plan, runs: dict[str, Any]) -> int:
    """Return how many of the market's minutes are missing or other ones in the database."""
    count = 0
    for symbol, run in runs.items():
        true = run.between(plan.start_ms, plan.end_ms)
        stored = desk.reader.candles(desk.exchange, symbol, "1m", plan.start_ms, plan.end_ms)
        place = np.searchsorted(stored.ts, true.ts)
        found = np.zeros(len(true), dtype=np.bool_)
        inside = place < len(stored)
        found[inside] = stored.ts[place[inside]] == true.ts[inside]
        same = found.copy()
        for name in ("open", "high", "low", "close", "volume"):
            same[found] &= getattr(stored, name)[place[found]] == getattr(true, name)[found]
        count += int((~same).sum())
    return count
