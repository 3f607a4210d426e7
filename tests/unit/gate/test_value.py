"""Expected value: by hand, and its laws over random plans."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.errors import ModelError
from core.gate import Payoff, expected_value

PAYOFF = Payoff(
    a0=0.02,
    b_lcb=0.5,
    win_coef=(0.1, 0.5, 0.4, -1.0),
    loss_coef=(-0.9, 0.0, 0.0, -1.0),
    funding_pct={"15m|long": 0.01, "15m|short": -0.02},
)


def _plans(n: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "p": rng.uniform(0.02, 0.98, n),
        "predicted_r": rng.normal(0.0, 0.5, n),
        "stop_frac": rng.uniform(0.002, 0.05, n),
        "rr1": rng.uniform(0.3, 4.0, n),
        "rr2": rng.uniform(0.5, 8.0, n),
        "timeframe": rng.choice(["15m", "1h"], n),
        "direction": rng.choice(["long", "short"], n),
    }


def test_both_values_and_the_lower_of_them_by_hand():
    one = np.ones(1)
    value = expected_value(PAYOFF, 0.6 * one, 0.8 * one, 0.01 * one, 1.0 * one, 2.0 * one, 0.1 * one, "15m", "long")
    # 0.02 + 0.5 * 0.8 - 0.1 - 0.01 % / 1 %
    assert value.ev_payoff_r[0] == pytest.approx(0.02 + 0.4 - 0.1 - 0.01)
    # win 0.1 + 0.5 + 0.8 - 0.1 = 1.3, loss -0.9 - 0.1 = -1
    assert value.ev_p_r[0] == pytest.approx(0.6 * 1.3 - 0.4 * 1.0)
    assert value.ev_r[0] == value.ev_payoff_r[0]


def test_funding_received_raises_the_value_and_unknown_funding_is_the_dearest_known():
    one = np.ones(3)
    value = expected_value(
        PAYOFF, 0.5 * one, 0 * one, 0.01 * one, one, 2 * one, 0 * one, ["15m", "15m", "4h"], ["long", "short", "long"]
    )
    assert value.ev_payoff_r.tolist() == pytest.approx([0.02 - 0.01, 0.02 + 0.02, 0.02 - 0.01])


@pytest.mark.parametrize("cost_slope", [-2.0, -1.0, 0.0, 0.7])
def test_the_value_never_rises_with_costs(cost_slope: float):
    payoff = Payoff(0.03, 0.8, (0.2, 0.4, 0.3, cost_slope), (-0.8, -0.1, 0.0, cost_slope), PAYOFF.funding_pct)
    plans = _plans(2_000, seed=1)
    cheap = np.random.default_rng(2).uniform(0.0, 1.0, 2_000)
    for more in (1e-6, 0.01, 0.5, 5.0):
        low = expected_value(payoff, **plans, cost_r=cheap)
        high = expected_value(payoff, **plans, cost_r=cheap + more)
        for before, after in zip(low, high, strict=True):
            assert (after <= before + 1e-12).all()
        assert (high.ev_payoff_r < low.ev_payoff_r).all()


def test_the_value_never_falls_with_the_probability():
    plans = _plans(2_000, seed=3)
    cost_r = np.full(2_000, 0.1)
    low = expected_value(PAYOFF, **plans, cost_r=cost_r)
    high = expected_value(PAYOFF, **{**plans, "p": np.minimum(plans["p"] + 0.05, 0.98)}, cost_r=cost_r)
    assert (high.ev_r >= low.ev_r - 1e-12).all()


def test_a_winner_earns_and_a_loser_loses_however_far_a_plan_lies_outside():
    payoff = Payoff(0.0, 1.0, (-5.0, 0.0, 0.0, 0.0), (5.0, 0.0, 0.0, 0.0), {})
    one = np.ones(2)
    value = expected_value(payoff, np.array([0.0, 1.0]), 9 * one, 0.01 * one, one, one, 0 * one, "1h", "long")
    assert value.ev_p_r.tolist() == [0.0, 0.0]


def test_nan_stays_nan():
    one = np.ones(1)
    value = expected_value(PAYOFF, np.nan * one, one, 0.01 * one, one, one, 0.1 * one, "15m", "long")
    assert math.isnan(value.ev_r[0])


def test_a_payoff_survives_json():
    assert Payoff.from_json(PAYOFF.to_json()) == PAYOFF


@pytest.mark.parametrize(
    "broken",
    [{"a0": math.nan}, {"win_coef": [1.0, 2.0]}, {"b_lcb": None}, {"funding_pct": {"1h|long": math.inf}}],
)
def test_a_broken_payoff_is_refused(broken: dict[str, object]):
    with pytest.raises(ModelError, match="payoff"):
        Payoff.from_json({**PAYOFF.to_json(), **broken})
