"""The kernel against a slow reading of the rules in plain Python, and against its own uncompiled text."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numba.core.registry import CPUDispatcher

from core.clock import MINUTE_MS, timeframe_ms
from core.execution import book, codes, kernel
from core.execution.costs import CostModel
from core.execution.runs import Run
from tests.unit.execution.oracle import Costs, Oracle, Plan
from tests.unit.execution.worlds import World, world

WORDS = ("status", "exit_reason")
TIMES = ("opened_ms", "closed_ms", "known_ms", "ambiguous", "tp1_hit", "n_events")


def oracle_of(w: World, k: int) -> Oracle:
    row, plan = w.signals.iloc[k], w.plan
    m = int(plan.n_targets[k])
    return Oracle(
        Plan(
            direction=row["direction"],
            order_type=row["order_type"],
            entry=row["entry"],
            sl=row["sl"],
            tp1=row["tp1"],
            atr=row["atr"],
            start=int(row["decided_ms"]) + w.rules.entry_delay_candles * MINUTE_MS,
            valid_until=int(row["valid_until_ms"]),
            hold=int(plan.max_hold_candles[k]) * timeframe_ms(row["timeframe"]),
            targets=[(float(plan.target_price[k, i]), float(plan.target_fraction[k, i])) for i in range(m)],
            be_after=int(plan.be_after[k]),
            trail=("none", "atr", "pct")[int(plan.trail_kind[k])],
            trail_mult=float(plan.trail_mult[k]),
            trail_after=int(plan.trail_after[k]),
            exit_at=[int(at) for at in plan.exit_at_ms[plan.exit_at_from[k] : plan.exit_at_from[k + 1]]],
        ),
        Costs(w.costs.resting_pct, w.costs.crossing_pct, w.costs.slippage_pct),
        through=w.rules.fill == "through",
        conservative=w.rules.bar_policy == "conservative",
        cancel_if_missed=w.rules.cancel_if_missed,
        marks=list(zip(w.marks.ts.tolist(), w.marks.rate_pct.tolist(), strict=True)),
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_kernel_agrees_with_a_slow_reading_of_the_rules(seed: int) -> None:
    mode = ("auto", "maker", "taker")[seed % 3]
    w = world(seed, n=250, minutes=900, costs=CostModel(0.02, 0.06, 0.03, mode=mode))
    delisted, frontier = seed % 4 == 3, w.end_ms - MINUTE_MS * (seed % 2) * 17
    trades, events = w.play(w.begin(), frontier, delisted=delisted)
    c = w.candles
    rows = list(zip(*(a.tolist() for a in (c.ts, c.open, c.high, c.low, c.close)), strict=True))
    kinds = events.groupby("signal_id")["kind"].apply(list)

    for k in range(len(trades)):
        oracle = oracle_of(w, k).play(rows, frontier, delisted)
        expected, found = oracle.result(), trades.iloc[k]
        if expected["exit_reason"] == "DELISTED" and expected["status"] == "CANCELLED":
            expected["closed_ms"] = max(rows_before(rows, frontier), int(w.signals["decided_ms"].iloc[k]))
            expected["known_ms"] = expected["closed_ms"] + MINUTE_MS
        for name, value in expected.items():
            if name in WORDS or name in TIMES:
                assert found[name] == value, (k, name)
            else:
                assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), (k, name)
        assert kinds.get(found["signal_id"], []) == oracle.kinds, k


def rows_before(rows: list[tuple[Any, ...]], frontier: int) -> int:
    return max(int(row[0]) for row in rows if row[0] < frontier)


def test_the_random_worlds_hold_every_outcome() -> None:
    outcomes: set[str] = set()
    ambiguous = 0
    for seed in range(12):
        w = world(seed, n=250, minutes=900)
        trades, events = w.play(w.begin(), w.end_ms, delisted=seed % 4 == 3)
        outcomes |= set(trades["status"]) | set(events["kind"])
        ambiguous += int(trades["ambiguous"].sum())
    assert outcomes >= set(codes.STATUSES[2:]) | set(codes.KINDS[1:])
    assert ambiguous >= 40


def uncompiled(module: types.ModuleType) -> dict[str, Any]:
    """Return the module's names with every compiled function, wherever it stands, replaced by its Python text."""
    names = dict(vars(module))
    for name, value in vars(module).items():
        if isinstance(value, CPUDispatcher):
            here = value.py_func.__module__ == module.__name__
            there = names if here else uncompiled(sys.modules[value.py_func.__module__])
            names[name] = types.FunctionType(value.py_func.__code__, there, name)
    return names


def test_compiled_and_python_text_give_the_same_bits() -> None:
    w = world(77, n=300, minutes=700)
    names = vars(book) | {"play_trades": uncompiled(kernel)["play_trades"]}
    play_slowly = types.FunctionType(book.play.__code__, names, "play", book.play.__defaults__)
    compiled = w.play(w.begin(), w.end_ms)
    text = play_slowly(w.begin(), w.signals, w.plan, [Run(w.candles, w.end_ms, w.marks)], 0, w.rules, w.costs)
    for a, b in zip(compiled, text, strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)


def test_the_event_table_grows_past_its_first_size() -> None:
    w = world(5, n=1, minutes=1500, funding=False)
    marks = np.unique(w.candles.ts)
    dense = type(w.marks)(marks, np.full(len(marks), 0.01), np.ones(len(marks), dtype=np.bool_))
    row = {"entry": 200.0, "sl": 1.0, "tp1": 1000.0, "order_type": "limit", "direction": "long"}
    held = w.signals.assign(**row, decided_ms=int(marks[0]) - MINUTE_MS, valid_until_ms=w.end_ms)
    plan = type(w.plan)(
        **{name: getattr(w.plan, name) for name in ("target_price", "target_fraction", "be_after", "trail_mult")},
        n_targets=np.zeros(1, dtype=np.int64),
        trail_kind=np.zeros(1, dtype=np.int64),
        trail_after=np.zeros(1, dtype=np.int64),
        max_hold_candles=np.zeros(1, dtype=np.int64),
        exit_at_ms=np.empty(0, dtype=np.int64),
        exit_at_from=np.zeros(2, dtype=np.int64),
    )
    begun = book.new_trades(held, "x@1", w.rules)
    trades, events = book.play(begun, held, plan, [Run(w.candles, w.end_ms, dense)], 0, w.rules, w.costs)
    assert trades["status"].tolist() == ["OPEN"]
    assert len(events) == trades["n_events"].iloc[0] > 1000
    assert events["seq"].tolist() == list(range(len(events)))
    assert trades["funding_pct"].iloc[0] == pytest.approx(0.01 * (len(events) - 1))
