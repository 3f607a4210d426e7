"""Size and leverage of a plan."""

import math

import numpy as np
import pytest

from core.risk.sizing import RiskRules, size_positions

RULES = RiskRules(
    capital_usd=10_000.0, risk_pct=0.5, max_leverage=10.0, liquidation_buffer=0.5, maintenance_margin_pct=0.5
)


def test_a_stop_costs_the_risk_money() -> None:
    # stop 2 % away: 10 000 * 0.5 % = 50; 50 / 0.02 = 2 500; 2 500 / 100 = 25
    sizes = size_positions([100.0], [98.0], RULES)
    assert sizes.notional[0] == pytest.approx(2_500.0)
    assert sizes.quantity[0] * (100.0 - 98.0) == pytest.approx(50.0)


def test_a_short_is_sized_like_the_long_of_the_same_distance() -> None:
    sizes = size_positions([100.0, 100.0], [98.0, 102.0], RULES)
    assert sizes.notional[0] == pytest.approx(sizes.notional[1])
    assert sizes.leverage[0] == sizes.leverage[1]


def test_notional_is_capped_by_capital_times_leverage() -> None:
    # stop 0.01 % away: 50 / 0.0001 = 500 000, more than 10 000 * 10
    assert size_positions([100.0], [99.99], RULES).notional[0] == pytest.approx(100_000.0)


def test_leverage_follows_from_the_distance_of_the_stop() -> None:
    # 4 %: 1 / (1.5 * 0.04 + 0.005) = 15.4 -> the maximum; 10 %: 1 / 0.155 = 6.45 -> 6; 40 %: 1 / 0.605 = 1.65 -> 1
    assert size_positions([100.0] * 3, [96.0, 90.0, 60.0], RULES).leverage.tolist() == [10.0, 6.0, 1.0]


def test_leverage_is_at_least_one_and_at_most_the_maximum() -> None:
    sizes = size_positions([100.0, 100.0], [1.0, 99.999], RULES)
    assert sizes.leverage.tolist() == [1.0, 10.0]


def test_the_liquidation_price_lies_beyond_the_stop_by_the_buffer() -> None:
    stop_frac = np.linspace(0.0005, 0.3, 400)
    entry = np.full(400, 50.0)
    for side in (1.0, -1.0):
        leverage = size_positions(entry, entry * (1.0 - side * stop_frac), RULES).leverage
        to_liquidation = 1.0 / leverage - RULES.maintenance_margin_pct / 100.0
        assert (to_liquidation >= (1.0 + RULES.liquidation_buffer) * stop_frac - 1e-9).all()
        # and one step more would be too much, unless the maximum is reached
        more = 1.0 / (leverage + 1.0) - RULES.maintenance_margin_pct / 100.0
        assert ((more < (1.0 + RULES.liquidation_buffer) * stop_frac) | (leverage == RULES.max_leverage)).all()


def test_quantity_is_rounded_down_to_the_lot_and_notional_is_what_it_is_worth() -> None:
    # 2 500 / 30 000 = 0.08333 -> 0.083 -> 2 490
    sizes = size_positions([30_000.0], [29_400.0], RULES, lot=0.001)
    assert sizes.quantity.tolist() == [0.083]
    assert sizes.notional[0] == pytest.approx(2_490.0)


def test_a_quantity_already_on_the_lot_is_kept() -> None:
    assert size_positions([100.0], [98.0], RULES, lot=0.1).quantity.tolist() == [25.0]


def test_below_the_minimum_notional_nothing_is_ordered_and_it_says_so() -> None:
    sizes = size_positions([100.0, 100.0], [98.0, 98.0], RULES, min_notional=[2_500.5, 2_499.5])
    assert sizes.too_small.tolist() == [True, False]
    assert (sizes.notional[0], sizes.quantity[0]) == (0.0, 0.0)
    assert sizes.notional[1] > 0.0


def test_less_than_one_lot_is_too_small_even_without_a_minimum() -> None:
    sizes = size_positions([30_000.0], [29_400.0], RULES, lot=1.0)
    assert sizes.too_small.tolist() == [True]
    assert sizes.quantity.tolist() == [0.0]


def test_unknown_lot_and_minimum_leave_the_quantity_as_it_is() -> None:
    known = size_positions([100.0], [97.0], RULES)
    for unknown in (None, math.nan):
        sizes = size_positions([100.0], [97.0], RULES, lot=unknown, min_notional=unknown)
        assert sizes.quantity.tolist() == known.quantity.tolist()
        assert not sizes.too_small[0]


def test_no_plans_give_no_sizes_and_inputs_are_left_alone() -> None:
    assert len(size_positions([], [], RULES).leverage) == 0
    entry = np.array([100.0])
    entry.setflags(write=False)
    size_positions(entry, np.array([98.0]), RULES, lot=np.array([0.1]))
    assert entry.tolist() == [100.0]
