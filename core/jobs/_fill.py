"""One stretch of one symbol, from candles to candidates with their trades: the unit a retro scan is cut into.

The law: `fill` is a pure function of plain data that can be sent to another process or machine; what it returns
is the same wherever it ran and however the range was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.clock import timeframe_ms
from core.execution import book
from core.execution.costs import CostModel
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.features import FeatureSet, Outcomes
from core.pipeline import ScanRules, Surroundings, describe, scan, simulate
from core.ports import ExitPolicy, Setup
from core.schema import SIGNALS, Candles, FloatArray, FrameSpec, Instrument, empty_frame

__all__ = ["ALL", "FillRules", "Filled", "Series", "Stretch", "fill", "kept"]

Cut = tuple[int, str]  # decided_ms and key of the oldest candidate to keep
ALL: Cut = (0, "")
Found = tuple[pd.DataFrame, FloatArray]


@dataclass(frozen=True, slots=True)
class FillRules:
    """What all stretches of a retro scan share.

    Parameters
    ----------
    setups : tuple of Setup
    scan : ScanRules
    exit_policy : ExitPolicy
    policy_id : str
        Its identity with `execution` and `costs`, ``name@hash8``.
    execution : ExecutionRules
    costs : CostModel
    features : FeatureSet or None
        What candidates are described by.
    stride : int
        Keep candidates of every `stride`-th candle of the grid that starts at the epoch.
    """

    setups: tuple[Setup, ...]
    scan: ScanRules
    exit_policy: ExitPolicy
    policy_id: str
    execution: ExecutionRules
    costs: CostModel
    features: FeatureSet | None = None
    stride: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """The closes of one timeframe that are to be decided.

    Parameters
    ----------
    timeframe : str
    candles : Candles
        With the longest warm-up of setups and features before them.
    first : int
        Position of the first candle whose close is to be decided.
    around : Surroundings
        What features may look at beside the candles.
    since : (int, str)
        Leave out candidates before this decided_ms and key.
    """

    timeframe: str
    candles: Candles
    first: int
    around: Surroundings
    since: Cut = ALL


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """What `fill` is given.

    Parameters
    ----------
    rules : FillRules
    instrument : Instrument
    series : tuple of Series
    run : Run
        One-minute candles from the stretch's beginning on, as far as its trades may be played.
    lacking : pandas.DataFrame
        Columns `schema.SIGNALS`: candidates on record that have no trade under the exit policy.
    """

    rules: FillRules
    instrument: Instrument
    series: tuple[Series, ...]
    run: Run
    lacking: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """What came of a stretch.

    Parameters
    ----------
    closes : int
        How many were decided.
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`: the candidates found, with the ids -1, -2, ...; nobody has judged them yet.
    vectors : float64 array, shape (n, k)
        Their features, row by row, without what follows from earlier outcomes; no columns where there are no features.
    trades : pandas.DataFrame
        Columns `schema.TRADES`: one for each candidate that was lacking one, then one for each found.
    events : pandas.DataFrame
        Columns `schema.TRADE_EVENTS`, in the order of `trades`, each trade's ``n_events`` of them.
    """

    closes: int
    signals: pd.DataFrame
    vectors: FloatArray
    trades: pd.DataFrame
    events: pd.DataFrame


def fill(stretch: Stretch) -> Filled:
    """Find the candidates of every close of a stretch, describe them, and play each as far as its candles go.

    Parameters
    ----------
    stretch : Stretch

    Returns
    -------
    Filled
    """
    rules = stretch.rules
    found = [_find(stretch, series, setup) for series in stretch.series for setup in rules.setups]
    signals = _stack([signals for signals, _ in found], SIGNALS)
    width = 0 if rules.features is None else len(rules.features.columns)
    vectors = np.concatenate([np.empty((0, width)), *(vectors for _, vectors in found)])
    signals["id"] = -1 - np.arange(len(signals), dtype=np.int64)
    closes = sum(len(series.candles) - series.first for series in stretch.series)
    played = _stack([stretch.lacking, signals], SIGNALS)
    trades = book.new_trades(played, rules.policy_id, rules.execution)
    tick = np.full(len(played), stretch.instrument.tick or np.nan)
    is_due = (trades["next_ms"] < stretch.run.frontier_ms).to_numpy() | stretch.run.delisted
    after, events = simulate(
        _where(trades, is_due),
        _where(played, is_due),
        rules.exit_policy,
        [stretch.run],
        0,
        tick[is_due],
        rules.execution,
        rules.costs,
    )
    if not is_due.all():  # what is decided at the very end of the candles waits, in its place
        order = np.argsort(np.concatenate([np.flatnonzero(is_due), np.flatnonzero(~is_due)]))
        after = pd.concat([after, trades[~is_due]], ignore_index=True).take(order).reset_index(drop=True)
    return Filled(closes, signals, vectors, after, events)


def kept(signals: pd.DataFrame, timeframe: str, stride: int, since: Cut) -> npt.NDArray[np.bool_]:
    """Say which candidates of a timeframe the stride and the beginning leave."""
    if stride == 1 and since == ALL:
        return np.ones(len(signals), dtype=np.bool_)
    on_grid = (signals["ts_ms"] // timeframe_ms(timeframe)) % stride == 0
    decided, key = since
    newer = (signals["decided_ms"] > decided) | ((signals["decided_ms"] == decided) & (signals["key"] >= key))
    return (on_grid & newer).to_numpy(dtype=bool)


def _find(stretch: Stretch, series: Series, setup: Setup) -> Found:
    # Each setup sees its own warm-up and no more, as it does live.
    before = min(series.first, setup.warmup)
    candles, rules = series.candles.slice(series.first - before), stretch.rules
    signals = scan(candles, stretch.instrument, series.timeframe, setup, rules.scan, before)
    signals = _where(signals, kept(signals, series.timeframe, rules.stride, series.since))
    if rules.features is None or signals.empty:
        return signals, np.empty((len(signals), 0 if rules.features is None else len(rules.features.columns)))
    seen = (series.candles, series.timeframe, rules.features, rules.costs, series.around, Outcomes.none())
    return signals, describe(signals, *seen)


def _where(frame: pd.DataFrame, keep: npt.NDArray[np.bool_]) -> pd.DataFrame:
    return frame if keep.all() else frame[keep].reset_index(drop=True)


def _stack(frames: Sequence[pd.DataFrame], spec: FrameSpec) -> pd.DataFrame:
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return empty_frame(spec)
    return pd.concat(filled, ignore_index=True) if len(filled) > 1 else filled[0].copy(deep=False)
