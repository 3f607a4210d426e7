"""Moving stops by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.execution.by_hand import FILL, QUIET, TO_TP1, case, check
from tests.unit.execution.playing import Row, minute, play_one

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


@pytest.mark.parametrize("mirror", [False, True], ids=["long", "short"])
@pytest.mark.parametrize(("rows", "expected", "how"), TRAILING)
def test_a_moving_stop(rows: list[Row | None], expected: dict[str, Any], how: dict[str, Any], mirror: bool) -> None:
    check(rows, expected, how, mirror)


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
