"""Money worked by hand: fees and slippage of every kind of fill, and funding with what is held.

Maker 0.1 %, taker 0.5 %, slippage 1 %: large enough that a wrong one shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.clock import HOUR_MS, MINUTE_MS
from core.execution.costs import CostModel
from core.execution.funding import FundingMarks, funding_frontier, funding_marks, no_marks
from tests.unit.execution.playing import T0, Row, minute, play_one

DEAR = CostModel(maker_pct=0.1, taker_pct=0.5, slippage_pct=1.0)
REST: Row = (104.0, 105.0, 99.0, 101.0)
QUIET: Row = (102.0, 103.0, 101.0, 102.0)
ALL = [(110.0, 1.0)]
H8 = 8 * HOUR_MS


def money(trade: Any) -> tuple[float, float]:
    assert trade["pnl_pct"] == pytest.approx(trade["gross_pct"] - trade["fees_pct"] - trade["funding_pct"], abs=1e-15)
    assert trade["pnl_usd"] == pytest.approx(trade["pnl_pct"])  # of 100 USD a trade
    assert trade["r_multiple"] == pytest.approx(trade["pnl_pct"] / 5.0)  # planned risk: 5 of 100
    return trade["gross_pct"], trade["fees_pct"]


# exit: rows after the fill, options, raw price, whether it crosses the book
EXITS = [
    pytest.param([(97.0, 98.0, 95.0, 96.0)], {}, 95.0, True, "SL", id="stop"),
    pytest.param([(93.0, 98.0, 92.0, 96.0)], {}, 93.0, True, "SL", id="gap-through-stop"),
    pytest.param([(104.0, 111.0, 103.0, 109.0)], {}, 110.0, False, "TP", id="last-target"),
    pytest.param([(113.0, 114.0, 112.0, 113.0)], {}, 110.0, False, "TP", id="open-beyond-target"),
    pytest.param([QUIET], {"hold": 1}, 102.0, True, "TIMEOUT", id="timeout"),
    pytest.param([QUIET], {"exit_at": [2]}, 102.0, True, "POLICY", id="policy"),
    pytest.param([QUIET], {"delisted": True}, 102.0, True, "DELISTED", id="delisted"),
]


@pytest.mark.parametrize("mirror", [False, True], ids=["long", "short"])
@pytest.mark.parametrize("mode", ["auto", "maker", "taker"])
@pytest.mark.parametrize(("rows", "how", "raw", "crosses", "reason"), EXITS)
def test_an_exit_pays_its_fee_and_its_slippage(
    rows: list[Row], how: dict[str, Any], raw: float, crosses: bool, reason: str, mode: str, mirror: bool
) -> None:
    costs = CostModel(maker_pct=0.1, taker_pct=0.5, slippage_pct=1.0, mode=mode)
    trade, events = play_one([REST, *rows], targets=ALL, costs=costs, mirror=mirror, **how)

    resting = {"auto": 0.1, "maker": 0.1, "taker": 0.5}[mode]
    crossing = {"auto": 0.5, "maker": 0.1, "taker": 0.5}[mode]
    if mirror:
        paid = (200.0 - raw) * (1.01 if crosses else 1.0)
        gross = 100.0 - paid
    else:
        paid = raw * (0.99 if crosses else 1.0)
        gross = paid - 100.0
    fees = resting + (crossing if crosses else resting) * paid / 100.0
    assert trade["exit_reason"] == reason
    assert trade["exit_price"] == pytest.approx(paid, rel=1e-12)
    assert money(trade) == pytest.approx((gross, fees), rel=1e-12)
    assert events["source"].tolist() == ["maker", "taker" if crosses else "maker"]
    assert events["fee_pct"].sum() == pytest.approx(fees)


@pytest.mark.parametrize(
    ("plan", "row", "raw"),
    [
        pytest.param({}, (98.0, 101.0, 97.0, 100.0), 98.0, id="marketable-limit"),
        pytest.param({"order_type": "market"}, (104.0, 105.0, 103.0, 104.0), 104.0, id="market"),
        pytest.param({"order_type": "stop"}, (98.0, 101.0, 97.0, 100.0), 100.0, id="stop"),
        pytest.param({"order_type": "stop"}, (102.0, 103.0, 101.0, 102.0), 102.0, id="stop-gapped"),
    ],
)
@pytest.mark.parametrize("mirror", [False, True], ids=["long", "short"])
def test_an_entry_that_crosses_the_book_pays_slippage_and_taker(
    plan: dict[str, Any], row: Row, raw: float, mirror: bool
) -> None:
    trade, events = play_one([row], plan, costs=DEAR, mirror=mirror)
    assert trade["fill_price"] == pytest.approx((200.0 - raw) * 0.99 if mirror else raw * 1.01, rel=1e-12)
    assert trade["fees_pct"] == 0.5
    assert events["source"].tolist() == ["taker"]


def test_break_even_is_the_fill_price_after_slippage() -> None:
    rows = [(98.0, 101.0, 97.0, 100.0), (104.0, 111.0, 103.0, 109.0)]
    trade, _ = play_one(rows, costs=DEAR, be_after=0)
    assert trade["stop"] == trade["fill_price"] == 98.0 * 1.01


def test_two_legs_by_hand() -> None:
    rows = [REST, (104.0, 111.0, 103.0, 109.0), (103.0, 104.0, 99.0, 101.0)]
    trade, _ = play_one(rows, targets=[(110.0, 0.5), (120.0, 0.5)], costs=DEAR, be_after=0)
    gross = 0.5 * 10.0 + 0.5 * -1.0  # half at 110, half stopped at 100, paid 99
    fees = 0.1 + 0.1 * 0.5 * 1.10 + 0.5 * 0.5 * 0.99
    assert money(trade) == pytest.approx((gross, fees), rel=1e-12)
    assert trade["exit_price"] == pytest.approx(0.5 * 110.0 + 0.5 * 99.0, rel=1e-12)


def marks_at(*minutes: int, rate: float = 0.04) -> FundingMarks:
    n = len(minutes)
    ts = np.array([T0 + m * MINUTE_MS for m in minutes], dtype=np.int64)
    return FundingMarks(ts, np.full(n, rate), np.arange(n) % 2 == 0)


@pytest.mark.parametrize(("mirror", "sign"), [(False, 1.0), (True, -1.0)], ids=["long-pays", "short-receives"])
def test_funding_is_due_after_the_fill_up_to_the_last_candle(mirror: bool, sign: float) -> None:
    rows = [REST, QUIET, QUIET, (97.0, 98.0, 95.0, 96.0), QUIET]
    trade, events = play_one(rows, marks=marks_at(1, 2, 4, 5), mirror=mirror)
    assert minute(trade["closed_ms"]) == 4
    assert trade["funding_pct"] == pytest.approx(sign * 0.08)
    paid = events[events["kind"] == "FUNDING"]
    assert [minute(ts) for ts in paid["ts_ms"]] == [2, 4]
    assert paid["source"].tolist() == ["default", "recorded"]
    assert paid["rate_pct"].tolist() == [0.04, 0.04]
    assert paid["price"].isna().all()


def test_funding_is_paid_on_what_was_held_before_the_candle() -> None:
    rows = [REST, QUIET, (104.0, 111.0, 103.0, 109.0), QUIET]
    trade, events = play_one(rows, marks=marks_at(3, 4))
    assert events[events["kind"] == "FUNDING"]["fraction"].tolist() == [1.0, 0.5]
    assert events["kind"].tolist() == ["FILL", "FUNDING", "TARGET", "FUNDING"]
    assert trade["funding_pct"] == pytest.approx(0.04 * 1.5)


def test_a_settlement_in_missing_minutes_is_paid_at_the_next_candle() -> None:
    trade, events = play_one([REST, None, None, QUIET], marks=marks_at(2, 3))
    assert trade["funding_pct"] == pytest.approx(0.08)
    assert events["ts_ms"].map(minute).tolist() == [1, 2, 3]


def test_a_time_out_pays_the_settlement_of_its_candle() -> None:
    trade, events = play_one([REST, QUIET], marks=marks_at(2), hold=1)
    assert events["kind"].tolist() == ["FILL", "FUNDING", "TIMEOUT"]
    assert trade["funding_pct"] == pytest.approx(0.04)


def test_a_waiting_order_pays_no_funding() -> None:
    trade, _ = play_one([(104.0, 105.0, 103.0, 104.0)] * 3, marks=marks_at(1, 2, 3))
    assert (trade["status"], trade["funding_pct"]) == ("PENDING", 0.0)


def table(*rows: tuple[int, float]) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def test_without_a_record_the_default_stands_at_00_08_and_16() -> None:
    marks = funding_marks(table(), T0 + 1, T0 + 2 * H8 + 1, 0.01)
    assert marks.ts.tolist() == [T0 + H8, T0 + 2 * H8]
    assert marks.rate_pct.tolist() == [0.01, 0.01]
    assert not marks.recorded.any()


def test_the_span_of_marks_is_half_open() -> None:
    assert funding_marks(table(), T0, T0 + H8, 0.01).ts.tolist() == [T0]
    recorded = table((T0, 0.0001), (T0 + H8, 0.0002))
    assert funding_marks(recorded, T0, T0 + H8, 0.01).ts.tolist() == [T0]


def test_recorded_rates_come_as_fractions_and_leave_as_percent() -> None:
    marks = funding_marks(table((T0 + H8, 0.0003)), T0 + 1, T0 + H8 + 1, 0.01)
    assert (marks.rate_pct.tolist(), marks.recorded.tolist()) == ([pytest.approx(0.03)], [True])


def test_a_late_stamp_belongs_to_its_minute_and_is_not_doubled() -> None:
    recorded = table((T0 + 5, 0.0001), (T0 + H8 + 47, 0.0002), (T0 + 2 * H8 - 3, 0.0003))
    marks = funding_marks(recorded, T0, T0 + 3 * H8 + 1, 0.01)
    assert marks.ts.tolist() == [T0, T0 + H8, T0 + 2 * H8, T0 + 3 * H8]
    assert marks.recorded.tolist() == [True, True, True, False]


def test_a_market_that_settles_every_four_hours_keeps_its_own_times() -> None:
    recorded = table(*((T0 + k * H8 // 2, 0.0001) for k in range(5)))
    marks = funding_marks(recorded, T0, T0 + 2 * H8 + 1, 0.01)
    assert len(marks) == 5
    assert marks.recorded.all()


def test_a_hole_in_the_record_is_filled_from_the_default_grid() -> None:
    recorded = table(*((T0 + k * H8, 0.0001) for k in (0, 1, 2, 5, 6)))
    marks = funding_marks(recorded, T0, T0 + 6 * H8 + 1, 0.01)
    assert marks.ts.tolist() == [T0 + k * H8 for k in range(7)]
    assert marks.recorded.tolist() == [True, True, True, False, False, True, True]


def test_times_off_the_grid_are_no_hole() -> None:
    recorded = table(*((T0 + HOUR_MS + k * H8, 0.0001) for k in range(4)))
    marks = funding_marks(recorded, T0 + HOUR_MS, T0 + HOUR_MS + 3 * H8 + 1, 0.01)
    assert marks.recorded.all()
    assert len(marks) == 4


def test_the_later_of_two_rates_in_a_minute_holds() -> None:
    marks = funding_marks(table((T0 + 9, 0.0002), (T0, 0.0001)), T0, T0 + 1, 0.01)
    assert marks.rate_pct.tolist() == [pytest.approx(0.02)]


def test_spot_has_no_marks() -> None:
    assert len(no_marks()) == 0


def test_a_perpetual_waits_for_the_next_settlement_for_ten_minutes() -> None:
    recorded = table((T0, 0.0001))
    before = T0 + H8 - MINUTE_MS
    assert funding_frontier(recorded, before, before) == before
    for late in (1, 9):
        now = T0 + H8 + late * MINUTE_MS
        assert funding_frontier(recorded, now, now) == T0 + H8
    now = T0 + H8 + 10 * MINUTE_MS
    assert funding_frontier(recorded, now, now) == now


def test_a_recorded_settlement_lets_the_candles_through() -> None:
    recorded = table((T0, 0.0001), (T0 + H8 + 12, 0.0001))
    now = T0 + H8 + MINUTE_MS
    assert funding_frontier(recorded, now, now) == now


def test_candles_that_lag_hold_the_frontier_back() -> None:
    assert funding_frontier(table((T0, 0.0001)), T0 + H8 + MINUTE_MS, T0 + HOUR_MS) == T0 + HOUR_MS


def test_without_a_record_the_default_grid_is_waited_for() -> None:
    assert funding_frontier(table(), T0 + MINUTE_MS, T0 + MINUTE_MS) == T0
    assert funding_frontier(table(), T0 + HOUR_MS, T0 + HOUR_MS) == T0 + HOUR_MS


def test_a_market_of_four_hours_is_waited_for_at_its_own_time() -> None:
    recorded = table(*((T0 + k * H8 // 2, 0.0001) for k in range(3)))
    due = T0 + 3 * H8 // 2
    assert funding_frontier(recorded, due + MINUTE_MS, due + MINUTE_MS) == due
    assert funding_frontier(recorded, due + 11 * MINUTE_MS, due + 11 * MINUTE_MS) == due + 11 * MINUTE_MS
