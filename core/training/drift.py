"""Whether the model in force still tells the truth: one-sided CUSUMs of what was realised less what was said.

The law: state as of a moment follows from the outcomes known by then and nothing else; outcomes that share their fate
count as far as they differ; a shift of the features is shown and demotes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.clock import DAY_MS
from core.gate.calibrator import CEILING, FLOOR
from core.schema import FloatArray, IntArray

__all__ = [
    "ALLOWANCE",
    "LIMIT",
    "SERIES",
    "Alarm",
    "Course",
    "alarms",
    "courses",
    "cusum",
    "feature_shift",
    "stands",
]

ALLOWANCE = 0.12  # k, standard deviations of one outcome
LIMIT = 18.0  # h, standard deviations times effective outcomes
"""Both by simulation: 3, 8 and 20 outcomes a day, independent or alike within a day (0.2) or a week (0.02), 200 seeds
each: 0.1 to 0.7 alarms in 2500 outcomes that are as said, and 90 to 240 outcomes until 15 points less are noticed;
350 where 20 a day are alike by 0.2, which is 18 days."""

SERIES = ("p", "ev")

_WEEK_DAYS = 7
_PRIOR_PAIRS_DAY = 2_000.0  # pairs of outcomes seen to be independent before any were seen at all
_PRIOR_PAIRS_WEEK = 20_000.0
_PRIOR_R = (1.2, 100.0)  # variance of a result in R, and outcomes it counts for


@dataclass(frozen=True, slots=True)
class Alarm:
    """A drift that was noticed.

    Parameters
    ----------
    at_ms : int
        The end of the UTC day whose outcomes raised it.
    series : str
        ``p``: fewer won than said; ``ev``: less earned than said.
    statistic : float
        The CUSUM, above `LIMIT`.
    n : int
        Outcomes since the CUSUM last stood at 0.
    gap : float
        Mean of realised less said over those, in win rate or R.
    """

    at_ms: int
    series: str
    statistic: float
    n: int
    gap: float


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """How one statistic went.

    Parameters
    ----------
    series : str
        ``p`` or ``ev``.
    at_ms : int64 array, shape (n,)
        Ends of the UTC days with outcomes.
    level : float64 array, shape (n,)
        The CUSUM at each, >= 0; a day on which an alarm was raised shows what it had reached, the next starts anew.
    alarms : tuple of Alarm
    """

    series: str
    at_ms: IntArray
    level: FloatArray
    alarms: tuple[Alarm, ...]


def alarms(rows: pd.DataFrame, now_ms: int, allowance: float = ALLOWANCE, limit: float = LIMIT) -> list[Alarm]:
    """Return every alarm up to a moment, oldest first.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row a filled and closed candidate, taken or not: known_ms, won, net_r, p, ev_r.
    now_ms : int
        Days that are over by then count, with the outcomes known in them.
    allowance, limit : float
        k and h of the CUSUMs.

    Notes
    -----
    Per outcome ``(y - p) / sqrt(p (1 - p))`` and ``(R - EV) / sd``, sd from the outcomes of earlier days. Rows with a
    number missing are left out.
    """
    found = [alarm for course in courses(rows, now_ms, allowance, limit) for alarm in course.alarms]
    return sorted(found, key=lambda alarm: (alarm.at_ms, alarm.series))


def courses(rows: pd.DataFrame, now_ms: int, allowance: float = ALLOWANCE, limit: float = LIMIT) -> list[Course]:
    """Return how both statistics went, day by day; the parameters are those of `alarms`."""
    columns = ("won", "net_r", "p", "ev_r")
    whole = np.isfinite(rows[list(columns)].to_numpy(np.float64)).all(axis=1)
    day = rows["known_ms"].to_numpy(np.int64) // DAY_MS
    known = rows[whole & ((day + 1) * DAY_MS <= now_ms)].sort_values(["known_ms", *columns], kind="stable")
    day = known["known_ms"].to_numpy(np.int64) // DAY_MS
    won, net_r, p, ev_r = (known[name].to_numpy(np.float64) for name in columns)
    said = np.clip(p, FLOOR, CEILING)
    gap = net_r - ev_r
    return [
        cusum((won - said) / np.sqrt(said * (1.0 - said)), won - said, day, "p", allowance, limit),
        cusum(gap / _deviation(gap, day), gap, day, "ev", allowance, limit),
    ]


def cusum(
    residual: FloatArray,
    gap: FloatArray,
    day: IntArray,
    series: str,
    allowance: float = ALLOWANCE,
    limit: float = LIMIT,
) -> Course:
    """Return the course of one series of standardised residuals, with its alarms.

    Parameters
    ----------
    residual : float64 array, shape (n,)
        Realised less said, in its standard deviations.
    gap : float64 array, shape (n,)
        The same in its own unit.
    day : int64 array, shape (n,)
        Not falling.
    series : str
    allowance, limit : float

    Notes
    -----
    A day with n outcomes adds ``m * (-mean - k)``, never below 0 in all, and starts again after an alarm.
    ``m = n / max(1 + (n - 1) * r1, 1 + (N - 1) * r7)`` is how many independent outcomes it is worth: r1 and r7 are the
    correlations of outcomes of one day and of seven days, estimated from earlier days, N the outcomes of the last
    seven. Outcomes all alike count once.

    References
    ----------
    Page (1954), Biometrika 41, 100-115. Kish (1965), Survey Sampling, section 8.2, for the design effect.
    """
    found: list[Alarm] = []
    if len(day) == 0:
        return Course(series, day, np.empty(0), ())
    days, first, counts = np.unique(day, return_index=True, return_counts=True)
    sums = np.add.reduceat(residual, first)
    squares, gaps = np.add.reduceat(residual * residual, first), np.add.reduceat(gap, first)
    recent = np.searchsorted(days, days - _WEEK_DAYS, side="right")
    size = counts.astype(np.float64)
    totals = [np.concatenate(([0.0], np.cumsum(part))) for part in (sums, squares, size)]
    week_sum, week_squares, week_n = (total[1:] - total[recent] for total in totals)
    r1 = _correlation(sums, squares, size, _PRIOR_PAIRS_DAY)
    r7 = _correlation(week_sum, week_squares, week_n, _PRIOR_PAIRS_WEEK)
    worth = size / np.maximum(1.0 + (size - 1.0) * r1, 1.0 + (week_n - 1.0) * r7)
    steps = worth * (-sums / size - allowance)
    reached = np.empty(len(days))
    level, since = 0.0, 0
    for position, step in enumerate(steps.tolist()):
        level += step
        reached[position] = max(level, 0.0)
        if level <= 0.0:
            level, since = 0.0, position + 1
        elif level > limit:
            n = int(counts[since : position + 1].sum())
            mean = float(gaps[since : position + 1].sum()) / n
            found.append(Alarm(int(days[position] + 1) * DAY_MS, series, level, n, mean))
            level, since = 0.0, position + 1
    return Course(series, (days + 1) * DAY_MS, reached, tuple(found))


def _correlation(sums: FloatArray, squares: FloatArray, counts: FloatArray, prior: float) -> FloatArray:
    """Return, before each cluster, the correlation within the earlier ones: mean product of two of one cluster."""
    products = np.concatenate(([0.0], np.cumsum(sums * sums - squares)[:-1]))
    pairs = np.concatenate(([0.0], np.cumsum(counts * (counts - 1.0))[:-1]))
    r: FloatArray = np.clip(products / (prior + pairs), 0.0, 1.0)
    return r


def _deviation(gap: FloatArray, day: IntArray) -> FloatArray:
    """Return, for each outcome, the standard deviation over earlier days."""
    variance, weight = _PRIOR_R
    earlier = np.searchsorted(day, day, side="left")
    squares = np.concatenate(([0.0], np.cumsum(gap * gap)))[earlier]
    deviation: FloatArray = np.sqrt((variance * weight + squares) / (weight + earlier))
    return deviation


def stands(found: Sequence[Alarm], tuned_ms: int, at_ms: int) -> bool:
    """Say whether an alarm stands at a moment: raised by then, and not followed by a tuning yet.

    Parameters
    ----------
    found : sequence of Alarm
    tuned_ms : int
        The last tuning before `at_ms`; 0 without one.
    at_ms : int
    """
    return any(tuned_ms < alarm.at_ms <= at_ms for alarm in found)


def feature_shift(reference: FloatArray, current: FloatArray, bins: int = 10) -> FloatArray:
    """Return the population stability index of each feature; to be shown, not to be acted on.

    Parameters
    ----------
    reference, current : float64 array, shape (n, k) and (m, k)
        Features the model learned from, and those of late.
    bins : int
        Quantiles of the reference; what is not known is a bin of its own.

    Returns
    -------
    float64 array, shape (k,)
        NaN where one side has no rows.

    Notes
    -----
    ``sum((c - r) * ln(c / r))`` over bins, half a row added to each. It rises with every change of market, harmful or
    not: in real months it was above the usual 0.25 in 88 % of them.

    References
    ----------
    Siddiqi (2006), Credit Risk Scorecards, ch. 9.
    """
    shift = np.full(reference.shape[1], np.nan)
    if len(reference) == 0 or len(current) == 0:
        return shift
    for column in range(reference.shape[1]):
        known = reference[np.isfinite(reference[:, column]), column]
        edges = np.unique(np.quantile(known, np.arange(1, bins) / bins)) if len(known) else np.empty(0)
        r, c = (_shares(values[:, column], edges) for values in (reference, current))
        shift[column] = float(np.sum((c - r) * np.log(c / r)))
    return shift


def _shares(values: FloatArray, edges: FloatArray) -> FloatArray:
    where = np.where(np.isfinite(values), np.searchsorted(edges, values, side="right"), len(edges) + 1)
    counts = np.bincount(where, minlength=len(edges) + 2) + 0.5
    shares: FloatArray = counts / counts.sum()
    return shares
