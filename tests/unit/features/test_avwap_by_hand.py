"""Distances from anchored averages, computed by hand. The ATR is 2 throughout."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest

from core.features._base import REACH
from core.features.avwap import Avwap
from core.schema import Candles
from tests.unit.features.worlds import START_MS, at_end_of, candles_of, value_of

RISE = [*[100.0] * 17, 101.0, 102.0, 103.0]
VOLUME = [*[1.0] * 16, 1.0, 2.0, 1.0, 4.0]


def test_distance_confluence_and_slope_from_the_start_of_the_leg(steady: Callable[..., Candles]) -> None:
    candles = steady(RISE, VOLUME)
    found = value_of(Avwap(), at_end_of(candles, leg=(15, 18), plan={"entry": 101.0}))
    # from candle 15: (100 + 100 + 2 * 101 + 102 + 4 * 103) / 9 = 916 / 9
    assert found["avwap_a_atr"] == pytest.approx((103.0 - 916.0 / 9.0) / 2.0)
    # from candle 18: (102 + 4 * 103) / 5 = 102.8
    assert found["avwap_b_atr"] == pytest.approx(0.1)
    assert found["avwap_confluence"] == pytest.approx(1.0 - (916.0 / 9.0 - 101.0) / 2.0 / 3.0)
    # four candles earlier nothing but candle 15 was in it: 100
    assert found["avwap_slope"] == pytest.approx((916.0 / 9.0 - 100.0) / 2.0 / 4.0)


def test_a_short_is_signed_the_other_way(steady: Callable[..., Candles]) -> None:
    candles = steady(RISE, VOLUME)
    long, short = (value_of(Avwap(), at_end_of(candles, side, leg=(15, 18))) for side in (1, -1))
    for name in ("avwap_a_atr", "avwap_b_atr", "avwap_slope"):
        assert short[name] == pytest.approx(-long[name])


def test_a_young_leg_has_no_slope_yet(steady: Callable[..., Candles]) -> None:
    found = value_of(Avwap(), at_end_of(steady(RISE), leg=(16, 18)))
    assert math.isnan(found["avwap_slope"])
    assert math.isfinite(found["avwap_a_atr"])


def test_an_entry_far_from_the_average_has_no_confluence(steady: Callable[..., Candles]) -> None:
    assert value_of(Avwap(), at_end_of(steady(RISE), leg=(15, 18), plan={"entry": 94.0}))["avwap_confluence"] == 0.0


def test_the_newest_swings_anchor_from_the_close_at_which_they_are_known() -> None:
    closes = [100.0 + step for step in (*range(8), *range(6, -1, -1), *range(1, 6))]  # top at 7, bottom at 14
    bars = [(close, close + 1.0, close - 1.0, close) for close in closes]
    candles = candles_of(bars)

    def at(last: int) -> dict[str, float]:
        return value_of(Avwap(), at_end_of(candles.slice(0, last + 1)))

    after_top = at(18)
    assert math.isnan(after_top["avwap_behind_atr"])  # the bottom at 14 is known at 19
    assert after_top["avwap_ahead_atr"] == pytest.approx((closes[18] - sum(closes[7:19]) / 12) / 2.0)
    with_bottom = at(19)
    assert with_bottom["avwap_behind_atr"] == pytest.approx((closes[19] - sum(closes[14:20]) / 6) / 2.0)
    short = value_of(Avwap(), at_end_of(candles, -1))
    assert short["avwap_ahead_atr"] == pytest.approx(-with_bottom["avwap_behind_atr"])


def test_where_nothing_has_traded_there_is_no_average(steady: Callable[..., Candles]) -> None:
    found = value_of(Avwap(), at_end_of(steady(RISE, [0.0] * 20), leg=(15, 18)))
    assert all(math.isnan(value) for value in found.values())


@pytest.mark.parametrize(("leg_start", "known"), [(0, False), (1, True)])
def test_an_anchor_too_long_ago_is_out_of_sight(steady: Callable[..., Candles], leg_start: int, known: bool) -> None:
    candles = steady([100.0] * (REACH + 2))
    found = value_of(Avwap(), at_end_of(candles, leg=(leg_start, REACH - 5)))
    assert math.isfinite(found["avwap_a_atr"]) == known


@pytest.mark.parametrize(("age", "known"), [(REACH, True), (REACH + 1, False)])
def test_a_swing_too_long_ago_is_out_of_sight(steady: Callable[..., Candles], age: int, known: bool) -> None:
    candles = steady([*[100.0] * 9, 101.0, *[100.0] * age])  # the only swing, a high, stands at candle 9
    found = value_of(Avwap(), at_end_of(candles))
    assert math.isfinite(found["avwap_ahead_atr"]) == known
    assert math.isnan(found["avwap_behind_atr"])


def test_an_anchor_whose_candle_is_not_there_is_unknown(steady: Callable[..., Candles]) -> None:
    ends = {"a_ms": START_MS + 60_000, "a_price": 99.0, "b_ms": START_MS - 3_600_000, "b_price": 104.0}
    found = value_of(Avwap(), at_end_of(steady(RISE), plan={"plan": json.dumps({"leg": ends})}))
    assert math.isnan(found["avwap_a_atr"])
    assert math.isnan(found["avwap_b_atr"])
