"""Waiting orders by hand: expiry, gaps, missed moves, and how a limit order fills."""

from __future__ import annotations

from typing import Any

import pytest

from core.execution.rules import ExecutionRules
from tests.unit.execution.by_hand import ABOVE, FILL, QUIET, case, check
from tests.unit.execution.playing import Row, minute, play_one

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


@pytest.mark.parametrize("mirror", [False, True], ids=["long", "short"])
@pytest.mark.parametrize(("rows", "expected", "how"), WAITING + LIMIT)
def test_a_waiting_order(rows: list[Row | None], expected: dict[str, Any], how: dict[str, Any], mirror: bool) -> None:
    check(rows, expected, how, mirror)


def test_an_entry_delay_of_three_minutes_skips_two_candles_more() -> None:
    trade, _ = play_one([FILL, FILL, FILL], rules=ExecutionRules(entry_delay_candles=3))
    assert minute(trade["opened_ms"]) == 3
