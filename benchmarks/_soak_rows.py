"""What a soak promises, and what came of it.

The law: a figure is judged only behind the warm-up, and what the system does not tell is shown as not measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks._soak_gauges import quantiles, slope
from benchmarks._soak_stage import Plan
from benchmarks.results import Bar, Row
from core.cli._log import FILE_BYTES, FILES
from core.clock import DAY_MS, HOUR_MS, MINUTE_MS

__all__ = ["rows_of", "sundays", "warm_from"]

MEMORY_MB_A_DAY = 1.0
WAL_MB = 64.0
WEEKLY_JOBS = 3

_MB = 2**20
_SUNDAY_HOUR = 21  # UTC, when the first of the weekly jobs is due
_WARM_DAYS = 8.0  # the first week holds the first training, after which nothing new is opened


def warm_from(days: float) -> float:
    """Return the day from which growth counts: the week of the first training, or a third of a shorter run."""
    return _WARM_DAYS if days >= 2 * _WARM_DAYS else days / 3


def sundays(plan: Plan) -> int:
    """Return how many times the weekly jobs were due a day or more before the end: they take a while."""
    first = plan.start_ms - (plan.start_ms - 3 * DAY_MS) % (7 * DAY_MS) + _SUNDAY_HOUR * HOUR_MS  # 4 Jan 1970: a Sunday
    due = [first + week * 7 * DAY_MS for week in range(int(plan.days) // 7 + 2)]
    return sum(plan.start_ms < moment + HOUR_MS and moment + DAY_MS <= plan.end_ms for moment in due)


def rows_of(plan: Plan, told: Mapping[str, Any], viewer: Mapping[str, Any]) -> list[Row]:
    """Return promises and measurements.

    Parameters
    ----------
    plan : Plan
    told : mapping
        What the engine's process measured.
    viewer : mapping
        What the viewer's process measured.
    """
    expected = (plan.end_ms - plan.start_ms) // plan.step_ms
    return [
        Row(
            "the engine reached the end",
            f"{told['cycles']:,} of {expected:,} cycles, {told['work'].get('signals', 0):,} signals, "
            f"{told['work'].get('filled', 0):,} fills",
            expected - told["cycles"],
            Bar(0.0, False, " missing"),
        ),
        *_growth(plan, told),
        *_times(told),
        *_record(plan, told),
        _viewer(viewer),
    ]


def _growth(plan: Plan, told: Mapping[str, Any]) -> list[Row]:
    hours = {name: np.asarray(values) for name, values in told["hours"].items()}
    warm = hours["day"] >= warm_from(plan.days)
    day = hours["day"][warm]
    is_judged = plan.days >= 2 * _WARM_DAYS  # in a shorter run the first training would pass for growth
    rows = [_memory(hours, day, warm, is_judged)]
    for name, what in (("fds", "open descriptors"), ("threads", "threads")):
        values = hours[name][warm]
        part = max(1, len(values) // 4)
        if not len(values) or np.isnan(values).any():
            rows.append(Row(what, "not measured on this system"))
            continue
        before, after = float(np.median(values[:part])), float(np.median(values[-part:]))
        shown = f"{before:.0f} after warm-up, {after:.0f} at the end, at most {values.max():.0f}"
        grown = Bar(0.0, False, "") if is_judged else None
        rows.append(Row(f"{what}: growth", shown, max(0.0, after - before) if is_judged else None, grown))
    rows += _log(plan, told, hours)
    grown = slope(day.tolist(), (hours["db"][warm] / _MB).tolist())
    if grown is not None:
        a_year = grown * 365 / len(plan.symbols) / 1024
        shown = f"{hours['db'][-1] / _MB:.0f} MB at the end; {grown:.2f} MB a market day, {a_year:.2f} GB a symbol-year"
        rows.append(Row("database", shown, figures={"mb_a_day": grown}))
    return rows


def _log(plan: Plan, told: Mapping[str, Any], hours: Mapping[str, Any]) -> list[Row]:
    """Judge the log outside the hours in which a hanging reader keeps it, which nobody but its owner can end."""
    usual = f"usually {np.median(hours['wal']) / _MB:.1f} MB; peak on day {told['wal_peak_day']:.1f}"
    stuck = told["wal_stuck"] / _MB
    hung = plan.stuck_ms[1] - plan.stuck_ms[0]
    shown = f"{stuck:.0f} MB after {hung / HOUR_MS:.1f} market hours, {stuck * HOUR_MS / hung:.0f} MB an hour"
    return [
        Row("write-ahead log", usual, told["wal_peak"] / _MB, Bar(WAL_MB, False, " MB")),
        Row("... while a reader hangs", shown, figures={"mb": stuck}),
        Row("... within an hour of its end", "one upkeep later", told["wal_after"] / _MB, Bar(WAL_MB, False, " MB")),
    ]


def _memory(hours: Mapping[str, Any], day: Any, warm: Any, is_judged: bool) -> Row:
    rss = hours["rss"] / _MB
    grown = None if np.isnan(rss).any() else slope(day.tolist(), rss[warm].tolist())
    if grown is None:
        return Row("memory", "not measured on this system")
    shown = f"{rss[0]:.0f} MB at first, {rss[warm][0]:.0f} after warm-up, {rss[-1]:.0f} at the end, "
    return Row(
        "memory after warm-up: slope",
        shown
        + f"at most {rss.max():.0f}"
        + ("" if is_judged else f"; {grown:+.1f} MB a market day, too short to judge"),
        grown if is_judged else None,
        Bar(MEMORY_MB_A_DAY, False, " MB a market day") if is_judged else None,
        {"first_mb": float(rss[0]), "last_mb": float(rss[-1]), "peak_mb": float(rss.max())},
    )


def _times(told: Mapping[str, Any]) -> list[Row]:
    took, beside = np.asarray(told["cycle_ms"]), np.asarray(told["beside"])
    rows = [_time_row("a cycle", took)]
    rows.append(_time_row("... while a weekly job runs beside it", took[beside % 2 == 1]))
    rows.append(_time_row("... while upkeep runs beside it (back-up, retention)", took[beside >= 2]))
    rows += [_time_row(f"upkeep: {name}", values) for name, values in told["upkeep_ms"].items()]
    return rows


def _time_row(what: str, took: Sequence[float]) -> Row:
    told = quantiles(took)
    if not told:
        return Row(what, "did not happen")
    shown = f"p50 {told['p50']:.0f} ms, p99 {told['p99']:.0f} ms, worst {told['max']:.0f} ms, {told['n']:,.0f} times"
    return Row(what, shown, figures=told)


def _record(plan: Plan, told: Mapping[str, Any]) -> list[Row]:
    due = sundays(plan) * WEEKLY_JOBS
    sent = ", ".join(f"{count:,} {name}" for name, count in sorted(told["messages"].items())) or "none"
    faults = ", ".join(f"{count:,} {name}" for name, count in sorted(told["faults"].items())) or "none"
    jobs = f"{told['weekly_ok']} of {due} ended well"
    failed = Counter(line.split(":")[0] for line in told["weekly_failed"])
    jobs += "".join(f"; {name} failed {count} times" for name, count in sorted(failed.items()))
    minutes = round(plan.days * DAY_MS / MINUTE_MS) * len(plan.symbols)
    log = told["log_bytes"] / 1e6
    return [
        Row("weekly jobs not done", jobs, max(0, due - told["weekly_ok"]), Bar(0.0, False, "")),
        Row("alerts not delivered at the end", sent, told["undelivered"], Bar(0.0, False, "")),
        Row(
            "minutes that differ from the market",
            f"of {minutes:,}; faults: {faults}",
            told["differ"],
            Bar(0.0, False, ""),
        ),
        _runs(plan, told),
        Row(
            "log files",
            f"{FILES} of {FILE_BYTES / 1e6:.0f} MB are kept",
            log,
            Bar(FILES * FILE_BYTES / 1e6, False, " MB"),
        ),
    ]


def _viewer(viewer: Mapping[str, Any]) -> Row:
    failed = sum(viewer["errors"].values())
    shown = f"{viewer['polls']:,} pages read, {viewer['mean_ms']:.0f} ms each, slowest {viewer['slowest_ms']:.0f} ms"
    return Row("viewer: pages that failed", shown, failed, Bar(0.0, False, ""))


def _runs(plan: Plan, told: Mapping[str, Any]) -> Row:
    """Judge the rows of runs by the retention rule, where the run is longer than it."""
    kept_days, count = told["runs_days"], told["job_runs"]
    oldest = told["oldest_run_days"]
    shown = f"{count:,} rows, the oldest run that went well {oldest:.1f} days old; {kept_days} days are kept"
    if plan.days <= kept_days + 1:
        return Row("rows of job_runs", f"{shown}; too short to judge")
    return Row(
        "rows of job_runs: older than they may be", shown, max(0.0, oldest - kept_days - 1), Bar(0.0, False, " days")
    )
