"""Job `cycle`: the minute. Sync, funding, resample, execute, watch, scan, in that order.

The law: what a stage has to do is derived from the database, so a cycle that failed or was missed is made
good by the next one. A stage that fails or does not end stops no other: frontiers keep the later ones from running
ahead. Each stage's run is a row in `job_runs`.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from core.clock import monotonic_s
from core.errors import TraderError
from core.jobs import execute, funding, resample, scan, sync, watch
from core.jobs._desk import Desk, Report
from core.jobs._isolation import guarded, safe

__all__ = ["LIMITS_S", "STAGES", "run"]

Stage = Callable[[Desk, int], Awaitable[Report]]

STAGES: tuple[tuple[str, Stage], ...] = (
    ("incremental_sync", sync.run),
    ("funding", funding.run),
    ("resample", resample.run),
    ("execute_signals", execute.run),
    ("watch_drift", watch.run),
    ("scan_signals", scan.run),
)

LIMITS_S = {
    "incremental_sync": 45.0,
    "funding": 20.0,
    "resample": 15.0,
    "execute_signals": 15.0,
    "watch_drift": 5.0,
    "scan_signals": 20.0,
}
"""How long a stage may take, seconds; all of them and the wait for the minute fit into the watchdog's three minutes."""

Row = tuple[str, int, int, str, str]


async def run(desk: Desk, now_ms: int, should_stop: Callable[[], bool] = lambda: False) -> list[Report]:
    """Run one full cycle.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.
    should_stop : callable, optional
        Asked between stages: True ends the cycle early, with everything so far committed.

    Returns
    -------
    list of Report
        One a stage that ran.
    """
    with _collector_at_rest():
        return await _run(desk, now_ms, should_stop)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Let Python look for garbage after the minute, not in it: that took an eighth of its time."""
    was_at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_at_work:
            gc.enable()


async def _run(desk: Desk, now_ms: int, should_stop: Callable[[], bool]) -> list[Report]:
    reports: list[Report] = []
    rows: list[Row] = []
    try:
        for name, stage in STAGES:
            if should_stop():
                break
            began_s = monotonic_s()
            limit_s = LIMITS_S.get(name) if desk.market.live else None  # a tape's step may be any length
            try:
                report = await guarded(desk, name, stage(desk, now_ms), limit_s)
            except asyncio.CancelledError:
                rows.append((name, now_ms, now_ms + _ms_since(began_s), "failed", f"{name}: the process was ended"))
                raise
            reports.append(report)
            status = "ok" if report.ok else "failed"
            rows.append((name, now_ms, now_ms + _ms_since(began_s), status, _detail(desk, report)))
            for line in report.problems:
                desk.log.warning("%s: %s", name, line)
    finally:
        _write_down(desk, rows)
    return reports


def _detail(desk: Desk, report: Report) -> str:
    return str(report) if report.ok else safe(str(report), desk.config)


def _ms_since(began_s: float) -> int:
    return round((monotonic_s() - began_s) * 1000)


def _write_down(desk: Desk, rows: list[Row]) -> None:
    try:
        with desk.writer.transaction():
            for row in rows:
                desk.writer.put_job_run(*row)
    except TraderError as error:  # the stages' own work is committed, or due again
        desk.log.warning("job_runs: %s", error)
