"""A model judges what it learned from, and says what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import ModelError
from core.estimators.logistic import Logistic
from core.estimators.xgboost import XGBoost
from core.gate import Calibrator, Model, Payoff
from core.ports import Sample, Scores
from core.results.rows import week_of
from core.training.payoff import fit_payoff
from tests.label_worlds import label_world

COLUMNS = ("geo_rr1", "trend_adx", "volume_z")


class FirstColumn:
    """Says that the first column is the probability."""

    name = "first_column"
    columns = COLUMNS

    def score(self, vectors: np.ndarray) -> Scores:
        return Scores(np.full(len(vectors), 0.4), vectors[:, 0], 2.0 * vectors[:, 0] - 1.0)


def a_model(**changes: object) -> Model:
    parts = {
        "version": "v1",
        "estimator": FirstColumn(),
        "calibrator": Calibrator("platt", a=0.5, b=0.0),
        "payoff": Payoff(0.0, 1.0, (1.0, 0, 0, 0), (-1.0, 0, 0, 0), {}),
        "columns": COLUMNS,
        "required": ("geo_rr1", "volume_z"),
        "feature_set": "fs-0123456789",
        "plan_hash": "plan0001",
        "exit_policy": "tp1_be_trail@0badcafe",
        "train_max_t1": 0,
    }
    return Model(**{**parts, **changes})


def test_scores_are_calibrated_and_priced():
    one = np.ones(1)
    judged = a_model().judge(np.array([[0.7, 1.0, 1.0]]), 0.01 * one, one, 2 * one, 0.1 * one, "1h", "long")
    odds = (0.4 / 0.6 * 0.7 / 0.3) ** 0.5
    assert judged.p[0] == pytest.approx(odds / (1 + odds))
    assert judged.ev_payoff_r[0] == pytest.approx(2 * 0.7 - 1 - 0.1)
    assert judged.ev_p_r[0] == pytest.approx(2 * judged.p[0] - 1)
    assert judged.ev_r[0] == min(judged.ev_payoff_r[0], judged.ev_p_r[0])
    assert len(judged) == 1


def test_the_first_required_feature_that_is_missing_is_named():
    vectors = np.array([[0.5, np.nan, 1.0], [0.5, 1.0, np.nan], [np.nan, 1.0, np.nan], [np.inf, 1.0, 1.0]])
    assert a_model().missing(vectors).tolist() == ["", "volume_z", "geo_rr1", "geo_rr1"]
    assert a_model(required=()).missing(vectors).tolist() == [""] * 4
    assert a_model().missing(vectors[:0]).tolist() == []


def test_vectors_of_another_width_are_refused():
    one = np.ones(1)
    with pytest.raises(ModelError, match="expected 3 columns"):
        a_model().judge(np.ones((1, 2)), one, one, one, one, "1h", "long")


@pytest.mark.parametrize("changes", [{"columns": COLUMNS[::-1]}, {"required": ("nonsense",)}])
def test_a_model_that_contradicts_its_card_is_refused(changes: dict[str, object]):
    with pytest.raises(ModelError, match="v1"):
        a_model(**changes)


def test_no_part_of_a_fitted_models_value_rises_with_a_fee():
    world = label_world(2_500, seed=4, edge=0.8, columns=8)
    rows, vectors, cost = world.rows, world.vectors, world.columns.index("geo_cost_r")
    weights, week = np.ones(len(rows)), week_of(rows["decided_ms"].to_numpy())
    sample = Sample(vectors, world.columns, rows["won"].to_numpy(), rows["gross_r"].to_numpy(), weights)
    for estimator in (XGBoost(), Logistic()):
        fitted = estimator.fit(sample)
        model = a_model(
            estimator=fitted,
            columns=world.columns,
            required=("geo_rr1",),
            calibrator=Calibrator("platt", a=1.1, b=0.05),
            payoff=fit_payoff(rows, weights, fitted.score(vectors).payoff, week),
        )
        plan = [rows[name].to_numpy() for name in ("stop_frac", "rr1", "rr2")]
        where = (rows["timeframe"].to_numpy(), rows["direction"].to_numpy())
        before = model.judge(vectors, *plan, vectors[:, cost], *where)
        for fee_r in (0.001, 0.05, 0.5):
            dearer = vectors.copy()
            dearer[:, cost] += fee_r
            after = model.judge(dearer, *plan, dearer[:, cost], *where)
            for name in ("p", "ev_payoff_r", "ev_p_r", "ev_r"):
                assert (getattr(after, name) <= getattr(before, name) + 1e-6).all(), (estimator.name, name, fee_r)
