"""The slices of the market that evidence is looked for in, and the sums of results in each.

The law: every row counts once in the pool, its timeframe, its pair and its volatility regime; sums are by week.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.gate.evidence import ALL, pair_slice, regime_slice
from core.schema import FloatArray, IntArray

__all__ = ["Slices", "since_first", "slices_of", "sums_by_cell"]

# Parts of alpha: half for the pool, a quarter shared by the timeframes, a quarter by the pairs. Regimes have none:
# they can only refuse.
_POOL, _TIMEFRAMES, _PAIRS = 0.5, 0.25, 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """The pool, then timeframes, pairs of symbol and timeframe, and volatility regimes.

    Parameters
    ----------
    names : tuple of str
    pairs : tuple of (str, str)
        Symbol and timeframe of each pair, in the order of its slices.
    parent : int64 array, shape (slices,)
        Position of the slice each lies in; -1 for the pool and the regimes.
    weights : float64 array, shape (slices,)
        Parts of alpha.
    pair, regime : int64 array, shape (n,)
        Which pair and which regime each row is of; -1 where its regime is not known.
    """

    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    parent: IntArray
    weights: FloatArray
    pair: IntArray
    regime: IntArray

    @property
    def n_regimes(self) -> int:
        """How many volatility regimes there are; their slices are the last."""
        return int(np.count_nonzero(self.weights == 0.0))

    def cells(self, rung: IntArray, week: IntArray, value: FloatArray, weight: FloatArray, steps: int) -> FloatArray:
        """Return the sums of every slice, shape (4, slices, steps, weeks); see `sums_by_cell`."""
        shape = (steps, int(week.max(initial=-1)) + 1)
        pairs = sums_by_cell(self.pair, rung, week, value, weight, (len(self.pairs), *shape))
        regimes = sums_by_cell(self.regime, rung, week, value, weight, (self.n_regimes, *shape))
        first = len(self.names) - len(self.pairs) - self.n_regimes
        inside = self.parent[first : first + len(self.pairs)]
        timeframes = [pairs[:, inside == one].sum(axis=1, keepdims=True) for one in range(1, first)]
        return np.concatenate((pairs.sum(axis=1, keepdims=True), *timeframes, pairs, regimes), axis=1)


def slices_of(rows: pd.DataFrame) -> Slices:
    """Return the slices of rows with the columns symbol, timeframe and regime_vol."""
    symbol, timeframe = (rows[name].tolist() for name in ("symbol", "timeframe"))
    pairs = sorted(set(zip(timeframe, symbol, strict=True)))
    timeframes = sorted({name for name, _ in pairs})
    regimes = sorted(set(rows["regime_vol"].tolist()) - {"unknown", ""})
    place = {pair: position for position, pair in enumerate(pairs)}
    of_regime = {regime: position for position, regime in enumerate(regimes)}
    parents = [-1, *([0] * len(timeframes)), *(1 + timeframes.index(name) for name, _ in pairs), *([-1] * len(regimes))]
    many, more = max(len(timeframes), 1), max(len(pairs), 1)
    weights = [
        _POOL,
        *([_TIMEFRAMES / many] * len(timeframes)),
        *([_PAIRS / more] * len(pairs)),
        *([0.0] * len(regimes)),
    ]
    return Slices(
        names=(ALL, *timeframes, *(pair_slice(one, name) for name, one in pairs), *map(regime_slice, regimes)),
        pairs=tuple((one, name) for name, one in pairs),
        parent=np.array(parents, dtype=np.int64),
        weights=np.array(weights, dtype=np.float64),
        pair=np.array([place[pair] for pair in zip(timeframe, symbol, strict=True)], dtype=np.int64),
        regime=np.array([of_regime.get(regime, -1) for regime in rows["regime_vol"].tolist()], dtype=np.int64),
    )


def since_first(week: IntArray) -> IntArray:
    """Return weeks counted from the first of them."""
    return week - week.min() if len(week) else week


def sums_by_cell(
    group: IntArray, rung: IntArray, week: IntArray, value: FloatArray, weight: FloatArray, shape: tuple[int, int, int]
) -> FloatArray:
    """Return rows, effective rows, sum of values and of their squares by group, rung and week.

    Parameters
    ----------
    group, rung, week : int64 array, shape (n,)
        A row with a negative group or rung is left out.
    value, weight : float64 array, shape (n,)
        The second is each row's uniqueness.
    shape : tuple of int
        Groups, rungs and weeks.

    Returns
    -------
    float64 array, shape (4, groups, rungs, weeks)
    """
    inside = (group >= 0) & (rung >= 0)
    code = (group[inside] * shape[1] + rung[inside]) * shape[2] + week[inside]
    x, w = value[inside], weight[inside]
    size = shape[0] * shape[1] * shape[2]
    parts = [np.bincount(code, weights=part, minlength=size) for part in (np.ones(len(x)), w, x, x * x)]
    return np.array(parts, dtype=np.float64).reshape(4, *shape)
