"""Trades between the store and the kernel, for every job that plays them.

The law: live execution and retro scans load, play and store trades through these functions, so a trade is
the same whoever moved it on.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core import plugins
from core.clock import MINUTE_MS
from core.execution import book, identity
from core.execution.funding import FundingMarks, funding_frontier, funding_marks, no_marks
from core.jobs._desk import Desk
from core.pipeline import simulate, take
from core.schema import TRADE_EVENTS, TRADES, Candles, Instrument, empty_frame, perpetual

__all__ = ["Played", "begin", "instrument_of", "join_signals", "mark_taken", "play_on", "playable_to"]

Played = tuple[pd.DataFrame, pd.DataFrame]


def instrument_of(desk: Desk, symbol: str) -> Instrument:
    """Return what the exchange says about a symbol; unknown sizes where it was never asked."""
    known: dict[str, Instrument] = desk.memory.setdefault("instruments", {})
    if symbol not in known:
        known.update(desk.reader.instruments(desk.exchange))
    return known.setdefault(symbol, Instrument(desk.exchange, symbol))


def policy_id(desk: Desk) -> str:
    """Return the identity of the exit, execution and cost parameters in force, recorded in the store."""
    now = identity.exit_policy_id(desk.exit_policy, desk.rules, desk.costs)
    if desk.memory.get("exit_policy") != now:
        params = identity.exit_policy_params(desk.exit_policy, desk.rules, desk.costs)
        desk.writer.put_exit_policy(now, desk.exit_policy.name, params)
        desk.memory["exit_policy"] = now
    return now


def begin(desk: Desk, signals: pd.DataFrame) -> pd.DataFrame:
    """Return pending trades of stored signals under the exit policy in force."""
    return book.new_trades(signals, policy_id(desk), desk.rules)


def join_signals(desk: Desk, trades: pd.DataFrame) -> pd.DataFrame:
    """Return the signals of trades, row by row beside them."""
    signals = desk.reader.signals(ids=sorted(set(trades["signal_id"].tolist())))
    return signals.set_index("id", drop=False).loc[trades["signal_id"]].reset_index(drop=True)


def playable_to(desk: Desk, symbol: str, now_ms: int) -> int:
    """Return the time up to which a symbol's trades may be played now: its candle and funding frontier."""
    frontier = desk.reader.frontier(desk.exchange, symbol, desk.config.data.base_timeframe) or 0
    if not perpetual(symbol):
        return frontier
    recorded = desk.reader.funding(desk.exchange, symbol)
    return funding_frontier(recorded, now_ms, frontier) if len(recorded) else frontier


def play_on(
    desk: Desk,
    symbol: str,
    trades: pd.DataFrame,
    signals: pd.DataFrame,
    to_ms: int,
    candles: Candles | None = None,
) -> Played:
    """Play one symbol's trades to `to_ms`, each under the parameters it was begun with.

    Parameters
    ----------
    desk : Desk
    symbol : str
    trades, signals : pandas.DataFrame
        Row by row beside each other.
    to_ms : int
        The frontier; candles from there on are not looked at.
    candles : Candles, optional
        One-minute candles that cover the trades; read from the store where not given.

    Returns
    -------
    trades, events : pandas.DataFrame
        Trades further on, and what happened.
    """
    due = trades["next_ms"] < to_ms
    due &= trades["status"].isin(["PENDING", "OPEN"])
    if not due.any():
        return empty_frame(TRADES), empty_frame(TRADE_EVENTS)
    trades, signals = trades[due].reset_index(drop=True), signals[due.to_numpy()].reset_index(drop=True)
    start = int(trades["next_ms"].min())
    if candles is None:
        candles = desk.reader.candles(desk.exchange, symbol, desk.config.data.base_timeframe, start, to_ms)
    played: list[Played] = []
    for exit_policy, rows in trades.groupby("exit_policy", sort=True).indices.items():
        policy, rules, costs = _parameters(desk, str(exit_policy))
        played.append(
            simulate(
                trades.iloc[rows].reset_index(drop=True),
                signals.iloc[rows].reset_index(drop=True),
                policy,
                candles,
                to_ms,
                rules,
                costs,
                _marks(desk, symbol, start, to_ms, costs.funding_rate_pct),
                instrument_of(desk, symbol),
            )
        )
    return _stack([trade for trade, _ in played]), _stack([event for _, event in played])


def mark_taken(trades: pd.DataFrame, signals: pd.DataFrame) -> pd.DataFrame:
    """Return new trades with `taken` and `blocked_by` set."""
    shared = ["signal_id", "exit_policy", "known_ms", "exit_reason", "pnl_pct"]
    rows = pd.concat(
        [
            trades[shared].reset_index(drop=True),
            signals[["key", "decided_ms", "symbol", "timeframe", "verdict", "position_notional"]].reset_index(
                drop=True
            ),
        ],
        axis=1,
    )
    verdicts = take(rows).set_index("signal_id").loc[trades["signal_id"]]
    return trades.assign(taken=verdicts["taken"].to_numpy(), blocked_by=verdicts["blocked_by"].to_numpy())


def _parameters(desk: Desk, exit_policy: str) -> tuple:  # type: ignore[type-arg]
    """Return the policy, rules and costs an identity stands for."""
    known = desk.memory.setdefault("policies", {})
    if exit_policy not in known:
        if exit_policy == policy_id(desk):
            known[exit_policy] = (desk.exit_policy, desk.rules, desk.costs)
        else:
            _, text = desk.reader.exit_policies()[exit_policy]
            name, params, rules, costs = identity.from_params(text)
            known[exit_policy] = (plugins.build("core.exits", name, params, "exit_policies"), rules, costs)
    found: tuple[object, ...] = known[exit_policy]
    return found


def _marks(desk: Desk, symbol: str, start_ms: int, end_ms: int, default_rate_pct: float) -> FundingMarks:
    if not perpetual(symbol):
        return no_marks()
    recorded = desk.reader.funding(desk.exchange, symbol)
    return funding_marks(recorded, start_ms - MINUTE_MS, end_ms, default_rate_pct)


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
