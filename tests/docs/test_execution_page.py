"""The worked examples of docs/execution.md are played by the engine under the shipped configuration."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.app import build_costs, build_exit_policy, build_rules
from core.clock import MINUTE_MS, parse_time
from core.config import load_config
from core.execution.book import new_trades
from core.execution.funding import funding_marks
from core.execution.runs import Run
from core.pipeline import simulate
from core.schema import SIGNALS, Candles, conform
from tests.docs.pages import ROOT, Row, table_after, text_of

PAGE = text_of("docs/execution.md")
DAY = "2024-01-01T"
DECIDED_MS = parse_time(f"{DAY}07:45")
PLAN = {"entry": 100.0, "sl": 97.34, "tp1": 104.45, "tp2": 106.18, "atr": 1.0}


def candles(rows: list[Row]) -> Candles:
    """Read a table of candles; a span of minutes repeats its candle."""
    columns: list[list[float]] = []
    for minutes, *prices, _ in rows:
        first, _, last = minutes.partition("-")
        start, end = (parse_time(DAY + moment) for moment in (first, last or first))
        columns += [[ms, *map(float, prices)] for ms in range(start, end + 1, MINUTE_MS)]
    table = np.array(columns)
    return Candles.of(*table.T, np.ones(len(table)))


def play(name: str) -> tuple[pd.Series, pd.DataFrame]:
    config = load_config(ROOT / "config.yaml", {})
    rules, costs = build_rules(config), build_costs(config)
    words = {column: "" if dtype == "str" else 0 for column, dtype in SIGNALS.items()}
    words |= {"id": 1, "symbol": "BTC/USDT:USDT", "timeframe": "15m", "direction": "long", "order_type": "limit"}
    words |= {"decided_ms": DECIDED_MS, "valid_until_ms": DECIDED_MS + 60 * 15 * MINUTE_MS, **PLAN}
    signals = conform(pd.DataFrame([words]), SIGNALS)
    run = candles(table_after(PAGE, f"<!-- candles: {name} -->"))
    end_ms = int(run.ts[-1]) + MINUTE_MS
    marks = funding_marks(np.empty((0, 2)), DECIDED_MS, end_ms, costs.funding_rate_pct)
    trades = new_trades(signals, "example@00000000", rules)
    where = Run(run, end_ms, marks)
    after, events = simulate(trades, signals, build_exit_policy(config), [where], 0, np.array([0.01]), rules, costs)
    return after.iloc[0], events


def same(told: str, found: object) -> bool:
    """Compare a cell with a value, to the digits the page gives."""
    if isinstance(found, str):
        return told == found
    if told == "-":
        return bool(np.isnan(found))
    decimals = len(told.partition(".")[2])
    return float(told) == round(float(found), decimals)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["main", "wild"])
def test_the_result_of_the_example_is_the_one_on_the_page(name: str) -> None:
    trade, _ = play(name)
    for column, told in table_after(PAGE, f"<!-- result: {name} -->"):
        assert same(told, trade[column]), f"{column}: {trade[column]} on the page {told}"


def test_the_events_of_the_example_are_those_on_the_page() -> None:
    _, events = play("main")
    told = table_after(PAGE, "<!-- events: main -->")
    assert len(told) == len(events)
    for row, (_, event) in zip(told, events.iterrows(), strict=True):
        assert parse_time(DAY + row[0]) == event["ts_ms"]
        for cell, column in zip(row[1:], ("kind", "price", "fraction", "fee_pct", "source"), strict=True):
            assert same(cell, event[column]), f"{row[0]} {column}: {event[column]} on the page {cell}"


def test_the_order_of_the_example_waits_fills_and_trails_as_the_page_tells() -> None:
    trade, events = play("main")
    assert trade["opened_ms"] == parse_time(f"{DAY}07:58")
    assert trade["stop"] == pytest.approx(104.2)
    assert events["kind"].tolist() == ["FILL", "FUNDING", "TARGET", "TP1_TRAIL"]
    assert (PLAN["tp1"] - PLAN["entry"]) / (PLAN["entry"] - PLAN["sl"]) == pytest.approx(1.67, abs=0.005)
