"""Stored candidates of one symbol, played again under any rules and costs.

The law: the engine's own `simulate` plays them, on the stored candles and as far as the stored trades were
played, so that under their own rules they come out bit for bit as stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from core.clock import DAY_MS, MINUTE_MS
from core.execution.book import new_trades
from core.execution.costs import CostModel
from core.execution.funding import funding_marks, no_marks
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.ports import ExitPolicy
from core.schema import TRADES, Candles, FloatArray, Instrument, IntArray, perpetual

__all__ = ["Material", "Progress", "Record", "Replay", "Simulate", "Terms", "read_material", "replay"]

Terms = tuple[ExecutionRules, CostModel]
Simulate = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
Progress = Callable[[int, int, str], None]

CHUNK_MS = 128 * DAY_MS  # of one-minute candles in memory at once: some 184 000
_BASE = "1m"
_UNFINISHED = ["PENDING", "OPEN"]
_DECIDING = ["TARGET", "SL", "TP1_TRAIL", "TP"]  # events of a minute that holds a stop or a target
_NOT_PLAYED = ("taken", "blocked_by")  # decided after the play, not by it
# All that counting reads: a frame of every column would be several times as large, for each variant again.
_COUNTED = (
    *("signal_id", "status", "opened_ms", "known_ms", "next_ms", "ambiguous"),
    *("gross_pct", "fees_pct", "funding_pct", "pnl_pct", "pnl_usd", "r_multiple"),
)


class Record(Protocol):
    """What is read: a part of `core.store.reader.Reader`, which documents it."""

    def exit_policies(self) -> dict[str, tuple[str, str]]: ...
    def instruments(self, exchange: str) -> dict[str, Instrument]: ...
    def funding(self, exchange: str, symbol: str) -> FloatArray: ...
    def candles(
        self, exchange: str, symbol: str, timeframe: str, start_ms: int | None, end_ms: int | None
    ) -> Candles: ...
    def signals(
        self,
        *,
        ids: Iterable[int] | None = None,
        exchange: str | None = None,
        symbol: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> pd.DataFrame: ...
    def trades(self, *, exchange: str, symbol: str, exit_policy: str) -> pd.DataFrame: ...


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What the candidates of one symbol are played from.

    Parameters
    ----------
    symbol, exit_policy : str
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`, by id.
    stored : pandas.DataFrame
        Their trades on record, row by row beside them.
    candles : callable
        One-minute candles of ``[start_ms, end_ms)``.
    funding : float64 array, shape (n, 2)
        Recorded settlements.
    tick : float
        NaN where unknown.
    to_ms : int
        Up to where the stored trades were played.
    """

    symbol: str
    exit_policy: str
    signals: pd.DataFrame
    stored: pd.DataFrame
    candles: Callable[[int, int], Candles]
    funding: FloatArray
    tick: float
    to_ms: int

    def differing(self, replayed: pd.DataFrame) -> int:
        """Return how many trades differ from the stored ones in a single bit.

        A trade the record has not carried as far as the others cannot be compared, and is not counted.
        """
        finished = ~self.stored["status"].isin(_UNFINISHED).to_numpy()
        comparable = finished | (self.stored["next_ms"] == replayed["next_ms"]).to_numpy()
        differ = np.zeros(len(self.stored), dtype=np.bool_)
        for name, kind in TRADES.items():
            if name in _NOT_PLAYED:
                continue
            a, b = self.stored[name].to_numpy(), replayed[name].to_numpy()
            same = (a == b) | (np.isnan(a) & np.isnan(b)) if kind == "float64" else a == b
            differ |= ~same
        return int((differ & comparable).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """How the candidates fared.

    Parameters
    ----------
    trades : pandas.DataFrame
        By signal_id.
    deciding : int64 array
        Minutes of each that held a stop or a target of the position.
    """

    trades: pd.DataFrame
    deciding: IntArray

    def narrowed(self, signals: pd.DataFrame) -> Replay:
        """Return the columns that are counted, those of the signals among them."""
        own = signals[["decided_ms", "entry", "sl"]].reset_index(drop=True)
        return Replay(pd.concat([self.trades[list(_COUNTED)].reset_index(drop=True), own], axis=1), self.deciding)

    @staticmethod
    def join(parts: Sequence[Replay]) -> Replay:
        """Return the candidates of several symbols as one."""
        if not parts:
            raise ValueError("stress: no candidate to play")
        return Replay(
            pd.concat([part.trades for part in parts], ignore_index=True),
            np.concatenate([part.deciding for part in parts]),
        )


def read_material(
    record: Record, exchange: str, symbol: str, exit_policy: str, ids: Iterable[int], rules: ExecutionRules
) -> Material:
    """Read what is needed to play the candidates of one symbol again.

    Parameters
    ----------
    record : Record
    exchange, symbol, exit_policy : str
    ids : iterable of int
        Signals; those without a trade under the exit policy are left out.
    rules : ExecutionRules
        Those the trades were played under.
    """
    trades = record.trades(exchange=exchange, symbol=symbol, exit_policy=exit_policy)
    decided = record.signals(exchange=exchange, symbol=symbol, columns=["id", "decided_ms"]).set_index("id")[
        "decided_ms"
    ]
    # A waiting trade that has met no candle points at the first one it may meet, which may not have closed yet.
    first_ms = decided.loc[trades["signal_id"]].to_numpy() + rules.entry_delay_candles * MINUTE_MS
    begun = trades[(trades["status"] != "PENDING") | (trades["next_ms"] > first_ms)]
    to_ms = max(int(begun["next_ms"].max()), int(begun["closed_ms"].max())) if len(begun) else 0
    stored = trades[trades["signal_id"].isin(list(ids))].sort_values("signal_id").reset_index(drop=True)
    signals = record.signals(ids=stored["signal_id"].tolist()).set_index("id", drop=False)
    return Material(
        symbol=symbol,
        exit_policy=exit_policy,
        signals=signals.loc[stored["signal_id"]].reset_index(drop=True),
        stored=stored,
        candles=lambda start_ms, end_ms: record.candles(exchange, symbol, _BASE, start_ms, end_ms),
        funding=record.funding(exchange, symbol),
        tick=(record.instruments(exchange).get(symbol) or Instrument(exchange, symbol)).tick or np.nan,
        to_ms=to_ms,
    )


def replay(
    material: Material,
    plays: Sequence[Terms],
    policy: ExitPolicy,
    simulate: Simulate,
    moved: Callable[[float], None] | None = None,
    chunk_ms: int = CHUNK_MS,
) -> list[Replay]:
    """Play the candidates under each of several terms, a stretch of candles at a time.

    Parameters
    ----------
    material : Material
    plays : sequence of (ExecutionRules, CostModel)
    policy : ExitPolicy
    simulate : callable
        `pipeline.simulate`.
    moved : callable, optional
        Called with the share done.
    chunk_ms : int
        Length of a stretch.

    Returns
    -------
    list of Replay
        One for each of `plays`.
    """
    books = [_Book(material, terms) for terms in plays]
    first_ms = int(material.signals["decided_ms"].min()) if len(material.signals) else material.to_ms
    until_ms = 0
    while until_ms < material.to_ms:
        start_ms = min(book.next_ms() for book in books)
        if start_ms >= material.to_ms:
            break
        until_ms = min(max(start_ms, until_ms) + chunk_ms, material.to_ms)
        candles = material.candles(start_ms, until_ms)
        for book in books:
            book.play(policy, simulate, candles, start_ms, until_ms)
        if moved:
            moved((until_ms - first_ms) / max(material.to_ms - first_ms, 1))
    if moved:
        moved(1.0)
    return [book.ended() for book in books]


class _Book:
    """The candidates under one set of terms, on their way."""

    def __init__(self, material: Material, terms: Terms) -> None:
        self.material = material
        self.rules, self.costs = terms
        self.trades = new_trades(material.signals, material.exit_policy, self.rules)
        self.signals = material.signals.set_index("id", drop=False)
        self.deciding = np.zeros(len(self.trades), dtype=np.int64)

    def next_ms(self) -> int:
        """Return the earliest candle any of them is to meet."""
        waiting = self.trades.loc[self.trades["status"].isin(_UNFINISHED), "next_ms"]
        return int(waiting.min()) if len(waiting) else self.material.to_ms

    def play(self, policy: ExitPolicy, simulate: Simulate, candles: Candles, start_ms: int, to_ms: int) -> None:
        """Carry them on up to a time."""
        due = (self.trades["status"].isin(_UNFINISHED) & (self.trades["next_ms"] < to_ms)).to_numpy()
        if not due.any():
            return
        marks = no_marks()
        if perpetual(self.material.symbol):
            marks = funding_marks(self.material.funding, start_ms - MINUTE_MS, to_ms, self.costs.funding_rate_pct)
        trades = self.trades[due].reset_index(drop=True)
        signals = self.signals.loc[trades["signal_id"]].reset_index(drop=True)
        tick = np.full(len(trades), self.material.tick)
        run = Run(candles, to_ms, marks)
        after, events = simulate(trades, signals, policy, [run], 0, tick, self.rules, self.costs)
        self.trades = pd.concat([self.trades[~due], after], ignore_index=True)
        deciding = events.loc[events["kind"].isin(_DECIDING), "signal_id"]
        np.add.at(self.deciding, self.signals.index.get_indexer(pd.Index(deciding)), 1)

    def ended(self) -> Replay:
        """Return them in the order of the signals."""
        return Replay(self.trades.sort_values("signal_id").reset_index(drop=True), self.deciding)
