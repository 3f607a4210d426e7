"""From gross to net: the parts add up, and slippage is taken out of the prices as it was put in."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.results.costs_split import split_costs
from core.results.rows import result_rows
from core.store.reader import Reader
from core.store.writer import Writer
from tests.factories import EXIT_POLICY, PLAN_HASH, event_rows, signal_rows, trade_rows

S = 0.001  # 0.1 % slippage


def made(direction: str) -> pd.DataFrame:
    """Return a trade entered by crossing at a price of 100 and left by crossing at 102, risk 2 %."""
    sign = 1.0 if direction == "long" else -1.0
    fill, left = 100.0 * (1 + sign * S), 102.0 * (1 - sign * S)
    gross = 100.0 * sign * (left - fill) / fill
    net = gross - 0.1 - 0.02
    trade = {"fill_price": fill, "exit_price": left, "gross_pct": gross, "fees_pct": 0.1, "funding_pct": 0.02}
    plan = {"direction": direction, "entry": 100.0, "sl": 100.0 - sign * 2.0}
    return result_rows(trade_rows([{**trade, "pnl_pct": net, "r_multiple": net / 2.0}]), signal_rows([plan]))


@pytest.mark.parametrize("direction", ["long", "short"])
def test_slippage_is_what_the_fills_were_worse_than_their_prices(direction: str) -> None:
    rows = made(direction)
    sign, fill = (1.0 if direction == "long" else -1.0), float(rows["fill_price"].iloc[0])
    legs = pd.DataFrame({"signal_id": [1], "entered": [1.0], "left": [float(rows["exit_price"].iloc[0])]})
    split = split_costs(rows, legs, 100.0 * S)
    before = 100.0 * sign * (102.0 - 100.0) / fill / 2.0
    assert split.slippage is not None
    assert split.gross.value == pytest.approx(before)
    assert split.slippage.value == pytest.approx((100.0 * 100.0 * S + 100.0 * 102.0 * S) / fill / 2.0)
    parts = split.gross.value - split.slippage.value - split.fees.value - split.funding.value
    assert parts == pytest.approx(split.net.value)


def test_orders_that_rested_did_not_slip() -> None:
    legs = pd.DataFrame({"signal_id": [], "entered": [], "left": []})
    split = split_costs(made("long"), legs, 0.1)
    assert split.slippage is not None
    assert split.slippage.value == 0.0


def test_an_unknown_rate_leaves_slippage_in_the_prices() -> None:
    split = split_costs(made("long"), pd.DataFrame({"signal_id": [], "entered": [], "left": []}), None)
    assert split.slippage is None
    assert split.gross.value - split.fees.value - split.funding.value == pytest.approx(split.net.value)


def test_the_database_sums_what_crossed_by_trade(tmp_path: Path) -> None:
    path = tmp_path / "ohlcv.db"
    with Writer(path) as writer:
        writer.put_exit_policy(EXIT_POLICY, "tp1_be_trail", "{}")
        writer.put_signals(signal_rows([{}, {}, {}]))
        writer.put_trades(trade_rows([{}, {}, {}]))
        leg = {"ts_ms": 1, "price": 100.0, "fraction": 1.0}
        rows = [
            {**leg, "signal_id": 1, "seq": 0, "kind": "FILL", "source": "taker"},
            {**leg, "signal_id": 1, "seq": 1, "kind": "TARGET", "source": "maker", "fraction": 0.5},
            {**leg, "signal_id": 1, "seq": 2, "kind": "SL", "source": "taker", "fraction": 0.5, "price": 90.0},
            {**leg, "signal_id": 2, "seq": 0, "kind": "FILL", "source": "maker"},
        ]
        writer.put_events(event_rows(rows))
    found = Reader(path).crossed("synthetic", PLAN_HASH, EXIT_POLICY)
    assert found.to_numpy().tolist() == [[1.0, 1.0, 45.0]]
    assert Reader(path).crossed("elsewhere", PLAN_HASH, EXIT_POLICY).empty
