"""The compiled setup against the rule read aloud: plain Python, everything looked up again at every close."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.execution.costs import CostModel
from core.indicators.fibo import PullbackRules, _scan
from core.indicators.legs import LegRules, Prices, empty_window
from core.indicators.swings import swing_pivots
from core.indicators.volatility import wilder_atr
from core.schema import Candles, Instrument
from core.setups.fibo_avwap import FiboAvwap

DEFAULTS: dict[str, Any] = {
    "piv_window": 3,
    "anchors_to_consider": 3,
    "entry_level": 0.618,
    "tp1_ext": 1.272,
    "tp2_ext": 1.618,
    "min_leg_atr": 2.0,
    "max_distance_atr": 3.0,
    "stop_at": "swing",
    "use_avwap": True,
    "lookback_candles": 40,
    "atr_mult_sl": 1.5,
    "rr_min": 1.0,
    "min_tp_net_pct": 0.3,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "one leg": {"anchors_to_consider": 1},
    "many legs": {"anchors_to_consider": 6, "lookback_candles": 300},
    "short memory": {"lookback_candles": 12},
    "narrow pivots": {"piv_window": 1, "min_leg_atr": 1.0},
    "wide pivots": {"piv_window": 5, "min_leg_atr": 3.0},
    "shallow entry near the close": {"entry_level": 0.382, "max_distance_atr": 0.8, "rr_min": 0.3},
    "deep stop, no avwap": {"stop_at": "level", "use_avwap": False, "atr_mult_sl": 0.5},
    "dear": {"min_tp_net_pct": 1.2, "rr_min": 1.5},
    "any size": {"min_leg_atr": 0.0, "rr_min": 0.0, "min_tp_net_pct": -100.0, "max_distance_atr": 20.0},
}


def on_grid(price: float, tick: str, up: bool) -> float:
    ticks = Decimal(price) / Decimal(tick)
    nearest = ticks.quantize(Decimal(1))
    if abs(ticks - nearest) > Decimal("1e-6"):
        nearest = ticks.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return float(nearest * Decimal(tick))


def pivots_known(candles: Candles, t: int, k: int) -> list[tuple[int, str]]:
    high, low, known = candles.high.tolist(), candles.low.tolist(), []
    for i in range(k, t - k + 1):
        before, after = range(i - k, i), range(i + 1, i + k + 1)
        is_high = all(high[i] > high[j] for j in before) and all(high[i] >= high[j] for j in after)
        is_low = all(low[i] < low[j] for j in before) and all(low[i] <= low[j] for j in after)
        if is_high != is_low:
            known.append((i, "high" if is_high else "low"))
    return known


def legs_at(candles: Candles, pivots: list[tuple[int, str]], newest: int) -> list[tuple[int, int, str]]:
    runs: list[list[tuple[int, str]]] = []
    for pivot in pivots:
        if runs and runs[-1][0][1] == pivot[1]:
            runs[-1].append(pivot)
        else:
            runs.append([pivot])
    best = [
        max(run, key=lambda p: (candles.high[p[0]], -p[0]))
        if run[0][1] == "high"
        else min(run, key=lambda p: (candles.low[p[0]], p[0]))
        for run in runs
    ]
    legs = [(a[0], b[0], "long" if a[1] == "low" else "short") for a, b in pairwise(best)]
    return [leg for leg in legs[-newest:] if leg[0] != best[0][0]]


def plan_at(
    candles: Candles,
    t: int,
    leg: tuple[int, int, str],
    atr: list[float],
    tick: str,
    p: dict[str, Any],
    costs: CostModel,
) -> tuple[float, ...] | None:
    a, b, direction = leg
    high, low, close = candles.high.tolist(), candles.low.tolist(), candles.close.tolist()
    long = direction == "long"
    start, end = (low[a], high[b]) if long else (high[a], low[b])
    size = end - start  # negative for a down leg
    if (size <= 0) if long else (size >= 0):
        return None
    if math.isnan(atr[b]) or abs(size) < p["min_leg_atr"] * atr[b] or t - a > p["lookback_candles"]:
        return None
    entry = on_grid(end - p["entry_level"] * size, tick, long)
    tp1 = on_grid(end + (p["tp1_ext"] - 1.0) * size, tick, not long)
    tp2 = on_grid(end + (p["tp2_ext"] - 1.0) * size, tick, not long)
    edge = start if p["stop_at"] == "swing" else end - 0.786 * size
    margin = 0.5 * p["atr_mult_sl"] * atr[t]
    sl = on_grid(edge - margin if long else edge + margin, tick, not long)
    since_a, since_b = range(a + 1, t + 1), range(b + 1, t + 1)
    if any(close[j] < start if long else close[j] > start for j in since_a):
        return None
    if any(low[j] <= entry if long else high[j] >= entry for j in since_b):
        return None
    if any(high[j] > tp1 if long else low[j] < tp1 for j in since_b):
        return None
    away = close[t] - entry if long else entry - close[t]
    if not 0 <= away <= p["max_distance_atr"] * atr[t]:
        return None
    gain, risk = abs(tp1 - entry), (entry - sl if long else sl - entry)
    if risk <= 0 or gain / risk < p["rr_min"] or min(entry, sl, tp1, tp2) <= 0:
        return None
    if 100.0 * gain / entry - costs.resting_round_trip_pct(entry, tp1) < p["min_tp_net_pct"]:
        return None
    if p["use_avwap"]:
        span = range(a, t + 1)
        traded = sum(float(candles.volume[j]) for j in span)
        if traded == 0:
            return None
        avwap = sum((high[j] + low[j] + close[j]) / 3.0 * float(candles.volume[j]) for j in span) / traded
        if (close[t] <= avwap) if long else (close[t] >= avwap):
            return None
    return entry, sl, tp1, tp2


def read_aloud(candles: Candles, tick: str, p: dict[str, Any], costs: CostModel) -> list[tuple[Any, ...]]:
    atr = wilder_atr(candles.high, candles.low, candles.close, 14).tolist()
    all_pivots = pivots_known(candles, len(candles) - 1, p["piv_window"])
    given: set[tuple[int, int, str]] = set()
    rows = []
    for t in range(len(candles)):
        known = [pivot for pivot in all_pivots if pivot[0] + p["piv_window"] <= t]
        for leg in legs_at(candles, known, p["anchors_to_consider"]):
            if leg in given:
                continue
            levels = plan_at(candles, t, leg, atr, tick, p, costs)
            if levels is not None:
                given.add(leg)
                rows.append((int(candles.ts[t]), leg[2], int(candles.ts[leg[0]]), int(candles.ts[leg[1]]), *levels))
    return rows


def as_rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    names = ["ts_ms", "direction", "anchor_a_ms", "anchor_b_ms", "entry", "sl", "tp1", "tp2"]
    return list(frame[names].itertuples(index=False, name=None))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(1, 9))
def test_the_setup_agrees_with_the_rule_read_aloud(variant: str, seed: int, walk: Callable[..., Candles]) -> None:
    candles = walk(seed, 450)
    changed = {**DEFAULTS, **VARIANTS[variant]}
    costs = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02, mode="taker" if seed % 3 == 0 else "auto")
    tick = "0.1" if seed % 2 else "0.01"
    frame = FiboAvwap(**changed, costs=costs).find(candles, Instrument("x", "A/USDT", tick=float(tick)), "1h")
    expected = read_aloud(candles, tick, changed, costs)
    assert as_rows(frame) == expected


def test_the_comparison_above_compares_something(walk: Callable[..., Candles]) -> None:
    for variant, changed in VARIANTS.items():
        setup = FiboAvwap(**{**DEFAULTS, **changed})
        found = [setup.find(walk(seed, 450), Instrument("x", "A/USDT", tick=0.1), "1h") for seed in (1, 2, 3)]
        both = pd.concat(found)["direction"]
        assert {"long", "short"} <= set(both), variant


def test_the_plain_python_text_of_the_scan_gives_the_compiled_result(walk: Callable[..., Candles]) -> None:
    candles = walk(9, 300)
    atr = wilder_atr(candles.high, candles.low, candles.close, 14)
    prices = Prices(candles.high, candles.low, candles.close, candles.volume, atr)
    pivots, sides = swing_pivots(candles.high, candles.low, 3)
    leg_rules = LegRules(3, 2.0, 0.618, 1.272, 1.618, 0.1)
    rules = PullbackRules(3, 100, 3.0, 1.0, 0.75, 1.0, True)
    compiled = _scan(empty_window(leg_rules), prices, pivots, sides, leg_rules, rules, 0)
    plain = _scan.py_func(empty_window(leg_rules), prices, pivots, sides, leg_rules, rules, 0)
    assert compiled[0].shape[1] > 3
    np.testing.assert_array_equal(compiled[0], plain[0])
    np.testing.assert_array_equal(compiled[1], plain[1])
