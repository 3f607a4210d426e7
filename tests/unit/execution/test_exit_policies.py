"""The shipped exit policies: the plans they make, and a trade under the default one from end to end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError
from core.execution.book import new_trades, play
from core.execution.costs import CostModel
from core.execution.funding import no_marks
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.exits.fixed_r import FixedR
from core.exits.tp1_be_trail import Tp1BeTrail
from core.plugins import build
from tests.unit.execution.playing import T0, candles, signals

TICK = np.array([0.1])


def plan_of(policy: Any, row: dict[str, Any] | None = None, tick: float = 0.1) -> Any:
    return policy.plan(signals([row or {}]), np.array([tick]))


def test_tp1_be_trail_takes_half_at_tp1_and_the_rest_at_tp2() -> None:
    plan = plan_of(Tp1BeTrail())
    assert plan.target_price.tolist() == [[110.0, 120.0]]
    assert plan.target_fraction.tolist() == [[0.5, 0.5]]
    assert (plan.be_after[0], plan.trail_kind[0], plan.trail_mult[0], plan.trail_after[0]) == (0, 1, 1.0, 0)
    assert plan.max_hold_candles.tolist() == [96]


def test_tp1_be_trail_without_break_even_and_trail_leaves_the_stop() -> None:
    plan = plan_of(Tp1BeTrail(move_sl_to_be_on_tp1=False, trail_use=False))
    assert (plan.be_after[0], plan.trail_kind[0]) == (-1, 0)


def test_tp1_be_trail_trails_by_percent() -> None:
    plan = plan_of(Tp1BeTrail(trail_method="pct", trail_mult=2.5))
    assert (plan.trail_kind[0], plan.trail_mult[0]) == (2, 2.5)


def test_tp1_be_trail_with_everything_at_tp1_has_one_target() -> None:
    plan = plan_of(Tp1BeTrail(tp1_fraction=1.0))
    assert plan.target_price.tolist() == [[110.0]]
    assert plan.n_targets.tolist() == [1]


def test_tp1_be_trail_by_hand() -> None:
    rows = [
        (101.0, 102.0, 99.0, 101.0),  # filled at 100
        (104.0, 111.0, 103.0, 110.0),  # half out at 110, stop to 100, trail of one ATR (2) from now on
        (110.0, 114.0, 109.5, 113.5),  # tested against 111 - 2 = 109
        (113.0, 113.5, 111.5, 112.0),  # tested against 114 - 2 = 112
    ]
    wanted = signals([{}])
    rules, costs, policy = ExecutionRules(), CostModel(0.0, 0.0, 0.0), Tp1BeTrail()
    trades = new_trades(wanted, "tp1_be_trail@1", rules)
    run = Run(candles(rows), T0 + 300_000, no_marks())
    trades, events = play(trades, wanted, policy.plan(wanted, TICK), [run], 0, rules, costs)
    trade = trades.iloc[0]
    assert events["kind"].tolist() == ["FILL", "TARGET", "TP1_TRAIL"]
    assert events["price"].tolist() == [100.0, 110.0, 112.0]
    assert trade["gross_pct"] == pytest.approx(0.5 * 10 + 0.5 * 12)
    assert trade["exit_price"] == pytest.approx(111.0)
    assert trade["r_multiple"] == pytest.approx(11.0 / 5.0)


def test_a_plan_without_tp2_leaves_the_rest_to_the_trail() -> None:
    rows = [(101.0, 102.0, 99.0, 101.0), (104.0, 111.0, 103.0, 110.0), (110.0, 150.0, 109.5, 149.0)]
    wanted = signals([{"tp2": float("nan")}])
    rules, costs, policy = ExecutionRules(), CostModel(0.0, 0.0, 0.0), Tp1BeTrail()
    trades, _ = play(
        new_trades(wanted, "x@1", rules),
        wanted,
        policy.plan(wanted, TICK),
        [Run(candles(rows), T0 + 240_000, no_marks())],
        0,
        rules,
        costs,
    )
    assert (trades["status"][0], trades["remaining"][0], trades["extreme"][0]) == ("OPEN", 0.5, 150.0)


@pytest.mark.parametrize(
    ("row", "tick", "target"),
    [
        ({"direction": "long", "entry": 100.0, "sl": 97.0}, 0.1, 104.5),
        ({"direction": "long", "entry": 100.0, "sl": 97.01}, 0.1, 104.4),
        ({"direction": "short", "entry": 100.0, "sl": 102.99}, 0.1, 95.6),
        ({"direction": "long", "entry": 100.0, "sl": 97.0}, 1.0, 104.0),
        ({"direction": "short", "entry": 100.0, "sl": 103.0}, 1.0, 96.0),
        ({"direction": "long", "entry": 1.234567, "sl": 1.2}, float("nan"), 1.28641),
        ({"direction": "short", "entry": 1.234567, "sl": 1.3}, float("nan"), 1.13642),
    ],
)
def test_fixed_r_rounds_its_target_towards_less_profit(row: dict[str, Any], tick: float, target: float) -> None:
    plan = plan_of(FixedR(r=1.5), row, tick)
    assert plan.target_price.tolist() == [[target]]
    assert (plan.n_targets[0], plan.be_after[0], plan.trail_kind[0]) == (1, -1, 0)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("tp1_be_trail", {"tp1_fraction": 0.0}, "tp1_fraction 0.0"),
        ("tp1_be_trail", {"tp1_fraction": 1.1}, "tp1_fraction 1.1"),
        ("tp1_be_trail", {"trail_method": "art"}, "did you mean 'atr'"),
        ("tp1_be_trail", {"trail_mult": 0.0}, "trail_mult 0.0"),
        ("tp1_be_trail", {"max_hold_candles": -1}, "max_hold_candles -1"),
        ("fixed_r", {"r": 0.0}, "r 0.0"),
        ("fixed_r", {"r": float("nan")}, "r nan"),
        ("fixed_r", {"max_hold_candles": 1.5}, "max_hold_candles 1.5"),
        ("fixed_r", {"rr": 2.0}, "rr: unknown parameter"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(name: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build("core.exits", name, wrong, "execution.exit_policy")


def test_plans_of_no_signals_are_empty() -> None:
    none = signals([{}]).iloc[:0]
    for policy in (Tp1BeTrail(), FixedR()):
        plan = policy.plan(none, np.empty(0))
        assert len(plan.n_targets) == 0
        assert plan.exit_at_from.tolist() == [0]
    assert isinstance(none, pd.DataFrame)
