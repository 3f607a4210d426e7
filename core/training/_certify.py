"""The statistics of certification: many slices, many thresholds, a test every week, one error rate for the year.

The law: the chance that anything worthless is certified at any time in a year of weekly tunings stays below alpha;
what is asked of one tuning follows from that, never the other way round.

A slice is tested down a ladder of thresholds. Two chains share its part of alpha: one begins at the strictest
threshold that has enough results and goes down while each is rejected, the other is the loosest threshold alone, which
holds the most results. Across slices the parts are handed on as chains are certified to their end (weighted Holm).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.schema import FloatArray, IntArray

__all__ = ["Ladder", "Levels", "boundary", "ladder_of", "levels_of", "student_bound", "student_z", "year_p"]

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """Results at or above each threshold of each slice; arrays of shape (slices, thresholds), strictest last.

    Parameters
    ----------
    n, n_eff, weeks
        Rows, effective rows, weeks with any.
    mean, se, z
        Of the value less what it is tested against: mean, its standard error clustered by week, and the normal
        deviate as unlikely as its Student t; NaN, NaN and -inf where there are fewer than two weeks.
    """

    n: FloatArray
    n_eff: FloatArray
    weeks: FloatArray
    mean: FloatArray
    se: FloatArray
    z: FloatArray


def ladder_of(cells: FloatArray, least_variance: float = 0.0) -> Ladder:
    """Return the ladder of slices from sums by cell.

    Parameters
    ----------
    cells : float64 array, shape (4, slices, thresholds, weeks)
        Rows, effective rows, sum of values and sum of their squares of the rows whose strictest threshold reached is
        that one.
    least_variance : float
        A single value's variance is taken to be at least this.

    Notes
    -----
    ``var(mean) = max(G / (G - 1) * sum_w(S_w - n_w * mean)^2 / n^2, s^2 / n_eff)`` over G weeks: weeks can look alike
    by chance, and overlapping rows say less than they count.

    References
    ----------
    Cameron and Miller (2015), J. Human Resources 50, 317-372, section II.
    """
    count, effective, total, squares = np.flip(np.flip(cells, axis=2).cumsum(axis=2), axis=2)
    n, n_eff, weeks = count.sum(axis=-1), effective.sum(axis=-1), (count > 0).sum(axis=-1).astype(np.float64)
    enough = weeks >= 2
    size, eff, groups = np.where(enough, n, 2.0), np.where(enough, n_eff, 1.0), np.where(enough, weeks, 2.0)
    mean = np.where(enough, total.sum(axis=-1) / size, np.nan)
    aside = total - count * mean[..., None]
    clustered = groups / (groups - 1.0) * (aside * aside).sum(axis=-1) / (size * size)
    variance = (squares.sum(axis=-1) - size * mean * mean) / (size - 1.0)
    se = np.sqrt(np.maximum(clustered, np.maximum(variance, least_variance) / eff))
    steady = enough & (se > 0.0)
    t = np.where(steady, mean / np.where(steady, se, 1.0), -np.inf)
    return Ladder(n, n_eff, weeks, mean, se, student_z(t, groups - 1.0))


def student_z(t: FloatArray, df: FloatArray) -> FloatArray:
    """Return the normal deviate that is as unlikely as a Student t.

    Notes
    -----
    ``z = (8 df + 1) / (8 df + 3) * sqrt(df * ln(1 + t^2 / df))`` with the sign of t; within 0.02 from five degrees of
    freedom on.

    References
    ----------
    Wallace (1959), Ann. Math. Stat. 30, 1121-1130.
    """
    part: FloatArray = (8.0 * df + 1.0) / (8.0 * df + 3.0) * np.sqrt(df * np.log1p(t * t / df))
    return np.copysign(part, t)


def student_bound(z: float, df: float) -> float:
    """Return the Student t that is as unlikely as a normal deviate: the inverse of `student_z`."""
    return math.sqrt(df * math.expm1((z * (8.0 * df + 3.0) / (8.0 * df + 1.0)) ** 2 / df))


def year_p(z: float, spans: float) -> float:
    """Return the chance that a worthless slice's deviate ever reaches `z` in a year of looks.

    Parameters
    ----------
    z : float
    spans : float
        How often the window is replaced in a year: 1 where it is a year long.

    Notes
    -----
    ``2 Q(z) + spans * z * phi(z)``, an upper bound of Slepian's exact probability for a moving window of independent
    increments looked at without pause, ``1 - Phi^2 + z * phi * Phi + phi^2`` for one span. A window that still grows
    from six weeks to a year is an Ornstein-Uhlenbeck process in ``ln t`` and has ``ln(52 / 6) / 2 = 1.08`` such spans.
    An e-process (a one-sided normal mixture at its best at the end of the year) asks 2.49 deviations where this asks
    2.26 for 10 %: a fifth more results for the same power.

    References
    ----------
    Slepian (1961), Bell System Technical Journal 40, 163-187. Leadbetter, Lindgren and Rootzen (1983), ch. 12.
    """
    if z <= 0.0:
        return 1.0
    density = math.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi)
    return min(1.0, math.erfc(z / math.sqrt(2.0)) + spans * z * density)


def boundary(alpha: float, spans: float) -> float:
    """Return the deviate a worthless slice ever reaches in a year with chance `alpha`: the inverse of `year_p`.

    Examples
    --------
    >>> round(boundary(0.10, 1.08), 2)
    2.26
    """
    low, high = 0.0, 40.0
    while high - low > 1e-9:
        middle = (low + high) / 2.0
        low, high = (middle, high) if year_p(middle, spans) > alpha else (low, middle)
    return high


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """What was certified of each slice; arrays of shape (slices,).

    Parameters
    ----------
    rung
        Loosest threshold certified; -1 where none.
    z
        Deviate that was asked for; NaN where the slice was not tested.
    """

    rung: IntArray
    z: FloatArray


def levels_of(
    ladder: Ladder, weights: FloatArray, min_n_eff: float, min_weeks: int, alpha: float, spans: float
) -> Levels:
    """Certify slices, the error rate shared among all that are tested together.

    Parameters
    ----------
    ladder : Ladder
    weights : float64 array, shape (slices,)
        Each slice's part of alpha, in any unit.
    min_n_eff, min_weeks
        Least a threshold must have to be tested.
    alpha, spans : float
        Error rate of the year, see `year_p`.

    References
    ----------
    Angelopoulos et al. (2021), Learn then Test, arXiv 2110.01052, fixed-sequence testing. Holm (1979), Scand. J.
    Statistics 6, 65-70; Bretz et al. (2009), Statistics in Medicine 28, 586-604, for handing parts on.
    """
    testable = (ladder.n_eff >= min_n_eff) & (ladder.weeks >= min_weeks)
    tested = np.flatnonzero(testable[:, 0] & (weights > 0.0))
    strictest = testable.shape[1] - 1 - np.argmax(testable[:, ::-1], axis=1)
    chains = []  # slice, whether it begins at the strictest, weight, weakest deviate
    for one in tested.tolist():
        weakest = float(ladder.z[one, : strictest[one] + 1].min())
        both = strictest[one] > 0
        chains.append((one, False, weights[one] / (2.0 if both else 1.0), float(ladder.z[one, 0])))
        if both:
            chains.append((one, True, weights[one] / 2.0, weakest))
    asked = _holm([chain[2] for chain in chains], [chain[3] for chain in chains], alpha, spans)
    rung, z = np.full(len(weights), -1, dtype=np.int64), np.full(len(weights), np.nan)
    for (one, is_down, _, weakest), need in zip(chains, asked, strict=True):
        if is_down and rung[one] < 0 and weakest < need:
            failed = np.flatnonzero(ladder.z[one, : strictest[one] + 1] < need)
            rung[one] = failed[-1] + 1 if failed[-1] < strictest[one] else -1
            z[one] = need if rung[one] >= 0 else z[one]
        elif weakest >= need:
            z[one] = need if rung[one] < 0 else min(z[one], need)
            rung[one] = 0
        else:
            z[one] = need
    return Levels(rung, z)


def _holm(weights: list[float], deviates: list[float], alpha: float, spans: float) -> list[float]:
    """Return the deviate asked of each hypothesis when those rejected hand their part on to the others."""
    p = [year_p(z, spans) for z in deviates]
    asked = [math.inf] * len(p)
    waiting = sorted(range(len(p)), key=lambda i: (p[i] / weights[i], i))
    left = math.fsum(weights)
    while waiting:
        first = waiting[0]
        part = alpha * weights[first] / left
        if p[first] > part:
            break
        asked[first] = boundary(part, spans)
        left -= weights[first]
        waiting.pop(0)
    for one in waiting:
        asked[one] = boundary(alpha * weights[one] / left, spans)
    return asked
