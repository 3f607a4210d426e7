"""Small worlds for the execution tests: plans and candles by minute, played with one call.

Minute 0 is the decision (2023-01-01 00:00 UTC); rows of candles start at minute 1, the first an order can meet.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from core.clock import MINUTE_MS
from core.execution.book import new_trades, play
from core.execution.costs import CostModel
from core.execution.funding import FundingMarks, no_marks
from core.execution.rules import ExecutionRules
from core.execution.runs import Run
from core.ports import ExitPlan
from core.schema import SIGNALS, Candles, conform

T0 = 1_672_531_200_000
FREE = CostModel(maker_pct=0.0, taker_pct=0.0, slippage_pct=0.0, funding_rate_pct=0.0)
PRICES = ("entry", "sl", "tp1", "tp2")
Row = tuple[float, float, float, float]


def minute(ms: int) -> int:
    """Return a time as minutes since the decision."""
    return (int(ms) - T0) // MINUTE_MS


def candles(rows: Iterable[Row | None], first: int = 1) -> Candles:
    """Return candles of consecutive minutes; None is a confirmed gap."""
    kept = [(T0 + (first + k) * MINUTE_MS, *row) for k, row in enumerate(rows) if row is not None]
    table = np.array(kept, dtype=np.float64).reshape(-1, 5)
    return Candles.of(*table.T, np.ones(len(table)))


def signals(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return signals; what a row leaves out is a long limit order of the standard plan."""
    standard: dict[str, Any] = {name: "" if dtype == "str" else 0 for name, dtype in SIGNALS.items()}
    standard |= {"decided_ms": T0, "ts_ms": T0 - MINUTE_MS, "timeframe": "1m", "direction": "long"}
    standard |= {"order_type": "limit", "entry": 100.0, "sl": 95.0, "tp1": 110.0, "tp2": 120.0, "atr": 2.0}
    standard |= {"symbol": "BTC/USDT:USDT", "valid_until_ms": T0 + 60 * MINUTE_MS}
    return conform(
        pd.DataFrame([standard | {"id": k + 1} | row for k, row in enumerate(rows)], columns=list(SIGNALS)), SIGNALS
    )


def exit_plan(
    targets: list[list[tuple[float, float]]],
    *,
    be_after: int = -1,
    trail_kind: int = 0,
    trail_mult: float = 0.0,
    trail_after: int = -1,
    hold: int = 0,
    exit_at: Iterable[int] = (),
) -> ExitPlan:
    """Return an exit plan a row of targets each, everything else alike; `exit_at` in minutes."""
    n, m = len(targets), max((len(row) for row in targets), default=0)
    price, fraction = np.full((n, m), np.nan), np.full((n, m), np.nan)
    for k, row in enumerate(targets):
        for place, (at, part) in enumerate(row):
            price[k, place], fraction[k, place] = at, part
    exits = [T0 + at * MINUTE_MS for at in exit_at]

    def column(value: int) -> np.ndarray:
        return np.full(n, value, dtype=np.int64)

    return ExitPlan(
        target_price=price,
        target_fraction=fraction,
        n_targets=np.array([len(row) for row in targets], dtype=np.int64),
        be_after=column(be_after),
        trail_kind=column(trail_kind),
        trail_mult=np.full(n, trail_mult),
        trail_after=column(trail_after),
        max_hold_candles=column(hold),
        exit_at_ms=np.array(exits * n, dtype=np.int64),
        exit_at_from=np.arange(n + 1, dtype=np.int64) * len(exits),
    )


def play_one(
    rows: Iterable[Row | None],
    plan: dict[str, Any] | None = None,
    targets: list[tuple[float, float]] | None = None,
    *,
    rules: ExecutionRules | None = None,
    costs: CostModel = FREE,
    marks: FundingMarks | None = None,
    frontier: int | None = None,
    delisted: bool = False,
    mirror: bool = False,
    **exits: Any,
) -> tuple[pd.Series, pd.DataFrame]:
    """Play one plan over candles by hand; `mirror` reflects every price at 100 and plays the short of it."""
    plan = dict(plan or {})
    run = candles(rows)
    aims = targets if targets is not None else [(110.0, 0.5), (120.0, 0.5)]
    if mirror:
        levels = {"entry": 100.0, "sl": 95.0, "tp1": 110.0, "tp2": 120.0} | plan
        plan |= {name: 200.0 - levels[name] for name in PRICES} | {"direction": "short"}
        aims = [(200.0 - at, part) for at, part in aims]
        run = Candles.of(run.ts, 200.0 - run.open, 200.0 - run.low, 200.0 - run.high, 200.0 - run.close, run.volume)
    rules = rules or ExecutionRules()
    end = frontier if frontier is not None else (minute(run.ts[-1]) + 1 if len(run) else 1)
    wanted = signals([plan])
    begun = new_trades(wanted, "hand@00000000", rules)
    out, events = play(
        begun,
        wanted,
        exit_plan([aims], **exits),
        [Run(run, T0 + end * MINUTE_MS, marks or no_marks(), delisted)],
        0,
        rules,
        costs,
    )
    return out.iloc[0], events
