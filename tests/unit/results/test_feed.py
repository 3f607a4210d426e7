"""The feed: every candidate beside its trade, who refused it, and the reader's filters."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from core.results.feed import FEED, FEED_SIGNALS, Filters, feed_rows, filtered
from tests.factories import signal_rows, trade_rows


@pytest.fixture
def rows() -> pd.DataFrame:
    signals = signal_rows(
        [
            {"id": 1, "decided_ms": 1_000, "symbol": "BTC/USDT:USDT", "verdict": "PASS", "reason": "CERTIFIED"},
            {"id": 2, "decided_ms": 2_000, "symbol": "ETH/USDT:USDT", "verdict": "FILTERED", "reason": "EV_BELOW"},
            {"id": 3, "decided_ms": 3_000, "symbol": "BTC/USDT:USDT", "verdict": "PASS", "reason": "CERTIFIED"},
            {"id": 4, "decided_ms": 4_000, "symbol": "BTC/USDT:USDT", "verdict": "UNGATED", "reason": "NO_MODEL"},
        ]
    )
    trades = trade_rows(
        [
            {"signal_id": 1, "taken": 1, "blocked_by": "", "status": "CLOSED", "r_multiple": 1.5},
            {"signal_id": 2, "taken": 0, "blocked_by": "", "status": "OPEN", "r_multiple": 0.2},
            {"signal_id": 3, "taken": 0, "blocked_by": "COOLDOWN", "status": "CLOSED", "r_multiple": -1.0},
        ]
    )
    return feed_rows(signals[list(FEED_SIGNALS)], trades)


def test_the_newest_stands_first_and_none_is_lost(rows: pd.DataFrame) -> None:
    assert rows["id"].tolist() == [4, 3, 2, 1]
    assert list(rows) == list(FEED)


def test_who_refused_a_candidate_and_why_is_told(rows: pd.DataFrame) -> None:
    told = rows.set_index("id")
    assert told["refused_by"].to_dict() == {4: "", 3: "limit", 2: "gate", 1: ""}
    assert told.loc[2, "why"] == "its expected value is below the threshold"
    assert "rested after a stop" in told.loc[3, "why"]
    assert told["taken"].to_dict() == {4: "no", 3: "no", 2: "no", 1: "yes"}


def test_only_a_closed_trade_has_a_result_and_one_not_played_has_no_state(rows: pd.DataFrame) -> None:
    told = rows.set_index("id")
    assert told.loc[1, "r_multiple"] == 1.5
    assert math.isnan(told.loc[2, "r_multiple"])
    assert told.loc[4, "status"] == ""


@pytest.mark.parametrize(
    ("by", "ids"),
    [
        (Filters(), [4, 3, 2, 1]),
        (Filters(symbols=["ETH/USDT:USDT"]), [2]),
        (Filters(taken="yes"), [1]),
        (Filters(refused_by="limit"), [3]),
        (Filters(verdicts=["PASS"], taken="no"), [3]),
        (Filters(text="#2"), [2]),
        (Filters(text="btc rested"), [3]),
        (Filters(text="(["), []),
    ],
)
def test_filters_narrow_each_other(rows: pd.DataFrame, by: Filters, ids: list[int]) -> None:
    assert filtered(rows, by)["id"].tolist() == ids


def test_no_candidates_are_no_rows() -> None:
    assert feed_rows(signal_rows([])[list(FEED_SIGNALS)], trade_rows([])).empty
