"""What estimators share: the geometry of the plan they all start from, and the linear fits behind it.

The law: every estimator is anchored at what the plan's geometry alone says, and no probability and no payoff rises
with the cost of a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.errors import ModelError
from core.ports import Sample
from core.schema import FloatArray

__all__ = [
    "COST",
    "GEOMETRY",
    "Geometry",
    "Scale",
    "checked",
    "judged_rows",
    "ridge",
    "ridge_logistic",
    "sigmoid",
    "winsorised",
]

GEOMETRY = ("geo_rr1", "geo_rr2", "geo_cost_r", "geo_sl_atr")
"""Columns the geometry is read from: reward to risk at both targets, cost in R, stop distance in ATR."""

COST = "geo_cost_r"

_COST_TERM = 2  # of the four terms of the geometry
_GEOMETRY_L2 = 100.0  # a prior standard deviation of 0.1 log-odds for each standardised term: plans differ little
_FARTHEST = 4.0  # standard deviations; beyond, a plan is as unusual as a plan can be
_FLOOR_R, _ROOF_R = -1.5, 3.0  # results outside teach the payoff nothing more
_MAX_STEPS = 100
_TOLERANCE = 1e-9


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Return probabilities; NaN stays NaN.

    Examples
    --------
    >>> sigmoid(np.array([0.0, -800.0])).tolist()
    [0.5, 0.0]
    """
    tail = np.exp(-np.abs(log_odds))
    p: FloatArray = np.where(log_odds >= 0.0, 1.0, tail) / (1.0 + tail)
    return p


def winsorised(gross_r: FloatArray) -> FloatArray:
    """Return results drawn in to [-1.5, 3] R, so that no single trade steers the payoff."""
    return np.clip(gross_r, _FLOOR_R, _ROOF_R)


def checked(vectors: FloatArray, columns: tuple[str, ...]) -> FloatArray:
    """Return vectors as contiguous float64.

    Raises
    ------
    ModelError
        Not one value per column.
    """
    values = np.ascontiguousarray(vectors, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(columns):
        raise ModelError(f"vectors of shape {values.shape}; expected rows of {len(columns)} columns")
    return values


def judged_rows(log_odds: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return 0 for each candidate that can be judged and NaN for one without geometry or with an infinite feature."""
    return np.where(np.isfinite(log_odds) & ~np.isinf(vectors).any(axis=1), 0.0, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """Centre and spread of columns.

    Parameters
    ----------
    mean, spread : float64 array, shape (k,)
        Weighted over known values; a column that never varies has spread 1.
    """

    mean: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, x: FloatArray, weights: FloatArray) -> Scale:
        """Return the scale of columns; NaN is not counted, and a column of nothing else has mean 0."""
        known = np.isfinite(x)
        w = np.where(known, weights[:, None], 0.0)
        total = np.maximum(w.sum(axis=0), 1e-12)
        values = np.where(known, x, 0.0)
        mean = (w * values).sum(axis=0) / total
        spread = np.sqrt((w * (values - mean) ** 2).sum(axis=0) / total)
        return cls(mean, np.where(spread > 1e-9 * (1.0 + np.abs(mean)), spread, 1.0))

    def apply(self, x: FloatArray) -> FloatArray:
        """Return standardised columns, drawn in to four standard deviations; NaN stays NaN."""
        return np.clip((x - self.mean) / self.spread, -_FARTHEST, _FARTHEST)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"mean": self.mean.tolist(), "spread": self.spread.tolist()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scale:
        """Return the scale that `to_json` wrote."""
        return cls(np.array(data["mean"], dtype=np.float64), np.array(data["spread"], dtype=np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """The chance that the plan's geometry alone gives it.

    Parameters
    ----------
    columns : tuple of int
        Places of `GEOMETRY` in a vector.
    scale : Scale
        Of the four terms.
    coef : float64 array, shape (4,)
        Log-odds per standard deviation; that of the cost is at most 0.
    intercept : float

    Notes
    -----
    L2-regularised logistic regression on ``[-ln rr1, rr2, cost_r, sl_atr]``: on a random walk the first target comes
    before the stop with probability ``1 / (1 + rr1)``, whose log-odds are ``-ln rr1``.
    """

    columns: tuple[int, ...]
    scale: Scale
    coef: FloatArray
    intercept: float

    @classmethod
    def of(cls, sample: Sample) -> Geometry:
        """Fit it.

        Raises
        ------
        ModelError
            A geometry column is missing, or not finite and above 0 where it has to be.
        """
        columns = _places(sample.columns)
        terms = _terms(sample.vectors, columns)
        if not np.isfinite(terms).all():
            bad = GEOMETRY[int(np.flatnonzero(~np.isfinite(terms).all(axis=0))[0])]
            raise ModelError(f"training rows: {bad} is not known in each; expected a finite number, rr1 above 0")
        scale = Scale.of(terms, sample.weights)
        coef, intercept = ridge_logistic(
            scale.apply(terms), sample.won, sample.weights, np.zeros(len(terms)), _GEOMETRY_L2, _COST_TERM
        )
        return cls(columns, scale, coef, intercept)

    def log_odds(self, vectors: FloatArray) -> FloatArray:
        """Return the log-odds of winning; NaN where the geometry is not known."""
        log_odds: FloatArray = self.scale.apply(_terms(vectors, self.columns)) @ self.coef + self.intercept
        return log_odds

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"scale": self.scale.to_json(), "coef": self.coef.tolist(), "intercept": self.intercept}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], columns: tuple[str, ...]) -> Geometry:
        """Return the geometry that `to_json` wrote, for vectors of those columns."""
        coef = np.array(data["coef"], dtype=np.float64)
        return cls(_places(columns), Scale.from_json(data["scale"]), coef, float(data["intercept"]))


def ridge_logistic(
    x: FloatArray, won: FloatArray, weights: FloatArray, offset: FloatArray, l2: float, capped: int
) -> tuple[FloatArray, float]:
    """Fit a ridge logistic regression with an offset, one of whose coefficients is at most 0.

    Parameters
    ----------
    x : float64 array, shape (n, k)
        Standardised.
    won, weights : float64 array, shape (n,)
    offset : float64 array, shape (n,)
        Log-odds to start from.
    l2 : float
        Penalty ``l2 / 2 * sum(coef ** 2)``; the intercept has none.
    capped : int
        The column whose coefficient may not be above 0.

    Returns
    -------
    coef : float64 array, shape (k,)
    intercept : float

    Notes
    -----
    Newton's method with halved steps. The problem is convex, so where the free optimum lies beyond the cap the best
    allowed coefficient is the cap itself.
    """
    beta = _newton(x, won, weights, offset, l2)
    if beta[capped] > 0.0:
        free = np.arange(x.shape[1]) != capped
        inner = _newton(x[:, free], won, weights, offset, l2)
        beta = np.insert(inner, capped, 0.0)
    return beta[:-1], float(beta[-1])


def ridge(x: FloatArray, y: FloatArray, weights: FloatArray, l2: float, capped: int) -> FloatArray:
    """Fit a ridge regression without intercept, one of whose coefficients is at most 0.

    Parameters
    ----------
    x : float64 array, shape (n, k)
    y, weights : float64 array, shape (n,)
    l2 : float
        Penalty ``l2 * sum(coef ** 2)``.
    capped : int
        The column whose coefficient may not be above 0.
    """
    weighted = x * weights[:, None]
    gram, moment = weighted.T @ x + l2 * np.eye(x.shape[1]), weighted.T @ y
    coef = np.asarray(np.linalg.solve(gram, moment), dtype=np.float64)
    if coef[capped] > 0.0:
        free = np.arange(x.shape[1]) != capped
        coef = np.insert(np.linalg.solve(gram[np.ix_(free, free)], moment[free]), capped, 0.0)
    return np.asarray(coef, dtype=np.float64)


def _places(columns: tuple[str, ...]) -> tuple[int, ...]:
    missing = [name for name in GEOMETRY if name not in columns]
    if missing:
        raise ModelError(f"columns: '{missing[0]}' is missing; expected {', '.join(GEOMETRY)} among them")
    return tuple(columns.index(name) for name in GEOMETRY)


def _terms(vectors: FloatArray, columns: tuple[int, ...]) -> FloatArray:
    """Return the four terms of the geometry, NaN where they are not known."""
    terms: FloatArray = vectors[:, columns].astype(np.float64)
    terms[~np.isfinite(terms)] = np.nan
    rr1 = terms[:, 0]
    terms[:, 0] = -np.log(np.where(rr1 > 0.0, rr1, np.nan))
    return terms


def _newton(x: FloatArray, won: FloatArray, weights: FloatArray, offset: FloatArray, l2: float) -> FloatArray:
    """Return coefficients and, last, the intercept that minimise the penalised log-loss."""
    design = np.column_stack([x, np.ones(len(x))])
    penalty = np.full(design.shape[1], l2)
    penalty[-1] = 0.0
    beta = np.zeros(design.shape[1])
    loss = _loss(beta, design, won, weights, offset, penalty)
    for _ in range(_MAX_STEPS):
        p = sigmoid(offset + design @ beta)
        slope = design.T @ (weights * (p - won)) + penalty * beta
        curve = (design * (weights * p * (1.0 - p))[:, None]).T @ design + np.diag(penalty + 1e-10)
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while size > _TOLERANCE:
            ahead = _loss(beta - size * step, design, won, weights, offset, penalty)
            if ahead <= loss:
                break
            size /= 2.0
        gained, beta, loss = loss - ahead, beta - size * step, ahead
        if size <= _TOLERANCE or gained <= _TOLERANCE * (1.0 + abs(loss)):
            break
    return beta


def _loss(
    beta: FloatArray, design: FloatArray, won: FloatArray, weights: FloatArray, offset: FloatArray, penalty: FloatArray
) -> float:
    log_odds = offset + design @ beta
    return float(weights @ (np.logaddexp(0.0, log_odds) - won * log_odds) + 0.5 * (penalty @ beta**2))
