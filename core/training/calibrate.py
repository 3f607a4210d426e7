"""Fit the map from scores to probabilities, on predictions of rows the score had not learned from.

The law: a prediction made by a model that already knew of an outcome of that time teaches a calibrator nothing but
over-confidence; it is refused, and the old calibrator stays.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import ModelError, TraderError, nearest
from core.gate import Calibrator
from core.gate.calibrator import CEILING, FLOOR, logit
from core.schema import FloatArray, IntArray

__all__ = ["METHODS", "MIN_N_EFF", "CalibrationReport", "fit_calibrator", "log_losses"]

METHODS = ("auto", "platt", "isotonic", "none")

MIN_N_EFF = 60.0
"""Fewest effective rows: below, a shift of the log-odds alone is uncertain by more than 6 points of probability."""

_ISOTONIC_N_EFF = 3000.0  # at AUC 0.55 isotonic overstates the top 5 % by 5.8 points at 500 rows, by 1.8 at 3000
_LOW_A, _HIGH_A = 0.0, 1.2
_FOLDS = 5
_BAGS = 25
_KNOTS = 65
_SEED = 1729
_STEPS = 50


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What a calibrator rests on.

    Parameters
    ----------
    method : str
        The one chosen.
    n : int
    n_eff : float
        Rows, and effective rows.
    weeks : int
    log_loss_geometry, log_loss_raw, log_loss : float
        Nats a row: of the geometry, of the score as it is, and calibrated, on the rows it was fitted on.
    isotonic_gain, isotonic_gain_se : float
        Nats a row by which isotonic beats Platt out of fold, and its standard error; NaN where not compared.
    """

    method: str
    n: int
    n_eff: float
    weeks: int
    log_loss_geometry: float
    log_loss_raw: float
    log_loss: float
    isotonic_gain: float = math.nan
    isotonic_gain_se: float = math.nan

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values; None where a figure does not exist."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    p_geo: FloatArray
    p_raw: FloatArray
    won: FloatArray
    weights: FloatArray
    week: IntArray

    def __len__(self) -> int:
        return len(self.won)

    def take(self, where: npt.NDArray[np.bool_]) -> _Rows:
        return _Rows(self.p_geo[where], self.p_raw[where], self.won[where], self.weights[where], self.week[where])


def fit_calibrator(
    p_geo: FloatArray,
    p_raw: FloatArray,
    won: FloatArray,
    weights: FloatArray,
    week: IntArray,
    method: str = "auto",
    train_max_t1: IntArray | None = None,
    decided_ms: IntArray | None = None,
) -> tuple[Calibrator, CalibrationReport]:
    """Fit a calibrator.

    Parameters
    ----------
    p_geo, p_raw : float64 array, shape (n,)
        Probability by the plan's geometry and by the estimator, of rows it had not learned from.
    won : float64 array, shape (n,)
        1 or 0.
    weights : float64 array, shape (n,)
        Uniqueness.
    week : int64 array, shape (n,)
        Week of the decision.
    method : str
        ``auto``, ``platt``, ``isotonic`` or ``none``.
    train_max_t1, decided_ms : int64 array, shape (n,), optional
        Newest outcome the estimator had learned from, and when the row was decided. Rows that come out of purged folds
        have none; rows of a ledger must have both.

    Returns
    -------
    calibrator : Calibrator
    report : CalibrationReport

    Raises
    ------
    ModelError
        A row was decided when the model already knew a later outcome, a score is not a number, or the method is not
        known.
    TraderError
        There are too few effective rows yet, or all have one outcome.

    Notes
    -----
    ``auto`` takes the anchored Platt map, unless 3000 effective rows are there and isotonic wins the nested
    out-of-fold log-loss (five stretches of weeks, their neighbours left out) by more than one week-clustered standard
    error. Platt: maximum likelihood of ``logit p = logit p_geo + a * (logit p_raw - logit p_geo) + b``, ``a`` within
    [0, 1.2]. Isotonic: mean over 25 fits to weeks drawn with replacement, so that its steps are smoothed.

    References
    ----------
    Platt (1999), Advances in Large Margin Classifiers, 61-74. Breiman (1996), Machine Learning 24, 123-140.
    """
    if method not in METHODS:
        raise ModelError(f"calibration method '{method}': {nearest(method, METHODS)}")
    _check_out_of_sample(train_max_t1, decided_ms)
    geometry, raw, y, w = (np.asarray(part, dtype=np.float64) for part in (p_geo, p_raw, won, weights))
    rows = _Rows(geometry, raw, y, w, np.asarray(week, dtype=np.int64))
    _check(rows)
    gain, se = _isotonic_gain(rows) if method == "auto" and _enough_for_isotonic(rows) else (math.nan, math.nan)
    chosen = ("isotonic" if gain > se else "platt") if method == "auto" else method
    calibrator = _fit(chosen, rows)
    report = CalibrationReport(
        method=chosen,
        n=len(rows),
        n_eff=float(rows.weights.sum()),
        weeks=len(np.unique(rows.week)),
        log_loss_geometry=_mean_loss(rows.p_geo, rows),
        log_loss_raw=_mean_loss(rows.p_raw, rows),
        log_loss=_mean_loss(calibrator.apply(rows.p_geo, rows.p_raw), rows),
        isotonic_gain=gain,
        isotonic_gain_se=se,
    )
    return calibrator, report


def log_losses(p: FloatArray, won: FloatArray) -> FloatArray:
    """Return the log-loss of each prediction, nats.

    Examples
    --------
    >>> log_losses(np.array([0.5, 0.9]), np.array([1.0, 1.0])).round(4).tolist()
    [0.6931, 0.1054]
    """
    held = np.clip(p, 1e-6, 1.0 - 1e-6)
    return -np.where(won > 0.5, np.log(held), np.log1p(-held))


def _check_out_of_sample(train_max_t1: IntArray | None, decided_ms: IntArray | None) -> None:
    if (train_max_t1 is None) != (decided_ms is None):
        raise ModelError("calibration: train_max_t1 and decided_ms are to be given together")
    if train_max_t1 is None or decided_ms is None:
        return
    poisoned = int(np.sum(np.asarray(train_max_t1) >= np.asarray(decided_ms)))
    if poisoned:
        raise ModelError(
            f"calibration: {poisoned} of {len(decided_ms)} predictions come from a model that had learned from "
            "outcomes as late as the decision; expected out-of-sample predictions only"
        )


def _check(rows: _Rows) -> None:
    for name in ("p_geo", "p_raw", "won", "weights"):
        if not np.isfinite(getattr(rows, name)).all():
            raise ModelError(f"calibration: {name} is not a finite number in each row")
    effective = float(rows.weights.sum())
    if effective < MIN_N_EFF:
        raise TraderError(
            f"calibration: {len(rows)} closed trades, {effective:.0f} effective; "
            f"expected at least {MIN_N_EFF:g} effective"
        )
    if rows.won.min() == rows.won.max():
        raise TraderError(f"calibration: all {len(rows)} closed trades ended alike; expected winners and losers")


def _enough_for_isotonic(rows: _Rows) -> bool:
    return float(rows.weights.sum()) >= _ISOTONIC_N_EFF and len(np.unique(rows.week)) >= 2 * _FOLDS


def _fit(method: str, rows: _Rows) -> Calibrator:
    effective = float(rows.weights.sum())
    if method == "platt":
        a, b = _platt(rows)
        return Calibrator("platt", a=a, b=b, n_eff=effective)
    if method == "isotonic":
        x, y = _bagged_isotonic(rows)
        return Calibrator("isotonic", knots_x=tuple(x.tolist()), knots_y=tuple(y.tolist()), n_eff=effective)
    return Calibrator("none", n_eff=effective)


def _platt(rows: _Rows) -> tuple[float, float]:
    """Return the share of the estimator's departure from the geometry that is believed, and the shift."""
    anchor = logit(rows.p_geo)
    departure = logit(rows.p_raw) - anchor
    a, b = _newton(rows, anchor, departure)
    if not _LOW_A <= a <= _HIGH_A:  # convex: beyond an end, the best allowed slope is that end
        a = min(max(a, _LOW_A), _HIGH_A)
        b = _newton(rows, anchor + a * departure, np.zeros(len(rows)))[1]
    return a, b


def _newton(rows: _Rows, anchor: FloatArray, departure: FloatArray) -> tuple[float, float]:
    design = np.column_stack([departure, np.ones(len(rows))])
    beta = np.zeros(2)
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(anchor + design @ beta, -30.0, 30.0)))
        slope = design.T @ (rows.weights * (p - rows.won))
        curve = (design * (rows.weights * p * (1.0 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.clip(np.linalg.solve(curve, slope), -2.0, 2.0)
        beta = beta - step
        if np.max(np.abs(step)) < 1e-10:
            break
    return float(beta[0]), float(beta[1])


def _bagged_isotonic(rows: _Rows) -> tuple[FloatArray, FloatArray]:
    """Return scores, rising, and the mean probability over the bags at each."""
    from sklearn.isotonic import IsotonicRegression  # only where one is fitted: its import takes half a second

    knots = np.unique(np.quantile(rows.p_raw, np.linspace(0.0, 1.0, _KNOTS)))
    weeks, of_week = np.unique(rows.week, return_inverse=True)
    rng = np.random.default_rng(_SEED)
    total = np.zeros(len(knots))
    for _ in range(_BAGS):
        drawn = np.bincount(rng.integers(0, len(weeks), len(weeks)), minlength=len(weeks))[of_week]
        kept = drawn > 0
        curve = IsotonicRegression(y_min=FLOOR, y_max=CEILING, out_of_bounds="clip")
        curve.fit(rows.p_raw[kept], rows.won[kept], sample_weight=(rows.weights * drawn)[kept])
        total += curve.predict(knots)
    return knots, np.clip(np.maximum.accumulate(total / _BAGS), FLOOR, CEILING)


def _isotonic_gain(rows: _Rows) -> tuple[float, float]:
    """Return by how much isotonic beats Platt out of fold, nats a row, and the week-clustered standard error."""
    gains, tested = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.bool_)
    for weeks in np.array_split(np.unique(rows.week), _FOLDS):
        test = (rows.week >= weeks[0]) & (rows.week <= weeks[-1])
        apart = rows.take((rows.week < weeks[0] - 1) | (rows.week > weeks[-1] + 1))
        if len(apart) == 0 or apart.won.min() == apart.won.max():
            continue
        losses = [
            log_losses(_fit(method, apart).apply(rows.p_geo[test], rows.p_raw[test]), rows.won[test])
            for method in ("platt", "isotonic")
        ]
        gains[test], tested[test] = losses[0] - losses[1], True
    kept = rows.take(tested)
    mean = float(kept.weights @ gains[tested] / kept.weights.sum())
    parts = kept.weights * (gains[tested] - mean) / kept.weights.sum()
    sums = np.bincount(np.unique(kept.week, return_inverse=True)[1], weights=parts)
    return mean, math.sqrt(len(sums) / max(1, len(sums) - 1) * float(sums @ sums))


def _mean_loss(p: FloatArray, rows: _Rows) -> float:
    return float(rows.weights @ log_losses(p, rows.won) / rows.weights.sum())
