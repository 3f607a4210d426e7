"""What the engine says about candles, part by part, in the form the checks compare.

The law: a part is called here as the engine calls it. A row is stamped with the candle at whose close it is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.checks._compare import Compute
from core.checks._described import described
from core.clock import DAY_MS, MINUTE_MS, floor_to, timeframe_ms
from core.execution.book import new_trades
from core.execution.funding import funding_marks, no_marks
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.features import OUTCOMES, FeatureSet
from core.indicators.avwap import anchored_vwap
from core.indicators.regime import regime_at, wilder_adx
from core.indicators.resample import resample
from core.indicators.swings import swing_pivots
from core.indicators.volatility import true_range, wilder_atr
from core.pipeline import ScanRules, scan, simulate
from core.ports import ExitPolicy, Setup
from core.schema import Candles, Instrument, perpetual

__all__ = [
    "MINUTES_MS",
    "Market",
    "Subject",
    "derived",
    "families",
    "kernels",
    "pivots",
    "played",
    "scanned",
    "subjects",
    "tabled",
]

SCANNED_CANDLES = 50_000  # newest candles of a series that a scan is checked on: a year of 15m and more
KERNEL_CANDLES = 3_000
DESCRIBED_CANDLES = 10_000  # newest candles of a series on which candidates are described
MINUTES_MS = 10 * DAY_MS  # newest minutes that resampling and playing are checked on
PLAYED = 200  # candidates played
MOMENTS = 3  # times at which the state of every trade is compared
_PERIOD, _WINDOW = 14, 5


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One part of the engine on one run of candles.

    Parameters
    ----------
    name : str
        The setup, or the part.
    series : str
        Symbol and timeframe.
    compute : callable
        As for `core.checks.lookahead.find_leaks`.
    candles : Candles
    warmup : int
        Candles declared to be enough before a decision; None where nothing is declared.
    """

    name: str
    series: str
    compute: Compute
    candles: Candles
    warmup: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """The candles of one symbol.

    Parameters
    ----------
    instrument : Instrument
    minutes : Candles
    longer : mapping of str to Candles
        By timeframe.
    """

    instrument: Instrument
    minutes: Candles
    longer: Mapping[str, Candles]


def subjects(
    market: Market,
    setups: Sequence[Setup],
    rules: ScanRules,
    policy: ExitPolicy,
    orders: ExecutionRules,
    features: FeatureSet | None = None,
) -> Iterator[Subject]:
    """Yield every part of the engine that is to be checked on a symbol."""
    symbol = market.instrument.symbol
    for timeframe, candles in market.longer.items():
        for setup in setups:
            compute = scanned(setup, market.instrument, timeframe, rules)
            series = f"{symbol} {timeframe}"
            yield Subject(setup.name, series, compute, candles.slice(-SCANNED_CANDLES), setup.warmup)
    if features is not None:
        for timeframe, candles in market.longer.items():
            for setup in setups:
                yield from families(setup, market.instrument, timeframe, candles, rules, features)
    for timeframe, candles in market.longer.items():
        newest = candles.slice(-KERNEL_CANDLES)
        yield Subject("indicators", f"{symbol} {timeframe}", kernels, newest)
        yield Subject("indicators", f"{symbol} {timeframe}", pivots, newest)
    minutes = market.minutes.between(int(market.minutes.ts[-1]) - MINUTES_MS) if len(market.minutes) else market.minutes
    for timeframe in market.longer:
        yield Subject("resample", f"{symbol} {timeframe}", derived(timeframe), minutes)
    for timeframe, candles in market.longer.items():
        for setup in setups:
            signals = _some_signals(setup, market.instrument, timeframe, rules, candles, minutes)
            if len(signals):
                compute = played(signals, market.instrument, policy, orders, rules)
                yield Subject("simulate", f"{symbol} {timeframe}", compute, minutes)


def families(
    setup: Setup, instrument: Instrument, timeframe: str, candles: Candles, rules: ScanRules, features: FeatureSet
) -> Iterator[Subject]:
    """Yield each family of features on the candidates of a setup.

    That of outcomes declares no warm-up: how many there are depends on how long candidates have been played.
    """
    newest = candles.slice(-DESCRIBED_CANDLES)
    signals = scan(newest, instrument, timeframe, setup, rules)
    for family in features.families if len(signals) else ():
        compute = described(signals, newest, timeframe, FeatureSet((family,)), rules.costs)
        warmup = None if family.name == OUTCOMES else family.warmup
        yield Subject(f"features.{family.name}", f"{instrument.symbol} {timeframe}", compute, newest, warmup)


def scanned(setup: Setup, instrument: Instrument, timeframe: str, rules: ScanRules) -> Compute:
    """Return the scan of a setup: every candidate with its levels, size, key and regime."""
    return lambda candles: scan(candles, instrument, timeframe, setup, rules)


def kernels(candles: Candles) -> Mapping[str, npt.NDArray[Any]]:
    """Return the indicators that have a value at every candle."""
    prices = candles.high, candles.low, candles.close
    adx, plus_di, minus_di = wilder_adx(*prices, _PERIOD)
    trend, volatility = regime_at(candles, np.arange(len(candles)))
    return {
        "true_range": true_range(*prices),
        "atr": wilder_atr(*prices, _PERIOD),
        "adx": adx,
        "plus_di": plus_di,
        "minus_di": minus_di,
        "avwap": anchored_vwap(*prices, candles.volume, 0),
        "regime_trend": np.array(trend, dtype=object),
        "regime_vol": np.array(volatility, dtype=object),
    }


def pivots(candles: Candles) -> pd.DataFrame:
    """Return the swing pivots, each at the candle whose close made it known."""
    places, kinds = swing_pivots(candles.high, candles.low, _WINDOW)
    return pd.DataFrame({"ts_ms": candles.ts[places + _WINDOW], "pivot_ms": candles.ts[places], "kind": kinds})


def derived(timeframe: str) -> Compute:
    """Return the candles of a longer timeframe, each at the last minute before its end."""
    length_ms = timeframe_ms(timeframe)

    def compute(minutes: Candles) -> pd.DataFrame:
        frontier_ms = int(minutes.ts[-1]) + MINUTE_MS if len(minutes) else 0
        start_ms = floor_to(int(minutes.ts[0]), length_ms) if len(minutes) else 0
        made = resample(minutes, length_ms, start_ms, frontier_ms)
        return tabled(made).assign(ts_ms=made.ts + length_ms - MINUTE_MS, bucket_ms=made.ts)

    return compute


def tabled(candles: Candles) -> pd.DataFrame:
    """Return candles as a frame with `ts_ms`."""
    names = ("open", "high", "low", "close", "volume", "taker_volume", "n_minutes")
    return pd.DataFrame({"ts_ms": candles.ts, **{name: getattr(candles, name) for name in names}})


def played(
    signals: pd.DataFrame, instrument: Instrument, policy: ExitPolicy, orders: ExecutionRules, rules: ScanRules
) -> Compute:
    """Return the state of every trade at some moments, played on candles that may reach beyond them."""
    signals = signals.assign(id=np.arange(len(signals), dtype=np.int64))
    begin_ms, end_ms = int(signals["decided_ms"].min()), int(signals["valid_until_ms"].max())
    moments = np.linspace(begin_ms, end_ms, MOMENTS + 1)[1:].astype(np.int64) // MINUTE_MS * MINUTE_MS

    def at(minutes: Candles, moment_ms: int) -> pd.DataFrame:
        known = signals[signals["decided_ms"] < moment_ms].reset_index(drop=True)
        rate_pct = rules.costs.funding_rate_pct
        marks = no_marks()
        if perpetual(instrument.symbol):
            marks = funding_marks(np.empty((0, 2)), begin_ms, moment_ms, rate_pct)
        tick = np.full(len(known), np.nan if instrument.tick is None else instrument.tick)
        run = Run(minutes, moment_ms, marks)
        trades, _ = simulate(new_trades(known, "checked", orders), known, policy, [run], 0, tick, orders, rules.costs)
        return trades.assign(ts_ms=moment_ms - MINUTE_MS)

    def compute(minutes: Candles) -> pd.DataFrame:
        reached_ms = int(minutes.ts[-1]) + MINUTE_MS if len(minutes) else 0
        states = [at(minutes, int(moment_ms)) for moment_ms in moments if moment_ms <= reached_ms]
        return pd.concat(states, ignore_index=True) if states else pd.DataFrame({"ts_ms": np.empty(0, np.int64)})

    return compute


def _some_signals(
    setup: Setup, instrument: Instrument, timeframe: str, rules: ScanRules, candles: Candles, minutes: Candles
) -> pd.DataFrame:
    """Return the oldest signals that the minutes can play."""
    if not len(minutes):
        return pd.DataFrame()
    known = candles.between(None, int(minutes.ts[-1]))
    first = int(np.searchsorted(known.ts, minutes.ts[0]))
    known, first = known.slice(max(0, first - setup.warmup)), min(first, setup.warmup)
    return scan(known, instrument, timeframe, setup, rules, first).head(PLAYED)
