"""A fitted model: honest inside, calibrated where the truth is known, shut on noise and open to an edge."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from core.errors import ModelError, TraderError
from core.estimators.logistic import Logistic
from core.estimators.xgboost import XGBoost
from core.gate import Judged
from core.ports import Estimator, FittedEstimator, Sample, Scores
from core.schema import FloatArray
from core.training.dataset import Dataset
from core.training.fit import FitRules, Fitted, fit_model, out_of_fold
from tests.label_worlds import GEOMETRY_COLUMNS, LabelWorld, label_world

RULES = FitRules()


def dataset(world: LabelWorld) -> Dataset:
    return Dataset.of(world.rows, world.vectors, world.columns, GEOMETRY_COLUMNS)


def judged(fitted: Fitted, world: LabelWorld, more_cost_r: float = 0.0) -> Judged:
    vectors, rows = world.vectors.copy(), world.rows
    vectors[:, world.columns.index("geo_cost_r")] += more_cost_r
    stop_frac, rr1, rr2, cost_r = (rows[name].to_numpy() for name in ("stop_frac", "rr1", "rr2", "cost_r"))
    words = (rows["timeframe"].to_numpy(dtype=object), rows["direction"].to_numpy(dtype=object))
    return fitted.model("m").judge(vectors, stop_frac, rr1, rr2, cost_r + more_cost_r, *words)


@cache
def fitted_in(edge: float, seed: int = 11) -> tuple[LabelWorld, Fitted]:
    world = label_world(10_000, seed, edge, columns=20)
    return world, fit_model(dataset(world), XGBoost(), RULES)


class Remembering:
    """Knows the outcome of every row it learned from, and nothing of any other."""

    name = "remembering"

    def params(self) -> dict[str, Any]:
        return {}

    def fit(self, sample: Sample) -> FittedEstimator:
        known = {key.tobytes(): won for key, won in zip(sample.vectors, sample.won, strict=True)}
        return Memory(sample.columns, known)

    def load(self, columns: tuple[str, ...], files: Mapping[str, bytes]) -> FittedEstimator:
        raise ModelError("it is never stored")


class Memory:
    def __init__(self, columns: tuple[str, ...], known: dict[bytes, float]) -> None:
        self.name, self.columns, self.known = "remembering", columns, known

    def score(self, vectors: FloatArray) -> Scores:
        p = np.array([0.1 + 0.8 * self.known.get(row.tobytes(), 0.5) for row in vectors])
        return Scores(np.full(len(p), 0.5), p, p - 0.5)

    def contributions(self, vectors: FloatArray) -> FloatArray:
        return np.zeros((len(vectors), len(self.columns) + 1))

    def files(self) -> dict[str, bytes]:
        return {}


def test_no_row_is_scored_out_of_fold_by_what_remembers_it() -> None:
    data = dataset(label_world(1000, seed=1, columns=6))
    scores, fold = out_of_fold(data, Remembering(), RULES)
    np.testing.assert_allclose(scores.p_raw, 0.5)
    assert sorted(set(fold.tolist())) == [0, 1, 2, 3, 4]


def test_what_was_remembered_neither_calibrates_nor_pays() -> None:
    fitted = fit_model(dataset(label_world(1000, seed=1, columns=6)), Remembering(), RULES)
    assert fitted.payoff.b_lcb == 0.0
    np.testing.assert_allclose(fitted.inner["p_raw"], 0.5)


def test_it_says_what_it_rests_on() -> None:
    world, fitted = fitted_in(0.0)
    assert fitted.n == len(fitted.inner) == 10_000
    assert fitted.train_max_t1 == world.rows["known_ms"].max()
    assert fitted.n_eff == pytest.approx(fitted.inner["weight"].sum())
    assert fitted.report.n == 10_000
    assert fitted.inner["signal_id"].tolist() == world.rows["signal_id"].tolist()
    model = fitted.model("m1", required=GEOMETRY_COLUMNS, skill=True)
    assert (model.version, model.train_max_t1, model.skill) == ("m1", fitted.train_max_t1, True)


@pytest.mark.parametrize(("edge", "limit"), [(0.0, 0.025), (0.8, 0.065)])
def test_probabilities_are_near_the_known_ones(edge: float, limit: float) -> None:
    world, fitted = fitted_in(edge)
    p = fitted.inner["p"].to_numpy()
    assert np.sqrt(np.mean((p - world.true_p) ** 2)) <= limit
    won = world.rows["won"].to_numpy()
    assert calibration_error(p, won) <= calibration_error(world.true_p, won) + 0.015


def calibration_error(p: FloatArray, won: FloatArray, bins: int = 10) -> float:
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    return sum(len(part) * abs(float(p[part].mean() - won[part].mean())) for part in parts) / len(p)


def test_on_a_random_walk_the_gate_stays_shut_and_predicted_results_are_near_nothing() -> None:
    _, fitted = fitted_in(0.0)
    fresh = label_world(5000, seed=12, columns=20)
    said = judged(fitted, fresh)
    assert np.mean(said.ev_r > 0.0) <= 0.02
    assert np.mean(np.abs(fitted.payoff.a0 + fitted.payoff.b_lcb * said.payoff)) < 0.03


@pytest.mark.parametrize("estimator", [Logistic(), XGBoost(trees=60)], ids=["logistic", "xgboost"])
def test_on_small_random_walks_the_gate_stays_shut_too(estimator: Estimator) -> None:
    passed = []
    for seed in range(6):
        fitted = fit_model(dataset(label_world(1200, seed, columns=20, weeks=52)), estimator, RULES)
        passed.append(np.mean(judged(fitted, label_world(2000, 100 + seed, columns=20)).ev_r > 0.0))
    assert np.mean(passed) <= 0.02
    assert max(passed) <= 0.06


@pytest.mark.parametrize("estimator", ["xgboost", "logistic"])
def test_with_an_edge_it_keeps_coverage_at_a_result_above_nothing(estimator: str) -> None:
    world, fitted = fitted_in(0.8)
    if estimator == "logistic":
        fitted = fit_model(dataset(world), Logistic(), RULES)
    fresh = label_world(5000, seed=13, edge=0.8, columns=20)
    passes = judged(fitted, fresh).ev_r > 0.0
    net_r = fresh.rows["net_r"].to_numpy()
    assert passes.mean() > 0.2
    assert net_r[passes].mean() > 0.2
    assert net_r[passes].mean() > net_r.mean() + 0.3


def test_value_never_rises_with_a_fee_from_the_features_to_the_end() -> None:
    _, fitted = fitted_in(0.8)
    fresh = label_world(3000, seed=14, edge=0.8, columns=20)
    values = [judged(fitted, fresh, more) for more in (0.0, 0.01, 0.05, 0.3)]
    for before, after in itertools.pairwise(values):
        assert (after.p <= before.p).all()
        assert (after.ev_payoff_r <= before.ev_payoff_r).all()
        assert (after.ev_p_r <= before.ev_p_r).all()


def test_two_fits_are_equal_byte_for_byte() -> None:
    data = dataset(label_world(1500, seed=3, edge=0.5, columns=12))
    once, twice = (fit_model(data, XGBoost(trees=30), RULES) for _ in range(2))
    assert once.estimator.files() == twice.estimator.files()
    assert once.calibrator == twice.calibrator
    assert once.payoff == twice.payoff


def test_too_few_rows_and_one_outcome_are_refused_and_no_rule_goes_below_what_calibration_needs() -> None:
    world = label_world(100, seed=4, columns=6)
    with pytest.raises(TraderError, match="expected at least 200 effective"):
        fit_model(dataset(world), Logistic(), RULES)
    with pytest.raises(TraderError, match="expected at least 60 effective"):
        fit_model(dataset(label_world(40, seed=4, columns=6)), Logistic(), FitRules(min_n_eff=10.0))
    alike = Dataset.of(world.rows.assign(won=0.0), world.vectors, world.columns)
    with pytest.raises(TraderError, match="all 100 closed trades lost"):
        fit_model(alike, Logistic(), FitRules(min_n_eff=60.0))


@pytest.mark.parametrize("rules", [{"calibration": "best"}, {"folds": 1}, {"min_n_eff": 0.0}, {"embargo_ms": -1}])
def test_rules_that_make_no_sense_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="expected"):
        FitRules(**rules)


def test_the_chosen_calibration_is_the_one_used() -> None:
    data = dataset(label_world(1500, seed=3, edge=0.5, columns=8))
    for method in ("none", "isotonic", "platt"):
        fitted = fit_model(data, Logistic(), FitRules(calibration=method))
        assert fitted.calibrator.method == fitted.report.method == method
