"""What every exit policy on the shelf promises: well-formed, pure, row by row, mirrored, documented."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.execution.book import new_trades, play
from core.execution.costs import CostModel
from core.execution.funding import no_marks
from core.execution.identity import exit_policy_id, exit_policy_params, from_params
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.plugins import build, parameters, shelf
from core.ports import ExitPlan, ExitPolicy
from core.schema import SIGNALS, Candles, conform

PACKAGE = "core.exits"
NAMES = shelf(PACKAGE)
START_MS = 1_704_067_200_000
COSTS = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)


def a_policy(name: str) -> ExitPolicy:
    policy: ExitPolicy = build(PACKAGE, name, {}, "execution.exit_policy")
    return policy


def some_signals(n: int, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], n)
    entry = np.round(rng.uniform(90.0, 110.0, n), 2)
    risk = np.round(rng.uniform(0.5, 3.0, n), 2)
    blank = {name: [""] * n if dtype == "str" else np.zeros(n) for name, dtype in SIGNALS.items()}
    plan = {
        "id": np.arange(1, n + 1),
        "decided_ms": START_MS + 60_000 * rng.integers(0, 500, n),
        "direction": np.where(sign > 0, "long", "short"),
        "order_type": rng.choice(["limit", "market", "stop"], n),
        "timeframe": "5m",
        "entry": entry,
        "sl": entry - sign * risk,
        "tp1": entry + sign * 1.5 * risk,
        "tp2": entry + sign * 2.5 * risk,
        "atr": risk / 2.0,
        "valid_until_ms": START_MS + 60_000 * 900,
    }
    return conform(pd.DataFrame(blank | plan), SIGNALS)


def rows_of(plan: ExitPlan, i: int) -> list[Any]:
    own = plan.exit_at_ms[plan.exit_at_from[i] : plan.exit_at_from[i + 1]].tolist()
    m = int(plan.n_targets[i])
    columns = [getattr(plan, f.name) for f in fields(plan) if not f.name.startswith(("exit_at", "target"))]
    targets = [plan.target_price[i, :m].tolist(), plan.target_fraction[i, :m].tolist()]
    return [*(column[i] for column in columns), *targets, own]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_an_exit_policy_named_like_its_file(name: str) -> None:
    policy = a_policy(name)
    assert isinstance(policy, ExitPolicy)
    assert policy.name == name


@pytest.mark.parametrize("name", NAMES)
def test_its_plan_is_well_formed(name: str) -> None:
    n = 200
    plan = a_policy(name).plan(some_signals(n), np.full(n, 0.01))
    assert plan.target_price.shape == plan.target_fraction.shape
    assert plan.target_price.shape[0] == n
    for f in fields(plan):
        column = getattr(plan, f.name)
        assert column.dtype == (np.float64 if f.name in ("target_price", "target_fraction", "trail_mult") else np.int64)
        if not f.name.startswith("exit_at"):
            assert len(column) == n
    assert plan.exit_at_from[0] == 0
    assert plan.exit_at_from[-1] == len(plan.exit_at_ms)
    assert (np.diff(plan.exit_at_from) >= 0).all()
    assert (plan.n_targets <= plan.target_price.shape[1]).all()
    assert np.isin(plan.trail_kind, [0, 1, 2]).all()
    assert (plan.max_hold_candles >= 0).all()
    used = np.arange(plan.target_price.shape[1]) < plan.n_targets[:, None]
    assert (plan.target_fraction[used] > 0).all()
    assert np.nansum(np.where(used, plan.target_fraction, 0.0), axis=1).max(initial=0.0) <= 1.0 + 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_its_targets_lie_in_order_on_the_side_of_profit(name: str) -> None:
    signals = some_signals(200)
    plan = a_policy(name).plan(signals, np.full(200, 0.01))
    sign = np.where(signals["direction"] == "long", 1.0, -1.0)
    gain = sign[:, None] * (plan.target_price - signals["entry"].to_numpy()[:, None])
    assert not (gain <= 0).any()
    assert not (np.diff(gain, axis=1) <= 0).any()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_pure_and_plans_each_row_by_itself(name: str) -> None:
    policy, n = a_policy(name), 60
    signals, tick = some_signals(n), np.full(n, 0.01)
    tick.setflags(write=False)
    kept = signals.copy(deep=True)
    whole, again = policy.plan(signals, tick), policy.plan(signals, tick)
    pd.testing.assert_frame_equal(signals, kept, check_exact=True)
    for i in range(n):
        alone = policy.plan(signals.iloc[[i]].reset_index(drop=True), tick[[i]])
        assert rows_of(whole, i) == rows_of(again, i) == rows_of(alone, 0)


@pytest.mark.parametrize("name", NAMES)
def test_no_signals_give_an_empty_plan(name: str) -> None:
    plan = a_policy(name).plan(some_signals(0), np.empty(0))
    assert len(plan.n_targets) == 0
    assert plan.exit_at_from.tolist() == [0]


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_tick_is_no_obstacle(name: str) -> None:
    plan = a_policy(name).plan(some_signals(20), np.full(20, np.nan))
    used = np.arange(plan.target_price.shape[1]) < plan.n_targets[:, None]
    assert np.isfinite(plan.target_price[used]).all()


@pytest.mark.parametrize("name", NAMES)
def test_its_parameters_are_plain_and_build_it_again(name: str) -> None:
    policy, rules = a_policy(name), ExecutionRules()
    assert set(policy.params()) == set(parameters(PACKAGE, name))
    json.dumps(policy.params(), allow_nan=False)
    stored_name, params, stored_rules, stored_costs = from_params(exit_policy_params(policy, rules, COSTS))
    again = build(PACKAGE, stored_name, params, "execution.exit_policy")
    assert exit_policy_id(again, stored_rules, stored_costs) == exit_policy_id(policy, rules, COSTS)


@pytest.mark.parametrize("name", NAMES)
def test_the_kernel_plays_its_plans_to_an_end(name: str) -> None:
    n, minutes = 300, 6000
    rng = np.random.default_rng(11)
    close = 100.0 + np.cumsum(rng.normal(0.0, 0.12, minutes))
    opened = np.concatenate([[100.0], close[:-1]])
    high, low = np.maximum(opened, close) + 0.05, np.minimum(opened, close) - 0.05
    ts = START_MS + 60_000 * np.arange(minutes)
    candles = Candles.of(ts, opened, high, low, close, np.ones(minutes))
    signals, rules, policy = some_signals(n), ExecutionRules(), a_policy(name)
    begun = new_trades(signals, exit_policy_id(policy, rules, COSTS), rules)
    end_ms = int(ts[-1]) + 60_000
    plan = policy.plan(signals, np.full(n, 0.01))
    trades, events = play(begun, signals, plan, [Run(candles, end_ms, no_marks())], 0, rules, COSTS)
    assert trades["status"].isin(["CLOSED", "CANCELLED", "EXPIRED"]).all()
    assert (trades["status"] == "CLOSED").sum() > 30
    assert len(events) == trades["n_events"].sum()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_documented_with_an_example_that_runs(name: str) -> None:
    module = importlib.import_module(f"{PACKAGE}.{name}")
    (public,) = module.__all__
    text = inspect.getdoc(getattr(module, public)) or ""
    for parameter in parameters(PACKAGE, name):
        assert f"{parameter} :" in text, parameter
    for section in ("Notes", "References", "Examples"):
        assert f"{section}\n---" in text, section
    tried = doctest.testmod(module)
    assert tried.attempted > 0
    assert tried.failed == 0
