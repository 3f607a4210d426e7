"""What a load test promises, and what came of it.

The law: lateness is the exchange's time from a close to the end of the cycle that decided it, the wait before the
first request among it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks._load_stage import TIMEFRAMES
from benchmarks._soak_gauges import quantiles
from benchmarks.results import Bar, Row
from core.clock import MINUTE_MS
from core.jobs._minutes import SETTLE_MS

__all__ = ["PROMISED_S", "extra_rows", "floor_s", "size_rows"]

PROMISED_S = {50: 10.0, 200: 30.0}
"""By symbols, seconds from a close to its decision at the 99th percentile."""

EXTRA_S = 2.0

Minutes = Sequence[Mapping[str, Any]]


def floor_s(symbols: int, per_second: float) -> float:
    """Return how long one request a symbol takes at the exchange's pace.

    Examples
    --------
    >>> floor_s(200, 20.0)
    10.0
    """
    return symbols / per_second


def size_rows(symbols: int, per_second: float, told: Mapping[str, Any], exchange: Mapping[str, Any]) -> list[Row]:
    """Return the rows of one size.

    Parameters
    ----------
    symbols : int
    per_second : float
        Requests the exchange allows.
    told : mapping
        What the engine's process said.
    exchange : mapping
        What the exchange counted.
    """
    minutes: Minutes = told["minutes"]
    late = quantiles([one["late_ms"] / 1000 for one in minutes])
    promised = PROMISED_S.get(symbols)
    sums = {name: sum(one[name] for one in minutes) for name in ("closes", "signals", "queued", "behind")}
    problems = [line for one in minutes for line in one["problems"]]
    shown = (
        f"p50 {late['p50']:.1f} s, worst {late['max']:.1f} s of {late['n']:.0f} closes; in it {SETTLE_MS / 1000:g} s "
        f"until asked and {floor_s(symbols, per_second):.1f} s of requests at {per_second:g} a second"
    )
    work = f"{symbols} symbols x {len(TIMEFRAMES)} timeframes: close to decided and queued, p99"
    bar = None if promised is None else Bar(promised, False, " s")
    rows = [Row(work, shown if bar else f"p99 {late['p99']:.1f} s, {shown}", late["p99"] if bar else None, bar, late)]
    rows.append(Row("... where the time went, usually", _stages(minutes, None)))
    rows.append(Row("... and at the latest close", _stages(minutes, max(minutes, key=lambda one: one["late_ms"]))))
    work = f"{sums['closes']:,} closes decided, {sums['signals']:,} signals, {sums['queued']:,} alerts queued"
    asked = f"{sum(exchange['requests'].values()):,} requests, {exchange['refused']:,} refused as too many"
    rows.append(Row("... what was done", f"{work}, {told['sent']:,} sent; {asked}"))
    shown = f"{len(problems)} problems" + (f", the first: {problems[0]}" if problems else "")
    rows.append(Row("... symbols left behind by a close", shown, sums["behind"], Bar(0.0, False, "")))
    return rows


def _stages(minutes: Minutes, one: Mapping[str, Any] | None) -> str:
    """Say how long each stage took: at one close, or the median of all."""
    names = list(minutes[0]["stages_ms"])
    chosen = minutes if one is None else [one]
    took = {name: float(np.median([minute["stages_ms"].get(name, 0) for minute in chosen])) for name in names}
    shown = ", ".join(f"{name} {ms / 1000:.2f} s" for name, ms in sorted(took.items(), key=lambda pair: -pair[1]))
    return shown if one is None else f"{_turns(one['close_ms'])}: {shown}"


def _turns(close_ms: int) -> str:
    """Return the time of day of a close, UTC."""
    hours, minutes = divmod(close_ms // MINUTE_MS % 1_440, 60)
    return f"{hours:02d}:{minutes:02d}"


def extra_rows(quiet: Minutes, busy: Minutes, beside: Mapping[str, int]) -> list[Row]:
    """Return by how much work beside the live engine delays it, the same closes compared.

    Parameters
    ----------
    quiet, busy : sequence of mapping
        What the engine's process said of each minute, alone and with work beside it.
    beside : mapping
        By command, how often it was run through in that time.
    """
    alone = {one["close_ms"]: one["late_ms"] for one in quiet}
    extra = [(one["late_ms"] - alone[one["close_ms"]]) / 1000 for one in busy if one["close_ms"] in alone]
    told = quantiles(extra)
    work = ", ".join(f"{name} {count} times" for name, count in beside.items())
    shown = f"median {told['p50']:+.2f} s, largest {told['max']:+.2f} s of {told['n']:.0f} closes; beside it {work}"
    return [
        Row("retro scan and training beside it: largest extra delay", shown, told["max"], Bar(EXTRA_S, False, " s"))
    ]
