"""Job `cycle`: the minute. Sync, funding, resample, execute, watch, scan, in that order.

The law: what a stage has to do is derived from the database, so a cycle that failed or was missed is made
good by the next one. A stage that fails stops no other: frontiers keep the later ones from running ahead.
Each stage's run is a row in `job_runs`.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from core.clock import monotonic_s
from core.errors import TraderError
from core.jobs import execute, funding, resample, scan, sync, watch
from core.jobs._desk import Desk, Report

__all__ = ["STAGES", "run"]

Stage = Callable[[Desk, int], Awaitable[Report]]

STAGES: tuple[tuple[str, Stage], ...] = (
    ("incremental_sync", sync.run),
    ("funding", funding.run),
    ("resample", resample.run),
    ("execute_signals", execute.run),
    ("watch_drift", watch.run),
    ("scan_signals", scan.run),
)


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
    rows: list[tuple[str, int, int, str, str]] = []
    for name, stage in STAGES:
        if should_stop():
            break
        began = monotonic_s()
        try:
            report = await stage(desk, now_ms)
        except TraderError as error:
            report = Report(name, ok=False, problems=(str(error),), exit_code=error.exit_code)
        reports.append(report)
        took_ms = round((monotonic_s() - began) * 1000)
        rows.append((name, now_ms, now_ms + took_ms, "ok" if report.ok else "failed", str(report)))
        for line in report.problems:
            desk.log.warning("%s: %s", name, line)
    try:
        with desk.writer.transaction():
            for row in rows:
                desk.writer.put_job_run(*row)
    except TraderError as error:  # the stages' own work is committed, or due again
        desk.log.warning("job_runs: %s", error)
    return reports
