"""Held positions by hand: stops, targets, time and policy, the end of a market."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.execution.by_hand import ABOVE, FILL, OPTIMISTIC, QUIET, TO_TP1, case, check
from tests.unit.execution.playing import Row

ALL_AT_110 = [(110.0, 1.0)]

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


@pytest.mark.parametrize("mirror", [False, True], ids=["long", "short"])
@pytest.mark.parametrize(("rows", "expected", "how"), HOLDING)
def test_a_held_position(rows: list[Row | None], expected: dict[str, Any], how: dict[str, Any], mirror: bool) -> None:
    check(rows, expected, how, mirror)
