"""Trades of recorded live signals, played again from the stored minutes.

The law: the engine's own `simulate` plays them, under the parameters each was begun with, from the plan that was
recorded and as far as the trade was played: trade and events must come out the same, however often live was stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core import plugins
from core.checks._compare import ABSENT, PRESENT, ROW
from core.checks._findings import FUNDING_DEFAULT, UNEXPLAINED, Change, Finding, row_changes
from core.checks._history import History
from core.clock import DAY_MS, MINUTE_MS
from core.execution.book import new_trades
from core.execution.costs import CostModel
from core.execution.funding import FundingMarks, funding_marks, no_marks
from core.execution.identity import from_params
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.pipeline import simulate
from core.ports import ExitPolicy
from core.schema import Candles, FloatArray, perpetual
from core.store.reader import Reader

__all__ = ["check_trades"]

CHUNK_MS = 128 * DAY_MS
_UNFINISHED = ("PENDING", "OPEN")
_DELISTED = "DELISTED"
_DECIDED_ELSEWHERE = ("taken", "blocked_by")  # by the account's limits, which look at all trades at once


@dataclass(frozen=True, slots=True, eq=False)
class _Policy:
    """What an exit policy of the record stands for."""

    exit: ExitPolicy
    rules: ExecutionRules
    costs: CostModel


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """Trades of one symbol under one exit policy, with their signals row by row and their events."""

    signals: pd.DataFrame
    trades: pd.DataFrame
    events: pd.DataFrame
    tick: FloatArray

    def only(self, at: int) -> _Batch:
        """Return the trade at a position alone."""
        rows = slice(at, at + 1)
        signal_id = self.trades["signal_id"].iloc[at]
        return _Batch(
            self.signals.iloc[rows].reset_index(drop=True),
            self.trades.iloc[rows].reset_index(drop=True),
            self.events[self.events["signal_id"] == signal_id].reset_index(drop=True),
            self.tick[rows],
        )

    @property
    def begin_ms(self) -> int:
        return int(self.signals["decided_ms"].min())

    @property
    def end_ms(self) -> int:
        return int(self.trades[["known_ms", "next_ms"]].to_numpy().max())


def check_trades(
    reader: Reader, exchange: str, symbol: str, base: str, signals: pd.DataFrame, tick: FloatArray
) -> tuple[int, list[Finding]]:
    """Play the trades of a symbol's live signals again and compare with what is recorded.

    Parameters
    ----------
    reader : Reader
    exchange, symbol, base : str
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`.
    tick : float64 array
        Price step of each when it was decided, NaN where unknown.

    Returns
    -------
    int
        How many trades were compared.
    list of Finding
    """
    ticks = dict(zip(signals["id"].tolist(), tick.tolist(), strict=True))
    trades = reader.trades(signal_ids=signals["id"].tolist())
    idle = signals[~signals["id"].isin(trades["signal_id"])]
    found = [_finding(row, "no trade", [(ROW, ABSENT, PRESENT)], UNEXPLAINED, "") for _, row in idle.iterrows()]
    texts = reader.exit_policies()
    by_id = signals.set_index("id", drop=False)
    check = _Check(reader, History(reader, exchange, symbol, base, base))
    for exit_policy, rows in trades.groupby("exit_policy", sort=True):
        mine = by_id.loc[rows["signal_id"]]
        if exit_policy not in texts:
            found += [
                _finding(row, str(exit_policy), [("parameters", "not recorded", "")], UNEXPLAINED, "")
                for _, row in mine.iterrows()
            ]
            continue
        policy = _policy(texts[str(exit_policy)][1])
        for _, part in rows.groupby(mine["decided_ms"].to_numpy() // CHUNK_MS):
            plans = by_id.loc[part["signal_id"]].reset_index(drop=True)
            events = reader.events(part["signal_id"].tolist(), str(exit_policy))
            steps = np.array([ticks[number] for number in plans["id"].tolist()], dtype=np.float64)
            found += check.batch(_Batch(plans, part.reset_index(drop=True), events, steps), policy)
    return len(trades), found


def _policy(text: str) -> _Policy:
    name, params, rules, costs = from_params(text)
    return _Policy(plugins.build("core.exits", name, params, "exit_policies"), rules, costs)


class _Check:
    """Plays batches of one symbol, and finds the cause of each difference."""

    def __init__(self, reader: Reader, history: History) -> None:
        self.reader, self.history = reader, history

    def batch(self, batch: _Batch, policy: _Policy) -> Iterator[Finding]:
        """Yield the trades of a batch that come out differently."""
        candles, marks = self._candles(batch), self._marks(batch, policy)
        for at, changes in _changes(batch, *_play(batch, policy, candles, marks)).items():
            one = batch.only(at)
            cause = self._cause(one, policy)
            yield _finding(one.signals.iloc[0], str(one.trades["exit_policy"].iloc[0]), changes, *cause)

    def _candles(self, batch: _Batch) -> Candles:
        history = self.history
        series = history.exchange, history.symbol, history.timeframe
        # Where a market has ended, its last close may lie before the decision.
        look_back_ms = DAY_MS if (batch.trades["exit_reason"] == _DELISTED).any() else 0
        return self.reader.candles(*series, batch.begin_ms - look_back_ms, batch.end_ms)

    def _marks(self, batch: _Batch, policy: _Policy) -> FundingMarks:
        if not perpetual(self.history.symbol):
            return no_marks()
        recorded = self.reader.funding(self.history.exchange, self.history.symbol)
        return funding_marks(recorded, batch.begin_ms - MINUTE_MS, batch.end_ms, policy.costs.funding_rate_pct)

    def _cause(self, one: _Batch, policy: _Policy) -> tuple[str, str]:
        """Play one trade on earlier candles and on the settlements it paid, until the record comes out."""
        now, marks = self._candles(one), self._marks(one, policy)
        paid = _paid_marks(one, marks, policy.costs.funding_rate_pct)
        earlier = list(self._earlier(now))
        if paid is not None and not _changes(one, *_play(one, policy, now, paid)):
            return FUNDING_DEFAULT, ""
        for then in earlier:
            for settled in (marks, paid):
                if settled is not None and not _changes(one, *_play(one, policy, then, settled)):
                    return self.history.difference(then, now)
        return self.history.missing(now, one.end_ms) or (UNEXPLAINED, "")

    def _earlier(self, now: Candles) -> Iterator[Candles]:
        """Yield the candles as they were before each revision of any of them, oldest first."""
        if not len(now):
            return
        later = self.history.revisions(int(now.ts[0]), int(now.ts[-1]) + 1)["seen_ms"].to_numpy()
        for moment_ms in np.unique(later):
            yield self.history.as_of(now, int(moment_ms) - 1)


def _play(batch: _Batch, policy: _Policy, candles: Candles, marks: FundingMarks) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Play a batch from the beginning, each trade as far as it was played."""
    trades = batch.trades
    finished = ~trades["status"].isin(_UNFINISHED).to_numpy()
    gone = (trades["exit_reason"] == _DELISTED).to_numpy()
    limit_ms = np.where(finished, batch.end_ms, trades["next_ms"].to_numpy())
    limit_ms = np.where(gone, trades["known_ms"].to_numpy(), limit_ms)
    ends, which = np.unique(np.column_stack([limit_ms, gone]), axis=0, return_inverse=True)
    which = which.reshape(-1)
    runs = []
    for k, (end_ms, is_gone) in enumerate(ends.tolist()):
        begin_ms = None if is_gone else int(batch.signals["decided_ms"][which == k].min())
        runs.append(Run(candles.between(begin_ms, end_ms), end_ms, marks, bool(is_gone)))
    waiting = new_trades(batch.signals, str(trades["exit_policy"].iloc[0]), policy.rules)
    return simulate(waiting, batch.signals, policy.exit, runs, which, batch.tick, policy.rules, policy.costs)


def _changes(batch: _Batch, trades: pd.DataFrame, events: pd.DataFrame) -> dict[int, list[Change]]:
    """Return what is other in trades and events, by position in the batch."""
    found = row_changes(batch.trades, trades, _DECIDED_ELSEWHERE)
    place = {number: at for at, number in enumerate(batch.trades["signal_id"].tolist())}
    recorded, now = (frame.set_index(["signal_id", "seq"], drop=False) for frame in (batch.events, events))
    for signal_id, seq in recorded.index.symmetric_difference(now.index):
        told = (PRESENT, ABSENT) if (signal_id, seq) in recorded.index else (ABSENT, PRESENT)
        found.setdefault(place[signal_id], []).append((f"event {seq}", *told))
    shared = recorded.index.intersection(now.index)
    for at, changes in row_changes(recorded.loc[shared], now.loc[shared], ()).items():
        signal_id, seq = shared[at]
        named = [(f"event {seq} {name}", one, other) for name, one, other in changes]
        found.setdefault(place[signal_id], []).extend(named)
    return dict(sorted(found.items()))


def _paid_marks(one: _Batch, marks: FundingMarks, default_rate_pct: float) -> FundingMarks | None:
    """Return the settlements a trade paid with a default among them, or None where it paid none or other than that.

    A recorded rate it paid must be on record still, and a default must be the configured one: else the payments
    explain nothing.
    """
    events = one.events[one.events["kind"] == "FUNDING"]
    by_default = (events["source"] == "default").to_numpy()
    if not by_default.any():
        return None
    rates, ts = events["rate_pct"].to_numpy(), events["ts_ms"].to_numpy()
    known = dict(zip(marks.ts[marks.recorded].tolist(), marks.rate_pct[marks.recorded].tolist(), strict=True))
    expected = [
        default_rate_pct if is_default else known.get(at) for at, is_default in zip(ts, by_default, strict=True)
    ]
    agrees = [
        rate is not None and np.isclose(rate, paid, rtol=1e-9) for rate, paid in zip(expected, rates, strict=True)
    ]
    return FundingMarks(ts, rates, ~by_default) if all(agrees) else None


def _finding(signal: pd.Series, what: str, changes: Sequence[Change], cause: str, detail: str) -> Finding:
    place = str(signal["symbol"]), str(signal["timeframe"]), int(signal["decided_ms"])
    return Finding("trade", int(signal["id"]), *place, what, changes, cause, detail)
