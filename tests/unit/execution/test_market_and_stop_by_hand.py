"""Market and stop orders by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.execution.by_hand import ABOVE, OPTIMISTIC, case, check
from tests.unit.execution.playing import Row

STOP_ORDER = {"order_type": "stop"}
MARKET_ORDER = {"order_type": "market"}

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


@pytest.mark.parametrize("mirror", [False, True], ids=["long", "short"])
@pytest.mark.parametrize(("rows", "expected", "how"), MARKET_AND_STOP)
def test_a_market_or_stop_order(
    rows: list[Row | None], expected: dict[str, Any], how: dict[str, Any], mirror: bool
) -> None:
    check(rows, expected, how, mirror)
