"""Calibration in bins: what was said beside what came, for a chart with its counts.

The law: a bin of few outcomes shows its interval or is left out; nothing is smoothed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import pandas as pd

from core.results.intervals import Estimate, clustered_mean, clustered_share
from core.results.rows import week_of
from core.schema import FloatArray, FrameSpec, IntArray, conform

__all__ = ["BINS", "ev_bins", "p_bins"]

BINS: FrameSpec = MappingProxyType(
    {
        "said": "float64",  # mean of what was said
        "came": "float64",  # what came: share won, or mean result in R
        "low": "float64",  # its 95 % interval, clustered by week; NaN within a single one
        "high": "float64",
        "n": "int64",
    }
)

_MOST, _LEAST_IN_BIN = 10, 30


def _edges(n: int) -> list[int]:
    bins = min(_MOST, n // _LEAST_IN_BIN)
    return [round(n * place / bins) for place in range(bins + 1)] if bins else []


def p_bins(p: pd.Series, won: pd.Series, decided_ms: pd.Series) -> pd.DataFrame:
    """Return stated probabilities in up to ten bins of equal count beside the share won.

    Parameters
    ----------
    p : pandas.Series
        Stated before the outcome; missing ones are left out.
    won : pandas.Series
        1 or 0.
    decided_ms : pandas.Series
        For intervals clustered by week.

    Returns
    -------
    pandas.DataFrame
        Columns `BINS`, lowest first; empty below thirty outcomes.
    """
    return _bins(p, won, decided_ms, clustered_share)


def ev_bins(ev_r: pd.Series, net_r: pd.Series, decided_ms: pd.Series) -> pd.DataFrame:
    """Return expected values in up to ten bins of equal count beside the mean result, in R.

    Parameters
    ----------
    ev_r, net_r : pandas.Series
        Expected and realised; rows with one missing are left out.
    decided_ms : pandas.Series
        For intervals clustered by week.

    Returns
    -------
    pandas.DataFrame
        Columns `BINS`, lowest first; empty below thirty outcomes.
    """
    return _bins(ev_r, net_r, decided_ms, clustered_mean)


def _bins(
    said: pd.Series, came: pd.Series, decided_ms: pd.Series, estimate: Callable[[FloatArray, IntArray], Estimate]
) -> pd.DataFrame:
    told = pd.DataFrame({"said": said, "came": came, "at": decided_ms}).dropna().sort_values("said", kind="stable")
    rows = []
    for first, end in pairwise(_edges(len(told))):
        part = told.iloc[first:end]
        found = estimate(part["came"].to_numpy(np.float64), week_of(part["at"].to_numpy(np.int64)))
        figures = {"came": found.value, "low": found.low, "high": found.high, "n": found.n}
        rows.append({"said": float(part["said"].mean()), **figures})
    return conform(pd.DataFrame(rows, columns=list(BINS)), BINS)
