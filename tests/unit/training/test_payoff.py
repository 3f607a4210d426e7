"""What outcomes teach about their size: worked by hand, drawn to nothing on noise, never to be had for a fee."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from core.gate import expected_value
from core.schema import FloatArray, IntArray
from core.training.payoff import fit_payoff, payoff_line
from tests.label_worlds import label_world


def by_hand(g: FloatArray, r: FloatArray, w: FloatArray, week: IntArray) -> tuple[float, float]:
    design = np.column_stack([np.ones_like(g), g])
    bread = np.linalg.inv(design.T @ np.diag(w) @ design)
    a, b = bread @ design.T @ (w * r)
    errors = r - a - b * g

    def variances(groups: IntArray) -> FloatArray:
        names = np.unique(groups)
        sums = [(design * (w * errors)[:, None])[groups == name].sum(axis=0) for name in names]
        meat = sum(np.outer(part, part) for part in sums) * len(names) / (len(names) - 1)
        return np.diag(bread @ meat @ bread)

    var_a, var_b = np.maximum(variances(week), variances(np.arange(len(g))))
    post, sd = b * 0.25 / (0.25 + var_b), np.sqrt(var_b * 0.25 / (0.25 + var_b))
    return a * 0.03**2 / (0.03**2 + var_a), float(np.clip(post - sd, 0.0, 1.2))


@pytest.mark.parametrize(("slope", "seed"), [(0.0, 1), (0.7, 2), (-0.5, 3), (3.0, 4)])
def test_the_line_is_what_the_formulas_say(slope: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g, week = rng.normal(0.0, 0.3, 400), rng.integers(0, 30, 400)
    r = 0.05 + slope * g + rng.normal(size=400) + 0.3 * rng.normal(size=30)[week]
    w = rng.uniform(0.2, 1.0, 400)
    assert payoff_line(g, r, w, week) == pytest.approx(by_hand(g, r, w, week), rel=1e-9, abs=1e-12)


def test_nothing_is_relied_on_where_nothing_can_be() -> None:
    g, r, w = np.array([0.1, 0.2, 0.3, 0.4]), np.array([1.0, -1.0, 2.0, 1.0]), np.ones(4)
    assert payoff_line(g, r, w, np.zeros(4, dtype=np.int64)) == (0.0, 0.0)
    assert payoff_line(np.full(4, 0.2), r, w, np.arange(4)) == (0.0, 0.0)
    assert payoff_line(g[:0], r[:0], w[:0], np.arange(0)) == (0.0, 0.0)


def test_on_noise_the_slope_mostly_vanishes() -> None:
    slopes = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        g, r = rng.normal(0.0, 0.2, 3000), rng.normal(0.0, 1.35, 3000)
        slopes.append(payoff_line(g, r, np.ones(3000), np.arange(3000) // 30)[1])
    assert np.mean(np.array(slopes) == 0.0) > 0.7
    assert np.mean(slopes) < 0.05


def test_means_given_the_plan_are_near_what_they_are_in_the_world() -> None:
    world = label_world(12_000, seed=3, columns=6)
    rows = world.rows
    week = np.arange(len(rows)) // 120
    payoff = fit_payoff(rows, np.ones(len(rows)), np.zeros(len(rows)), week)
    constant, by_rr1, by_rr2, by_cost = payoff.loss_coef
    assert (constant, by_rr1, by_rr2, by_cost) == pytest.approx((-1.0, 0.0, 0.0, -1.0), abs=0.02)
    rr1, rr2, cost = (rows[name].to_numpy() for name in ("rr1", "rr2", "cost_r"))
    win = payoff.win_coef[0] + payoff.win_coef[1] * rr1 + payoff.win_coef[2] * rr2 + payoff.win_coef[3] * cost
    np.testing.assert_allclose(win, rr1 - cost, atol=0.15)  # half at rr1; the rest is worth another half of it
    assert (payoff.a0, payoff.b_lcb) == (0.0, 0.0)


def test_a_slope_over_the_cost_is_never_above_nothing() -> None:
    world = label_world(4000, seed=4, columns=6)
    odd = world.rows.assign(net_r=world.rows["net_r"] + 20.0 * world.rows["cost_r"])
    payoff = fit_payoff(odd, np.ones(4000), np.zeros(4000), np.arange(4000) // 40)
    assert payoff.win_coef[3] == 0.0
    assert payoff.loss_coef[3] == 0.0


def test_expected_funding_is_drawn_to_nothing_by_rarity() -> None:
    world = label_world(2000, seed=5, columns=6)
    often = np.arange(2000) < 1940
    rows = world.rows.assign(
        timeframe=np.where(often, "1h", "4h"), direction="long", funding_pct=0.02, decided_ms=np.arange(2000)
    )
    funding = fit_payoff(rows, np.ones(2000), np.zeros(2000), np.arange(2000) // 20).funding_pct
    assert funding["1h|long"] == pytest.approx(0.02 * 1940 / 2000)
    assert funding["4h|long"] == pytest.approx(0.01)
    assert set(funding) == {"1h|long", "4h|long"}


def test_value_never_rises_with_a_cost_whatever_was_learned() -> None:
    world = label_world(2000, seed=6, edge=1.0, columns=6)
    rows = world.rows
    rng = np.random.default_rng(0)
    payoff = fit_payoff(rows, np.ones(2000), rows["gross_r"].to_numpy() + rng.normal(size=2000), np.arange(2000) // 20)
    rr1, rr2, cost, stop = (rows[name].to_numpy() for name in ("rr1", "rr2", "cost_r", "stop_frac"))
    words = (rows["timeframe"].to_numpy(), rows["direction"].to_numpy())
    values = [
        expected_value(payoff, world.true_p, np.full(2000, 0.3), stop, rr1, rr2, cost * k, *words).ev_r
        for k in (1.0, 1.1, 2.0, 5.0)
    ]
    assert all((after <= before).all() for before, after in itertools.pairwise(values))
