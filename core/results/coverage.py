"""What a threshold keeps and what the kept ones were worth: coverage against win rate and result.

The law: scores were given before the outcome; each threshold is looked at with its count and intervals, and the best of
many looks good by chance.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.results.intervals import clustered_mean, clustered_share
from core.results.rows import week_of
from core.schema import FloatArray, FrameSpec, conform, empty_frame

__all__ = ["CHANCES", "COVERAGE", "chances", "coverage"]

COVERAGE: FrameSpec = MappingProxyType(
    {
        "threshold": "float64",  # kept are scores at or above it
        "n": "int64",
        "share": "float64",  # of all
        "win": "float64",
        "win_low": "float64",  # 95 %
        "win_high": "float64",
        "r": "float64",  # mean
        "r_low": "float64",
        "r_high": "float64",
        "enough": "int64",
    }
)
CHANCES: FrameSpec = MappingProxyType({"low": "float64", "high": "float64", "n": "int64", "passed": "int64"})


def coverage(
    score: npt.ArrayLike,
    won: npt.ArrayLike,
    r: npt.ArrayLike,
    decided_ms: npt.ArrayLike,
    live: float | None = None,
    points: int = 40,
) -> pd.DataFrame:
    """Return for rising thresholds how much they keep and how it did.

    Parameters
    ----------
    score : array-like of float, shape (n,)
        What a candidate was given before its outcome; those that are NaN are left out.
    won, r, decided_ms : array-like, shape (n,)
    live : float, optional
        The threshold in force, looked at as well.
    points : int
        Thresholds: each keeps about as much less than the one before.

    Returns
    -------
    pandas.DataFrame
        Columns `COVERAGE`, rising thresholds; empty without a score.
    """
    given = np.asarray(score, dtype=np.float64)
    known = np.isfinite(given)
    if not known.any():
        return empty_frame(COVERAGE)
    order = np.argsort(-given[known], kind="stable")
    given = given[known][order]
    wins, results = np.asarray(won, dtype=np.float64)[known][order], np.asarray(r, dtype=np.float64)[known][order]
    weeks = week_of(np.asarray(decided_ms, dtype=np.int64)[known][order])
    asked = np.quantile(given, np.linspace(0.0, 1.0, points + 1)[:-1])
    asked = np.unique(asked if live is None else np.append(asked, live))
    found = []
    for threshold in asked.tolist():
        n = int(np.searchsorted(-given, -threshold, side="right"))
        if not n:
            continue
        win, mean = clustered_share(wins[:n], weeks[:n]), clustered_mean(results[:n], weeks[:n])
        rates = {"win": win.value, "win_low": win.low, "win_high": win.high}
        means = {"r": mean.value, "r_low": mean.low, "r_high": mean.high, "enough": int(mean.enough)}
        found.append({"threshold": threshold, "n": n, "share": n / len(given), **rates, **means})
    return conform(pd.DataFrame(found), COVERAGE)


def chances(p: npt.ArrayLike, passed: npt.ArrayLike, width: float = 0.02) -> pd.DataFrame:
    """Return how many candidates were given which p(win), and how many of them passed.

    Parameters
    ----------
    p : array-like of float, shape (n,)
        NaN where nobody judged: left out.
    passed : array-like of bool, shape (n,)
    width : float
        Of a bin.

    Returns
    -------
    pandas.DataFrame
        Columns `CHANCES`, rising, without gaps.

    Examples
    --------
    >>> chances([0.41, 0.47, 0.52], [False, False, True], width=0.05)[["n", "passed"]].to_numpy().tolist()
    [[1, 0], [1, 0], [1, 1]]
    """
    given: FloatArray = np.asarray(p, dtype=np.float64)
    known = np.isfinite(given)
    if not known.any():
        return empty_frame(CHANCES)
    place = np.floor(given[known] / width + 1e-9).astype(np.int64)
    first = int(place.min())
    n = np.bincount(place - first)
    let_through = np.bincount(place - first, weights=np.asarray(passed, dtype=np.float64)[known], minlength=len(n))
    low = width * (first + np.arange(len(n)))
    return conform(pd.DataFrame({"low": low, "high": low + width, "n": n, "passed": let_through}), CHANCES)
