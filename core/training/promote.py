"""Whether a challenger may take the champion's place, and whether a model shows skill at all.

The law: both are judged on the same outcomes, all candidates of the time and not only those that passed, by
probabilities stated before; outcomes of one week are resampled together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.clock import DAY_MS
from core.results.rows import week_of
from core.schema import FloatArray, IntArray
from core.training.calibrate import log_losses

__all__ = ["MARGIN_NATS", "Comparison", "Skill", "compare", "skill"]

MARGIN_NATS = 0.005  # how much worse a challenger may be at the lower end
SPAN_MS = 56 * DAY_MS
MIN_ROWS, MIN_WEEKS = 60, 4

SKILL_SHARE = 0.001  # of the geometry's log-loss; less is no use to anyone even where it is real

_KNOWN_BEFORE = 200.0  # outcomes, as many as a first model is asked to learn from

_DRAWS, _SEED, _QUANTILE = 4000, 20_240_101, 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger against the champion.

    Parameters
    ----------
    n, weeks : int
        Outcomes and weeks both were judged on.
    mean_nats, low_nats : float
        How much lower the challenger's log-loss is, mean and 5 % quantile; NaN without outcomes.
    promoted : bool
    reason : str
        Machine-readable: ``PROMOTED``, ``WORSE``, ``TOO_FEW_RESULTS`` or ``GOLDEN_ROWS``.
    """

    n: int
    weeks: int
    mean_nats: float
    low_nats: float
    promoted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Skill:
    """A model against what anybody could have said: the plans' geometry, and the share won so far.

    Parameters
    ----------
    n, weeks : int
    gain_pct, low_pct : float
        How much lower its log-loss is than the geometry's, percent of that, and the 5 % quantile.
    so_far_pct, so_far_low_pct : float
        The same against saying of each candidate the share won of those finished before it.
    shown : bool
        Better than both.
    """

    n: int
    weeks: int
    gain_pct: float
    low_pct: float
    so_far_pct: float
    so_far_low_pct: float
    shown: bool


def compare(
    won: FloatArray,
    champion_p: FloatArray,
    challenger_p: FloatArray,
    decided_ms: IntArray,
    now_ms: int,
    golden: bool = True,
) -> Comparison:
    """Compare a challenger with the champion on the outcomes of the last eight weeks.

    Parameters
    ----------
    won : float64 array, shape (n,)
        1 where the candidate won after costs, else 0; every filled and closed candidate.
    champion_p, challenger_p : float64 array, shape (n,)
        What the champion said at the time, and the challenger's walk-forward; rows where either is NaN are left out.
    decided_ms : int64 array, shape (n,)
    now_ms : int
    golden : bool
        Whether the challenger, read back from its files, gives its golden rows again.

    Notes
    -----
    Promoted where the 5 % quantile of the paired week-bootstrap is above -0.005 nats: a retrained model need not be
    better, but it must not be worse.
    """
    recent = (decided_ms >= now_ms - SPAN_MS) & (decided_ms < now_ms)
    recent &= np.isfinite(champion_p) & np.isfinite(challenger_p) & np.isfinite(won)
    gain = log_losses(champion_p[recent], won[recent]) - log_losses(challenger_p[recent], won[recent])
    n, weeks, draws = _week_bootstrap(gain, week_of(decided_ms[recent]))
    if n == 0:
        return Comparison(0, 0, float("nan"), float("nan"), False, "TOO_FEW_RESULTS")
    mean, low = float(gain.mean()), float(np.quantile(draws, _QUANTILE))
    if not golden:
        reason = "GOLDEN_ROWS"
    elif n < MIN_ROWS or weeks < MIN_WEEKS:
        reason = "TOO_FEW_RESULTS"
    else:
        reason = "PROMOTED" if low > -MARGIN_NATS else "WORSE"
    return Comparison(n, weeks, mean, low, reason == "PROMOTED", reason)


def skill(won: FloatArray, p: FloatArray, p_geo: FloatArray, decided_ms: IntArray, known_ms: IntArray) -> Skill:
    """Say whether out-of-sample probabilities are shown to beat what anybody could have said.

    Parameters
    ----------
    won, p, p_geo : float64 array, shape (n,)
        Outcomes, calibrated probabilities, and those of the geometry alone; rows with NaN are left out.
    decided_ms, known_ms : int64 array, shape (n,)
        When each was decided, and when its outcome was known.

    Notes
    -----
    Shown where the log-loss is lower by more than 0.1 % and the 5 % quantile of the paired week-bootstrap is above 0,
    both against the geometry and against the share won so far: where plans hardly differ, a fitted geometry is worse
    than that share, and beating it alone proves nothing.
    """
    whole = np.isfinite(won) & np.isfinite(p) & np.isfinite(p_geo)
    n, week = int(whole.sum()), week_of(decided_ms[whole])
    weeks = len(np.unique(week))
    losses = log_losses(p[whole], won[whole])
    so_far = _share_so_far(won[whole], p_geo[whole], decided_ms[whole], known_ms[whole])
    geometry, low = _gain_pct(losses, log_losses(p_geo[whole], won[whole]), week)
    share, share_low = _gain_pct(losses, log_losses(so_far, won[whole]), week)
    enough = min(geometry, share) > 100.0 * SKILL_SHARE and min(low, share_low) > 0.0
    return Skill(n, weeks, geometry, low, share, share_low, enough and n >= MIN_ROWS and weeks >= MIN_WEEKS)


def _gain_pct(mine: FloatArray, theirs: FloatArray, week: IntArray) -> tuple[float, float]:
    """Return how much lower a log-loss is, percent of the other, and the 5 % quantile; NaN without rows."""
    n, _, draws = _week_bootstrap(theirs - mine, week)
    if n == 0:
        return float("nan"), float("nan")
    scale = float(theirs.mean())
    return 100.0 * float((theirs - mine).mean()) / scale, 100.0 * float(np.quantile(draws, _QUANTILE)) / scale


def _share_so_far(won: FloatArray, p_geo: FloatArray, decided_ms: IntArray, known_ms: IntArray) -> FloatArray:
    """Return the share won of the outcomes known before each decision.

    What was known before the first of these rows is in their geometry: its mean over the first eight weeks counts as
    `_KNOWN_BEFORE` outcomes.
    """
    first = p_geo[decided_ms <= decided_ms.min(initial=2**62) + SPAN_MS]
    prior = float(first.mean()) if len(first) else 0.5
    order = np.argsort(known_ms, kind="stable")
    before = np.searchsorted(known_ms[order], decided_ms, side="left")
    wins = np.concatenate(([0.0], np.cumsum(won[order])))[before]
    share: FloatArray = (wins + _KNOWN_BEFORE * prior) / (before + _KNOWN_BEFORE)
    return share


def _week_bootstrap(gain: FloatArray, week: IntArray) -> tuple[int, int, FloatArray]:
    """Return rows, weeks and means of `gain` over weeks drawn with replacement."""
    if len(gain) == 0:
        return 0, 0, np.empty(0)
    _, where = np.unique(week, return_inverse=True)
    sums, counts = np.bincount(where, weights=gain), np.bincount(where).astype(np.float64)
    drawn = np.random.default_rng(_SEED).integers(0, len(sums), (_DRAWS, len(sums)))
    means: FloatArray = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return len(gain), len(sums), means
