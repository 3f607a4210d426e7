"""Every rule of execution as a case worked by hand, for a long and for its mirrored short.

The standard plan buys at 100 with the stop at 95 and targets at 110 (half) and 120 (rest), without costs.
"""

from __future__ import annotations

from typing import Any

import pytest

from core.execution.rules import ExecutionRules
from tests.unit.execution.playing import Row, minute, play_one

ABOVE: Row = (104.0, 105.0, 103.0, 104.0)  # over the entry, touching nothing
FILL: Row = (101.0, 102.0, 99.0, 101.0)  # fills a resting order at 100
QUIET: Row = (102.0, 103.0, 101.0, 102.0)
TO_TP1: Row = (104.0, 111.0, 103.0, 109.0)
OPTIMISTIC = ExecutionRules(bar_policy="optimistic")
ALL_AT_110 = [(110.0, 1.0)]
STOP_ORDER = {"order_type": "stop"}
MARKET_ORDER = {"order_type": "market"}


def case(name: str, rows: list[Row | None], expected: dict[str, Any], **how: Any) -> Any:
    return pytest.param(rows, expected, how, id=name.replace(" ", "-"))


WAITING = [
    case("nothing has happened yet", [ABOVE, ABOVE], {"status": "PENDING", "next": 3}),
    case("no candle yet", [], {"status": "PENDING", "next": 1}),
    case("a candle at the frontier is not played", [ABOVE, FILL], {"status": "PENDING", "next": 2}, frontier=2),
    case(
        "expires by the frontier without any candle",
        [],
        {"status": "EXPIRED", "reason": "EXPIRED", "closed": 60, "known": 60, "kinds": ["EXPIRED"]},
        frontier=60,
    ),
    case("is not expired a minute before", [], {"status": "PENDING"}, frontier=59),
    case(
        "expires at valid_until and not at the late candle",
        [ABOVE] + [None] * 70 + [FILL],
        {"status": "EXPIRED", "closed": 60, "known": 60, "next": 2},
    ),
    case(
        "the candle at valid_until does not fill",
        [ABOVE] * 59 + [FILL],
        {"status": "EXPIRED", "closed": 60, "known": 60, "next": 60},
    ),
    case(
        "the candle before valid_until fills",
        [ABOVE] * 58 + [FILL],
        {"status": "OPEN", "opened": 59, "fill": 100.0},
    ),
    case(
        "opens beyond the stop at first",
        [(94.0, 101.0, 93.0, 100.0)],
        {"status": "CANCELLED", "reason": "GAPPED", "closed": 1, "known": 2, "kinds": ["GAPPED"]},
    ),
    case("opens at the stop at first", [(95.0, 96.0, 95.0, 96.0)], {"status": "CANCELLED", "reason": "GAPPED"}),
    case(
        "opens at the target at first",
        [(110.0, 111.0, 99.0, 100.0)],
        {"status": "CANCELLED", "reason": "MISSED", "closed": 1, "known": 2},
    ),
    case(
        "opens at the target at first and misses whatever cancel_if_missed says",
        [(110.0, 111.0, 99.0, 100.0)],
        {"status": "CANCELLED", "reason": "MISSED"},
        rules=ExecutionRules(cancel_if_missed=False),
    ),
    case(
        "the first candle after missing minutes is the first playable one",
        [None, None, (99.0, 101.0, 98.0, 100.0)],
        {"status": "OPEN", "opened": 3, "fill": 99.0, "sources": ["taker"]},
    ),
    case(
        "reaches the target before the entry",
        [ABOVE, (105.0, 110.0, 104.0, 109.0)],
        {"status": "CANCELLED", "reason": "MISSED", "closed": 2, "known": 3, "kinds": ["MISSED"]},
    ),
    case(
        "reaches the target before the entry and may still fill",
        [ABOVE, (105.0, 110.0, 104.0, 109.0), FILL],
        {"status": "OPEN", "opened": 3},
        rules=ExecutionRules(cancel_if_missed=False),
    ),
    case(
        "entry and target in one candle is a fill",
        [ABOVE, (104.0, 111.0, 99.0, 110.0)],
        {"status": "OPEN", "opened": 2, "fill": 100.0, "tp1_hit": 0},
    ),
    case(
        "missed by the plan's target whatever the exit policy aims at",
        [ABOVE, (105.0, 110.0, 104.0, 109.0)],
        {"status": "CANCELLED", "reason": "MISSED"},
        targets=[(150.0, 1.0)],
    ),
    case(
        "a later open beyond the target misses within that candle",
        [ABOVE, (111.0, 112.0, 111.0, 112.0)],
        {"status": "CANCELLED", "reason": "MISSED", "closed": 2},
    ),
    case("the market ends", [ABOVE], {"status": "CANCELLED", "reason": "DELISTED", "closed": 1}, delisted=True),
    case(
        "the market ended before the order could rest",
        [],
        {"status": "CANCELLED", "reason": "DELISTED", "closed": 0, "known": 1},
        delisted=True,
    ),
    case("expiry goes before the end of the market", [ABOVE], {"status": "EXPIRED"}, delisted=True, frontier=60),
]

LIMIT = [
    case("touch fills a resting order", [ABOVE, (104.0, 105.0, 100.0, 101.0)], {"status": "OPEN", "fill": 100.0}),
    case(
        "through does not fill at a touch",
        [ABOVE, (104.0, 105.0, 100.0, 101.0)],
        {"status": "PENDING"},
        rules=ExecutionRules(fill="through"),
    ),
    case(
        "through fills beyond, at the entry",
        [ABOVE, (104.0, 105.0, 99.9, 101.0)],
        {"status": "OPEN", "fill": 100.0, "sources": ["maker"]},
        rules=ExecutionRules(fill="through"),
    ),
    case(
        "rests from the first candle on", [FILL], {"status": "OPEN", "opened": 1, "fill": 100.0, "sources": ["maker"]}
    ),
    case(
        "is marketable at the first open",
        [(98.0, 101.0, 97.0, 100.0)],
        {"status": "OPEN", "opened": 1, "fill": 98.0, "sources": ["taker"]},
    ),
    case(
        "is marketable at an open of exactly the entry",
        [(100.0, 101.0, 99.0, 100.0)],
        {"status": "OPEN", "fill": 100.0, "sources": ["taker"]},
    ),
    case(
        "a later open below a resting order fills at the entry",
        [ABOVE, (97.0, 98.0, 96.0, 97.0)],
        {"status": "OPEN", "opened": 2, "fill": 100.0, "sources": ["maker"]},
    ),
    case(
        "a later open below the stop fills at the entry and stops at the open",
        [ABOVE, (93.0, 96.0, 92.0, 95.0)],
        {"status": "CLOSED", "reason": "SL", "opened": 2, "closed": 2, "fill": 100.0, "exit": 93.0, "known": 3},
    ),
    case(
        "fills and stops in one candle without doubt",
        [ABOVE, (104.0, 105.0, 94.0, 96.0)],
        {"status": "CLOSED", "reason": "SL", "closed": 2, "exit": 95.0, "gross": -5.0, "r": -1.0, "ambiguous": 0},
    ),
    case(
        "excursions of a fill candle that stops count",
        [ABOVE, (104.0, 105.0, 94.0, 96.0)],
        {"mfe": 5.0, "mae": -6.0},
    ),
    case(
        "filled at the first open and stopped in it without doubt",
        [(98.0, 99.0, 95.0, 96.0)],
        {"status": "CLOSED", "reason": "SL", "fill": 98.0, "exit": 95.0, "ambiguous": 0},
    ),
    case(
        "a target reached in the fill candle never counts",
        [(98.0, 121.0, 97.0, 100.0), QUIET],
        {"status": "OPEN", "fill": 98.0, "tp1_hit": 0, "mfe": 100 * 5 / 98},
    ),
]

MARKET_AND_STOP = [
    case(
        "market fills at the first open",
        [ABOVE],
        {"status": "OPEN", "fill": 104.0, "sources": ["taker"]},
        plan=MARKET_ORDER,
    ),
    case(
        "market stops in its candle",
        [(104.0, 105.0, 95.0, 96.0)],
        {"status": "CLOSED", "reason": "SL", "exit": 95.0, "ambiguous": 0},
        plan=MARKET_ORDER,
    ),
    case("market refuses a gap", [(95.0, 105.0, 94.0, 96.0)], {"reason": "GAPPED"}, plan=MARKET_ORDER),
    case("market refuses a missed move", [(110.0, 112.0, 99.0, 96.0)], {"reason": "MISSED"}, plan=MARKET_ORDER),
    case("stop waits below its trigger", [(97.0, 99.0, 96.0, 98.0)], {"status": "PENDING"}, plan=STOP_ORDER),
    case(
        "stop is triggered inside the candle at its entry",
        [(97.0, 99.0, 96.0, 98.0), (98.0, 100.0, 97.0, 99.0)],
        {"status": "OPEN", "opened": 2, "fill": 100.0, "sources": ["taker"]},
        plan=STOP_ORDER,
    ),
    case(
        "stop is triggered by a gap at the open",
        [(97.0, 99.0, 96.0, 98.0), (103.0, 104.0, 102.0, 103.0)],
        {"status": "OPEN", "opened": 2, "fill": 103.0, "sources": ["taker"]},
        plan=STOP_ORDER,
    ),
    case(
        "stop refuses a gap beyond its stop on any candle",
        [(97.0, 99.0, 96.0, 98.0), (94.0, 101.0, 93.0, 98.0)],
        {"reason": "GAPPED", "closed": 2},
        plan=STOP_ORDER,
    ),
    case(
        "stop refuses an open beyond the target on any candle",
        [(97.0, 99.0, 96.0, 98.0), (112.0, 113.0, 111.0, 112.0)],
        {"reason": "MISSED", "closed": 2},
        plan=STOP_ORDER,
    ),
    case(
        "stop that waits through its own stop level is still waiting",
        [(97.0, 99.0, 94.0, 98.0)],
        {"status": "PENDING"},
        plan=STOP_ORDER,
    ),
    case(
        "stop and stop-loss in one candle: the loss",
        [(97.0, 101.0, 94.0, 98.0)],
        {"status": "CLOSED", "reason": "SL", "fill": 100.0, "exit": 95.0, "ambiguous": 1},
        plan=STOP_ORDER,
    ),
    case(
        "stop and stop-loss in one candle: open when optimistic",
        [(97.0, 101.0, 94.0, 98.0)],
        {"status": "OPEN", "fill": 100.0, "ambiguous": 1},
        plan=STOP_ORDER,
        rules=OPTIMISTIC,
    ),
    case(
        "stop filled at the open and stopped is certain even when optimistic",
        [(100.0, 101.0, 94.0, 98.0)],
        {"status": "CLOSED", "reason": "SL", "exit": 95.0, "ambiguous": 0},
        plan=STOP_ORDER,
        rules=OPTIMISTIC,
    ),
]

HOLDING = [
    case(
        "stopped at the stop",
        [FILL, (97.0, 98.0, 95.0, 96.0)],
        {
            "status": "CLOSED",
            "reason": "SL",
            "closed": 2,
            "known": 3,
            "exit": 95.0,
            "gross": -5.0,
            "mfe": 0.0,
            "mae": -5.0,
        },
    ),
    case(
        "a gap through the stop is paid for",
        [FILL, (93.0, 98.0, 91.0, 96.0)],
        {"status": "CLOSED", "reason": "SL", "exit": 93.0, "gross": -7.0, "r": -1.4, "mae": -7.0, "mfe": 0.0},
    ),
    case("an open at the stop is the stop", [FILL, (95.0, 96.0, 94.0, 96.0)], {"exit": 95.0, "mae": -5.0}),
    case(
        "first target takes its part",
        [FILL, TO_TP1],
        {"status": "OPEN", "tp1_hit": 1, "remaining": 0.5, "gross": 5.0, "kinds": ["FILL", "TARGET"]},
    ),
    case(
        "an open beyond the target pays the target",
        [FILL, (113.0, 114.0, 112.0, 113.0)],
        {"remaining": 0.5, "gross": 5.0, "mfe": 14.0},
    ),
    case(
        "an open beyond the target is the step of its candle",
        [FILL, (113.0, 114.0, 90.0, 93.0)],
        {"status": "OPEN", "remaining": 0.5, "gross": 5.0, "ambiguous": 0},
    ),
    case(
        "one target a candle",
        [FILL, (104.0, 125.0, 103.0, 124.0)],
        {"status": "OPEN", "remaining": 0.5, "gross": 5.0},
    ),
    case(
        "the next candle takes the next target",
        [FILL, (104.0, 125.0, 103.0, 119.0), (119.0, 121.0, 118.0, 120.0)],
        {"status": "CLOSED", "reason": "TP", "closed": 3, "exit": 115.0, "gross": 15.0, "r": 3.0},
    ),
    case(
        "the last target takes the rest",
        [FILL, TO_TP1],
        {
            "status": "CLOSED",
            "reason": "TP",
            "exit": 110.0,
            "gross": 10.0,
            "r": 2.0,
            "tp1_hit": 1,
            "kinds": ["FILL", "TP"],
        },
        targets=ALL_AT_110,
    ),
    case(
        "stop after the first target",
        [FILL, TO_TP1, (100.0, 101.0, 94.0, 96.0)],
        {"status": "CLOSED", "reason": "TP1_TRAIL", "exit": 102.5, "gross": 2.5},
    ),
    case(
        "break-even after the first target",
        [FILL, TO_TP1, (103.0, 104.0, 99.0, 101.0)],
        {"status": "CLOSED", "reason": "TP1_TRAIL", "exit": 105.0, "gross": 5.0, "stop": 100.0},
        be_after=0,
    ),
    case(
        "break-even of the second target does not move at the first",
        [FILL, TO_TP1, (103.0, 104.0, 99.0, 101.0)],
        {"status": "OPEN", "stop": 95.0},
        be_after=1,
    ),
    case(
        "three targets",
        [FILL, TO_TP1, (109.0, 116.0, 108.0, 115.0), (115.0, 121.0, 114.0, 120.0)],
        {
            "status": "CLOSED",
            "reason": "TP",
            "gross": 0.25 * 10 + 0.25 * 15 + 0.5 * 20,
            "kinds": ["FILL", "TARGET", "TARGET", "TP"],
        },
        targets=[(110.0, 0.25), (115.0, 0.25), (120.0, 0.5)],
    ),
    case(
        "both in one candle: the stop",
        [FILL, (104.0, 111.0, 94.0, 100.0)],
        {"status": "CLOSED", "reason": "SL", "exit": 95.0, "ambiguous": 1, "mfe": 11.0, "mae": -6.0},
    ),
    case(
        "both in one candle: the target when optimistic",
        [FILL, (104.0, 111.0, 94.0, 100.0)],
        {"status": "OPEN", "remaining": 0.5, "gross": 5.0, "ambiguous": 1},
        rules=OPTIMISTIC,
    ),
    case(
        "a gap through the stop is certain",
        [FILL, (94.0, 111.0, 93.0, 100.0)],
        {"reason": "SL", "exit": 94.0, "ambiguous": 0},
    ),
    case(
        "without targets the stop is what ends it",
        [FILL, (104.0, 150.0, 103.0, 140.0), (96.0, 97.0, 94.0, 95.0)],
        {"status": "CLOSED", "reason": "SL", "exit": 95.0, "mfe": 50.0},
        targets=[],
    ),
    case(
        "time is up at the open",
        [FILL, QUIET, (103.0, 125.0, 90.0, 104.0)],
        {
            "status": "CLOSED",
            "reason": "TIMEOUT",
            "closed": 3,
            "known": 4,
            "exit": 103.0,
            "gross": 3.0,
            "mfe": 3.0,
            "mae": 0.0,
        },
        hold=2,
    ),
    case(
        "time is up at the next candle there is",
        [FILL, None, None, None, QUIET],
        {"reason": "TIMEOUT", "closed": 5, "exit": 102.0},
        hold=2,
    ),
    case("time never runs out at 0", [FILL] + [QUIET] * 50, {"status": "OPEN"}, hold=0),
    case(
        "time goes before a gap through the stop",
        [FILL, (90.0, 91.0, 89.0, 90.0)],
        {"reason": "TIMEOUT", "exit": 90.0},
        hold=1,
    ),
    case(
        "the policy says to leave",
        [FILL, QUIET, (103.0, 125.0, 90.0, 104.0)],
        {"status": "CLOSED", "reason": "POLICY", "closed": 3, "exit": 103.0},
        exit_at=[3],
    ),
    case(
        "times up to the fill are past, the next one counts",
        [ABOVE, FILL, QUIET, QUIET],
        {"reason": "POLICY", "closed": 4},
        exit_at=[1, 2, 4],
    ),
    case("the time-out gives the reason", [FILL, QUIET], {"reason": "TIMEOUT"}, hold=1, exit_at=[2]),
    case(
        "leaves at the last close when the market ends",
        [FILL, QUIET, (102.0, 107.0, 101.0, 106.0)],
        {"status": "CLOSED", "reason": "DELISTED", "closed": 3, "known": 4, "exit": 106.0, "gross": 6.0, "mfe": 7.0},
        delisted=True,
    ),
    case(
        "leaves at the close of its fill candle when that was the last",
        [FILL],
        {"reason": "DELISTED", "opened": 1, "closed": 1, "exit": 101.0},
        delisted=True,
    ),
]

TRAILING = [
    case(
        "an ATR trail follows closed candles, never its own",
        [FILL, (101.0, 106.0, 103.0, 105.0), (105.0, 105.0, 104.5, 105.0)],
        {"status": "OPEN", "stop": 104.0},
        targets=[],
        trail_kind=1,
        trail_mult=1.0,
    ),
    case(
        "the candle that makes the high does not move the stop it meets",
        [FILL, (101.0, 109.0, 99.0, 108.0)],
        {"status": "OPEN", "stop": 98.0},
        targets=[],
        trail_kind=1,
        trail_mult=1.0,
    ),
    case(
        "the fill candle's high does not count",
        [(101.0, 109.0, 99.0, 101.0), (101.0, 102.0, 98.5, 101.0)],
        {"status": "OPEN", "stop": 98.0},
        targets=[],
        trail_kind=1,
        trail_mult=1.0,
    ),
    case(
        "a trail from the fill starts at the fill price",
        [FILL, (99.0, 99.5, 98.0, 98.5)],
        {"status": "CLOSED", "reason": "SL", "exit": 98.0},
        targets=[],
        trail_kind=1,
        trail_mult=1.0,
    ),
    case(
        "an ATR trail ends the rest after the first target",
        [FILL, TO_TP1, (109.5, 114.0, 109.2, 113.0), (112.5, 113.0, 111.0, 112.0)],
        {"status": "CLOSED", "reason": "TP1_TRAIL", "closed": 4, "exit": 111.0, "gross": 11.0, "stop": 112.0},
        be_after=0,
        trail_kind=1,
        trail_mult=1.0,
        trail_after=0,
    ),
    case(
        "a gap below the trail pays the open",
        [FILL, TO_TP1, (108.0, 108.5, 107.0, 108.0)],
        {"status": "CLOSED", "reason": "TP1_TRAIL", "closed": 3, "exit": 109.0, "gross": 9.0},
        be_after=0,
        trail_kind=1,
        trail_mult=1.0,
        trail_after=0,
    ),
    case(
        "a trail after the first target rests before it",
        [FILL, (101.0, 109.0, 101.0, 104.0), (104.0, 105.0, 96.0, 100.0)],
        {"status": "OPEN", "stop": 95.0},
        trail_kind=1,
        trail_mult=1.0,
        trail_after=0,
    ),
    case(
        "a trail never lowers the stop",
        [FILL, (101.0, 102.0, 99.0, 101.0)],
        {"status": "OPEN", "stop": 95.0},
        targets=[],
        trail_kind=1,
        trail_mult=10.0,
    ),
    case(
        "an unknown ATR moves nothing",
        [FILL, (101.0, 109.0, 101.0, 104.0), QUIET],
        {"status": "OPEN", "stop": 95.0},
        plan={"atr": float("nan")},
        targets=[],
        trail_kind=1,
        trail_mult=1.0,
    ),
    case(
        "a trail above the next target still lets an open beyond it pay the target",
        [FILL, (104.0, 130.0, 103.0, 128.0), (129.0, 130.0, 127.0, 128.0)],
        {"status": "CLOSED", "reason": "TP", "gross": 15.0},
        be_after=0,
        trail_kind=1,
        trail_mult=1.0,
        trail_after=0,
    ),
]

LEVELS = {
    "fill": "fill_price",
    "exit": "exit_price",
    "stop": "stop",
}
PLAIN = {
    "status": "status",
    "reason": "exit_reason",
    "ambiguous": "ambiguous",
    "tp1_hit": "tp1_hit",
    "remaining": "remaining",
    "gross": "gross_pct",
    "r": "r_multiple",
    "mfe": "mfe_pct",
    "mae": "mae_pct",
}
TIMES = {"opened": "opened_ms", "closed": "closed_ms", "known": "known_ms", "next": "next_ms"}


@pytest.mark.parametrize("mirror", [False, True], ids=["long", "short"])
@pytest.mark.parametrize(("rows", "expected", "how"), WAITING + LIMIT + MARKET_AND_STOP + HOLDING + TRAILING)
def test_a_case_worked_by_hand(
    rows: list[Row | None], expected: dict[str, Any], how: dict[str, Any], mirror: bool
) -> None:
    trade, events = play_one(rows, mirror=mirror, **how)

    # Percentages of a price that is not 100 differ between a long and its reflection.
    scale = (200.0 - trade["fill_price"]) / trade["fill_price"] if mirror and trade["opened_ms"] else 1.0
    for name, value in expected.items():
        if name in LEVELS:
            assert trade[LEVELS[name]] == pytest.approx(200.0 - value if mirror else value, rel=1e-12), name
        elif name in TIMES:
            assert minute(trade[TIMES[name]]) == value, name
        elif name == "kinds":
            assert events["kind"].tolist() == value
        elif name == "sources":
            assert events["source"].tolist()[: len(value)] == value
        elif name in ("gross", "r", "mfe", "mae"):
            assert trade[PLAIN[name]] == pytest.approx(value * scale, rel=1e-12, abs=1e-12), name
        else:
            assert trade[PLAIN[name]] == value, name
    assert trade["n_events"] == len(events)
    assert events["seq"].tolist() == list(range(len(events)))


def test_a_percent_trail_follows_the_best_price_of_a_long() -> None:
    rows = [FILL, (101.0, 110.0, 101.0, 109.0), (109.0, 109.0, 107.0, 108.0)]
    trade, _ = play_one(rows, targets=[], trail_kind=2, trail_mult=5.0)
    assert trade["stop"] == 110.0 * (1.0 - 0.05)


def test_a_percent_trail_follows_the_best_price_of_a_short() -> None:
    rows = [FILL, (101.0, 110.0, 101.0, 109.0), (109.0, 109.0, 107.0, 108.0)]
    trade, _ = play_one(rows, targets=[], trail_kind=2, trail_mult=5.0, mirror=True)
    assert trade["stop"] == 90.0 * (1.0 + 0.05)


def test_the_time_limit_counts_candles_of_the_signals_timeframe() -> None:
    rows = [FILL] + [QUIET] * 40
    trade, _ = play_one(rows, {"timeframe": "15m"}, hold=2)
    assert (trade["exit_reason"], minute(trade["closed_ms"])) == ("TIMEOUT", 1 + 30)


def test_an_entry_delay_of_three_minutes_skips_two_candles_more() -> None:
    trade, _ = play_one([FILL, FILL, FILL], rules=ExecutionRules(entry_delay_candles=3))
    assert minute(trade["opened_ms"]) == 3
