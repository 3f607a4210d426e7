"""From a stretch of closes to stored candidates, for live and retro alike.

The law: both decide a close with the same candles before it, and both store only what is missing: a
candidate that is already there keeps its row.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from core.clock import timeframe_ms
from core.config import Config
from core.execution.costs import CostModel
from core.jobs._book import begin, instrument_of, play_on
from core.jobs._desk import Desk
from core.pipeline import ScanRules, scan
from core.ports import Setup
from core.risk.sizing import RiskRules
from core.schema import SIGNALS, TRADE_EVENTS, TRADES, Candles, empty_frame

__all__ = ["Stored", "closes_between", "decide_range", "scan_rules", "store_candidates"]


def scan_rules(config: Config, costs: CostModel) -> ScanRules:
    """Return what a scan needs of a configuration."""
    risk = config.risk
    return ScanRules(
        costs=costs,
        risk=RiskRules(
            capital_usd=risk.capital_usd,
            risk_pct=risk.risk_pct,
            max_leverage=risk.max_leverage,
            liquidation_buffer=risk.liquidation_buffer,
            maintenance_margin_pct=risk.maintenance_margin_pct,
        ),
        validity_candles=config.signals.validity_candles,
        meta_enabled=config.models.meta.enabled,
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
    candles, first = closes_between(desk, symbol, timeframe, setup.warmup, from_ms, to_ms)
    rules = scan_rules(desk.config, desk.costs)
    signals, decisions = scan(candles, instrument_of(desk, symbol), timeframe, setup, rules, first)
    return signals, decisions, len(candles) - first


def closes_between(
    desk: Desk, symbol: str, timeframe: str, warmup: int, from_ms: int, to_ms: int
) -> tuple[Candles, int]:
    """Return the candles that close in ``(from_ms, to_ms]`` with up to `warmup` before them, and how many those are."""
    step = timeframe_ms(timeframe)
    first_ts = from_ms - step + 1  # a close after from_ms belongs to a candle opened after from_ms - step
    before = desk.reader.last_candles(desk.exchange, symbol, timeframe, warmup, first_ts)
    due = desk.reader.candles(desk.exchange, symbol, timeframe, first_ts, to_ms - step + 1)
    return Candles.concat([before, due]), len(before)


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """What was new: signals with their ids, their trades, and what has happened to them already."""

    signals: pd.DataFrame
    trades: pd.DataFrame
    events: pd.DataFrame


def store_candidates(desk: Desk, signals: pd.DataFrame, decisions: pd.DataFrame, to_ms: int) -> Stored:
    """Store one symbol's live candidates that are missing, played so far; what is taken comes later.

    Parameters
    ----------
    desk : Desk
    signals, decisions : pandas.DataFrame
        Row by row beside each other.
    to_ms : int
        Play the new trades up to here.

    Returns
    -------
    Stored
    """
    nothing = Stored(empty_frame(SIGNALS), empty_frame(TRADES), empty_frame(TRADE_EVENTS))
    if signals.empty:
        return nothing
    with desk.writer.transaction():
        put = desk.writer.put_signals(signals.assign(origin="live"))
        fresh = put["new"].to_numpy(dtype=bool)
        if not fresh.any():
            return nothing
        signals = signals.assign(id=put["id"].to_numpy(), origin="live")[fresh].reset_index(drop=True)
        desk.writer.put_decisions(decisions[fresh].assign(signal_id=signals["id"].to_numpy()))
        trades = begin(desk, signals)
        symbol = str(signals["symbol"].iloc[0])
        after, events = play_on(desk, trades, signals, {symbol: to_ms})
        if len(after):
            waiting = trades[~trades["signal_id"].isin(after["signal_id"])]
            trades = pd.concat([waiting, after], ignore_index=True)
        desk.writer.put_trades(trades)
        desk.writer.put_events(events)
    return Stored(signals, trades, events)
