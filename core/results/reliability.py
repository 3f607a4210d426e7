"""The reliability ledger: were the probabilities and expected values stated beforehand borne out.

The law: judged on predictions made before the outcome, against what the plans' geometry alone would have said, with
intervals clustered by week; where there is not enough, no figure is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from core.clock import format_ms
from core.errors import UsageError, nearest
from core.results.intervals import MIN_CLOSED, MIN_WEEKS, Estimate, clustered_mean, clustered_share, student_t_quantile
from core.results.metrics import NOT_ENOUGH
from core.results.rows import week_of
from core.results.words import in_percent, in_r, in_signed_percent, span
from core.schema import FloatArray, FrameSpec, IntArray, conform, empty_frame

__all__ = [
    "LEDGER_ROWS",
    "LEDGER_SPLITS",
    "RELIABILITY",
    "Reliability",
    "reliability",
    "reliability_lines",
    "reliability_table",
    "told_once",
]

LEDGER_ROWS: FrameSpec = MappingProxyType(
    {
        "symbol": "str",
        "timeframe": "str",
        "setup": "str",
        "regime_trend": "str",
        "regime_vol": "str",
        "model": "str",
        "decided_ms": "int64",
        "won": "float64",
        "net_r": "float64",
        "p_geo": "float64",
        "p": "float64",
        "ev_r": "float64",
    }
)
"""What the ledger reads: an out-of-sample prediction beside the outcome of its filled and closed candidate."""

LEDGER_SPLITS: Mapping[str, str] = MappingProxyType(
    {
        "symbol": "Symbol",
        "pair": "Symbol and timeframe",
        "timeframe": "Timeframe",
        "regime_trend": "Trend regime",
        "regime_vol": "Volatility regime",
        "setup": "Setup",
        "model": "Model",
        "month": "Month of the decision, UTC",
    }
)
"""What it can be split by, and how each is called."""
_ESTIMATES = ("log_loss_skill", "brier_skill", "slope", "realised_r", "expected_r", "gap_r", "win_rate", "gap_p")

RELIABILITY: FrameSpec = MappingProxyType(
    {
        "group": "str",
        "n": "int64",
        "weeks": "int64",
        **{f"{name}{end}": "float64" for name in _ESTIMATES for end in ("", "_low", "_high")},
        "ece": "float64",
        "ece_floor": "float64",
        "enough": "int64",
    }
)
"""Columns of `reliability_table`; a figure there is not enough for is NaN."""

_BINS, _LEAST_IN_BIN = 10, 10
_NEWTON_STEPS = 30
_TINY = 1e-6
_LEAST_SPREAD = 1e-3  # of the log-odds, below which they have no slope


@dataclass(frozen=True, slots=True)
class Reliability:
    """How far predictions were borne out.

    Parameters
    ----------
    n, weeks : int
        Closed candidates and the UTC weeks they were decided in.
    log_loss_skill, brier_skill : Estimate
        How much lower the loss is than the geometry's, as a share of the geometry's: 0 is no skill.
    slope : Estimate
        Of the outcomes' log-odds over the stated ones: 1 is honest, below 1 overconfident.
    realised_r, expected_r, gap_r : Estimate
        Mean net result, mean expected value, and the first less the second, in R.
    win_rate, gap_p : Estimate
        Share won after costs, and that less the mean stated probability.
    ece, ece_floor : float
        Expected calibration error over ten bins, and what a perfect model has on average with as many outcomes; NaN
        where there is not enough.
    """

    n: int
    weeks: int
    log_loss_skill: Estimate
    brier_skill: Estimate
    slope: Estimate
    realised_r: Estimate
    expected_r: Estimate
    gap_r: Estimate
    win_rate: Estimate
    gap_p: Estimate
    ece: float
    ece_floor: float

    @property
    def enough(self) -> bool:
        """Whether there is enough behind it to be read as figures."""
        return self.n >= MIN_CLOSED and self.weeks >= MIN_WEEKS


def told_once(said: pd.DataFrame) -> pd.DataFrame:
    """Return each candidate once, with what was said of it live where somebody did, and how it ended.

    Parameters
    ----------
    said : pandas.DataFrame
        Rows of `Reader.ledger_rows`.

    Returns
    -------
    pandas.DataFrame
        Their columns, and won (1.0 where it earned after costs), net_r, and ev_r, the lesser of both expected values;
        NaN where one of them is missing.
    """
    live = said["source"] == "live"
    once = said[live | ~said["signal_id"].isin(said.loc[live, "signal_id"])]
    return once.assign(
        won=(once["pnl_pct"] > 0).astype("float64"),
        net_r=once["r_multiple"],
        ev_r=once[["ev_payoff_r", "ev_p_r"]].min(axis=1, skipna=False),
    )


def reliability(rows: pd.DataFrame) -> Reliability:
    """Return how far predictions were borne out.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `LEDGER_ROWS`; rows with a number missing are left out.

    Notes
    -----
    A skill is ``mean(loss_geometry - loss_model) / mean(loss_geometry)``, its interval that of the paired differences.
    """
    columns = ("won", "net_r", "p_geo", "p", "ev_r")
    whole = np.isfinite(rows[list(columns)].to_numpy(np.float64)).all(axis=1)
    won, net_r, p_geo, p, ev_r = (rows[name].to_numpy(np.float64)[whole] for name in columns)
    week = week_of(rows["decided_ms"].to_numpy(np.int64)[whole])
    ece, floor = _calibration_error(won, p)
    return Reliability(
        n=len(won),
        weeks=len(np.unique(week)),
        log_loss_skill=_skill(_log_losses(p_geo, won), _log_losses(p, won), week),
        brier_skill=_skill((p_geo - won) ** 2, (p - won) ** 2, week),
        slope=_slope(won, p, week),
        realised_r=clustered_mean(net_r, week),
        expected_r=clustered_mean(ev_r, week),
        gap_r=clustered_mean(net_r - ev_r, week),
        win_rate=clustered_share(won, week),
        gap_p=clustered_mean(won - p, week),
        ece=ece,
        ece_floor=floor,
    )


def reliability_table(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Return the ledger split by one column, largest group first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Columns `LEDGER_ROWS`.
    by : str
        One of `LEDGER_SPLITS`.

    Returns
    -------
    pandas.DataFrame
        Columns `RELIABILITY`; groups that have not enough show their count and no figure.

    Raises
    ------
    UsageError
        `by` is not one of them.
    """
    if by not in LEDGER_SPLITS:
        raise UsageError(f"reliability by '{by}': {nearest(by, LEDGER_SPLITS)}")
    if rows.empty:
        return empty_frame(RELIABILITY)
    found = [_to_row(str(group), reliability(part)) for group, part in rows.groupby(_groups(rows, by), sort=True)]
    table = pd.DataFrame(found).sort_values(["n", "group"], ascending=[False, True], kind="stable")
    return conform(table, RELIABILITY)


def reliability_lines(found: Reliability) -> list[str]:
    """Return the ledger in words, a line a figure."""
    weeks = f"{found.weeks} week{'' if found.weeks == 1 else 's'}"
    if not found.enough:
        return [f"Reliability: {NOT_ENOUGH} ({found.n} closed predictions in {weeks})"]
    return [
        f"Predictions: {found.n:,} closed, made before their outcome, in {weeks}",
        f"Log-loss against the geometry alone: lower by {_in_words(found.log_loss_skill, _share)}",
        f"Brier score against the geometry alone: lower by {_in_words(found.brier_skill, _share)}",
        f"Calibration slope: {_in_words(found.slope, '{:.2f}'.format)}; 1 is honest, below 1 overconfident",
        f"Calibration error: {_or_not(found.ece, in_percent)}; a perfect model has about "
        f"{_or_not(found.ece_floor, in_percent)} with as many outcomes",
        f"Won: {_in_words(found.win_rate, in_percent)}; less what was said: {_in_words(found.gap_p, _share)}",
        f"Realised: {_in_words(found.realised_r, in_r)}; expected: {_or_not(found.expected_r.value, in_r)}; "
        f"difference: {_in_words(found.gap_r, in_r)}",
    ]


def _groups(rows: pd.DataFrame, by: str) -> pd.Series:
    if by == "pair":
        return rows["symbol"] + " " + rows["timeframe"]
    if by == "month":
        return rows["decided_ms"].map(lambda ms: format_ms(ms)[:7])
    return rows[by]


def _to_row(group: str, found: Reliability) -> dict[str, str | int | float]:
    row: dict[str, str | int | float] = {"group": group, "n": found.n, "weeks": found.weeks}
    for name in _ESTIMATES:
        one: Estimate = getattr(found, name)
        figures = (one.value, one.low, one.high) if one.enough else (math.nan,) * 3
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), figures, strict=True))
    ece = (found.ece, found.ece_floor) if found.enough else (math.nan, math.nan)
    return {**row, "ece": ece[0], "ece_floor": ece[1], "enough": int(found.enough)}


def _log_losses(p: FloatArray, won: FloatArray) -> FloatArray:
    held = np.clip(p, _TINY, 1.0 - _TINY)
    return -(won * np.log(held) + (1.0 - won) * np.log1p(-held))


def _skill(geometry: FloatArray, model: FloatArray, week: IntArray) -> Estimate:
    if len(geometry) == 0 or geometry.mean() <= 0.0:
        return Estimate(math.nan, math.nan, math.nan, len(geometry), len(np.unique(week)))
    return clustered_mean((geometry - model) / geometry.mean(), week)


def _slope(won: FloatArray, p: FloatArray, week: IntArray) -> Estimate:
    """Return the slope of a logistic regression of the outcomes on the stated log-odds, clustered by week.

    Notes
    -----
    ``H^-1 (sum_w s_w s_w') H^-1 * G / (G - 1)`` over G weeks, s_w a week's sum of scores. NaN where the stated log-odds
    hardly differ or all outcomes are alike.

    References
    ----------
    Cox (1958), Biometrika 45, 562-565. Miller et al. (1991), Statistics in Medicine 10, 1213-1226.
    """
    held = np.clip(p, _TINY, 1.0 - _TINY)
    odds, weeks = np.log(held / (1.0 - held)), len(np.unique(week))
    nothing = Estimate(math.nan, math.nan, math.nan, len(p), weeks)
    if weeks < MIN_WEEKS or odds.std() < _LEAST_SPREAD or won.min() == won.max():
        return nothing
    x = np.column_stack((np.ones(len(p)), odds))
    beta = np.array([0.0, 1.0])
    for _ in range(_NEWTON_STEPS):
        fitted = 1.0 / (1.0 + np.exp(-np.clip(x @ beta, -30.0, 30.0)))
        hessian = (x * (fitted * (1.0 - fitted))[:, None]).T @ x + _TINY * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (won - fitted))
        beta = beta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < _TINY:
            break
    else:
        return nothing
    scores = x * (won - fitted)[:, None]
    _, where = np.unique(week, return_inverse=True)
    sums = np.column_stack([np.bincount(where, weights=column) for column in scores.T])
    inverse = np.linalg.inv(hessian)
    spread = inverse @ (weeks / (weeks - 1.0) * sums.T @ sums) @ inverse
    half = student_t_quantile(0.975, weeks - 1) * math.sqrt(max(float(spread[1, 1]), float(inverse[1, 1])))
    return Estimate(float(beta[1]), float(beta[1]) - half, float(beta[1]) + half, len(p), weeks)


def _calibration_error(won: FloatArray, p: FloatArray) -> tuple[float, float]:
    """Return the expected calibration error over bins of equal count, and a perfect model's at that n.

    A bin's mean residual under a perfect model is nearly normal with variance ``sum(p (1 - p)) / n_b^2``, so its mean
    size is ``sqrt(2 / pi)`` of the deviation.
    """
    bins = min(_BINS, len(p) // _LEAST_IN_BIN)
    if bins < 1:
        return math.nan, math.nan
    order = np.argsort(p, kind="stable")
    edges = np.linspace(0, len(p), bins + 1).astype(np.int64)[:-1]
    off = np.abs(np.add.reduceat((won - p)[order], edges))
    chance = np.sqrt(2.0 / math.pi * np.add.reduceat((p * (1.0 - p))[order], edges))
    return float(off.sum() / len(p)), float(chance.sum() / len(p))


def _share(value: float) -> str:
    return in_signed_percent(100.0 * value)


def _or_not(value: float, write: Callable[[float], str]) -> str:
    return write(value) if math.isfinite(value) else NOT_ENOUGH


def _in_words(estimate: Estimate, write: Callable[[float], str]) -> str:
    if not estimate.enough:
        return NOT_ENOUGH
    return f"{write(estimate.value)} (95 %: {span(write(estimate.low), write(estimate.high))})"
