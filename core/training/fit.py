"""Fit a model: scores out of purged folds, from them calibrator and payoff, and last the estimator on all rows.

The law: calibrator and payoff never see a score of a row the scorer had learned from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.errors import ModelError
from core.gate import Calibrator, Model, Payoff
from core.ports import Estimator, FittedEstimator, Scores
from core.results.rows import week_of
from core.schema import IntArray
from core.training.calibrate import METHODS, MIN_N_EFF, CalibrationReport, fit_calibrator
from core.training.dataset import Dataset, require_enough
from core.training.payoff import fit_payoff
from core.training.splits import EMBARGO_MS, k_fold

__all__ = ["FitRules", "Fitted", "fit_model", "out_of_fold"]


@dataclass(frozen=True, slots=True)
class FitRules:
    """How a model is fitted.

    Parameters
    ----------
    min_n_eff : float
        Fewest effective rows; no less than a calibrator needs.
    calibration : str
        ``auto``, ``platt``, ``isotonic`` or ``none``.
    folds : int
        Purged folds the out-of-fold scores come from.
    embargo_ms : int
        How long after a fold's last outcome the next training row may be decided.

    Raises
    ------
    ModelError
        A value is outside what makes sense.
    """

    min_n_eff: float = 200.0
    calibration: str = "auto"
    folds: int = 5
    embargo_ms: int = EMBARGO_MS

    def __post_init__(self) -> None:
        if self.calibration not in METHODS:
            raise ModelError(f"calibration '{self.calibration}'; expected one of {', '.join(METHODS)}")
        if self.folds < 2 or self.min_n_eff <= 0.0 or self.embargo_ms < 0:
            raise ModelError("fit rules: expected 2 folds or more, min_n_eff above 0 and an embargo of at least 0 ms")

    @property
    def least_n_eff(self) -> float:
        """Fewest effective rows a model is fitted on."""
        return max(self.min_n_eff, MIN_N_EFF)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """All that a model is made of.

    Parameters
    ----------
    estimator : FittedEstimator
        Learned from all rows.
    calibrator : Calibrator
    payoff : Payoff
    report : CalibrationReport
    train_max_t1 : int
        Newest outcome learned from, UTC ms.
    n : int
    n_eff : float
        Rows, and effective rows.
    inner : pandas.DataFrame
        Out-of-fold rows: signal_id, decided_ms, week, fold, p_geo, p_raw, p (calibrated), payoff, won, gross_r, weight.
    """

    estimator: FittedEstimator
    calibrator: Calibrator
    payoff: Payoff
    report: CalibrationReport
    train_max_t1: int
    n: int
    n_eff: float
    inner: pd.DataFrame

    def model(
        self,
        version: str,
        required: tuple[str, ...] = (),
        feature_set: str = "",
        plan_hash: str = "",
        exit_policy: str = "",
        skill: bool = False,
    ) -> Model:
        """Return the model of that name."""
        return Model(
            version=version,
            estimator=self.estimator,
            calibrator=self.calibrator,
            payoff=self.payoff,
            columns=self.estimator.columns,
            required=required,
            feature_set=feature_set,
            plan_hash=plan_hash,
            exit_policy=exit_policy,
            train_max_t1=self.train_max_t1,
            skill=skill,
        )


def fit_model(dataset: Dataset, estimator: Estimator, rules: FitRules) -> Fitted:
    """Fit a model on all rows of a dataset.

    Raises
    ------
    TraderError
        Too few effective rows yet, or all with one outcome.
    ModelError
        Scores that cannot be calibrated.
    """
    require_enough(dataset, rules.least_n_eff)
    scores, fold = out_of_fold(dataset, estimator, rules)
    week = week_of(dataset.ints("decided_ms"))
    scored = fold >= 0
    won = dataset.floats("won")
    calibrator, report = fit_calibrator(
        scores.p_geo[scored],
        scores.p_raw[scored],
        won[scored],
        dataset.weights[scored],
        week[scored],
        rules.calibration,
    )
    inner = pd.DataFrame(
        {
            "signal_id": dataset.ints("signal_id"),
            "decided_ms": dataset.ints("decided_ms"),
            "week": week,
            "fold": fold,
            "p_geo": scores.p_geo,
            "p_raw": scores.p_raw,
            "p": calibrator.apply(scores.p_geo, scores.p_raw),
            "payoff": scores.payoff,
            "won": won,
            "gross_r": dataset.floats("gross_r"),
            "weight": dataset.weights,
        }
    )
    return Fitted(
        estimator=estimator.fit(dataset.sample(np.arange(len(dataset)))),
        calibrator=calibrator,
        payoff=fit_payoff(dataset.rows, dataset.weights, scores.payoff, week),
        report=report,
        train_max_t1=int(dataset.ints("known_ms").max()),
        n=len(dataset),
        n_eff=dataset.n_eff,
        inner=inner[scored].reset_index(drop=True),
    )


def out_of_fold(dataset: Dataset, estimator: Estimator, rules: FitRules) -> tuple[Scores, IntArray]:
    """Score each row by an estimator that has learned neither from it nor from anything near it in time.

    Returns
    -------
    scores : Scores
        NaN where no fold could.
    fold : int64 array, shape (n,)
        Which fold a row was tested in; -1 where the rest had only one outcome, or where it cannot be scored.
    """
    n = len(dataset)
    scores = Scores(*(np.full(n, np.nan) for _ in range(3)))
    fold = np.full(n, -1, dtype=np.int64)
    won = dataset.floats("won")
    splits = k_fold(dataset.ints("decided_ms"), dataset.ints("known_ms"), rules.folds, rules.embargo_ms)
    for number, split in enumerate(splits):
        if len(np.unique(won[split.train])) < 2:
            continue
        said = estimator.fit(dataset.sample(split.train)).score(dataset.vectors[split.test])
        scores.p_geo[split.test], scores.p_raw[split.test] = said.p_geo, said.p_raw
        scores.payoff[split.test] = said.payoff
        fold[split.test] = np.where(np.isfinite(said.p_raw), number, -1)
    return scores, fold
