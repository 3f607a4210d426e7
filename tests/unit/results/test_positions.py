"""Open positions: where they stand, and what they are together."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from core.results.positions import POSITIONS, correlations, exposure_of, extremes, positions
from tests.factories import signal_rows, trade_rows

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
    assert told.loc[1, ["now_r", "stop_r", "tp1_r", "tp2_r"]].tolist() == [1.0, 0.0, 1.5, 2.5]
    assert math.isnan(told.loc[2, "now_r"])
    assert told.loc[2, ["stop_r", "tp1_r"]].tolist() == [-1.0, 2.0]
    assert told.loc[2, "away_pct"] == pytest.approx(100.0 * (50.0 - 49.0) / 49.0)


def test_a_symbol_without_a_candle_has_no_price() -> None:
    signals = signal_rows([{"id": 1, "symbol": BTC}])
    told = positions(trade_rows([{"signal_id": 1, "status": "OPEN"}]), signals, {})
    assert math.isnan(told["price"].iloc[0])
    assert math.isnan(told["now_r"].iloc[0])


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
