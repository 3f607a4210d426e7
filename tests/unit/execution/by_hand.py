"""Cases worked by hand: how they are written down, and how each is checked for a long and for its mirrored short.

The standard plan buys at 100 with the stop at 95 and targets at 110 (half) and 120 (rest), without costs.
Expectations are written for the long; times are minutes since the decision.
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


def case(name: str, rows: list[Row | None], expected: dict[str, Any], **how: Any) -> Any:
    """Return a case: candles from minute 1 on, what must come of them, and how they are played."""
    return pytest.param(rows, expected, how, id=name.replace(" ", "-"))


def check(rows: list[Row | None], expected: dict[str, Any], how: dict[str, Any], mirror: bool) -> None:
    """Play a case and hold the trade against what is expected of it."""
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
