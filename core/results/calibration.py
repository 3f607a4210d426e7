"""Calibration in bins: what was said beside what came, for a chart with its counts.

The law: a bin of few outcomes shows its interval or is left out; nothing is smoothed.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

import numpy as np
import pandas as pd

from core.results.intervals import clustered_mean, wilson_interval
from core.results.rows import week_of
from core.schema import FrameSpec, conform

__all__ = ["BINS", "ev_bins", "p_bins"]

BINS: FrameSpec = MappingProxyType(
    {
        "said": "float64",  # mean of what was said
        "came": "float64",  # what came: share won, or mean result in R
        "low": "float64",  # its 95 % interval, NaN where there is not enough
        "high": "float64",
        "n": "int64",
    }
)

_MOST, _LEAST_IN_BIN = 10, 30


def _edges(n: int) -> list[int]:
    bins = min(_MOST, n // _LEAST_IN_BIN)
    return [round(n * place / bins) for place in range(bins + 1)] if bins else []


def p_bins(p: pd.Series, won: pd.Series) -> pd.DataFrame:
    """Return stated probabilities in up to ten bins of equal count beside the share won.

    Parameters
    ----------
    p : pandas.Series
        Stated before the outcome; missing ones are left out.
    won : pandas.Series
        1 or 0.

    Returns
    -------
    pandas.DataFrame
        Columns `BINS`, lowest first, Wilson's interval; empty below thirty outcomes.
    """
    told = pd.DataFrame({"p": p, "won": won}).dropna().sort_values("p", kind="stable")
    edges = _edges(len(told))
    rows = []
    for first, end in pairwise(edges):
        part = told.iloc[first:end]
        low, high = wilson_interval(float(part["won"].sum()), len(part))
        rows.append({"said": part["p"].mean(), "came": part["won"].mean(), "low": low, "high": high, "n": len(part)})
    return conform(pd.DataFrame(rows, columns=list(BINS)), BINS)


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
    told = pd.DataFrame({"ev": ev_r, "r": net_r, "at": decided_ms}).dropna().sort_values("ev", kind="stable")
    edges = _edges(len(told))
    rows = []
    for first, end in pairwise(edges):
        part = told.iloc[first:end]
        mean = clustered_mean(part["r"].to_numpy(np.float64), week_of(part["at"].to_numpy(np.int64)))
        figures = {"came": float(part["r"].mean()), "low": mean.low, "high": mean.high}
        rows.append({"said": float(part["ev"].mean()), **figures, "n": len(part)})
    return conform(pd.DataFrame(rows, columns=list(BINS)), BINS)
