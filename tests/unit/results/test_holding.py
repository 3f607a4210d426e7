"""Holding the market: bought once, valued at the last close known."""

from __future__ import annotations

import numpy as np
import pytest

from core.results.holding import hold

BTC = (np.array([0, 100, 200]), np.array([50.0, 100.0, 75.0]))
ETH = (np.array([0, 100, 200]), np.array([10.0, 10.0, 20.0]))
LATE = (np.array([150, 200]), np.array([1.0, 9.0]))


def test_the_value_is_that_of_the_last_close_known() -> None:
    held = hold({"BTC": BTC}, 0, 200, points=5)
    assert held is not None
    assert held.ts_ms.tolist() == [0, 50, 100, 150, 200]
    assert held.factor.tolist() == [1.0, 1.0, 2.0, 2.0, 1.5]


def test_the_mean_buys_each_symbol_for_the_same_amount() -> None:
    held = hold({"BTC": BTC, "ETH": ETH}, 0, 200, points=3)
    assert held is not None
    assert held.factor.tolist() == pytest.approx([1.0, 1.5, 1.75])
    assert held.symbols == ("BTC", "ETH")


def test_a_symbol_that_came_later_is_left_out_and_named() -> None:
    held = hold({"BTC": BTC, "NEW": LATE}, 0, 200, points=2)
    assert held is not None
    assert held.left_out == ("NEW",)
    assert held.factor.tolist() == [1.0, 1.5]


def test_without_a_price_at_the_start_there_is_nothing_to_hold() -> None:
    assert hold({"NEW": LATE}, 0, 200) is None
    assert hold({}, 0, 200) is None
    assert hold({"BTC": BTC}, 200, 200) is None
