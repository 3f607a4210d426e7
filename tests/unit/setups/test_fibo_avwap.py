"""The setup's parameters, its symmetry, and its rule's opinion of itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.errors import ConfigError
from core.execution.costs import CostModel
from core.indicators.regime import regime_at, wilder_adx
from core.plugins import build
from core.schema import CANDIDATES, Candles, Instrument
from core.setups.fibo_avwap import FiboAvwap

INSTRUMENT = Instrument("x", "A/USDT", tick=0.1)
ANY_GAIN = {"min_tp_net_pct": -1e9}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"piv_window": 0}, "piv_window: 0 is not a whole number of at least 1"),
        ({"piv_window": 2.5}, "piv_window: 2.5 is not a whole number of at least 1"),
        ({"anchors_to_consider": True}, "anchors_to_consider: True is not a whole number of at least 1"),
        ({"lookback_candles": -5}, "lookback_candles: -5 is not a whole number of at least 1"),
        ({"atr_period": "14"}, "atr_period: '14' is not a whole number of at least 1"),
        ({"entry_level": 0.0}, "entry_level: 0.0 is not a number above 0 and below 1"),
        ({"entry_level": 0.8, "stop_at": "level"}, "entry_level: 0.8 is not a number above 0 and below 0.786"),
        ({"tp1_ext": 1.0}, "tp1_ext: 1.0 is not a number above 1"),
        ({"tp2_ext": 1.2}, "tp2_ext: 1.2 is not a number above 1.272"),
        ({"min_leg_atr": -1.0}, "min_leg_atr: -1.0 is not a number of at least 0"),
        ({"max_distance_atr": float("nan")}, "max_distance_atr: nan is not a number of at least 0"),
        ({"rr_min": "1"}, "rr_min: '1' is not a number of at least 0"),
        ({"min_tp_net_pct": None}, "min_tp_net_pct: None is not a number"),
        ({"use_avwap": "yes"}, "use_avwap: 'yes' is neither true nor false"),
        ({"stop_at": "swings"}, "stop_at: 'swings' is not one of swing, level; did you mean 'swing'?"),
    ],
)
def test_a_value_that_allows_no_plan_is_refused_in_one_line(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        FiboAvwap(**changed)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_it_is_built_by_its_file_name_with_what_the_engine_hands_in() -> None:
    given = {"costs": CostModel(0.01, 0.02, 0.03), "lookback_candles": 200, "unrelated": 1}
    setup = build("core.setups", "fibo_avwap", {"piv_window": 3}, "signals.setups", given)
    assert (setup.name, setup.piv_window, setup.lookback_candles) == ("fibo_avwap", 3, 200)
    assert setup.costs.maker_pct == 0.01
    with pytest.raises(ConfigError, match="did you mean 'piv_window'"):
        build("core.setups", "fibo_avwap", {"piv_windo": 3}, "signals.setups")


def test_the_warmup_covers_its_slowest_memory() -> None:
    assert FiboAvwap().warmup == 900
    assert FiboAvwap(lookback_candles=500).warmup == 1300
    assert FiboAvwap(lookback_candles=50).warmup == 900  # the regime's
    assert FiboAvwap(atr_period=50).warmup == 300 + 30 * 50  # the ATR's


def test_its_parameters_are_plain_json_and_name_every_one() -> None:
    params = FiboAvwap(min_leg_atr=3).params()
    assert json.loads(json.dumps(params)) == params
    assert params["min_leg_atr"] == 3.0
    assert params["costs"] == {
        "maker_pct": 0.02,
        "taker_pct": 0.06,
        "slippage_pct": 0.02,
        "mode": "auto",
        "funding_rate_pct": 0.01,
    }
    assert params.keys() == set(FiboAvwap.__dataclass_fields__) - {"name", "warmup"}
    assert FiboAvwap(min_leg_atr=3).params() == FiboAvwap(min_leg_atr=3.0).params()


def test_the_frame_has_the_declared_columns_and_types(walk: Callable[..., Candles]) -> None:
    for candles in (walk(1, 900), Candles.empty()):
        frame = FiboAvwap(**ANY_GAIN).find(candles, INSTRUMENT, "1h")
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == dict(CANDIDATES)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("tick", [0.1, 0.5, 0.003])
def test_reflected_prices_give_reflected_candidates(seed: int, tick: float, walk: Callable[..., Candles]) -> None:
    candles, about = walk(seed, 900), 3_000.0
    mirror = Candles.of(
        candles.ts,
        about - candles.open,
        about - candles.low,
        about - candles.high,
        about - candles.close,
        candles.volume,
    )
    setup = FiboAvwap(**ANY_GAIN, piv_window=3, min_leg_atr=2.0)
    instrument = Instrument("x", "A/USDT", tick=tick)
    frame, reflected = (setup.find(c, instrument, "1h") for c in (candles, mirror))
    assert len(frame) > 10
    for same in ("ts_ms", "anchor_a_ms", "anchor_b_ms", "regime_trend"):
        assert frame[same].tolist() == reflected[same].tolist()
    assert frame["direction"].map({"long": "short", "short": "long"}).tolist() == reflected["direction"].tolist()
    for price in ("entry", "sl", "tp1", "tp2"):
        np.testing.assert_allclose(about - frame[price], reflected[price], rtol=1e-12)
    np.testing.assert_allclose(frame["confidence"], reflected["confidence"], atol=1e-9)


def test_the_levels_lie_in_the_order_of_a_trade_and_on_the_tick(walk: Callable[..., Candles]) -> None:
    frame = FiboAvwap(**ANY_GAIN, piv_window=3, min_leg_atr=1.0).find(walk(3, 2_000), INSTRUMENT, "1h")
    side = np.where(frame["direction"] == "long", 1, -1)
    levels = [side * frame[name] for name in ("sl", "entry", "tp1", "tp2")]
    assert all((nearer < further).all() for nearer, further in pairwise(levels))
    for name in ("sl", "entry", "tp1", "tp2"):
        assert frame[name].tolist() == [round(price, 1) for price in frame[name]]


def test_the_opinion_follows_the_regime(walk: Callable[..., Candles]) -> None:
    candles = walk(4, 3_000)
    frame = FiboAvwap(**ANY_GAIN, piv_window=3, min_leg_atr=2.0).find(candles, INSTRUMENT, "1h")
    at = np.searchsorted(candles.ts, frame["ts_ms"])
    trend, volatility = regime_at(candles, at)
    assert frame["regime_trend"].tolist() == trend
    assert frame["regime_vol"].tolist() == volatility
    _, plus_di, minus_di = wilder_adx(candles.high, candles.low, candles.close, 14)
    plans = pd.DataFrame([json.loads(plan) for plan in frame["plan"]])
    confluence = np.clip(1.0 - plans["avwap_distance_atr"] / 3.0, 0.0, 1.0)
    with_trade = (plus_di > minus_di)[at] == (frame["direction"] == "long")
    agreement = np.where(frame["regime_trend"] == "trend", np.where(with_trade, 1.0, 0.0), 0.5)
    assert set(agreement) == {0.0, 0.5, 1.0}
    np.testing.assert_allclose(frame["confidence"], (confluence + agreement) / 2.0, atol=1e-9)
    words = {0.0: "trends the other way", 1.0: "trends this way", 0.5: "the market ranges"}
    known = frame["regime_trend"] != "unknown"
    assert all(words[a] in text for a, text in zip(agreement[known], frame["rationale"][known], strict=True))


def test_a_leg_never_decides_twice(walk: Callable[..., Candles]) -> None:
    frame = FiboAvwap(**ANY_GAIN, piv_window=2, min_leg_atr=0.5, anchors_to_consider=8).find(
        walk(5, 3_000), INSTRUMENT, "1h"
    )
    assert len(frame) > 100
    assert not frame.duplicated(["direction", "anchor_a_ms", "anchor_b_ms"]).any()
    assert frame[["decided_ms", "anchor_a_ms", "anchor_b_ms"]].apply(tuple, axis=1).is_monotonic_increasing
