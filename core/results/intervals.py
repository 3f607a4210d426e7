"""Estimates with 95 % intervals that know trades of one week are not independent.

The law: no estimate without its count and interval; trades decided in the same week are one cluster,
because one market move closes many of them at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from core.schema import FloatArray, IntArray

__all__ = [
    "MIN_CLOSED",
    "MIN_WEEKS",
    "Estimate",
    "clustered_mean",
    "clustered_ratio",
    "clustered_share",
    "student_t_quantile",
    "wilson_interval",
]

MIN_CLOSED = 30
"""Fewest closed trades from which a rate is shown as a figure: below it a 95 % interval of a win rate
is wider than 33 points, and the normal approximation behind every interval here is not trusted."""

MIN_WEEKS = 2
"""Fewest weeks from which an interval between weeks exists at all; with few, Student's t makes it wide."""

_LEVEL = 0.975  # upper end of a two-sided 95 % interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with what it rests on.

    Parameters
    ----------
    value : float
        NaN when there is nothing to estimate from.
    low, high : float
        Ends of the 95 % interval; NaN when it does not exist.
    n : int
        Trades behind it.
    weeks : int
        UTC weeks behind it.
    """

    value: float
    low: float
    high: float
    n: int
    weeks: int

    @property
    def enough(self) -> bool:
        """Whether there is enough behind the figure for it to be a claim."""
        return self.n >= MIN_CLOSED and self.weeks >= MIN_WEEKS and math.isfinite(self.value)


def student_t_quantile(p: float, df: int) -> float:
    """Return the quantile of Student's t distribution.

    Parameters
    ----------
    p : float
        Probability in (0.5, 1).
    df : int
        Degrees of freedom, at least 1.

    Returns
    -------
    float
        Within 0.5 % of the exact value at p = 0.975 for every `df`.

    Notes
    -----
    Closed forms for one and two degrees of freedom, above that the expansion around the normal quantile.

    References
    ----------
    Abramowitz and Stegun (1964), Handbook of Mathematical Functions, 26.7.5.

    Examples
    --------
    >>> round(student_t_quantile(0.975, 10), 3)
    2.228
    """
    if df == 1:
        return math.tan(math.pi * (p - 0.5))
    if df == 2:
        a = 2.0 * p - 1.0
        return a * math.sqrt(2.0 / (1.0 - a * a))
    z = NormalDist().inv_cdf(p)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / df + g2 / df**2 + g3 / df**3 + g4 / df**4


def wilson_interval(successes: float, n: float) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a proportion.

    Parameters
    ----------
    successes, n : float
        Counts; fractions are allowed, so that an effective sample size can be handed in.

    Returns
    -------
    tuple of float
        Both ends, in [0, 1]; NaN when `n` is 0.

    References
    ----------
    Wilson (1927), J. Am. Stat. Assoc. 22, 209-212.

    Examples
    --------
    >>> tuple(round(end, 4) for end in wilson_interval(40, 100))
    (0.3094, 0.498)
    """
    if n <= 0:
        return math.nan, math.nan
    z = NormalDist().inv_cdf(_LEVEL)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _week_sums(values: FloatArray, weeks: IntArray) -> FloatArray:
    _, where = np.unique(weeks, return_inverse=True)
    sums: FloatArray = np.bincount(where, weights=values).astype(np.float64, copy=False)
    return sums


def _sum_variance(parts: FloatArray, weeks: IntArray) -> float:
    """Variance of the sum of parts that add up to 0: the larger of clustered by week and independent.

    Weeks can look alike by chance, above all when they are few; no interval may be narrower for it than that of as many
    independent trades.
    """
    sums = _week_sums(parts, weeks)
    g, n = len(sums), len(parts)
    clustered = g / (g - 1) * float(np.sum(sums * sums))
    return max(clustered, n / (n - 1) * float(np.sum(parts * parts)))


def clustered_mean(values: npt.ArrayLike, weeks: npt.ArrayLike) -> Estimate:
    """Return a mean with its 95 % interval, clustered by week.

    Parameters
    ----------
    values : array-like of float
        One value a trade, without NaN.
    weeks : array-like of int
        The week of each, see `rows.week_of`.

    Notes
    -----
    ``var = G / (G - 1) * sum_w(sum_{i in w}(x_i - mean))^2 / n^2`` over G weeks, at least the variance that independent
    trades would have, with the t quantile of G - 1 degrees of freedom. The interval is NaN when there is only one week.

    References
    ----------
    Cameron and Miller (2015), J. Human Resources 50, 317-372, section II.

    Examples
    --------
    >>> e = clustered_mean([1.0, 1.0, -1.0, 3.0], [1, 1, 2, 2])
    >>> e.value, e.n, e.weeks
    (1.0, 4, 2)
    """
    x = np.asarray(values, dtype=np.float64)
    w = np.asarray(weeks, dtype=np.int64)
    n, g = len(x), len(np.unique(w))
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, 0)
    mean = float(x.mean())
    if g < MIN_WEEKS:
        return Estimate(mean, math.nan, math.nan, n, g)
    half = student_t_quantile(_LEVEL, g - 1) * math.sqrt(_sum_variance((x - mean) / n, w))
    return Estimate(mean, mean - half, mean + half, n, g)


def clustered_share(hits: npt.ArrayLike, weeks: npt.ArrayLike) -> Estimate:
    """Return a proportion with its 95 % Wilson interval, widened where trades of a week share their fate.

    Parameters
    ----------
    hits : array-like of bool
        One value a trade.
    weeks : array-like of int
        The week of each.

    Notes
    -----
    The Wilson interval is taken at the effective size ``n / deff``; ``deff`` is the week-clustered variance over the
    binomial one, at least 1. With independent trades it is Wilson's own interval. It is NaN when there is only one
    week.

    References
    ----------
    Kish (1965), Survey Sampling, section 8.2, for the design effect.

    Examples
    --------
    >>> clustered_share([True, False, True, False], [1, 2, 3, 4]).value
    0.5
    """
    x = np.asarray(hits, dtype=np.float64)
    w = np.asarray(weeks, dtype=np.int64)
    n = len(x)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan, 0, 0)
    p, g = float(x.mean()), len(np.unique(w))
    if g < MIN_WEEKS:
        return Estimate(p, math.nan, math.nan, n, g)
    binomial = p * (1 - p) / n
    # The variance's own correction for small samples is no clustering, so it is taken out before comparing.
    deff = max(1.0, _sum_variance((x - p) / n, w) / binomial * (n - 1) / n) if binomial > 0 else 1.0
    size = n / deff
    low, high = wilson_interval(p * size, size)
    return Estimate(p, low, high, n, g)


def clustered_ratio(gains: npt.ArrayLike, losses: npt.ArrayLike, weeks: npt.ArrayLike) -> Estimate:
    """Return total gains over total losses (the profit factor) with its 95 % interval, clustered by week.

    Parameters
    ----------
    gains, losses : array-like of float
        Not negative, one value a trade; the other one is 0.
    weeks : array-like of int
        The week of each.

    Returns
    -------
    Estimate
        ``inf`` without an interval when nothing was lost, NaN when nothing was gained or lost.

    Notes
    -----
    Delta method on the logarithm: a week's influence is ``G_w / G - L_w / L``; the interval is the exponential of
    ``log(G / L) +- t * sqrt(g / (g - 1) * sum(influence^2))`` over g weeks, at least that of independent trades.

    Examples
    --------
    >>> clustered_ratio([2.0, 0.0, 1.0], [0.0, 1.5, 0.0], [1, 2, 3]).value
    2.0
    """
    up, down = np.asarray(gains, dtype=np.float64), np.asarray(losses, dtype=np.float64)
    w = np.asarray(weeks, dtype=np.int64)
    n, g = len(up), len(np.unique(w))
    total_up, total_down = float(up.sum()), float(down.sum())
    if total_down == 0.0:
        return Estimate(math.inf if total_up > 0 else math.nan, math.nan, math.nan, n, g)
    value = total_up / total_down
    if value == 0.0 or g < MIN_WEEKS:
        return Estimate(value, math.nan, math.nan, n, g)
    half = student_t_quantile(_LEVEL, g - 1) * math.sqrt(_sum_variance(up / total_up - down / total_down, w))
    # Two very unequal weeks can make the exponent astronomically large; the interval is then honestly unbounded.
    spread = math.exp(half) if half < 700 else math.inf
    return Estimate(value, value / spread, value * spread, n, g)
