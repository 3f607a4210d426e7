"""Recorded feature vectors of live candidates, computed again from what is stored around them.

The law: the engine's own `describe` computes them, under the terms noted when live decided. What a vector looks at
(candles, the benchmark, settlements, outcomes) is put back one by one to what it was, and a column has the cause that
lets it come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.checks._compare import ABSENT, ATOL_OF_LARGEST, PRESENT, ROW, RTOL
from core.checks._findings import (
    CONFIGURATION,
    LATE,
    LATE_BENCHMARK,
    LATE_OUTCOME,
    LATE_SETTLEMENT,
    MISSING,
    REVISED,
    REVISED_BENCHMARK,
    UNEXPLAINED,
    Finding,
    finding_of,
)
from core.checks._history import History
from core.checks._parity_signals import CHUNK_MS, Series, Span, span_of
from core.clock import DAY_MS, format_ms, timeframe_ms
from core.features import FeatureSet, Outcomes, Plans
from core.pipeline import Surroundings, describe, plan_hash
from core.ports import Setup
from core.risk.terms import Judging
from core.schema import Candles, FloatArray

__all__ = ["check_vectors"]

FUNDING_MS = 7 * DAY_MS  # how far before the first candle settlements are read
SETTLEMENTS_LATE = 3  # so many of the newest may have come late
OUTCOMES_LATE = 50
_OF_BENCHMARK = {LATE: LATE_BENCHMARK, REVISED: REVISED_BENCHMARK, MISSING: MISSING}

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _Around:
    """What candidates are described from."""

    candles: Candles
    beside: Surroundings
    outcomes: Outcomes


@dataclass(frozen=True, slots=True, eq=False)
class _Try:
    """A vector that comes out when something is put back, and what that is."""

    vector: FloatArray
    around: _Around
    cause: str
    detail: str


def check_vectors(
    series: Series, spans: Sequence[Span], live: pd.DataFrame, features: FeatureSet
) -> tuple[int, list[Finding]]:
    """Describe recorded live candidates again and compare with what is recorded.

    Parameters
    ----------
    series : Series
    spans : sequence of Span
    live : pandas.DataFrame
        Columns `schema.SIGNALS`, decided in the spans.
    features : FeatureSet
        In force now.

    Returns
    -------
    int
        How many vectors were compared: those that live recorded.
    list of Finding
    """
    compared, found = 0, list[Finding]()
    plans = {plan_hash(setup, series.rules): setup for setup in series.setups}
    whose = span_of(spans, live)
    for place, span in enumerate(spans):
        rows, judging = live[whose == place], span.terms.judging
        if judging is None or not judging.feature_set:
            continue
        compared += len(rows)
        if judging.feature_set != features.id:
            change = ("feature_set", judging.feature_set, features.id)
            found += [finding_of("vector", row, [change], CONFIGURATION) for _, row in rows.iterrows()]
            continue
        for identity in rows["plan_hash"].unique().tolist():
            part = rows[rows["plan_hash"] == identity]
            if identity in plans:
                found += _Check(series, plans[identity], identity, judging, features).rows(part)
                continue
            change = ("plan_hash", identity, "not configured")
            found += [finding_of("vector", row, [change], CONFIGURATION) for _, row in part.iterrows()]
    return compared, found


class _Check:
    """Describes the candidates of one plan again, and finds the causes of each difference."""

    def __init__(self, series: Series, setup: Setup, identity: str, judging: Judging, features: FeatureSet) -> None:
        self.series, self.identity, self.judging, self.features = series, identity, judging, features
        self.own = History(series.reader, *series.key, series.base)
        self.leader = History(series.reader, series.exchange, judging.benchmark, series.timeframe, series.base)
        self.needed = max(setup.warmup, features.warmup)

    def rows(self, live: pd.DataFrame) -> Iterator[Finding]:
        """Yield candidates whose vectors come out differently."""
        ids, stored = self.series.reader.features(self.features.id, live["id"].tolist())
        is_there = live["id"].isin(ids).to_numpy()
        for _, row in live[~is_there].iterrows():
            yield finding_of("vector", row, [(ROW, ABSENT, PRESENT)], UNEXPLAINED)
        there = live[is_there].sort_values("id").reset_index(drop=True)  # as the vectors are
        for _, part in there.groupby(there["decided_ms"].to_numpy() // CHUNK_MS):
            recorded = stored[part.index.to_numpy()]
            largest = np.abs(np.where(np.isfinite(recorded), recorded, 0.0)).max(axis=0)
            now = self._described(part.reset_index(drop=True), recorded.shape[1])
            for at in np.flatnonzero(_differs(recorded, now, largest).any(axis=1)).tolist():
                yield from self._explained(part.iloc[[at]].reset_index(drop=True), recorded[at], largest)

    def _described(self, part: pd.DataFrame, k: int) -> FloatArray:
        """Return the vectors of candidates; nothing is known where the candle is not there."""
        around = self._around(part, self.needed)
        vectors = np.full((len(part), k), np.nan)
        there = part["ts_ms"].isin(around.candles.ts).to_numpy()
        if there.any():
            vectors[there] = self._vectors(part[there].reset_index(drop=True), around)
        return vectors

    def _around(self, part: pd.DataFrame, before: int) -> _Around:
        """Read what lies around some candidates, with so many candles before the first."""
        series, judging = self.series, self.judging
        first_ms, last_ms = int(part["ts_ms"].min()), int(part["decided_ms"].max())
        older = series.reader.last_candles(*series.key, before, first_ms)
        candles = Candles.concat([older, series.reader.candles(*series.key, first_ms, last_ms)])
        begin_ms = int(candles.ts[0]) if len(candles) else first_ms
        benchmark = Candles.empty()
        if judging.benchmark:
            key = (series.exchange, judging.benchmark, series.timeframe)
            benchmark = series.reader.candles(*key, begin_ms, last_ms)
        funding = series.reader.funding(series.exchange, series.symbol, begin_ms - FUNDING_MS, last_ms)
        return _Around(candles, Surroundings(benchmark, funding), _known(self._ended))

    def _vectors(self, part: pd.DataFrame, around: _Around) -> FloatArray:
        asked = (around.candles, self.series.timeframe, self.features, self.series.rules.costs)
        return describe(part, *asked, around.beside, around.outcomes)

    def _vector(self, one: pd.DataFrame, around: _Around) -> FloatArray:
        """Return the vector of a candidate from as many candles as live had."""
        window = around.candles.slice(-self.needed - 1)
        if not len(window) or window.ts[-1] != one["ts_ms"].iloc[0]:
            return np.full(len(self.features.columns), np.nan)
        told: FloatArray = self._vectors(one, replace(around, candles=window))[0]
        return told

    @cached_property
    def _ended(self) -> pd.DataFrame:
        """What had become of candidates, in the order of becoming known."""
        series, policy = self.series, self.judging.exit_policy
        exchange, symbol, timeframe = series.key
        signals = series.reader.signals(
            exchange=exchange, symbol=symbol, timeframe=timeframe, plan_hash=self.identity
        ).set_index("id")
        trades = series.reader.trades(signal_ids=signals.index.tolist(), exit_policy=policy, status="CLOSED")
        trades = trades[["signal_id", "known_ms", "r_multiple"]].sort_values(["known_ms", "signal_id"])
        return trades.join(signals["decided_ms"], on="signal_id").reset_index(drop=True)

    def _explained(self, one: pd.DataFrame, recorded: FloatArray, largest: FloatArray) -> Iterator[Finding]:
        """Put back what one vector looks at, until the record comes out."""
        # Twice the warm-up, so that enough are left when some of them had not come yet.
        around = self._around(one, 2 * self.needed)
        now = self._vector(one, around)
        left = _differs(recorded, now, largest)
        for tries in (self._candles, self._benchmarks, self._settlements, self._outcomes):
            best, least = None, left
            for trial in tries(one, around) if left.any() else ():
                still = _differs(recorded, trial.vector, largest)
                if not (still & ~left).any() and still.sum() < least.sum():
                    best, least = trial, still
            if best is not None:
                yield self._finding(one, recorded, now, left & ~least, best.cause, best.detail)
                around, left = best.around, least
        if left.any():
            yield self._finding(one, recorded, now, left, *self._lost(one, around))

    def _finding(
        self, one: pd.DataFrame, recorded: FloatArray, now: FloatArray, which: Mask, cause: str, detail: str
    ) -> Finding:
        changes = [(self.features.columns[at], recorded[at], now[at]) for at in np.flatnonzero(which)]
        return finding_of("vector", one.iloc[0], changes, cause, detail)

    def _candles(self, one: pd.DataFrame, around: _Around) -> Iterator[_Try]:
        """Try the series' candles as they were, and where it is its own benchmark that with them."""
        now, ts_ms = around.candles, int(one["ts_ms"].iloc[0])

        def told(then: Candles, cause: str, detail: str) -> _Try:
            benchmark = then if self.judging.benchmark == self.series.symbol else around.beside.benchmark
            put_back = replace(around, candles=then, beside=replace(around.beside, benchmark=benchmark))
            return _Try(self._vector(one, put_back), put_back, cause, detail)

        if len(now) and now.ts[-1] == ts_ms:
            for then in self.own.earlier(now, int(self.own.first_seen(now)[-1])):
                yield told(then, *self.own.difference(then, now))
        gone = self.own.missing(now, ts_ms + 1)
        if gone:
            yield told(self.own.rebuilt(now, ts_ms + 1), *gone)

    def _benchmarks(self, one: pd.DataFrame, around: _Around) -> Iterator[_Try]:
        """Try the benchmark's candles as they were since the candidate's own candle came."""
        now, last_ms = around.beside.benchmark, int(one["decided_ms"].iloc[0])

        def told(then: Candles, cause: str, detail: str) -> _Try:
            put_back = replace(around, beside=replace(around.beside, benchmark=then))
            return _Try(self._vector(one, put_back), put_back, _OF_BENCHMARK[cause], f"{self.leader.symbol} {detail}")

        if not self.judging.benchmark or not len(around.candles):
            return
        for then in self.leader.earlier(now, int(self.own.first_seen(around.candles)[-1])):
            yield told(then, *self.leader.difference(then, now))
        gone = self.leader.missing(now, last_ms)
        if gone:
            yield told(self.leader.rebuilt(now, last_ms), *gone)

    def _settlements(self, one: pd.DataFrame, around: _Around) -> Iterator[_Try]:
        """Try without the newest settlements: when they came is not recorded."""
        funding = around.beside.funding
        for n in range(1, min(SETTLEMENTS_LATE, len(funding)) + 1):
            put_back = replace(around, beside=replace(around.beside, funding=funding[:-n]))
            yield _Try(self._vector(one, put_back), put_back, LATE_SETTLEMENT, format_ms(int(funding[-n, 0])))

    def _outcomes(self, one: pd.DataFrame, around: _Around) -> Iterator[_Try]:
        """Try without those recorded later, without any single one, and with those of an earlier time only."""
        ended = self._ended[self._ended["known_ms"] <= one["decided_ms"].iloc[0]]
        if ended.empty:
            return
        base, plans = self._vector(one, around)[None], Plans.of(one)
        older = ended[ended["signal_id"] < one["id"].iloc[0]]  # ids are given in the order of being recorded
        keeps = [older] if len(older) < len(ended) else []
        for some in (older, ended) if keeps else (ended,):
            newest = some.tail(OUTCOMES_LATE)
            keeps += [some.drop(index=at) for at in newest.index]
            for name in ("known_ms", "decided_ms"):
                keeps += [some[some[name] < moment] for moment in np.unique(newest[name])[::-1]]
        for kept in keeps:
            put_back = replace(around, outcomes=_known(kept))
            first = ended[~ended["signal_id"].isin(kept["signal_id"])].iloc[0]
            vector = self.features.with_outcomes(base, plans, put_back.outcomes)[0]
            yield _Try(
                vector, put_back, LATE_OUTCOME, f"signal {first['signal_id']}, {format_ms(int(first['known_ms']))}"
            )

    def _lost(self, one: pd.DataFrame, around: _Around) -> tuple[str, str]:
        """Return what is gone with its minutes, so that nothing can be said."""
        last_ms, step_ms = int(one["decided_ms"].iloc[0]), timeframe_ms(self.series.timeframe)
        runs = [(self.own, around.candles)]
        if self.judging.benchmark:
            runs.append((self.leader, around.beside.benchmark))
        for history, candles in runs:
            gone = history.missing(history.rebuilt(candles, last_ms - step_ms + 1), last_ms - step_ms + 1)
            if gone:
                return gone
        return UNEXPLAINED, ""


def _known(ended: pd.DataFrame) -> Outcomes:
    return Outcomes(ended["known_ms"].to_numpy(np.int64), ended["r_multiple"].to_numpy(np.float64))


def _differs(recorded: FloatArray, now: FloatArray, largest: FloatArray) -> Mask:
    """Say of each number whether it differs, `largest` being the largest of its column."""
    allowed = RTOL * np.abs(recorded) + ATOL_OF_LARGEST * largest
    with np.errstate(invalid="ignore"):
        near = np.abs(now - recorded) <= allowed
    differs: Mask = ~(near | (np.isnan(now) & np.isnan(recorded)))
    return differs
