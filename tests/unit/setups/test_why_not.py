"""Why a setup proposes nothing: what it says agrees with what it finds, close by close."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from core import plugins
from core.indicators.legs import LegRules, Prices, empty_window, follow, learn
from core.indicators.swings import swing_pivots
from core.indicators.volatility import wilder_atr
from core.ports import ExplainingSetup, NoCandidate
from core.schema import Candles, Instrument
from core.setups.fibo_avwap import FiboAvwap

HOUR_MS = 3_600_000
INSTRUMENT = Instrument("x", "A/USDT", tick=0.1)
UNTIED: dict[str, Any] = {"min_tp_net_pct": -1e9, "piv_window": 1, "atr_period": 1, "min_leg_atr": 2.0}
SMALL: dict[str, Any] = {"piv_window": 3, "min_leg_atr": 2.0, "lookback_candles": 40}
VARIANTS: dict[str, dict[str, Any]] = {
    "small": {},
    "as shipped": {"piv_window": 5, "min_leg_atr": 3.0, "lookback_candles": 300},
    "one leg": {"anchors_to_consider": 1},
    "many legs, narrow": {"anchors_to_consider": 6, "piv_window": 1, "min_leg_atr": 1.0},
    "dear": {"min_tp_net_pct": 1.2, "rr_min": 1.5},
    "near": {"entry_level": 0.382, "max_distance_atr": 0.8, "rr_min": 0.3},
    "deep stop, no avwap": {"stop_at": "level", "use_avwap": False, "atr_mult_sl": 0.5},
}

Key = tuple[str, int, int]


def asked(setup: FiboAvwap, candles: Candles, at: int) -> list[NoCandidate]:
    return setup.why_not(candles, INSTRUMENT, "1h", at)


def found_by_close(setup: FiboAvwap, candles: Candles) -> dict[int, set[Key]]:
    frame = setup.find(candles, INSTRUMENT, "1h")
    found: dict[int, set[Key]] = {}
    for row in frame.to_dict("records"):
        found.setdefault(row["ts_ms"], set()).add((row["direction"], row["anchor_a_ms"], row["anchor_b_ms"]))
    return found


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("changed", VARIANTS.values(), ids=VARIANTS)
def test_at_every_close_each_leg_is_a_candidate_or_lacks_something_and_never_both(
    changed: dict[str, Any], seed: int, walk: Callable[..., Candles]
) -> None:
    candles = walk(seed, 500)
    setup = FiboAvwap(**{**SMALL, **changed})
    found = found_by_close(setup, candles)
    legs = newest_by_close(setup, candles)
    assert found
    for at in range(len(candles)):
        new = found.get(int(candles.ts[at]), set())
        refused = asked(setup, candles, at)
        assert new or refused
        assert all(one.what and one.lacks and all(one.lacks) for one in refused)
        named = {(one.direction, one.anchor_a_ms, one.anchor_b_ms) for one in refused if one.direction}
        assert not named & new
        assert named | new == legs[at]


def newest_by_close(setup: FiboAvwap, candles: Candles) -> list[set[Key]]:
    """Return the legs that are looked at when each candle closes, followed pivot by pivot."""
    atr = wilder_atr(candles.high, candles.low, candles.close, setup.atr_period)
    prices = Prices(candles.high, candles.low, candles.close, candles.volume, atr)
    rules = LegRules(setup.anchors_to_consider, setup.min_leg_atr, setup.entry_level, setup.tp1_ext, setup.tp2_ext, 0.1)
    pivots, sides = swing_pivots(candles.high, candles.low, setup.piv_window)
    known = {int(pivot) + setup.piv_window: (int(pivot), int(side)) for pivot, side in zip(pivots, sides, strict=True)}
    window, rows, found = empty_window(rules), 0, []
    for t in range(len(candles)):
        follow(window, rows, prices, t)
        if t in known:
            rows = learn(window, rows, *known[t], prices, t, rules)
        ends = [(int(candles.ts[window[row]["position"]]), int(window[row]["side"])) for row in range(rows)]
        found.append({("long" if side > 0 else "short", a, b) for (a, _), (b, side) in pairwise(ends)})
    return found


def test_each_condition_that_is_told_as_not_met_is_not_met(walk: Callable[..., Candles]) -> None:
    candles = walk(3, 1_500)
    setup = FiboAvwap(**SMALL)
    told = [line for at in range(60, len(candles), 7) for one in asked(setup, candles, at) for line in one.lacks]
    checks = {
        r"size is (\S+) ATR; at least (\S+) ATR": lambda has, needs: has <= needs,
        r"close is (\S+) ATR from .*; at most (\S+) ATR": lambda has, needs: has >= needs,
        r"began (\S+) candles ago; at most (\S+) are": lambda has, needs: has > needs,
        r"first target is (\S+); at least (\S+) is": lambda has, needs: has <= needs,
        r"brings (\S+) % after fees; at least (\S+) % is": lambda has, needs: has <= needs,
    }
    for pattern, failed in checks.items():
        numbers = [tuple(map(float, match.groups())) for line in told if (match := re.search(pattern, line))]
        assert numbers or "first target is" in pattern, pattern
        assert all(failed(*pair) for pair in numbers), pattern


def test_what_comes_later_changes_nothing(walk: Callable[..., Candles]) -> None:
    candles, setup = walk(4, 300), FiboAvwap(**SMALL)
    assert asked(setup, candles, 200) == asked(setup, candles.slice(0, 201), 200)


def test_with_its_warm_up_before_it_an_answer_is_that_of_the_whole_history(walk: Callable[..., Candles]) -> None:
    candles, setup = walk(5, 2_000), FiboAvwap(**SMALL)
    for at in range(1_000, 2_000, 97):
        start = at - setup.warmup
        assert asked(setup, candles.slice(start), setup.warmup) == asked(setup, candles, at)


def test_without_two_swing_points_no_leg_is_known(by_hand: Callable[..., Candles]) -> None:
    (one,) = asked(FiboAvwap(), by_hand([(101.0, 99.0, 100.0)] * 20), 19)
    assert (one.what, one.direction, one.anchor_a_ms) == ("no leg", "", 0)
    assert one.lacks == (
        "no leg is known in 20 candles: it takes a swing high and a swing low, and a swing point is known 5 candles "
        "late",
    )
    assert asked(FiboAvwap(), by_hand([(101.0, 99.0, 100.0)]), 0)


# A leg from 100 (candle 3) to 120 (candle 5): entry 107.7, first target 125.4.
LEG = [
    (106.0, 104.0, 105.0),
    (108.0, 105.0, 106.0),
    (106.0, 102.0, 103.0),
    (104.0, 100.0, 103.0),
    (112.0, 103.0, 111.0),
    (120.0, 111.0, 118.0),
]


def lacking(bars: list[tuple[float, float, float]], by_hand: Callable[..., Candles], **changed: Any) -> tuple[str, ...]:
    """Return what the up leg from 100 to 120 lacks at the last close."""
    candles = by_hand([*LEG, *bars])
    refused = asked(FiboAvwap(**{**UNTIED, **changed}), candles, len(candles) - 1)
    return next((one.lacks for one in refused if one.what.startswith("up leg from 100 ")), ())


def test_a_plan_that_holds_lacks_nothing_and_the_next_close_says_when_it_was_given(
    by_hand: Callable[..., Candles],
) -> None:
    calm = (118.0, 114.0, 115.0)
    assert lacking([calm], by_hand) == ()
    (line,) = lacking([calm, calm], by_hand)
    assert line == "it gave its candidate at 1970-01-01 07:00 UTC already; a leg gives one at most"


@pytest.mark.parametrize(
    ("bars", "changed", "told"),
    [
        ([(118.0, 114.0, 115.0)], {"min_leg_atr": 9.0}, ["its size is 2.2 ATR; at least 9 ATR is asked"]),
        (
            [(118.0, 107.0, 115.0)],
            {},
            ["the candle of 1970-01-01 06:00 UTC touched the entry at 107.7, before its end was known, 1 candle late"],
        ),
        (
            [(118.0, 114.0, 115.0)],
            {"max_distance_atr": 1.0},
            ["the close is 1.8 ATR from the entry at 107.7; at most 1"],
        ),
        ([(118.0, 114.0, 115.0)], {"rr_min": 3.0}, ["reward to risk at its first target is ", "at least 3 is asked"]),
        ([(118.0, 114.0, 115.0)], {"min_tp_net_pct": 20.0}, ["brings 16.39 % after fees; at least 20 % is asked"]),
        ([(118.0, 114.0, 115.0)], {"lookback_candles": 2}, ["it began 3 candles ago; at most 2 are allowed"]),
    ],
)
def test_each_condition_is_named_with_what_was_measured_and_what_was_needed(
    bars: list[tuple[float, float, float]], changed: dict[str, Any], told: list[str], by_hand: Callable[..., Candles]
) -> None:
    lines = " | ".join(lacking(bars, by_hand, **changed))
    assert [part for part in told if part not in lines] == [], lines


def test_a_leg_ends_for_good_and_says_when(by_hand: Callable[..., Candles]) -> None:
    near = {"max_distance_atr": 0.1}
    calm = (118.0, 114.0, 115.0)
    assert "closed below its origin" in " ".join(lacking([calm, (116.0, 98.0, 99.0)], by_hand, **near))
    assert "traded above the first target at 125.4" in " ".join(lacking([calm, (126.0, 114.0, 125.0)], by_hand, **near))
    late = lacking([calm, (116.0, 107.0, 110.0)], by_hand, **near)
    assert late == ("the candle of 1970-01-01 07:00 UTC touched the entry at 107.7",)


def test_a_close_on_the_wrong_side_of_the_avwap_is_told(by_hand: Callable[..., Candles]) -> None:
    candles = by_hand([*LEG, (118.0, 108.0, 109.0)])
    heavy = Candles.of(
        *(getattr(candles, name) for name in ("ts", "open", "high", "low", "close")), [1.0] * 5 + [99, 1]
    )
    refused = asked(FiboAvwap(**UNTIED), heavy, 6)
    lines = [line for one in refused for line in one.lacks]
    assert any(re.search(r"the close at 109 is not above its AVWAP at 116\.\d+", line) for line in lines), lines


def test_every_setup_of_the_shelf_can_explain_itself() -> None:
    built = [plugins.build("core.setups", name, {}, "signals.setups") for name in plugins.shelf("core.setups")]
    assert all(isinstance(setup, ExplainingSetup) for setup in built)
    assert np.isfinite([setup.warmup for setup in built]).all()


def test_a_leg_that_begins_with_the_candles_says_that_its_beginning_is_not_known(
    by_hand: Callable[..., Candles],
) -> None:
    refused = asked(FiboAvwap(**UNTIED), by_hand([*LEG, (118.0, 114.0, 115.0)]), 6)
    (first,) = [one for one in refused if one.what.startswith("down leg from 108 ")]
    assert first.lacks[0].startswith("its first swing point may not be the extreme of its run")
