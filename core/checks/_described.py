"""What features say of candidates, in the form the checks compare.

The law: whatever lies around a series is made of its own candles here, so that it ends where they do, and goes on
otherwise where they do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.checks._compare import CANDIDATE, Compute
from core.clock import DAY_MS, HOUR_MS, timeframe_ms
from core.execution.costs import CostModel
from core.features import FeatureSet, Outcomes
from core.pipeline import Surroundings, describe
from core.schema import Candles, FloatArray

__all__ = ["described", "finished", "named", "settlements"]

SETTLED_EVERY_MS = 8 * HOUR_MS
FUNDING_READ_MS = 7 * DAY_MS  # how far before its first candle a live scan reads settlements
HELD = 17  # candles; outcomes are known after 1 to so many


def described(signals: pd.DataFrame, whole: Candles, timeframe: str, features: FeatureSet, costs: CostModel) -> Compute:
    """Return the vectors of candidates, each with what could be known at its decision.

    Parameters
    ----------
    signals : pandas.DataFrame
        Columns `schema.SIGNALS`: what was found on the whole history; told is of those whose candle is there.
    whole : Candles
        The whole history: older settlements than the candles at hand are read too.
    timeframe : str
    features : FeatureSet
    costs : CostModel

    Notes
    -----
    The benchmark is the series itself. A settlement's rate is the move of the candle that opens with it, and a
    candidate's outcome the close of a later candle: both are known just when a live scan may know them.
    """
    ts, names, settled = signals["ts_ms"].to_numpy(np.int64), named(signals), settlements(whole)

    def compute(candles: Candles) -> pd.DataFrame:
        there = np.isin(ts, candles.ts)
        known = signals[there].reset_index(drop=True)
        begin_ms = int(candles.ts[0]) if len(candles) else 0
        older = settled[(settled[:, 0] < begin_ms) & (settled[:, 0] >= begin_ms - FUNDING_READ_MS)]
        around = Surroundings(candles, np.concatenate([older, settlements(candles)]))
        vectors = describe(known, candles, timeframe, features, costs, around, finished(known, candles, timeframe))
        columns = dict(zip(features.columns, vectors.T, strict=True))
        return pd.DataFrame({"ts_ms": ts[there], CANDIDATE: names[there], **columns})

    return compute


def named(signals: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Return what a finding calls each candidate: its direction and entry."""
    rows = zip(signals["direction"].tolist(), signals["entry"].tolist(), strict=True)
    names = np.empty(len(signals), dtype=object)
    names[:] = [f"{direction} {entry:g}" for direction, entry in rows]
    return names


def settlements(candles: Candles) -> FloatArray:
    """Return made-up funding, shape (n, 2): at eight hours' distance, each as the candle moves that opens with it."""
    at = np.flatnonzero(candles.ts % SETTLED_EVERY_MS == 0)
    return np.column_stack([candles.ts[at].astype(np.float64), candles.close[at] / candles.open[at] - 1.0])


def finished(signals: pd.DataFrame, candles: Candles, timeframe: str) -> Outcomes:
    """Return made-up outcomes: some candles after each candidate, whatever the price is by then."""
    step_ms = timeframe_ms(timeframe)
    ts = signals["ts_ms"].to_numpy(np.int64)
    ends = np.searchsorted(candles.ts, ts) + 1 + ts // step_ms % HELD
    over = ends < len(candles)
    ends, plans = ends[over], signals[over]
    side = np.where(plans["direction"].to_numpy(object) == "short", -1.0, 1.0)
    entry, sl = plans["entry"].to_numpy(np.float64), plans["sl"].to_numpy(np.float64)
    r = side * (candles.close[ends] - entry) / np.abs(entry - sl)
    known_ms = candles.ts[ends] + step_ms
    order = np.argsort(known_ms, kind="stable")
    return Outcomes(known_ms[order], r[order])
