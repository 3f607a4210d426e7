"""Recorded live signals, decided again from the stored candles.

The law: the engine's own `scan` decides, under the terms noted when live decided, over every close that live decided:
so a signal that should have been recorded is missed as surely as one that should not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from core.checks._compare import ABSENT, PRESENT, ROW
from core.checks._findings import CONFIGURATION, RETRO, UNEXPLAINED, Finding, finding_of, row_changes
from core.checks._history import History
from core.clock import DAY_MS, timeframe_ms
from core.pipeline import ScanRules, plan_hash, scan
from core.ports import Setup
from core.risk.terms import Terms, text_to_terms
from core.schema import SIGNALS, Candles, Instrument, IntArray, empty_frame
from core.store.reader import Reader

__all__ = ["JUDGED", "Checked", "Series", "Span", "check_signals", "live_spans", "span_of"]

CHUNK_MS = 128 * DAY_MS
JUDGED = ("ml_p_raw", "ml_p", "ev_pct", "model_version", "verdict", "reason", "in_sample")
"""Columns of signals that say what was decided of them."""

_NOT_FOUND = ("id", "origin", *JUDGED)  # by a scan


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of live decisions: closes in ``(from_ms, to_ms]``, and the terms they were decided under."""

    from_ms: int
    to_ms: int
    terms: Terms


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One series of the record, and the rules in force now.

    Parameters
    ----------
    reader : Reader
    exchange, symbol, timeframe, base : str
    setups : sequence of Setup
        As configured now.
    rules : ScanRules
        As configured now.
    """

    reader: Reader
    exchange: str
    symbol: str
    timeframe: str
    base: str
    setups: Sequence[Setup]
    rules: ScanRules

    @property
    def key(self) -> tuple[str, str, str]:
        """Exchange, symbol and timeframe."""
        return self.exchange, self.symbol, self.timeframe


@dataclass(slots=True)
class Checked:
    """What a check of one series looked at, and what it found."""

    compared: int = 0
    findings: list[Finding] = field(default_factory=list)
    signals: pd.DataFrame = field(default_factory=lambda: empty_frame(SIGNALS))


def live_spans(series: Series, start_ms: int | None, end_ms: int | None) -> list[Span]:
    """Return the stretches of a series that live decided, inside ``(start_ms, end_ms]``.

    Where no terms were noted, those in force now are taken from the first recorded live signal on.
    """
    reader, rules = series.reader, series.rules
    scanned_ms = reader.scanned(*series.key)
    if scanned_ms is None:
        return []
    noted = [(from_ms, text_to_terms(text)) for from_ms, text in reader.live_terms(*series.key)]
    if not noted:
        first = _recorded(series, "live")["decided_ms"]
        known = reader.instruments(series.exchange).get(series.symbol) or Instrument(series.exchange, series.symbol)
        plans = tuple(plan_hash(setup, rules) for setup in series.setups)
        terms = Terms(plans, rules.risk, True, known)
        noted = [(int(first.iloc[0]) - timeframe_ms(series.timeframe), terms)] if len(first) else []
    ends = [from_ms for from_ms, _ in noted[1:]] + [scanned_ms]
    least, most = -1 if start_ms is None else start_ms, scanned_ms if end_ms is None else end_ms
    spans = [
        Span(max(from_ms, least), min(to_ms, most), terms) for (from_ms, terms), to_ms in zip(noted, ends, strict=True)
    ]
    return [span for span in spans if span.from_ms < span.to_ms]


def check_signals(series: Series, spans: Sequence[Span]) -> Checked:
    """Decide every close of the spans again and compare with what is recorded."""
    if not spans:
        return Checked()
    recorded = _recorded(series)
    inside = np.zeros(len(recorded), dtype=np.bool_)
    for span in spans:
        inside |= recorded["decided_ms"].between(span.from_ms, span.to_ms, inclusive="right").to_numpy()
    live = recorded[(recorded["origin"] == "live").to_numpy() & inside].reset_index(drop=True)
    found = _stack([part for span in spans for part in _decided(series, span)])
    explain = _Explain(series, spans)
    checked = Checked(len(live), signals=live)
    checked.findings += explain.differing(live, found)
    checked.findings += explain.not_found(live[~live["key"].isin(found["key"])])
    checked.findings += explain.not_recorded(found[~found["key"].isin(live["key"])], recorded)
    return checked


def _decided(series: Series, span: Span) -> Iterator[pd.DataFrame]:
    """Yield what comes out now for the closes of a span, for each setup that is still in force."""
    for setup in _in_force(series, span):
        from_ms = span.from_ms
        while from_ms < span.to_ms:
            to_ms = min(from_ms + CHUNK_MS, span.to_ms)
            candles, first = _read(series, setup, from_ms, to_ms)
            yield _scan(series, span, setup, candles, first)
            from_ms = to_ms


def _in_force(series: Series, span: Span) -> list[Setup]:
    """Return the setups of today that decided in a span, parameters and all."""
    return [setup for setup in series.setups if plan_hash(setup, series.rules) in span.terms.plan_hashes]


def _read(series: Series, setup: Setup, from_ms: int, to_ms: int) -> tuple[Candles, int]:
    """Return the candles of the closes in ``(from_ms, to_ms]`` with what comes before, and where they begin."""
    step_ms = timeframe_ms(series.timeframe)
    first_ts = from_ms - step_ms + 1
    before = series.reader.last_candles(*series.key, setup.warmup, first_ts)
    due = series.reader.candles(*series.key, first_ts, to_ms - step_ms + 1)
    return Candles.concat([before, due]), len(before)


def _scan(series: Series, span: Span, setup: Setup, candles: Candles, first: int) -> pd.DataFrame:
    terms = span.terms
    rules = ScanRules(series.rules.costs, terms.risk, series.rules.validity_candles)
    return scan(candles, terms.instrument, series.timeframe, setup, rules, first)


def span_of(spans: Sequence[Span], signals: pd.DataFrame) -> IntArray:
    """Return the position of the span in which each signal was decided."""
    ends_ms = np.array([span.to_ms for span in spans], dtype=np.int64)
    return np.searchsorted(ends_ms, signals["decided_ms"].to_numpy()).astype(np.int64)


class _Explain:
    """Finds the cause of each difference of one series."""

    def __init__(self, series: Series, spans: Sequence[Span]) -> None:
        self.series, self.spans = series, spans
        self.history = History(series.reader, *series.key, series.base)

    def differing(self, live: pd.DataFrame, found: pd.DataFrame) -> Iterator[Finding]:
        """Yield recorded signals that come out with other values."""
        both = live[live["key"].isin(found["key"])].reset_index(drop=True)
        now = found.drop_duplicates("key").set_index("key", drop=False).loc[both["key"]].reset_index(drop=True)
        for at, changes in row_changes(both, now, _NOT_FOUND).items():
            yield finding_of("signal", both.iloc[at], changes, *self._cause(both.iloc[at], is_recorded=True))

    def not_found(self, live: pd.DataFrame) -> Iterator[Finding]:
        """Yield recorded signals that do not come out at all."""
        known = {setup.name: plan_hash(setup, self.series.rules) for setup in self.series.setups}
        for _, row in live.iterrows():
            now = known.get(row["setup"], "not configured")
            if row["plan_hash"] != now:
                yield finding_of("signal", row, [("plan_hash", row["plan_hash"], now)], CONFIGURATION)
            else:
                yield finding_of("signal", row, [(ROW, PRESENT, ABSENT)], *self._cause(row, is_recorded=True))

    def not_recorded(self, found: pd.DataFrame, recorded: pd.DataFrame) -> Iterator[Finding]:
        """Yield candidates that come out now, of closes that live decided without them."""
        others = recorded.set_index("key")
        for _, row in found.iterrows():
            if row["key"] in others.index:
                there = others.loc[row["key"]]
                if there["origin"] == "retro":
                    yield finding_of("signal", row, [("origin", "retro", "live")], RETRO)
                    continue
            yield finding_of("signal", row, [(ROW, ABSENT, PRESENT)], *self._cause(row, is_recorded=False))

    def _cause(self, row: pd.Series, is_recorded: bool) -> tuple[str, str]:
        """Decide the close again with the candles of each earlier moment, until the record comes out."""
        span = next((one for one in self.spans if one.from_ms < row["decided_ms"] <= one.to_ms), None)
        setups = [setup for setup in self.series.setups if setup.name == row["setup"]]
        if span is None or not setups:
            return UNEXPLAINED, ""
        setup = setups[0]
        ts_ms = int(row["decided_ms"]) - timeframe_ms(self.series.timeframe)
        # Twice the warm-up, so that enough are left when some of them had not come yet.
        now = self.series.reader.last_candles(*self.series.key, 2 * setup.warmup + 1, ts_ms + 1)

        def comes_out(candles: Candles) -> bool:
            window = candles.slice(-setup.warmup - 1)
            again = _scan(self.series, span, setup, window, len(window) - 1)
            same = again[again["key"] == row["key"]].reset_index(drop=True)
            if not is_recorded:
                return not len(same)
            recorded = row.to_frame().T.reset_index(drop=True).astype(again.dtypes.to_dict())
            return len(same) == 1 and not row_changes(recorded, same, _NOT_FOUND)

        if len(now) and now.ts[-1] == ts_ms:
            if not is_recorded and self.history.came_after_later_ones(now):
                return self.history.late(ts_ms)  # the close was passed by before there was a candle to decide on
            for then in self.history.earlier(now, int(self.history.first_seen(now)[-1])):
                if comes_out(then):
                    return self.history.difference(then, now)
        gone = self.history.missing(now, ts_ms + 1)
        whole = self.history.rebuilt(now, ts_ms + 1)
        if gone and (comes_out(whole) or self.history.missing(whole, ts_ms + 1)):
            return gone  # made again, it explains the record; lost with its minutes, nothing can be said
        return UNEXPLAINED, ""


def _recorded(series: Series, origin: str | None = None) -> pd.DataFrame:
    exchange, symbol, timeframe = series.key
    return series.reader.signals(exchange=exchange, symbol=symbol, timeframe=timeframe, origin=origin)


def _stack(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else empty_frame(SIGNALS)
