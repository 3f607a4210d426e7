"""Worked examples of the setup: every number below was computed by hand.

The pivots here stand out from one candle on each side, and the ATR has a period of one candle, so it is the true
range of the candle itself. One series is varied throughout:

     i    high  low close   true range
     0     106  104  105
     1     108  106  106    3   swing high: the first run, never an anchor
     2     104  102  103    4
     3     102  100  101    3   swing low  = a, L = 100
     4     106  102  105    5
     5     112  106  111    7
     6     120  112  119    9   swing high = b, H = 120, D = 20 = 2.22 ATR
     7     118  114  115    5   b is known; the pullback can be planned

    entry = 120 - 0.618 * 20 = 107.64          tp1 = 120 + 0.272 * 20 = 125.44
    sl    = 100 - 0.5 * 1.5 * 5 = 96.25        tp2 = 120 + 0.618 * 20 = 132.36
    distance of the close = 115 - 107.64 = 7.36 = 1.472 ATR
    R:R to TP1 = (125.44 - 107.64) / (107.64 - 96.25) = 17.80 / 11.39 = 1.5628
    gain at TP1 = 100 * 17.80 / 107.64 = 16.5366 %, fees 0.02 * (1 + 125.44 / 107.64) = 0.0433 %, net 16.4933 %
    typical prices from a: 101, 104 1/3, 109 2/3, 117, 115 2/3; their mean 547.6667 / 5 = 109.5333
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from core.schema import Candles, Instrument
from core.setups.fibo_avwap import FiboAvwap

HOUR_MS = 3_600_000
BASE = [
    (106, 104, 105),
    (108, 106, 106),
    (104, 102, 103),
    (102, 100, 101),
    (106, 102, 105),
    (112, 106, 111),
    (120, 112, 119),
    (118, 114, 115),
]
Bars = list[tuple[float, float, float]]
Find = Callable[..., pd.DataFrame]


@pytest.fixture
def find(by_hand: Callable[..., Candles]) -> Find:
    def run(
        bars: Bars, *, tick: float | None = 0.01, volume: list[float] | None = None, first: int = 0, **changed: Any
    ) -> pd.DataFrame:
        setup = FiboAvwap(**{"piv_window": 1, "atr_period": 1, "min_leg_atr": 2.0, **changed})
        return setup.find(by_hand(bars, volume), Instrument("x", "A/USDT", tick=tick), "1h", first)

    return run


def changed(i: int, bar: tuple[float, float, float], *more: tuple[float, float, float]) -> Bars:
    """The base series with candle i replaced and candles appended."""
    return [*BASE[:i], bar, *BASE[i + 1 :], *more]


def legs(frame: pd.DataFrame) -> list[tuple[int, int, int]]:
    """Each candidate's a, b and deciding candle, by position."""
    columns = (frame["anchor_a_ms"], frame["anchor_b_ms"], frame["ts_ms"])
    return [tuple(int(ms) // HOUR_MS for ms in row) for row in zip(*columns, strict=True)]


def mirrored(bars: Bars, about: float = 220.0) -> Bars:
    return [(about - low, about - high, about - close) for high, low, close in bars]


def test_the_plan_of_an_up_leg(find: Find) -> None:
    frame = find(BASE)
    assert legs(frame) == [(3, 6, 7)]
    row = frame.iloc[0]
    assert (row["direction"], row["order_type"]) == ("long", "limit")
    assert (row["entry"], row["sl"], row["tp1"], row["tp2"]) == (107.64, 96.25, 125.44, 132.36)
    assert row["atr"] == 5.0
    assert (row["ts_ms"], row["decided_ms"]) == (7 * HOUR_MS, 8 * HOUR_MS)


def test_a_down_leg_is_the_mirror_image(find: Find) -> None:
    # about 110: entry 220 - 107.64, sl 220 - 96.25, tp1 220 - 125.44, tp2 220 - 132.36
    row = find(mirrored(BASE)).iloc[0]
    assert row["direction"] == "short"
    assert (row["entry"], row["sl"], row["tp1"], row["tp2"]) == (112.36, 123.75, 94.56, 87.64)


def test_entry_and_targets_are_rounded_to_less_profit_and_the_stop_away(find: Find) -> None:
    row = find(BASE, tick=0.5).iloc[0]
    assert (row["entry"], row["sl"], row["tp1"], row["tp2"]) == (108.0, 96.0, 125.0, 132.0)
    short = find(mirrored(BASE), tick=0.5).iloc[0]
    assert (short["entry"], short["sl"], short["tp1"], short["tp2"]) == (112.0, 124.0, 95.0, 88.0)


def test_without_a_tick_six_digits_are_kept(find: Find) -> None:
    # 120 - 20 / 3 = 113.3333... -> 113.334; 125.44 has five digits already
    row = find(BASE, tick=None, entry_level=1 / 3, rr_min=0.0).iloc[0]
    assert (row["entry"], row["tp1"]) == (113.334, 125.44)


def test_nothing_is_decided_before_the_end_of_the_leg_is_known(find: Find) -> None:
    assert find(BASE[:7]).empty


def test_only_decisions_from_first_on_are_returned_and_a_leg_stays_decided(find: Find) -> None:
    longer = changed(7, BASE[7], (117, 114.5, 116))
    assert legs(find(longer, first=7)) == [(3, 6, 7)]
    assert find(longer, first=8).empty


def test_a_leg_gives_one_candidate_ever(find: Find) -> None:
    calm = [(117 - i / 10, 114.5 + i / 10, 116) for i in range(8)]
    assert legs(find([*BASE, *calm])).count((3, 6, 7)) == 1
    assert [leg for leg in legs(find([*BASE, *calm])) if leg[:2] == (3, 6)] == [(3, 6, 7)]


def test_a_touch_of_the_entry_ends_the_leg(find: Find) -> None:
    # low 107.64 is a touch; low 107.65 is none: ATR 119 - 107.65 = 11.35, sl = 100 - 8.5125 = 91.4875 -> 91.48
    assert find(changed(7, (118, 107.64, 115), (117, 114.5, 116))).empty
    row = find(changed(7, (118, 107.65, 115))).iloc[0]
    assert (row["entry"], row["sl"]) == (107.64, 91.48)


def test_trading_above_the_first_target_ends_the_leg_and_trading_at_it_does_not(find: Find) -> None:
    # max_distance_atr 1 keeps candle 7 from deciding (7.36 > 5); candle 8 has an ATR of 125.44 - 114 = 11.44
    at = find(changed(7, BASE[7], (125.44, 114, 115)), max_distance_atr=1.0)
    assert legs(at) == [(3, 6, 8)]
    assert find(changed(7, BASE[7], (125.45, 114, 115)), max_distance_atr=1.0).empty


# Candle 5 is above and below both its neighbours: neither pivot. So 98 may trade, and L stays 100.
SPIKE = [*BASE[:4], (106, 102, 105), (113, 98, 105), (112, 104, 111), (120, 112, 119), (118, 114, 115)]


def test_a_candle_that_is_both_pivots_is_neither(find: Find) -> None:
    assert legs(find(SPIKE)) == [(3, 7, 8)]


def test_a_close_beyond_the_origin_ends_the_leg_and_a_close_at_it_does_not(find: Find) -> None:
    def closing(close: float) -> Bars:
        return [*SPIKE[:5], (113, 98, close), *SPIKE[6:]]

    assert legs(find(closing(100.0))) == [(3, 7, 8)]
    assert find(closing(99.99)).empty


def test_a_leg_dies_of_age(find: Find) -> None:
    # t - a = 7 - 3 = 4
    assert legs(find(BASE, lookback_candles=4)) == [(3, 6, 7)]
    assert find(BASE, lookback_candles=3).empty


def test_a_leg_must_be_large_enough_at_its_end(find: Find) -> None:
    # 20 / 9 = 2.222 ATR
    assert len(find(BASE, min_leg_atr=2.2)) == 1
    assert find(BASE, min_leg_atr=2.3).empty
    # with a low of 110 candle 6 has a range of 10, and 20 is exactly 2 ATR
    exact = changed(6, (120, 110, 119), BASE[7])[:8]
    assert len(find(exact, min_leg_atr=2.0)) == 1


def test_only_the_newest_legs_are_alive_and_a_small_leg_counts(find: Find) -> None:
    # Too far at 7 (7.36 > 5) and at 8 (113 - 107.64 = 5.36 > 4); at 9, 5.36 <= ATR 7. The low at 8, known at 9,
    # ends a leg of 120 - 112 = 8 = 2 ATR: too small for a plan at 2.1, and yet the newest.
    bars = changed(7, BASE[7], (116, 112, 113), (119.5, 112.5, 113))
    rules = {"max_distance_atr": 1.0, "min_leg_atr": 2.1}
    assert legs(find(bars, anchors_to_consider=2, **rules)) == [(3, 6, 9)]
    assert find(bars, anchors_to_consider=1, **rules).empty


def test_the_close_must_be_near_the_entry(find: Find) -> None:
    # 7.36 / 5 = 1.472
    assert len(find(BASE, max_distance_atr=1.48)) == 1
    assert find(BASE, max_distance_atr=1.47).empty


def test_the_reward_must_be_worth_the_risk(find: Find) -> None:
    assert len(find(BASE, rr_min=1.56)) == 1
    assert find(BASE, rr_min=1.57).empty


def test_the_first_target_must_pay_after_fees(find: Find) -> None:
    assert len(find(BASE, min_tp_net_pct=16.49)) == 1
    assert find(BASE, min_tp_net_pct=16.50).empty
    # short: 100 * 17.80 / 112.36 = 15.8419 %, fees 0.02 * (1 + 94.56 / 112.36) = 0.0368 %, net 15.8051 %
    assert len(find(mirrored(BASE), min_tp_net_pct=15.80)) == 1
    assert find(mirrored(BASE), min_tp_net_pct=15.81).empty


def test_a_close_on_the_wrong_side_of_the_avwap_contradicts(find: Find) -> None:
    # all the volume at candle 6 lifts the AVWAP to 117, above the close of 115
    heavy = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1e6, 1.0]
    assert find(BASE, volume=heavy).empty
    assert len(find(BASE, volume=heavy, use_avwap=False)) == 1
    assert find(mirrored(BASE), volume=heavy).empty


def test_where_nothing_has_traded_there_is_no_avwap_to_agree_with(find: Find) -> None:
    assert find(BASE, volume=[0.0] * 8).empty
    row = find(BASE, volume=[0.0] * 8, use_avwap=False).iloc[0]
    assert json.loads(row["plan"])["avwap"] is None
    assert row["confidence"] == 0.25  # no confluence; the trend is not known yet: (0 + 0.5) / 2
    assert "no AVWAP" in row["rationale"]


def test_the_first_run_of_pivots_is_never_an_anchor(find: Find) -> None:
    # without candles 0 and 1 the swing low at 3 is the first pivot of the data
    assert find(BASE[2:]).empty


def test_a_pivot_that_moves_further_makes_a_new_leg(find: Find) -> None:
    # H = 124 at 8, known at 9: D = 24, entry 124 - 14.832 = 109.168 -> 109.17, tp1 124 + 6.528 -> 130.52
    frame = find(changed(7, BASE[7], (124, 116, 122), (121, 117, 118)))
    assert legs(frame) == [(3, 6, 7), (3, 8, 9)]
    assert frame["entry"].tolist() == [107.64, 109.17]
    assert frame["tp1"].tolist() == [125.44, 130.52]


def test_an_equal_high_later_in_the_run_changes_nothing(find: Find) -> None:
    assert legs(find(changed(7, BASE[7], (120, 116, 118), (117, 115.5, 116)))) == [(3, 6, 7)]


def test_the_stop_may_lie_beyond_the_deep_retracement_instead(find: Find) -> None:
    # 120 - 0.786 * 20 = 104.28; less 0.75 * 5: 100.53
    assert find(BASE, stop_at="level").iloc[0]["sl"] == 100.53


def test_a_plan_with_a_price_at_or_below_zero_is_none(find: Find) -> None:
    # short from H = 120 - 99 = 21 to L = 1: tp2 = 1 - 0.618 * 20 < 0, however good the rest
    low = mirrored(BASE, about=121.0)
    assert find(low, min_tp_net_pct=-1e9).empty
    # and a long whose stop would be at 2 - 0.75 * 5 < 0
    assert find([(h - 98, lo - 98, c - 98) for h, lo, c in BASE]).empty


def test_confidence_is_the_mean_of_confluence_and_agreement(find: Find) -> None:
    # |107.64 - 109.5333| / 5 = 0.378667 ATR -> 1 - 0.126222 = 0.873778; the trend is unknown: 0.5
    assert find(BASE).iloc[0]["confidence"] == pytest.approx((0.8737778 + 0.5) / 2, abs=1e-7)


def test_the_plan_keeps_the_anchors_and_measures(find: Find) -> None:
    plan = json.loads(find(BASE).iloc[0]["plan"])
    assert plan["setup"] == "fibo_avwap"
    leg = {"a_ms": 3 * HOUR_MS, "a_price": 100.0, "b_ms": 6 * HOUR_MS, "b_price": 120.0, "direction": "up"}
    assert plan["leg"] == leg
    assert plan["fib"] == {
        "0": 120.0,
        "0.236": 115.28,
        "0.382": 112.36,
        "0.5": 110.0,
        "0.618": 107.64,
        "0.786": 104.28,
        "1": 100.0,
        "ext 1.272": 125.44,
        "ext 1.618": 132.36,
    }
    assert plan["avwap"] == pytest.approx(109.533333, abs=1e-6)
    assert plan["avwap_distance_atr"] == pytest.approx(0.378667, abs=1e-6)
    assert plan["rr1"] == pytest.approx(1.562774, abs=1e-6)
    assert plan["rr2"] == pytest.approx(24.72 / 11.39, abs=1e-6)
    assert plan["tp1_net_pct"] == pytest.approx(16.493296, abs=1e-6)
    assert json.loads(find(mirrored(BASE)).iloc[0]["plan"])["leg"]["direction"] == "down"


def test_the_rationale_says_it_in_words(find: Find) -> None:
    assert find(BASE).iloc[0]["rationale"] == (
        "Long at the 0.618 pullback of the up leg from 100 (1970-01-01 03:00) to 120 (1970-01-01 06:00 UTC): entry"
        " 107.64, stop 96.25, targets 125.44 and 132.36, R:R 1.56 and 2.17. The entry is 0.4 ATR from the leg's AVWAP"
        " at 109.53333; the market has no known trend, its volatility is unknown; TP1 brings 16.49 % after 0.04 % of"
        " fees."
    )


def test_a_window_of_five_waits_five_candles(find: Find) -> None:
    # down from a swing high at 5 (the first run) to a = 11 with L = 108, up to b = 19 with H = 125, and back:
    # known at 24, where the close of 121 is 6.5 = 3.25 ATR above the entry of 125 - 0.618 * 17 = 114.494 -> 114.50
    down = [(100 + h, 98 + h, 99 + h) for h in (11, 12, 13, 14, 15, 16, 15, 14, 13, 12, 11, 10)]
    up = [(111 + 2 * i, 109 + 2 * i, 110 + 2 * i) for i in range(8)]
    back = [(124 - i / 2, 122 - i / 2, 123 - i / 2) for i in range(5)]
    frame = find([*down, *up, *back], piv_window=5, max_distance_atr=4.0)
    assert legs(frame) == [(11, 19, 24)]
    assert frame["entry"].tolist() == [114.50]
    assert find([*down, *up, *back[:-1]], piv_window=5, max_distance_atr=4.0).empty
