"""The geometry of plans, computed by hand."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from core.clock import HOUR_MS
from core.features import Plans
from core.features.geometry import Geometry
from tests.factories import signal_rows
from tests.unit.features.worlds import START_MS, at_end_of, candles_of, value_of

LEG = {"a_ms": START_MS, "a_price": 90.0, "b_ms": START_MS + 2 * HOUR_MS, "b_price": 110.0}
LONG = {"direction": "long", "entry": 100.0, "sl": 88.0, "tp1": 115.0, "tp2": 122.0, "atr": 2.0}
SHORT = {"direction": "short", "entry": 100.0, "sl": 112.0, "tp1": 85.0, "tp2": 78.0, "atr": 2.0}
LEG_COLUMNS = ("geo_level", "geo_retracement", "geo_leg_atr", "geo_leg_age", "geo_leg_slope")


def geometry(close: float, **plan: Any) -> dict[str, float]:
    candles = candles_of([(close, close, close, close)] * 6)
    return value_of(Geometry(), at_end_of(candles, plan=plan))


def test_a_long_plan() -> None:
    found = geometry(104.0, **LONG, plan=json.dumps({"setup": "x", "leg": LEG}))
    expected = {
        "geo_level": 0.5,  # (110 - 100) / 20
        "geo_retracement": 0.3,  # (110 - 104) / 20
        "geo_leg_atr": 10.0,  # 20 / 2
        "geo_leg_age": 3.0,  # the leg ended at candle 2 of 0 to 5
        "geo_leg_slope": 5.0,  # 10 ATRs in 2 candles
        "geo_sl_atr": 6.0,
        "geo_stop_frac": 0.12,
        "geo_tp1_atr": 7.5,
        "geo_tp2_atr": 11.0,
        "geo_rr1": 1.25,  # 15 / 12
        "geo_rr2": 22.0 / 12.0,
        "geo_cost_r": 0.07 / 12.0,  # 0.02 to enter, (0.02 + 0.06 + 0.02) / 2 to leave, of a risk of 12 %
        "geo_entry_atr": 2.0,
        "geo_timeframe": math.log(60.0),
        "geo_side": 1.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert 0.0 <= found["geo_setup"] < 1.0


def test_a_short_plan_is_the_mirror_image() -> None:
    leg = {**LEG, "a_price": 110.0, "b_price": 90.0}
    short = geometry(96.0, **SHORT, plan=json.dumps({"leg": leg}))
    long = geometry(104.0, **LONG, plan=json.dumps({"leg": LEG}))
    assert short.pop("geo_side") == -long.pop("geo_side") == -1.0
    assert short == pytest.approx(long)


def test_an_order_that_does_not_rest_pays_the_takers_rate_and_slippage() -> None:
    assert geometry(104.0, **LONG, order_type="stop")["geo_cost_r"] == pytest.approx(0.13 / 12.0)


def test_without_a_leg_only_what_is_measured_on_it_is_unknown() -> None:
    for plan in ("", json.dumps({"setup": "x"})):
        found = geometry(104.0, **LONG, plan=plan)
        assert [name for name, value in found.items() if math.isnan(value)] == list(LEG_COLUMNS)


def test_a_plan_with_one_target_counts_it_twice() -> None:
    found = geometry(104.0, **{**LONG, "tp2": math.nan})
    assert found["geo_rr2"] == found["geo_rr1"] == pytest.approx(1.25)
    assert found["geo_tp2_atr"] == found["geo_tp1_atr"]


def test_a_stop_at_the_entry_makes_no_ratio() -> None:
    found = geometry(104.0, **{**LONG, "sl": 100.0})
    assert math.isnan(found["geo_rr1"])
    assert math.isnan(found["geo_cost_r"])


def test_an_unknown_atr_makes_no_distance_in_it() -> None:
    for atr in (0.0, math.nan):
        found = geometry(104.0, **{**LONG, "atr": atr})
        assert math.isnan(found["geo_sl_atr"])
        assert found["geo_rr1"] == pytest.approx(1.25)


def test_a_setup_has_one_number_and_another_setup_another() -> None:
    first, again, other = (geometry(104.0, **LONG, setup=name)["geo_setup"] for name in ("one", "one", "two"))
    assert first == again != other


def test_plans_are_read_from_signals() -> None:
    rows = [{**LONG, "plan": json.dumps({"setup": 'a "leg": in words', "leg": LEG})}, {**SHORT, "order_type": "market"}]
    plans = Plans.of(signal_rows(rows))
    assert len(plans) == 2
    assert plans.side.tolist() == [1.0, -1.0]
    assert plans.anchor_a_ms.tolist() == [LEG["a_ms"], -1]
    assert plans.anchor_b_ms.tolist() == [LEG["b_ms"], -1]
    assert plans.b_price[0] == 110.0
    assert np.isnan(plans.a_price[1])
    assert plans.order_type.tolist() == ["limit", "market"]
    assert len(Plans.of(signal_rows([]))) == 0
