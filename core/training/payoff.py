"""What outcomes teach about their size: how far a predicted result can be relied on, and what wins and losses pay.

The law: results before costs are drawn towards 0, where a random walk has them; costs are never learned away.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from core.gate import Payoff
from core.gate.value import funding_key
from core.schema import FloatArray, IntArray

__all__ = ["fit_payoff", "payoff_line"]

_PRIOR_B = 0.25  # variance a slope is believed to have before any outcome
_PRIOR_A = 0.03**2  # variance of the constant, R squared
_HIGH_B = 1.2
_MEANS_L2 = 10.0  # effective rows at which the means do not depend on the plan, beyond its cost
_FUNDING_ROWS = 60.0  # effective rows of no funding that are mixed in


def fit_payoff(rows: pd.DataFrame, weights: FloatArray, predicted_r: FloatArray, week: IntArray) -> Payoff:
    """Fit all that turns scores into an expected value.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `schema.TRAINING_ROWS`.
    weights : float64 array, shape (n,)
        Uniqueness.
    predicted_r : float64 array, shape (n,)
        Result before costs in R as predicted out of fold; NaN where no fold could.
    week : int64 array, shape (n,)
        Week of the decision.
    """
    known = np.isfinite(predicted_r)
    gross_r = rows["gross_r"].to_numpy(dtype=np.float64)
    a0, b_lcb = payoff_line(predicted_r[known], gross_r[known], weights[known], week[known])
    won = rows["won"].to_numpy() > 0.5
    return Payoff(
        a0=a0,
        b_lcb=b_lcb,
        win_coef=_mean_coefficients(rows[won], weights[won]),
        loss_coef=_mean_coefficients(rows[~won], weights[~won]),
        funding_pct=_expected_funding(rows, weights),
    )


def payoff_line(g: FloatArray, gross_r: FloatArray, weights: FloatArray, week: IntArray) -> tuple[float, float]:
    """Return constant and slope of ``R = a0 + b * g``, as far as they can be relied on.

    Parameters
    ----------
    g, gross_r : float64 array, shape (n,)
        Predicted out of fold and realised results before costs, R.
    weights : float64 array, shape (n,)
        Uniqueness.
    week : int64 array, shape (n,)
        Rows of one week are one cluster.

    Returns
    -------
    a0, b_lcb : float

    Notes
    -----
    Weighted least squares with standard errors clustered by week (never below those of independent rows);
    ``b_post = b * .25 / (.25 + se^2)``, ``sd = se * sqrt(.25 / (.25 + se^2))``, ``b_lcb = clip(b_post - sd, 0, 1.2)``;
    ``a0`` is shrunk by ``.03^2 / (.03^2 + se_a^2)``. With a single week, or predictions that do not differ, nothing can
    be relied on: both are 0.

    References
    ----------
    Cameron and Miller (2015), J. Human Resources 50, 317-372, section II.

    Examples
    --------
    >>> g = np.tile([-0.5, 0.5], 500)
    >>> a0, b_lcb = payoff_line(g, 0.8 * g, np.ones(1000), np.arange(1000) // 20)
    >>> round(a0, 6), round(b_lcb, 6)
    (0.0, 0.8)
    """
    design = np.column_stack([np.ones(len(g)), g])
    gram = (design * weights[:, None]).T @ design
    weeks, of_week = np.unique(week, return_inverse=True)
    total = float(weights.sum())
    spread = float(gram[1, 1] - gram[0, 1] ** 2 / total) / total if total > 0.0 else 0.0
    if len(weeks) < 2 or len(g) < 3 or spread < 1e-12:
        return 0.0, 0.0
    bread = np.asarray(np.linalg.inv(gram), dtype=np.float64)
    a, b = (float(value) for value in bread @ (design.T @ (weights * gross_r)))
    scores = design * (weights * (gross_r - a - b * g))[:, None]
    sums = np.zeros((len(weeks), 2))
    np.add.at(sums, of_week, scores)
    clustered = _variances(bread, sums)
    se_a, se = np.sqrt(np.maximum(clustered, _variances(bread, scores)))
    b_post = b * _PRIOR_B / (_PRIOR_B + se**2)
    sd = se * math.sqrt(_PRIOR_B / (_PRIOR_B + se**2))
    return float(a * _PRIOR_A / (_PRIOR_A + se_a**2)), float(np.clip(b_post - sd, 0.0, _HIGH_B))


def _variances(bread: FloatArray, scores: FloatArray) -> FloatArray:
    """Return the sandwich variances of both coefficients from scores of independent groups."""
    groups = len(scores)
    meat = groups / (groups - 1.0) * (scores.T @ scores)
    variances: FloatArray = np.diag(bread @ meat @ bread)
    return variances


def _mean_coefficients(rows: pd.DataFrame, weights: FloatArray) -> tuple[float, float, float, float]:
    """Return constant and slopes over rr1, rr2 and cost_r of the mean net result.

    A ridge whose penalty draws the slopes over the plan to 0 and that over the cost to -1, R for R; the latter ends at
    0 at most.
    """
    names = ["rr1", "rr2", "cost_r"]
    x, net_r = rows[names].to_numpy(dtype=np.float64), rows["net_r"].to_numpy(dtype=np.float64)
    total = float(weights.sum())
    mean = weights @ x / total
    spread = np.sqrt(weights @ (x - mean) ** 2 / total)
    spread = np.where(spread > 1e-9, spread, 1.0)
    z = (x - mean) / spread
    level = float(weights @ net_r / total)
    before_costs = net_r - level + (x - mean)[:, 2]
    slopes = _ridge(z, before_costs, weights) / spread
    slopes[2] -= 1.0
    if slopes[2] > 0.0:
        slopes = np.append(_ridge(z[:, :2], net_r - level, weights) / spread[:2], 0.0)
    by_rr1, by_rr2, by_cost = (float(value) for value in slopes)
    return level - float(slopes @ mean), by_rr1, by_rr2, by_cost


def _ridge(z: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    weighted = z * weights[:, None]
    return np.asarray(np.linalg.solve(weighted.T @ z + _MEANS_L2 * np.eye(z.shape[1]), weighted.T @ y))


def _expected_funding(rows: pd.DataFrame, weights: FloatArray) -> dict[str, float]:
    """Return the mean funding of each timeframe and direction in percent of notional, drawn to 0."""
    keys = np.array([funding_key(*pair) for pair in zip(rows["timeframe"], rows["direction"], strict=True)], dtype=str)
    paid = rows["funding_pct"].to_numpy(dtype=np.float64)
    expected = {}
    for key in np.unique(keys):
        own = keys == key
        expected[str(key)] = float(weights[own] @ paid[own] / (weights[own].sum() + _FUNDING_ROWS))
    return expected
