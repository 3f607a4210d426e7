"""From a stretch of closes to stored candidates, for live and retro alike.

The law: both decide a close with the same candles before it, and both store only what is missing: a
candidate that is already there keeps its row.
"""

from __future__ import annotations

import pandas as pd

from core.clock import timeframe_ms
from core.jobs._announce import event_rows, new_signal_rows
from core.jobs._book import begin, instrument_of, mark_taken, play_on
from core.jobs._desk import Desk
from core.pipeline import ScanRules, scan
from core.ports import Setup
from core.risk.sizing import RiskRules
from core.schema import Candles

__all__ = ["decide_range", "scan_rules", "store_candidates"]


def scan_rules(desk: Desk) -> ScanRules:
    """Return what a scan needs of the configuration in force."""
    risk = desk.config.risk
    return ScanRules(
        costs=desk.costs,
        risk=RiskRules(
            capital_usd=risk.capital_usd,
            risk_pct=risk.risk_pct,
            max_leverage=risk.max_leverage,
            liquidation_buffer=risk.liquidation_buffer,
            maintenance_margin_pct=risk.maintenance_margin_pct,
        ),
        validity_candles=desk.config.signals.validity_candles,
        meta_enabled=desk.config.models.meta.enabled,
    )


def decide_range(
    desk: Desk, symbol: str, timeframe: str, setup: Setup, from_ms: int, to_ms: int
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Decide every close in ``(from_ms, to_ms]`` of one series.

    Returns
    -------
    signals, decisions : pandas.DataFrame
        As `pipeline.scan` gives them.
    closes : int
        How many closes were decided.
    """
    step = timeframe_ms(timeframe)
    first_ts = from_ms - step + 1  # a close after from_ms belongs to a candle opened after from_ms - step
    before = desk.reader.last_candles(desk.exchange, symbol, timeframe, setup.warmup, first_ts)
    due = desk.reader.candles(desk.exchange, symbol, timeframe, first_ts, to_ms - step + 1)
    candles = Candles.concat([before, due])
    signals, decisions = scan(
        candles, instrument_of(desk, symbol), timeframe, setup, scan_rules(desk), first=len(before)
    )
    return signals, decisions, len(due)


def store_candidates(
    desk: Desk,
    signals: pd.DataFrame,
    decisions: pd.DataFrame,
    origin: str,
    now_ms: int,
    to_ms: int,
    candles: Candles | None = None,
) -> int:
    """Store one symbol's candidates that are missing, with decision, trade, events and alerts.

    Parameters
    ----------
    desk : Desk
    signals, decisions : pandas.DataFrame
        Row by row beside each other.
    origin : str
        ``live`` or ``retro``; only live rows are announced.
    now_ms : int
        Market time.
    to_ms : int
        Play the new trades up to here.
    candles : Candles, optional
        One-minute candles that cover them; read where not given.

    Returns
    -------
    int
        How many were new.
    """
    if signals.empty:
        return 0
    with desk.writer.transaction():
        put = desk.writer.put_signals(signals.assign(origin=origin))
        fresh = put["new"].to_numpy(dtype=bool)
        if not fresh.any():
            return 0
        signals = signals.assign(id=put["id"].to_numpy(), origin=origin)[fresh].reset_index(drop=True)
        desk.writer.put_decisions(decisions[fresh].assign(signal_id=signals["id"].to_numpy()))
        trades = mark_taken(begin(desk, signals), signals)
        symbol = str(signals["symbol"].iloc[0])
        after, events = play_on(desk, trades, signals, {symbol: to_ms}, {symbol: candles} if candles else None)
        waiting = trades[~trades["signal_id"].isin(after["signal_id"])]
        desk.writer.put_trades(pd.concat([waiting, after], ignore_index=True) if len(after) else waiting)
        desk.writer.put_events(events)
        if origin == "live":
            channels = list(desk.notifiers)
            desk.writer.queue(new_signal_rows(signals, trades, desk.config, channels, now_ms))
            desk.writer.queue(event_rows(events, after, signals, desk.config, channels, now_ms))
    return len(signals)
