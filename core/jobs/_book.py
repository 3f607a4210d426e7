"""Trades between the store and the kernel, for every job that plays them.

The law: live execution and retro scans load, play and store trades through these functions, so a trade is
the same whoever moved it on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from core import plugins
from core.clock import DAY_MS, MINUTE_MS
from core.execution import book, identity
from core.execution.costs import CostModel
from core.execution.funding import funding_frontier, funding_marks, no_marks
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.jobs._desk import Desk
from core.pipeline import simulate
from core.ports import ExitPolicy
from core.schema import TRADE_EVENTS, TRADES, Instrument, empty_frame, perpetual

__all__ = ["Played", "begin", "instrument_of", "join_signals", "play_on", "playable_to", "policy_id", "run_of"]

FUNDING_LOOK_BACK_MS = 7 * DAY_MS
"""A market that has recorded no settlement for so long is not waited for."""

Played = tuple[pd.DataFrame, pd.DataFrame]
Parameters = tuple[ExitPolicy, ExecutionRules, CostModel]


def instrument_of(desk: Desk, symbol: str) -> Instrument:
    """Return what the exchange says about a symbol; unknown sizes where it was never asked."""
    known: dict[str, Instrument] = desk.memory.setdefault("instruments", {})
    if symbol not in known:
        known.update(desk.reader.instruments(desk.exchange))
    return known.get(symbol) or Instrument(desk.exchange, symbol)


def policy_id(desk: Desk) -> str:
    """Return the identity of the exit, execution and cost parameters in force, recorded in the store.

    It is recorded each time: the transaction that did so the last time may have been taken back.
    """
    now = identity.exit_policy_id(desk.exit_policy, desk.rules, desk.costs)
    params = identity.exit_policy_params(desk.exit_policy, desk.rules, desk.costs)
    desk.writer.put_exit_policy(now, desk.exit_policy.name, params)
    return now


def begin(desk: Desk, signals: pd.DataFrame) -> pd.DataFrame:
    """Return pending trades of stored signals under the exit policy in force."""
    return book.new_trades(signals, policy_id(desk), desk.rules)


def join_signals(desk: Desk, trades: pd.DataFrame) -> pd.DataFrame:
    """Return the signals of trades, row by row beside them.

    Signals of unfinished trades are asked for every minute and never change: they are read once.
    """
    wanted = pd.Index(trades["signal_id"].unique())
    known = desk.memory.get("signals")
    if known is None:
        known = desk.reader.signals(ids=wanted.tolist()).set_index("id", drop=False)
    else:
        lacking = wanted.difference(known.index)
        if len(lacking):
            read = desk.reader.signals(ids=lacking.tolist()).set_index("id", drop=False)
            known = pd.concat([known[known.index.isin(wanted)], read])
    desk.memory["signals"] = known
    return known.loc[trades["signal_id"]].reset_index(drop=True)


def playable_to(desk: Desk, symbol: str, now_ms: int) -> int:
    """Return the time up to which a symbol's trades may be played now: its candle and funding frontier."""
    frontier = desk.reader.frontier(desk.exchange, symbol, desk.config.data.base_timeframe) or 0
    if not perpetual(symbol):
        return frontier
    recorded = desk.reader.funding(desk.exchange, symbol, frontier - FUNDING_LOOK_BACK_MS)
    return funding_frontier(recorded, now_ms, frontier) if len(recorded) else frontier


def play_on(
    desk: Desk,
    trades: pd.DataFrame,
    signals: pd.DataFrame,
    to_ms: Mapping[str, int],
) -> Played:
    """Play unfinished trades, each to its symbol's time and under the parameters it was begun with.

    Parameters
    ----------
    desk : Desk
    trades, signals : pandas.DataFrame
        Row by row beside each other; of any symbols.
    to_ms : mapping of str to int
        By symbol: candles from there on are not looked at. A symbol that is not named is left alone.

    Returns
    -------
    trades, events : pandas.DataFrame
        Trades further on, and what happened.
    """
    limit = signals["symbol"].map(to_ms).fillna(0).to_numpy(dtype="int64")
    due = trades["status"].isin(["PENDING", "OPEN"]).to_numpy() & (trades["next_ms"].to_numpy() < limit)
    if not due.any():
        return empty_frame(TRADES), empty_frame(TRADE_EVENTS)
    trades, signals = trades[due].reset_index(drop=True), signals[due].reset_index(drop=True)
    owner, symbols = pd.factorize(signals["symbol"])
    starts = trades.groupby(owner)["next_ms"].min()
    tick = np.array([instrument_of(desk, symbol).tick or np.nan for symbol in symbols])[owner]
    played: list[Played] = []
    for exit_policy, rows in trades.groupby("exit_policy", sort=True).indices.items():
        policy, rules, costs = _parameters(desk, str(exit_policy))
        runs = [run_of(desk, symbol, int(starts[k]), to_ms[symbol], costs) for k, symbol in enumerate(symbols)]
        part = trades.iloc[rows].reset_index(drop=True), signals.iloc[rows].reset_index(drop=True)
        played.append(simulate(*part, policy, runs, owner[rows], tick[rows], rules, costs))
    return _stack([trade for trade, _ in played]), _stack([event for _, event in played])


def run_of(desk: Desk, symbol: str, from_ms: int, to_ms: int, costs: CostModel) -> Run:
    """Return a stretch of a symbol's one-minute candles with its settlements, to play trades on."""
    candles = desk.reader.candles(desk.exchange, symbol, desk.config.data.base_timeframe, from_ms, to_ms)
    if not perpetual(symbol):
        return Run(candles, to_ms, no_marks())
    recorded = desk.reader.funding(desk.exchange, symbol)
    return Run(candles, to_ms, funding_marks(recorded, from_ms - MINUTE_MS, to_ms, costs.funding_rate_pct))


def _parameters(desk: Desk, exit_policy: str) -> Parameters:
    """Return the policy, rules and costs an identity stands for."""
    known: dict[str, Parameters] = desk.memory.setdefault("policies", {})
    if exit_policy not in known:
        if exit_policy == policy_id(desk):
            known[exit_policy] = (desk.exit_policy, desk.rules, desk.costs)
        else:
            _, text = desk.reader.exit_policies()[exit_policy]
            name, params, rules, costs = identity.from_params(text)
            known[exit_policy] = (plugins.build("core.exits", name, params, "exit_policies"), rules, costs)
    return known[exit_policy]


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
