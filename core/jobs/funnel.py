"""Job `funnel`: how many closes become candidates, pass, are taken, fill and win.

The law: live and retro count alike, each candidate once; what a model that had seen the outcome said is left out and
counted apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from core.clock import format_ms, timeframe_ms
from core.jobs._console import wrapped
from core.jobs._desk import Desk, Report
from core.jobs._subject import Subject, subject_of
from core.results.funnel import ALL, FUNNEL_ROWS, Funnel, funnel_lines, funnel_of
from core.results.metrics import DISCLAIMER, SYNTHETIC
from core.schema import conform

__all__ = ["FunnelRequest", "run"]

_PLAYED = ("signal_id", "status", "taken", "blocked_by", "opened_ms", "known_ms", "pnl_pct", "r_multiple")


@dataclass(frozen=True, slots=True)
class FunnelRequest:
    """What to count.

    Parameters
    ----------
    symbols, timeframes : sequence of str
        Only these; all on record where empty.
    start_ms, end_ms : int, optional
        Candidates decided in ``[start_ms, end_ms)``.
    """

    symbols: Sequence[str] = ()
    timeframes: Sequence[str] = ()
    start_ms: int | None = None
    end_ms: int | None = None


async def run(desk: Desk, request: FunnelRequest) -> Report:
    """Count candidates from close to result."""
    subject = subject_of(desk)
    signals = _signals(desk, subject, request)
    synthetic = [SYNTHETIC] * (desk.reader.meta(f"synthetic:{desk.exchange}") == "1")
    if signals.empty:
        told = "No candidate is on record for that. `python retro_scan.py` scans the stored history."
        return Report("funnel", text="\n".join([*synthetic, told]))
    left_out = int((signals["in_sample"] == 1).sum())
    rows = _rows(desk, subject, signals[signals["in_sample"] == 0])
    timeframes = sorted(set(rows["timeframe"]), key=timeframe_ms)
    closes = {timeframe: _closes(desk, signals, timeframe, request) for timeframe in timeframes}
    funnels: dict[str, Funnel] = {
        timeframe: funnel_of(rows[rows["timeframe"] == timeframe], closes[timeframe]) for timeframe in timeframes
    }
    if len(timeframes) != 1:
        funnels[ALL] = funnel_of(rows, sum(closes.values()))
    zone = desk.config.app.timezone
    first, last = (format_ms(int(end), zone) for end in (signals["decided_ms"].min(), signals["decided_ms"].max()))
    live = int((signals["origin"] == "live").sum())
    lines = [
        *synthetic,
        f"{desk.exchange}, {subject}",
        f"Candidates decided from {first} to {last}: {live:,} live, {len(signals) - live:,} by scans of the past"
        + (f"; {left_out:,} judged in sample are left out" if left_out else ""),
        "",
        *funnel_lines(funnels),
        "",
        *wrapped(DISCLAIMER),
    ]
    return Report("funnel", text="\n".join(lines))


def _signals(desk: Desk, subject: Subject, request: FunnelRequest) -> pd.DataFrame:
    columns = ("id", "symbol", "timeframe", "verdict", "reason", "decided_ms", "origin", "in_sample")
    signals = pd.concat(
        [
            desk.reader.signals(
                exchange=desk.exchange,
                plan_hash=plan,
                start_ms=request.start_ms,
                end_ms=request.end_ms,
                columns=columns,
            )
            for plan in subject.plans
        ],
        ignore_index=True,
    )
    for column, wanted in (("symbol", request.symbols), ("timeframe", request.timeframes)):
        if wanted:
            signals = signals[signals[column].isin(wanted)]
    return signals


def _rows(desk: Desk, subject: Subject, signals: pd.DataFrame) -> pd.DataFrame:
    """Return every candidate beside its trade."""
    trades = desk.reader.trades(exchange=desk.exchange, exit_policy=subject.exit_policy, columns=_PLAYED)
    rows = signals.rename(columns={"id": "signal_id"}).merge(trades, on="signal_id", how="left")
    whole = dict.fromkeys(("taken", "opened_ms", "known_ms"), 0)
    return conform(rows.fillna({**whole, "status": "", "blocked_by": ""}), FUNNEL_ROWS)


def _closes(desk: Desk, signals: pd.DataFrame, timeframe: str, request: FunnelRequest) -> int:
    """Return the stored closes of the series that have candidates, from the first candidate to the last scan.

    A scan of the past leaves no mark of its range, so the first candidate stands for its beginning, and the last one
    for its end where nothing was scanned live since.
    """
    step, count = timeframe_ms(timeframe), 0
    mine = signals[signals["timeframe"] == timeframe]
    for symbol, decided in mine.groupby("symbol")["decided_ms"]:
        scanned_ms = desk.reader.scanned(desk.exchange, str(symbol), timeframe) or 0
        first_ms = max(int(decided.min()), request.start_ms or 0)
        last_ms = max(int(decided.max()), scanned_ms)
        last_ms = last_ms if request.end_ms is None else min(last_ms, request.end_ms - 1)
        candles = desk.reader.candles(desk.exchange, str(symbol), timeframe, first_ms - step, last_ms - step + 1)
        count += len(candles)
    return count
