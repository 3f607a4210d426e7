"""From a stretch of closes to stored candidates, for live and retro alike.

The law: both decide a close with the same candles before it, and both store only what is missing: a
candidate that is already there keeps its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from core.clock import timeframe_ms
from core.config import Config
from core.execution.costs import CostModel
from core.jobs._book import begin, instrument_of, play_on, rows_of
from core.jobs._desk import Desk
from core.pipeline import ScanRules, scan
from core.ports import Setup
from core.risk.sizing import RiskRules
from core.schema import SIGNALS, TRADE_EVENTS, TRADES, Candles, FloatArray, IntArray, empty_frame

__all__ = ["Found", "Stored", "closes_between", "find_range", "put_features", "scan_rules", "store_candidates"]


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
    )


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The candidates of some closes of one series.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`, as `pipeline.scan` gives them.
    candles : Candles
        The closes, with what setup and features need before them.
    closes : int
        How many closes were looked at.
    """

    signals: pd.DataFrame
    candles: Candles
    closes: int


def find_range(desk: Desk, symbol: str, timeframe: str, setup: Setup, from_ms: int, to_ms: int) -> Found:
    """Find the candidates of every close in ``(from_ms, to_ms]`` of one series."""
    warmup = max(setup.warmup, 0 if desk.features is None else desk.features.warmup)
    candles, first = closes_between(desk, symbol, timeframe, warmup, from_ms, to_ms)
    before = min(first, setup.warmup)  # a setup sees its own warm-up and no more, in whatever company
    rules = scan_rules(desk.config, desk.costs)
    seen = candles.slice(first - before)
    return Found(
        scan(seen, instrument_of(desk, symbol), timeframe, setup, rules, before), candles, len(candles) - first
    )


def closes_between(
    desk: Desk, symbol: str, timeframe: str, warmup: int, from_ms: int, to_ms: int
) -> tuple[Candles, int]:
    """Return the candles that close in ``(from_ms, to_ms]`` with up to `warmup` before them, and how many those are."""
    step = timeframe_ms(timeframe)
    first_ts = from_ms - step + 1  # a close after from_ms belongs to a candle opened after from_ms - step
    before = desk.reader.last_candles(desk.exchange, symbol, timeframe, warmup, first_ts)
    start_ms = int(before.ts[0]) if len(before) else first_ts
    return desk.reader.candles(desk.exchange, symbol, timeframe, start_ms, to_ms - step + 1), len(before)


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """What was new: signals with their ids, their trades, and what has happened to them already."""

    signals: pd.DataFrame
    trades: pd.DataFrame
    events: pd.DataFrame


def store_candidates(
    desk: Desk, signals: pd.DataFrame, decisions: pd.DataFrame, vectors: FloatArray, to_ms: Mapping[str, int]
) -> Stored:
    """Store live candidates that are missing, played so far; what is taken comes later.

    Parameters
    ----------
    desk : Desk
    signals, decisions : pandas.DataFrame
        Row by row beside each other.
    vectors : float64 array, shape (n, k)
        Their features, row by row; not looked at where the desk has none.
    to_ms : mapping of str to int
        By symbol: play the new trades up to here.

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
        signals = rows_of(signals.assign(id=put["id"].to_numpy(), origin="live"), fresh)
        desk.writer.put_decisions(decisions[fresh].assign(signal_id=signals["id"].to_numpy()))
        put_features(desk, signals["id"].to_numpy(), vectors[fresh])
        trades = begin(desk, signals)
        after, events = play_on(desk, trades, signals, to_ms)
        if len(after):
            waiting = trades[~trades["signal_id"].isin(after["signal_id"])]
            trades = pd.concat([waiting, after], ignore_index=True)
        desk.writer.put_trades(trades)
        desk.writer.put_events(events)
    return Stored(signals, trades, events)


def put_features(desk: Desk, signal_ids: IntArray, vectors: FloatArray) -> None:
    """Store the vectors that are missing, where candidates are described at all."""
    if desk.features is None or not len(signal_ids):
        return
    desk.writer.put_feature_set(desk.features.id, desk.features.columns)
    desk.writer.put_features(desk.features.id, signal_ids, vectors)
