"""Job `maintain`: keep the database small and quick, and a copy of it aside.

The law: what is due is read from the database; each part stands alone and holds the writer for a moment only. The
engine checkpoints in the scheduler's process, and a busy reader never makes it wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from core.clock import DAY_MS, HOUR_MS, format_ms, monotonic_s
from core.errors import TraderError
from core.jobs import backup
from core.jobs._announce import note_rows
from core.jobs._desk import Desk, Report
from core.jobs._isolation import Failures, guarded, safe
from core.store.retention import Keep

__all__ = ["LOG_LIMIT_BYTES", "PARTS", "due", "run", "run_parts"]

LOG_LIMIT_BYTES = 64_000_000
"""Size of the write-ahead log above which somebody is told who keeps it from being emptied."""

_QUIET_MS = 3 * HOUR_MS + 10 * 60_000  # the day of these jobs begins at 03:10 UTC: no long candle closes then
_VACUUM_PAGES = 256  # of 8 KB at once: a few milliseconds of the writer
_PAUSE_S = 0.05  # between two steps, for whoever waits for the writer
_STUCK = "maintain:log_stuck_ms"


async def run(desk: Desk, now_ms: int) -> Report:
    """Do what is due: the log each time, the rest once a day; a day that was missed is made good once.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.

    Returns
    -------
    Report
        Of all parts; each has a row of its own in `job_runs`.
    """
    return await run_parts(desk, now_ms, due(desk, now_ms))


def due(desk: Desk, now_ms: int) -> list[str]:
    """Return the parts that are due, in the order they are run in.

    A tape is played again where its record was lost, so only what a live market gave is backed up by itself.
    """
    backs_up = desk.config.app.backups.enabled and desk.market.live
    daily = [name for name in PARTS if name != "db_checkpoint" and (backs_up or name != "backup")]
    found = [name for name in daily if _day(now_ms) > _day(int(desk.reader.meta(_mark(name)) or 0))]
    return [name for name in PARTS if name == "db_checkpoint" or name in found]


async def run_parts(desk: Desk, now_ms: int, names: Sequence[str]) -> Report:
    """Run some parts, whether they are due or not.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time.
    names : sequence of str
        Of `PARTS`.
    """
    reports = []
    failures: Failures = desk.memory.setdefault("maintain", Failures())
    for name in names:
        began_s = monotonic_s()
        report = await guarded(desk, name, PARTS[name](desk, now_ms))
        reports.append(report)
        try:
            _note(desk, name, now_ms, round((monotonic_s() - began_s) * 1000), report)
        except TraderError as error:  # what was done is committed; it is due again, as nobody knows
            desk.log.warning("%s: not noted (%s)", name, error)
        failures.note(desk, name, report, now_ms)
    return _joined(reports)


def _note(desk: Desk, name: str, now_ms: int, took_ms: int, report: Report) -> None:
    """Write the run down, and that the part is not due again before tomorrow where it went well."""
    status, told = ("ok" if report.ok else "failed"), safe(f"{report}; {report.text}".rstrip("; "), desk.config)
    with desk.writer.transaction():
        desk.writer.put_job_run(name, now_ms, now_ms + took_ms, status, told)
        if report.ok and name != "db_checkpoint":
            desk.writer.set_meta(_mark(name), str(now_ms))


def _joined(reports: Sequence[Report]) -> Report:
    bad = [report for report in reports if not report.ok]
    lines = [
        line if report.job == "db_checkpoint" else f"{report.job}: {line}"
        for report in reports
        for line in report.problems
    ]
    return Report(
        "maintain",
        ok=not bad,
        counts={f"{report.job} {name}": count for report in reports for name, count in report.counts.items()},
        problems=tuple(lines),
        exit_code=bad[0].exit_code if bad else TraderError.exit_code,
        text="\n".join(report.text for report in reports if report.text),
    )


async def _retention(desk: Desk, now_ms: int) -> Report:
    """Forget what has outlived its rule."""
    rule = desk.config.app.retention
    keep = Keep(rule.runs_days, rule.failed_runs_days, rule.alerts_days)
    counts: Counter[str] = Counter()
    while any((found := desk.writer.forget(keep, now_ms)).values()):
        counts.update(found)
        await asyncio.sleep(_PAUSE_S)
    return Report("retention", counts=dict(counts))


async def _vacuum(desk: Desk, _now_ms: int) -> Report:
    """Give unused pages back to the file system, a few at a time."""
    freed = 0
    while (step := desk.writer.incremental_vacuum(_VACUUM_PAGES)) > 0:
        freed += step
        await asyncio.sleep(_PAUSE_S)
    return Report("vacuum", counts={"pages": freed})


async def _optimize(desk: Desk, _now_ms: int) -> Report:
    """Let SQLite look at its tables again."""
    desk.writer.optimize()
    return Report("optimize")


async def _checkpoint(desk: Desk, now_ms: int) -> Report:
    """Fold the log into the file; say once who keeps it from being emptied where it has become large."""
    report = desk.writer.checkpoint()
    size, since_ms = desk.writer.log_bytes(), int(desk.reader.meta(_STUCK) or 0)
    counts = {"pages": report.checkpointed}
    if report.complete or size <= LOG_LIMIT_BYTES:
        if since_ms and report.complete:
            desk.writer.set_meta(_STUCK, "0")
        return Report("db_checkpoint", counts=counts, text=str(report))
    line = _stuck_line(desk, size, since_ms, str(report))
    if not since_ms:
        with desk.writer.transaction():
            desk.writer.set_meta(_STUCK, str(now_ms))
            desk.writer.queue(note_rows(f"log:{now_ms}", f"Database: {line}", list(desk.notifiers), now_ms))
        return Report("db_checkpoint", counts=counts, problems=(line,), text=str(report))
    return Report("db_checkpoint", counts=counts, text=f"{report}; {line}")


def _stuck_line(desk: Desk, size: int, since_ms: int, outcome: str) -> str:
    """Say what is known of a log that cannot be emptied."""
    who = ", ".join(map(str, desk.writer.readers()))
    told = f"{who} has a question open" if who else "a process has a question open, or writes without pause"
    since = f" since {format_ms(since_ms, desk.config.app.timezone)}" if since_ms else ""
    return (
        f"the write-ahead log has {size / 1e6:.0f} MB and cannot be emptied{since} ({outcome}): {told}; "
        "end viewers and SQL tools that read this file, it shrinks by itself then"
    )


PARTS: dict[str, Callable[[Desk, int], Awaitable[Report]]] = {
    "retention": _retention,
    "vacuum": _vacuum,
    "optimize": _optimize,
    "db_checkpoint": _checkpoint,
    "backup": backup.run,
}
"""By the name in `job_runs`, in the order they are run in; all but the log's once a day."""


def _day(ms: int) -> int:
    return (ms - _QUIET_MS) // DAY_MS


def _mark(name: str) -> str:
    return f"maintain:{name}"
