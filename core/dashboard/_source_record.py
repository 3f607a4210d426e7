"""The record as the viewer keeps it: read once, then only what is new; shared by everybody who looks.

The law: what is kept equals what the database holds; where a mark says that something earlier has changed, everything
is read again. Nobody changes a frame that is handed out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import streamlit as st

from core.dashboard._snapshot import Snapshot
from core.results.feed import FEED_SIGNALS
from core.results.rows import SIGNAL_COLUMNS, result_rows
from core.store.reader import Mark, Reader

__all__ = [
    "HEAD_COLUMNS", "Kept", "heads_at", "read_heads", "read_taken", "read_trades", "rows_at", "taken_at", "trades_at",
]  # fmt: skip

HEAD_COLUMNS = tuple(dict.fromkeys(("id", *SIGNAL_COLUMNS, *FEED_SIGNALS)))
"""What is kept of a signal: what is counted and what is listed."""

_UNFINISHED = ("PENDING", "OPEN")
_WHOLE_AGAIN_S = 3_600  # everything is read anew now and then, whatever the marks say


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Rows as of a mark.

    Parameters
    ----------
    frame : pandas.DataFrame
    mark : tuple
        Of the reader.
    """

    frame: pd.DataFrame
    mark: Mark


def read_heads(reader: Reader, exchange: str, kept: Kept | None) -> Kept:
    """Return every signal of an exchange in the order of decision, columns `HEAD_COLUMNS`; only new ones are read."""
    mark = reader.signals_mark(exchange)  # before the rows: what is written meanwhile is read twice, never missed
    if kept is None or _as_of(kept, mark, lambda at: reader.signals_mark(exchange, at)) != kept.mark:
        frame = reader.signals(exchange=exchange, columns=HEAD_COLUMNS)
        return Kept(frame[frame["id"] <= mark[0]].reset_index(drop=True), mark)
    if mark == kept.mark:
        return kept
    fresh = reader.new_signals(exchange, kept.mark[0], mark[0], HEAD_COLUMNS)
    whole = pd.concat([kept.frame, fresh]).sort_values(["decided_ms", "id"], kind="stable", ignore_index=True)
    return Kept(whole, mark)


def read_trades(reader: Reader, exit_policy: str, kept: Kept | None) -> Kept:
    """Return every trade of an exit policy by signal; only new ones and those that were under way are read."""
    mark = reader.trades_mark(exit_policy)
    if kept is None or _as_of(kept, mark, lambda at: reader.trades_mark(exit_policy, at)) != kept.mark:
        frame = reader.policy_trades(exit_policy)
        return Kept(frame[frame["signal_id"] <= mark[0]].reset_index(drop=True), mark)
    fresh = _moved(reader, exit_policy, kept, mark)
    return Kept(kept.frame if fresh is None else _with(kept.frame, fresh, ["signal_id"]), mark)


def read_taken(reader: Reader, exchange: str, exit_policy: str, kept: Kept | None) -> Kept:
    """Return the result rows of the taken trades of an exchange's newest plan; only what is new is read."""
    plan = reader.newest_plan(exchange)

    def marked(at: int | None = None) -> Mark:
        trades = reader.trades_mark(exit_policy, at)
        return (*trades, *reader.signals_mark(exchange, trades[0]), plan)

    mark = marked()
    if kept is None or _as_of(kept, mark, marked) != kept.mark:
        return Kept(_planned(reader, reader.taken_trades(exchange, exit_policy), plan, exchange, mark[0]), mark)
    fresh = _moved(reader, exit_policy, kept, mark)
    if fresh is None:
        return Kept(kept.frame, mark)
    rows = _planned(reader, fresh[fresh["taken"] == 1], plan, exchange, mark[0])
    return Kept(_with(kept.frame, rows, ["decided_ms", "signal_id"]), mark)


def _planned(reader: Reader, trades: pd.DataFrame, plan: str, exchange: str, last_id: int) -> pd.DataFrame:
    trades = trades[trades["signal_id"] <= last_id]
    heads = reader.signals(ids=trades["signal_id"].tolist(), columns=["id", *SIGNAL_COLUMNS])
    return result_rows(trades, heads[(heads["plan_hash"] == plan) & (heads["exchange"] == exchange)])


def _moved(reader: Reader, exit_policy: str, kept: Kept, mark: Mark) -> pd.DataFrame | None:
    """Return the trades that are new or were under way; None where all stand as they stood."""
    under_way = kept.frame.loc[kept.frame["status"].isin(_UNFINISHED), "signal_id"].tolist()
    fresh = reader.changed_trades(exit_policy, kept.mark[0], under_way)
    fresh = fresh[fresh["signal_id"] <= mark[0]].reset_index(drop=True)
    known = kept.frame.loc[kept.frame["signal_id"].isin(fresh["signal_id"]), fresh.columns]
    stand = known.sort_values("signal_id", kind="stable", ignore_index=True)
    return None if fresh.equals(stand) else fresh


def _with(before: pd.DataFrame, fresh: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Return rows with some of them put in place of what they were, in their order."""
    kept = before[~before["signal_id"].isin(fresh["signal_id"])]
    return pd.concat([kept, fresh]).sort_values(order, kind="stable", ignore_index=True)


def _as_of(kept: Kept, mark: Mark, ask: Callable[[int], Mark]) -> Mark:
    """Return the mark as it is now, up to the last row that is kept."""
    return mark if mark[0] == kept.mark[0] else ask(int(kept.mark[0]))


@dataclass(slots=True)
class _Shelf:
    """Where rows are kept for everybody, and whose."""

    whose: tuple[str, ...]
    lock: threading.Lock = field(default_factory=threading.Lock)
    stamp: tuple[int, ...] = ()
    kept: Kept | None = None


@st.cache_resource(ttl=_WHOLE_AGAIN_S, max_entries=8, show_spinner=False)
def _shelf(whose: tuple[str, ...]) -> _Shelf:
    return _Shelf(whose)


def _kept(snapshot: Snapshot, whose: tuple[str, ...], read: Callable[[Reader, Kept | None], Kept]) -> pd.DataFrame:
    shelf = _shelf((snapshot.path, *whose))
    with shelf.lock:
        if shelf.kept is None or shelf.stamp != snapshot.stamp:
            shelf.kept = read(Reader(Path(snapshot.path)), shelf.kept)
            shelf.stamp = snapshot.stamp
        return shelf.kept.frame


def heads_at(snapshot: Snapshot, exchange: str) -> pd.DataFrame:
    """Return every signal of an exchange in the order of decision, columns `HEAD_COLUMNS`."""
    return _kept(snapshot, ("heads", exchange), lambda reader, kept: read_heads(reader, exchange, kept))


def trades_at(snapshot: Snapshot, exit_policy: str) -> pd.DataFrame:
    """Return every trade of an exit policy, on whatever exchange, columns `schema.TRADES`, by signal."""
    return _kept(snapshot, ("trades", exit_policy), lambda reader, kept: read_trades(reader, exit_policy, kept))


def taken_at(snapshot: Snapshot, exchange: str, exit_policy: str) -> pd.DataFrame:
    """Return the result rows of the taken trades of an exchange's newest plan, columns `rows.RESULT_ROWS`."""
    whose = ("taken", exchange, exit_policy)
    return _kept(snapshot, whose, lambda reader, kept: read_taken(reader, exchange, exit_policy, kept))


@dataclass(slots=True)
class _Joined:
    """Result rows, whose, and what they were made of."""

    whose: tuple[str, ...]
    lock: threading.Lock = field(default_factory=threading.Lock)
    heads: pd.DataFrame | None = None
    trades: pd.DataFrame | None = None
    rows: pd.DataFrame | None = None


@st.cache_resource(ttl=_WHOLE_AGAIN_S, max_entries=4, show_spinner=False)
def _joined(whose: tuple[str, ...]) -> _Joined:
    return _Joined(whose)


def rows_at(snapshot: Snapshot, exchange: str, plan_hash: str, exit_policy: str) -> pd.DataFrame:
    """Return the result rows of one plan under one exit policy, columns `rows.RESULT_ROWS`."""
    heads, trades = heads_at(snapshot, exchange), trades_at(snapshot, exit_policy)
    kept = _joined((snapshot.path, exchange, plan_hash, exit_policy))
    with kept.lock:
        if kept.rows is None or kept.heads is not heads or kept.trades is not trades:
            rows = result_rows(trades, heads[heads["plan_hash"] == plan_hash])
            kept.heads, kept.trades, kept.rows = heads, trades, rows
        return kept.rows
