"""Resolution of thresholds: the most specific last, never under the floors."""

from __future__ import annotations

import pytest

from core.gate import GateRules, Override
from core.gate.thresholds import resolve

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def _one(rules: GateRules, symbol: str = BTC, trend: str = "range", vol: str = "normal", at: int = 0):
    found = resolve(rules, [symbol], ["15m"], [trend], [vol], [at])
    return float(found.least[0]), str(found.source[0])


PAIR = {BTC: {"15m": Override(min_ev_pct=0.10, threshold=0.5, expires_ms=1_000)}}
REGIMES = {"trend": Override(min_ev_pct=0.2), "vol_high": Override(min_ev_pct=0.3, threshold=0.7)}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"symbol": ETH}, (0.05, "general")),
        ({}, (0.10, f"per_pair_tf {BTC} 15m")),
        ({"at": 999}, (0.10, f"per_pair_tf {BTC} 15m")),
        ({"at": 1_000}, (0.05, "general")),
        ({"trend": "trend"}, (0.2, "per_regime trend")),
        ({"trend": "trend", "vol": "high"}, (0.3, "per_regime vol_high")),
        ({"vol": "unknown", "trend": "unknown"}, (0.10, f"per_pair_tf {BTC} 15m")),
    ],
)
def test_the_most_specific_threshold_in_force_counts(where: dict, expected: tuple[float, str]):
    assert _one(GateRules(min_ev_pct=0.05, per_pair_tf=PAIR, per_regime=REGIMES), **where) == expected


def test_by_probability_an_override_of_the_expected_value_alone_changes_nothing():
    rules = GateRules(use_ev=False, per_pair_tf=PAIR, per_regime=REGIMES)
    assert _one(rules, trend="trend") == (0.5, f"per_pair_tf {BTC} 15m")
    assert _one(rules, trend="trend", vol="high") == (0.7, "per_regime vol_high")


def test_no_threshold_goes_below_the_floors():
    low = {"vol_high": Override(min_ev_pct=-1.0, threshold=0.1)}
    assert _one(GateRules(per_regime=low), vol="high") == (0.0, "floors")
    assert _one(GateRules(use_ev=False, per_regime=low), vol="high") == (0.40, "floors")
    assert _one(GateRules(min_ev_pct=-0.5)) == (0.0, "floors")
    assert _one(GateRules(min_ev_pct=-0.5, floor_ev_pct=-1.0)) == (-0.5, "general")


def test_an_unknown_way_to_treat_evidence_is_refused():
    with pytest.raises(ValueError, match="off, show, require"):
        GateRules(evidence="maybe")
