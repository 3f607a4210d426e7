"""Open positions: where they stand, and what they are together."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from core.execution.costs import CostModel
from core.results.positions import POSITIONS, correlations, exposure_of, extremes, positions, worth_r
from tests.factories import signal_rows, trade_rows
from tests.unit.execution.by_hand import QUIET, TO_TP1
from tests.unit.execution.playing import play_one

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"


def held(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    """Return open positions given as symbol, direction, notional and share still held."""
    told = [
        {"symbol": symbol, "direction": direction, "notional": notional, "remaining": remaining, "status": "OPEN"}
        for symbol, direction, notional, remaining in rows
    ]
    return pd.DataFrame(told, columns=list(POSITIONS))


def test_a_filled_trade_stands_in_r_from_its_fill_and_a_waiting_one_has_no_result() -> None:
    signals = signal_rows(
        [
            {"id": 1, "symbol": BTC, "direction": "long", "entry": 100.0, "sl": 98.0, "tp1": 104.0, "tp2": 106.0},
            {"id": 2, "symbol": ETH, "direction": "short", "entry": 50.0, "sl": 51.0, "tp1": 48.0, "tp2": math.nan},
        ]
    )
    trades = trade_rows(
        [
            {"signal_id": 1, "status": "OPEN", "fill_price": 101.0, "stop": 101.0, "remaining": 0.5, "tp1_hit": 1},
            {"signal_id": 2, "status": "PENDING", "fill_price": math.nan, "stop": math.nan},
            {"signal_id": 1, "exit_policy": "other", "status": "CLOSED"},
        ]
    )
    told = positions(trades, signals, {BTC: 103.0, ETH: 49.0}).set_index("signal_id")
    assert len(told) == 2
    assert told.loc[1, ["price_r", "stop_r", "tp1_r", "tp2_r"]].tolist() == [1.0, 0.0, 1.5, 2.5]
    assert told.loc[2, ["price_r", "worth_r"]].isna().all()
    assert told.loc[2, ["stop_r", "tp1_r"]].tolist() == [-1.0, 2.0]
    assert told.loc[2, "away_pct"] == pytest.approx(100.0 * (50.0 - 49.0) / 49.0)


def test_a_symbol_without_a_candle_has_no_price() -> None:
    signals = signal_rows([{"id": 1, "symbol": BTC}])
    told = positions(trade_rows([{"signal_id": 1, "status": "OPEN"}]), signals, {})
    assert math.isnan(told["price"].iloc[0])
    assert told[["price_r", "worth_r"]].isna().all(axis=None)


def test_once_a_target_is_taken_a_position_is_worth_what_that_brought_and_the_half_still_held() -> None:
    signals = signal_rows([{"id": 1, "symbol": BTC, "entry": 100.0, "sl": 97.34, "tp1": 104.45, "tp2": 106.18}])
    gross, fees = 0.5 * 4.45, 0.05
    half = {"fill_price": 100.0, "stop": 100.0, "remaining": 0.5, "tp1_hit": 1, "r_multiple": (gross - fees) / 2.66}
    trades = trade_rows([{"signal_id": 1, "status": "OPEN", **half}])
    for price, held in ((100.1, 0.05), (106.0, 3.0)):
        (told,) = positions(trades, signals, {BTC: price}).to_dict("records")
        assert told["worth_r"] == pytest.approx((gross - fees + held) / 2.66)
        assert told["price_r"] == pytest.approx(2 * held / 2.66)


@pytest.mark.parametrize("mirror", [False, True], ids=["long", "short"])
def test_who_leaves_at_that_price_ends_with_what_the_position_was_worth_less_the_cost_of_leaving(mirror: bool) -> None:
    costs = CostModel(maker_pct=0.1, taker_pct=0.5, slippage_pct=1.0)
    rows, plan = [QUIET, TO_TP1, QUIET], {"order_type": "market"}  # filled beyond the entry, and slipped
    open_, _ = play_one(rows, plan, costs=costs, mirror=mirror)
    left, events = play_one(rows, plan, costs=costs, mirror=mirror, delisted=True)
    assert (open_["status"], open_["remaining"], left["status"]) == ("OPEN", 0.5, "CLOSED")
    paid, fee_pct = events[["price", "fee_pct"]].iloc[-1]
    direction, sl = ("short", 105.0) if mirror else ("long", 95.0)
    (worth,) = worth_r(pd.DataFrame([{**open_, "direction": direction, "entry": 100.0, "sl": sl}]), [paid])
    assert left["r_multiple"] == pytest.approx(worth - fee_pct / 5.0)


def test_what_moves_alike_adds_up_and_opposite_sides_cancel() -> None:
    alike = pd.DataFrame(1.0, index=[BTC, ETH], columns=[BTC, ETH])
    same = exposure_of(held((BTC, "long", 100.0, 1.0), (ETH, "long", 200.0, 0.5)), alike)
    assert (same.gross, same.net, same.together, same.bets) == pytest.approx((200.0, 200.0, 200.0, 1.0))
    hedged = exposure_of(held((BTC, "long", 100.0, 1.0), (ETH, "short", 100.0, 1.0)), alike)
    assert (hedged.gross, hedged.net, hedged.together) == pytest.approx((200.0, 0.0, 0.0))
    assert hedged.bets == math.inf


def test_unrelated_positions_of_equal_size_are_as_many_bets() -> None:
    alike = pd.DataFrame(np.eye(2), index=[BTC, ETH], columns=[BTC, ETH])
    found = exposure_of(held((BTC, "long", 100.0, 1.0), (ETH, "short", 100.0, 1.0)), alike)
    assert found.together == pytest.approx(100.0 * math.sqrt(2.0))
    assert found.bets == pytest.approx(2.0)


def test_nothing_open_is_nothing_at_stake() -> None:
    found = exposure_of(held(), pd.DataFrame())
    assert (found.gross, found.net, found.together) == (0.0, 0.0, 0.0)
    assert math.isnan(found.bets)


def test_too_short_a_common_past_counts_as_fully_alike() -> None:
    rng = np.random.default_rng(1)
    walk = np.exp(np.cumsum(rng.normal(0, 0.01, 200)))
    mirrored = 1.0 / walk
    young = np.where(np.arange(200) < 180, np.nan, walk)
    found = correlations({BTC: walk, ETH: mirrored, "NEW/USDT": young})
    assert found.loc[BTC, ETH] == pytest.approx(-1.0)
    assert found.loc[BTC, "NEW/USDT"] == 1.0
    least, most = extremes(found)  # type: ignore[misc]
    assert least[:2] == (BTC, ETH)
    assert most[2] == 1.0
    assert extremes(found.iloc[:1, :1]) is None
