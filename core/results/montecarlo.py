"""How differently the same weeks could have fallen: a block bootstrap of the sequence of results.

The law: whole weeks are drawn, with replacement, because trades of one week share their fate; the same seed gives the
same figures. It says how much of a curve is the luck of the order and of which weeks came, and nothing about weeks of a
kind that is not on record.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from core.clock import DAY_MS
from core.results.intervals import MIN_CLOSED
from core.results.rows import closed_rows, week_of
from core.schema import FloatArray, FrameSpec, IntArray, conform

__all__ = ["FAN", "LEVELS", "MIN_BLOCKS", "Fan", "fan", "fan_table"]

MIN_BLOCKS = 12
"""Fewest weeks that are drawn from: with fewer, the draws repeat one another and the band is far too narrow."""

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles of a fan."""

_AT_ONCE = 500  # sequences computed together, so that memory stays small however many weeks there are
_MONDAY_MS = 4 * DAY_MS  # weeks are counted as in `rows.week_of`

FAN: FrameSpec = MappingProxyType(
    {
        "week_ms": "int64",  # the end of the week, UTC
        "realised": "float64",  # sum of R by then
        **{f"q{round(100 * level):02d}": "float64" for level in LEVELS},
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Fan:
    """Drawn sequences beside the one that happened, in R.

    Parameters
    ----------
    n, weeks : int
        Trades, and weeks from the first to the last outcome.
    end_ms : int64 array, shape (weeks,)
        The end of each week.
    realised : float64 array, shape (weeks,)
        Sum of R at the end of each week.
    quantiles : float64 array, shape (5, weeks)
        Of the drawn sums, at `LEVELS`.
    final : float64 array, shape (draws,)
        Where each drawn sequence ended.
    fall : float64 array, shape (draws,)
        The deepest fall of each from a high of its own, >= 0.
    realised_fall : float
        That of the sequence that happened.
    """

    n: int
    weeks: int
    end_ms: IntArray
    realised: FloatArray
    quantiles: FloatArray
    final: FloatArray
    fall: FloatArray
    realised_fall: float

    @property
    def loss_share(self) -> float:
        """Share of drawn sequences that ended below zero."""
        return float(np.mean(self.final < 0))


def fan(rows: pd.DataFrame, draws: int = 2_000, seed: int = 1) -> Fan | None:
    """Draw sequences of weeks and return how they went.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `rows.RESULT_ROWS`; closed ones count.
    draws : int
        Sequences, each as many weeks long as the record.
    seed : int

    Returns
    -------
    Fan or None
        None below 30 trades or `MIN_BLOCKS` weeks with one.

    Notes
    -----
    A week holds the trades whose outcomes became known in it, in that order; weeks without any are drawn as well. Falls
    are exact to the trade: of each week its sum, its highest and lowest running sum and its own deepest fall are enough
    to know the deepest fall of any sequence of weeks.

    References
    ----------
    Kuensch (1989), Annals of Statistics 17, 1217-1241, for drawing blocks of dependent observations.
    """
    done = closed_rows(rows)
    weeks = week_of(done["known_ms"])
    if len(done) < MIN_CLOSED or len(np.unique(weeks)) < MIN_BLOCKS:
        return None
    parts = _parts(done["r_multiple"].to_numpy(np.float64), weeks - weeks[0])
    count = parts.shape[1]
    rng = np.random.default_rng(seed)
    sums, final, fall = np.empty((draws, count), dtype=np.float32), np.empty(draws), np.empty(draws)
    for first in range(0, draws, _AT_ONCE):
        drawn = rng.integers(0, count, (min(_AT_ONCE, draws - first), count))
        path, deepest = _walk(parts[:, drawn])
        at = slice(first, first + len(drawn))
        sums[at], final[at], fall[at] = path, path[:, -1], deepest
    realised, realised_fall = _walk(parts[:, np.newaxis, :])
    end_ms = _MONDAY_MS + 7 * DAY_MS * (int(weeks[0]) + 1 + np.arange(count, dtype=np.int64))
    quantiles = np.quantile(sums, LEVELS, axis=0).astype(np.float64)
    return Fan(len(done), count, end_ms, realised[0], quantiles, final, fall, float(realised_fall[0]))


def _parts(r: FloatArray, week: IntArray) -> FloatArray:
    """Return of each week its sum, highest and lowest running sum (0 included) and deepest own fall: (4, weeks)."""
    parts = np.zeros((4, int(week[-1]) + 1))
    edges = np.flatnonzero(np.diff(week)) + 1
    for one, values in zip(week[np.concatenate([[0], edges])], np.split(r, edges), strict=True):
        path = np.concatenate([[0.0], np.cumsum(values)])
        deepest = float((np.maximum.accumulate(path) - path).max())
        parts[:, one] = path[-1], path.max(), path.min(), deepest
    return parts


def _walk(parts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the running sums and the deepest fall of sequences of weeks; `parts` is (4, sequences, weeks)."""
    total, highest, lowest, own = parts
    path = np.cumsum(total, axis=1)
    before = path - total
    high = np.maximum.accumulate(np.maximum(before + highest, 0.0), axis=1)
    high_before = np.concatenate([np.zeros((len(high), 1)), high[:, :-1]], axis=1)
    deepest: FloatArray = np.maximum((high_before - (before + lowest)).max(axis=1), own.max(axis=1))
    return path, deepest


def fan_table(found: Fan) -> pd.DataFrame:
    """Return a fan as a table, a row a week; columns `FAN`."""
    columns = {"week_ms": found.end_ms, "realised": found.realised}
    return conform(pd.DataFrame({**columns, **dict(zip(list(FAN)[2:], found.quantiles, strict=True))}), FAN)
