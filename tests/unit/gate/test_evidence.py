"""Evidence: which slice speaks, what it says, and how it is told."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from core.errors import ModelError
from core.gate import Evidence, Slice

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def a_slice(name: str, certified: bool = True, speaks: bool = True, threshold: float = 0.1, **changes: object) -> Slice:
    numbers = {
        "n": 412,
        "n_eff": 300.5,
        "weeks": 40,
        "mean_r": 0.14,
        "lower_r": 0.03,
        "win_rate": 0.55,
        "lower_win": 0.5,
    }
    if not certified:
        numbers |= {"n": 212, "mean_r": -0.11, "lower_r": -0.25}
    parts = {"name": name, "threshold": threshold, "certified": certified, "speaks": speaks, "expires_ms": 1_000}
    return Slice(**{**numbers, **parts, "why": "" if certified else "the lower bound is not above 0 R", **changes})


def a_table(*slices: Slice, mode: str = "ev") -> Evidence:
    return Evidence(mode, 1, {one.name: one for one in slices})


REGIMES = (a_slice("vol_low"), a_slice("vol_normal"), a_slice("vol_high", certified=False))


def _says(
    evidence: Evidence, symbol: str = BTC, timeframe: str = "1h", vol: str = "low", score: float = 0.5, at: int = 0
):
    spoken = evidence.asked([symbol], [timeframe], [vol], np.array([score]), [at])
    return spoken.state[0], spoken.slice[0]


def test_the_most_specific_slice_that_is_large_enough_speaks():
    evidence = a_table(
        a_slice("all"),
        a_slice("1h", certified=False),
        a_slice(f"{BTC} 1h"),
        a_slice(f"{ETH} 1h", speaks=False),
        *REGIMES,
    )
    assert _says(evidence) == ("CERTIFIED", f"{BTC} 1h")
    assert _says(evidence, ETH) == ("NOT_CERTIFIED", "1h")
    assert _says(evidence, "SOL/USDT:USDT", "4h") == ("CERTIFIED", "all")


def test_a_regime_is_never_certified_by_the_others():
    evidence = a_table(a_slice("all"), *REGIMES)
    assert _says(evidence, vol="high") == ("NOT_CERTIFIED", "vol_high")
    assert _says(evidence, vol="unknown") == ("NOT_CERTIFIED", "")


def test_scores_below_the_certified_threshold_are_not_certified():
    evidence = a_table(a_slice("all", threshold=0.2), a_slice("vol_low", threshold=0.3))
    assert _says(evidence, score=0.3) == ("CERTIFIED", "all")
    assert _says(evidence, score=0.25) == ("NOT_CERTIFIED", "vol_low")
    assert _says(evidence, score=0.19) == ("NOT_CERTIFIED", "all")
    assert _says(evidence, score=math.nan) == ("NOT_CERTIFIED", "all")


def test_evidence_expires():
    evidence = a_table(a_slice("all"), *REGIMES)
    assert _says(evidence, at=999)[0] == "CERTIFIED"
    assert _says(evidence, at=1_000) == ("EXPIRED", "all")


def test_without_any_evidence_nothing_is_certified():
    assert _says(Evidence()) == ("NOT_CERTIFIED", "")
    assert _says(a_table(a_slice("all", certified=False, speaks=False))) == ("NOT_CERTIFIED", "all")


@pytest.mark.parametrize(
    ("symbol", "vol", "score", "at", "line"),
    [
        (BTC, "low", 0.5, 0, "certified: n = 412, +0.14 R, lower bound +0.03 R"),
        (ETH, "low", 0.5, 0, "not certified: n = 212, -0.11 R, lower bound -0.25 R"),
        (BTC, "high", 0.5, 0, "not certified in high volatility: n = 212, -0.11 R, lower bound -0.25 R"),
        (BTC, "low", 0.05, 0, "not certified below EV 0.1 %: n = 412, +0.14 R, lower bound +0.03 R"),
        (BTC, "low", 0.5, 1_000, "not certified, its evidence has expired: n = 412, +0.14 R, lower bound +0.03 R"),
        (BTC, "unknown", 0.5, 0, "not certified: no results of its volatility regime were examined"),
    ],
)
def test_evidence_in_words(symbol: str, vol: str, score: float, at: int, line: str):
    evidence = a_table(a_slice("all"), a_slice(f"{ETH} 1h", certified=False), *REGIMES)
    assert evidence.line(symbol, "1h", vol, score, at) == line


def test_too_few_results_are_told_as_such_and_win_rates_as_win_rates():
    few = a_slice("all", certified=False, speaks=False, n=0, mean_r=math.nan, why="12 effective results, 60 are needed")
    assert a_table(few).line(BTC, "1h", "low", 1.0, 0) == "not certified: 12 effective results, 60 are needed"
    by_win = a_table(a_slice("all"), *REGIMES, mode="p")
    assert by_win.line(BTC, "1h", "low", 0.6, 0) == "certified: n = 412, won 55 %, lower bound 50 %"
    told = by_win.told(a_slice("all", certified=False, lower_r=math.nan, lower_win=math.nan))
    assert told == "all: not certified: n = 212, won 55 % (the lower bound is not above 0 R)"


def test_the_table_survives_json():
    evidence = a_table(a_slice("all"), a_slice("1h", certified=False, mean_r=math.nan, n=0))
    again = Evidence.from_json(json.loads(json.dumps(evidence.to_json(), allow_nan=False)))
    assert again.mode == "ev" and list(again.slices) == ["all", "1h"]
    assert again.slices["all"] == evidence.slices["all"]
    assert math.isnan(again.slices["1h"].mean_r)


@pytest.mark.parametrize("broken", [{}, {"mode": "ev", "tuned_ms": 1, "slices": [{"name": "all"}]}, {"slices": 3}])
def test_a_broken_table_is_refused(broken: dict[str, object]):
    with pytest.raises(ModelError, match="evidence"):
        Evidence.from_json(broken)
