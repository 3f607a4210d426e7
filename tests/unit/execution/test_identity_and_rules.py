"""Identities of exit policies, and the rules an order may be played under."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.errors import ConfigError, StoreError
from core.execution.costs import CostModel
from core.execution.identity import exit_policy_id, exit_policy_params, from_params
from core.execution.rules import ExecutionRules
from core.exits.fixed_r import FixedR
from core.exits.tp1_be_trail import Tp1BeTrail
from core.plugins import build

COSTS = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)
RULES = ExecutionRules()


def test_an_identity_is_the_name_and_eight_digits() -> None:
    name, digits = exit_policy_id(Tp1BeTrail(), RULES, COSTS).split("@")
    assert name == "tp1_be_trail"
    assert len(digits) == 8
    assert int(digits, 16) >= 0


@pytest.mark.parametrize(
    ("policy", "rules", "costs"),
    [
        (Tp1BeTrail(trail_mult=1.5), RULES, COSTS),
        (Tp1BeTrail(move_sl_to_be_on_tp1=False), RULES, COSTS),
        (FixedR(), RULES, COSTS),
        (Tp1BeTrail(), ExecutionRules(fill="through"), COSTS),
        (Tp1BeTrail(), ExecutionRules(bar_policy="optimistic"), COSTS),
        (Tp1BeTrail(), ExecutionRules(entry_delay_candles=2), COSTS),
        (Tp1BeTrail(), ExecutionRules(cancel_if_missed=False), COSTS),
        (Tp1BeTrail(), ExecutionRules(usd_per_trade=50.0), COSTS),
        (Tp1BeTrail(), RULES, CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.03)),
        (Tp1BeTrail(), RULES, CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02, mode="taker")),
        (Tp1BeTrail(), RULES, CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02, funding_rate_pct=0.0)),
    ],
)
def test_any_other_parameter_is_another_identity(policy: Any, rules: ExecutionRules, costs: CostModel) -> None:
    assert exit_policy_id(policy, rules, costs) != exit_policy_id(Tp1BeTrail(), RULES, COSTS)


def test_a_whole_number_is_the_same_parameter_however_it_is_written() -> None:
    whole = CostModel(maker_pct=0, taker_pct=1, slippage_pct=0)
    broken = CostModel(maker_pct=0.0, taker_pct=1.0, slippage_pct=0.0)
    assert exit_policy_params(FixedR(r=2), RULES, whole) == exit_policy_params(FixedR(r=2.0), RULES, broken)


def test_what_is_stored_gives_the_same_policy_back() -> None:
    policy = Tp1BeTrail(tp1_fraction=0.25, trail_method="pct", trail_mult=2.0, max_hold_candles=0)
    rules = ExecutionRules(entry_delay_candles=2, fill="through", cancel_if_missed=False, usd_per_trade=250.0)
    text = exit_policy_params(policy, rules, COSTS)
    name, params, rules_again, costs_again = from_params(text)
    again = build("core.exits", name, params, "execution.exit_policy")
    assert (rules_again, costs_again) == (rules, COSTS)
    assert exit_policy_id(again, rules_again, costs_again) == exit_policy_id(policy, rules, COSTS)
    assert json.loads(text)["exit"]["trail_method"] == "pct"


@pytest.mark.parametrize("text", ["", "{}", '{"policy": "x", "exit": {}, "rules": {"fil": 1}, "costs": {}}', "[1]"])
def test_text_that_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="stored exit policy"):
        from_params(text)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fill": "thru"}, "execution.fill: 'thru'; did you mean 'through'"),
        ({"bar_policy": "conservativ"}, "signals.bar_policy: 'conservativ'; did you mean 'conservative'"),
        ({"entry_delay_candles": -1}, "execution.entry_delay_candles: -1"),
        ({"entry_delay_candles": 1.5}, "execution.entry_delay_candles: 1.5"),
        ({"cancel_if_missed": "yes"}, "execution.cancel_if_missed: 'yes'"),
        ({"usd_per_trade": 0.0}, "signals.evaluation.usd_per_trade: 0.0"),
        ({"usd_per_trade": float("nan")}, "signals.evaluation.usd_per_trade: nan"),
    ],
)
def test_a_rule_the_kernel_cannot_play_is_refused_by_its_key(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ExecutionRules(**wrong)
    assert str(caught.value).startswith(message)
