"""The anchor: what the plan's geometry alone says, and the linear fits behind it."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from core.estimators import _base
from core.estimators._base import Geometry, Scale, ridge, ridge_logistic, sigmoid
from core.ports import Sample
from tests.label_worlds import label_world


def a_sample(n: int = 8000, edge: float = 0.0) -> Sample:
    world = label_world(n, seed=2, edge=edge, columns=6)
    rows = world.rows
    return Sample(world.vectors, world.columns, rows["won"].to_numpy(), rows["gross_r"].to_numpy(), np.ones(n))


def test_on_a_random_walk_it_finds_one_over_one_plus_reward_to_risk() -> None:
    sample = a_sample()
    p = sigmoid(Geometry.of(sample).log_odds(sample.vectors))
    assert np.sqrt(np.mean((p - 1.0 / (1.0 + sample.vectors[:, 0])) ** 2)) < 0.025


def test_it_never_rises_with_the_cost_even_where_dear_plans_won() -> None:
    sample = a_sample()
    dear = sample.vectors[:, 2] > np.median(sample.vectors[:, 2])
    lucky = Sample(sample.vectors, sample.columns, dear.astype(float), sample.gross_r, sample.weights)
    geometry = Geometry.of(lucky)
    assert geometry.coef[2] == 0.0
    assert np.isfinite(geometry.log_odds(sample.vectors)).all()


def test_a_plan_far_from_all_others_is_taken_as_a_rare_one() -> None:
    sample = a_sample()
    geometry = Geometry.of(sample)
    far = sample.vectors[:1].copy()
    far[0, 1] = 1e9
    assert abs(float(geometry.log_odds(far)[0])) < 5.0


def test_geometry_that_never_varies_gives_the_base_rate() -> None:
    n = 400
    vectors = np.tile([1.5, 2.5, 0.1, 1.0], (n, 1))
    won = (np.arange(n) % 4 == 0).astype(float)
    geometry = Geometry.of(Sample(vectors, _base.GEOMETRY, won, won, np.ones(n)))
    np.testing.assert_allclose(sigmoid(geometry.log_odds(vectors)), 0.25, atol=1e-6)


def test_the_logistic_fit_is_the_minimum_of_its_loss() -> None:
    rng = np.random.default_rng(4)
    x, offset, weights = rng.normal(size=(500, 3)), rng.normal(size=500), rng.uniform(0.1, 1.0, 500)
    won = (rng.random(500) < sigmoid(offset + x @ [0.5, -0.7, 0.0] + 0.2)).astype(float)
    coef, intercept = ridge_logistic(x, won, weights, offset, 2.0, capped=1)
    residual = weights * (sigmoid(offset + x @ coef + intercept) - won)
    np.testing.assert_allclose(x.T @ residual + 2.0 * coef, 0.0, atol=1e-4)
    assert abs(residual.sum()) < 1e-4


def test_the_capped_logistic_fit_is_the_best_below_the_cap() -> None:
    rng = np.random.default_rng(5)
    x, weights = rng.normal(size=(800, 3)), np.ones(800)
    won = (rng.random(800) < sigmoid(x @ [0.5, 0.9, -0.3])).astype(float)
    coef, intercept = ridge_logistic(x, won, weights, np.zeros(800), 1.0, capped=1)
    assert coef[1] == 0.0
    slope = x.T @ (sigmoid(x @ coef + intercept) - won) + coef
    np.testing.assert_allclose(slope[[0, 2]], 0.0, atol=1e-4)
    assert slope[1] < 0.0, "only a forbidden rise would help"


def test_it_survives_outcomes_that_one_feature_separates() -> None:
    x = np.linspace(-1.0, 1.0, 200)[:, None]
    coef, _ = ridge_logistic(np.column_stack([x, -x]), (x[:, 0] > 0).astype(float), np.ones(200), np.zeros(200), 0.1, 1)
    assert np.isfinite(coef).all()


def test_the_ridge_is_the_closed_form_and_respects_its_cap() -> None:
    rng = np.random.default_rng(6)
    x, weights = rng.normal(size=(300, 3)), rng.uniform(0.2, 1.0, 300)
    y = x @ [0.3, -0.4, 0.5] + rng.normal(size=300)
    free = ridge(x, y, weights, 3.0, capped=1)
    np.testing.assert_allclose((x * weights[:, None]).T @ (y - x @ free), 3.0 * free, atol=1e-9)
    capped = ridge(x, y, weights, 3.0, capped=2)
    assert capped[2] == 0.0
    np.testing.assert_allclose(capped[:2], ridge(x[:, :2], y, weights, 3.0, capped=1), atol=1e-12)


def test_scales_do_not_count_what_is_not_known() -> None:
    x = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    scale = Scale.of(x, np.array([1.0, 1.0, 5.0]))
    assert scale.mean.tolist() == [2.0, 0.0]
    assert scale.spread.tolist() == [1.0, 1.0]
    assert np.isnan(scale.apply(x)[2, 0])


def test_the_examples_run() -> None:
    assert doctest.testmod(_base).failed == 0


@pytest.mark.parametrize("log_odds", [-800.0, 0.0, 800.0])
def test_probabilities_of_extreme_odds_stay_between_0_and_1(log_odds: float) -> None:
    assert 0.0 <= float(sigmoid(np.array([log_odds]))[0]) <= 1.0
