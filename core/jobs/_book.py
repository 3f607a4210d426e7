"""Trades between the store and the kernel, for every job that plays them.

The law: live execution and retro scans load, play and store trades through these functions, so a trade is
the same whoever moved it on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from core import plugins
from core.clock import DAY_MS, MINUTE_MS
from core.execution import book, identity
from core.execution.costs import CostModel
from core.execution.funding import FundingMarks, funding_frontier, funding_marks, no_marks
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.jobs._desk import Desk
from core.pipeline import simulate
from core.ports import ExitPolicy
from core.schema import TRADE_EVENTS, TRADES, Instrument, empty_frame, perpetual
from core.store.reader import Marks

__all__ = [
    "DELISTED",
    "Played",
    "begin",
    "ended",
    "instrument_of",
    "join_signals",
    "play_on",
    "playable",
    "playable_to",
    "policy_id",
    "rows_of",
    "run_of",
]

DELISTED = "delisted"
"""Why a symbol is switched off that the exchange has ended: its trades end with it."""

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
    """Return `desk.exits`, recorded in the store: for who is about to write trades.

    It is recorded each time: the transaction that did so the last time may have been taken back.
    """
    now = desk.exits
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
    ids = trades["signal_id"].to_numpy()
    known: pd.DataFrame | None = desk.memory.get("signals")
    if known is not None and np.array_equal(known["id"].to_numpy(), ids):
        return known
    wanted = np.unique(ids)
    there = np.empty(0, dtype=np.int64) if known is None else known["id"].to_numpy()
    lacking = np.setdiff1d(wanted, there)
    if known is None:
        known = desk.reader.signals(ids=lacking.tolist())
    elif len(lacking):
        known = pd.concat([known, desk.reader.signals(ids=lacking.tolist())], ignore_index=True)
    there = known["id"].to_numpy()
    order = np.argsort(there, kind="stable")
    joined = known.take(order[np.searchsorted(there, ids, sorter=order)]).reset_index(drop=True)
    desk.memory["signals"] = joined
    return joined


def playable_to(desk: Desk, symbol: str, now_ms: int) -> int:
    """Return the time up to which a symbol's trades may be played now: its candle and funding frontier."""
    return playable(desk, [symbol], now_ms)[symbol]


def playable(desk: Desk, symbols: Iterable[str], now_ms: int) -> dict[str, int]:
    """Return the time up to which the trades of symbols may be played now."""
    base = desk.config.data.base_timeframe
    to_ms: dict[str, int] = {}
    with desk.reader.snapshot():
        marks = desk.reader.marks(desk.exchange, base)
        for symbol in symbols:
            frontier = marks.get((symbol, base), Marks()).frontier_ms or 0
            to_ms[symbol] = frontier
            if perpetual(symbol):
                recorded = desk.reader.funding(desk.exchange, symbol)
                if len(recorded) and recorded[-1, 0] >= frontier - FUNDING_LOOK_BACK_MS:
                    to_ms[symbol] = funding_frontier(recorded, now_ms, frontier)
    return to_ms


def ended(desk: Desk, to_ms: Mapping[str, int]) -> frozenset[str]:
    """Return the symbols the exchange has ended whose trades may be played to the end of their candles.

    Parameters
    ----------
    desk : Desk
    to_ms : mapping of str to int
        By symbol: how far its trades may be played; those still followed have not ended.
    """
    if set(desk.symbols).issuperset(to_ms):
        return frozenset()  # every minute, but for very few
    off = desk.reader.symbols_off(desk.exchange)
    gone = off.loc[off["reason"] == DELISTED, "symbol"].tolist()
    base = desk.config.data.base_timeframe
    marks = desk.reader.marks(desk.exchange, base)
    return frozenset(
        symbol for symbol in gone if symbol in to_ms and to_ms[symbol] == marks.get((symbol, base), Marks()).frontier_ms
    )


def play_on(
    desk: Desk,
    trades: pd.DataFrame,
    signals: pd.DataFrame,
    to_ms: Mapping[str, int],
    gone: Collection[str] = (),
) -> Played:
    """Play unfinished trades, each to its symbol's time and under the parameters it was begun with.

    Parameters
    ----------
    desk : Desk
    trades, signals : pandas.DataFrame
        Row by row beside each other; of any symbols.
    to_ms : mapping of str to int
        By symbol: candles from there on are not looked at. A symbol that is not named is left alone.
    gone : collection of str
        Symbols whose market ended there: see `ended`.

    Returns
    -------
    trades, events : pandas.DataFrame
        Trades further on, and what happened.
    """
    owner, symbols = signals["symbol"].array.factorize()
    limit = np.array([to_ms.get(symbol, 0) for symbol in symbols], dtype=np.int64)[owner]
    is_last = np.array([symbol in gone for symbol in symbols], dtype=np.bool_)[owner]
    due = trades["status"].isin(["PENDING", "OPEN"]).to_numpy() & ((trades["next_ms"].to_numpy() < limit) | is_last)
    if not due.any():
        return empty_frame(TRADES), empty_frame(TRADE_EVENTS)
    trades, signals = rows_of(trades, due), rows_of(signals, due)
    owner, symbols = signals["symbol"].array.factorize()
    starts = np.full(len(symbols), np.iinfo(np.int64).max)
    np.minimum.at(starts, owner, trades["next_ms"].to_numpy())
    tick = np.array([instrument_of(desk, symbol).tick or np.nan for symbol in symbols])[owner]
    played: list[Played] = []
    places, policies = trades["exit_policy"].array.factorize()
    for exit_policy in sorted(policies):
        policy, rules, costs = _parameters(desk, exit_policy)
        mine = (policies == exit_policy)[places]
        with desk.reader.snapshot():
            runs = [
                run_of(desk, symbol, int(starts[k]), to_ms[symbol], costs, symbol in gone)
                for k, symbol in enumerate(symbols)
            ]
        part = rows_of(trades, mine), rows_of(signals, mine)
        played.append(simulate(*part, policy, runs, owner[mine], tick[mine], rules, costs))
    return _stack([trade for trade, _ in played]), _stack([event for _, event in played])


def run_of(desk: Desk, symbol: str, from_ms: int, to_ms: int, costs: CostModel, is_last: bool = False) -> Run:
    """Return a stretch of a symbol's one-minute candles with its settlements, to play trades on.

    Where it `is_last`, its market ended there: it holds the last candle, whose close is the way out, in any case.
    """
    series = desk.exchange, symbol, desk.config.data.base_timeframe
    if is_last:
        last = desk.reader.last_candles(*series, 1, to_ms)
        from_ms, is_last = (min(from_ms, int(last.ts[0])), True) if len(last) else (from_ms, False)
    candles = desk.reader.candles(*series, from_ms, to_ms)
    marks = _marks(desk, symbol, from_ms - MINUTE_MS, to_ms, costs) if perpetual(symbol) else no_marks()
    return Run(candles, to_ms, marks, is_last)


def _marks(desk: Desk, symbol: str, start_ms: int, end_ms: int, costs: CostModel) -> FundingMarks:
    return funding_marks(desk.reader.funding(desk.exchange, symbol), start_ms, end_ms, costs.funding_rate_pct)


def rows_of(frame: pd.DataFrame, which: npt.NDArray[np.bool_]) -> pd.DataFrame:
    """Return some rows, numbered anew; the frame itself where that is all of them."""
    return frame if which.all() else frame[which].reset_index(drop=True)


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
