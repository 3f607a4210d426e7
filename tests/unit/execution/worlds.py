"""Random worlds for the laws: gappy candles that touch levels exactly, and plans of every kind on them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
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
from core.schema import Candles
from tests.unit.execution.playing import T0, signals

GRID = 0.125  # prices are whole eighths, so that a reflection is exact
COSTS = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)


@dataclass(frozen=True)
class World:
    signals: pd.DataFrame
    plan: ExitPlan
    candles: Candles
    marks: FundingMarks
    rules: ExecutionRules
    costs: CostModel

    def begin(self) -> pd.DataFrame:
        return new_trades(self.signals, "random@00000000", self.rules)

    def play(
        self, trades: pd.DataFrame, frontier_ms: int, candles: Candles | None = None, delisted: bool = False
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        run = self.candles if candles is None else candles
        stretch = Run(run, frontier_ms, self.marks, delisted)
        return play(trades, self.signals, self.plan, [stretch], 0, self.rules, self.costs)

    @property
    def end_ms(self) -> int:
        return int(self.candles.ts[-1]) + MINUTE_MS

    def rows(self, index: np.ndarray) -> World:
        """Return the same world with those of its plans, in that order."""
        return replace(self, signals=self.signals.iloc[index].reset_index(drop=True), plan=take(self.plan, index))


def take(plan: ExitPlan, index: np.ndarray) -> ExitPlan:
    own = [plan.exit_at_ms[plan.exit_at_from[i] : plan.exit_at_from[i + 1]] for i in index]
    columns = {f.name: getattr(plan, f.name)[index] for f in fields(plan) if not f.name.startswith("exit_at")}
    starts = np.concatenate([[0], np.cumsum([len(part) for part in own])]).astype(np.int64)
    exits = np.concatenate([*own, np.empty(0, dtype=np.int64)]).astype(np.int64)
    return ExitPlan(**columns, exit_at_ms=exits, exit_at_from=starts)


def walk(rng: np.random.Generator, n: int, gap_share: float = 0.05) -> Candles:
    """Return a walk on the grid around 100 with jumps, missing minutes and flat candles."""
    steps = rng.integers(-4, 5, n) + np.where(rng.random(n) < 0.02, rng.integers(-30, 31, n), 0)
    close = 100.0 + GRID * np.cumsum(steps)
    close = 60.0 + np.abs((close - 60.0) % 160.0 - 80.0)  # folded back, so that it stays between 60 and 140
    jump = GRID * rng.integers(-2, 3, n) * (rng.random(n) < 0.3)
    opened = np.clip(np.concatenate([[100.0], close[:-1]]) + jump, 60.0, 140.0)
    high = np.maximum(opened, close) + GRID * rng.integers(0, 8, n)
    low = np.minimum(opened, close) - GRID * rng.integers(0, 8, n)
    there = rng.random(n) >= gap_share
    there[-1] = True
    ts = T0 + MINUTE_MS * np.arange(n)
    return Candles.of(*(column[there] for column in (ts, opened, high, low, close, np.ones(n))))


def _plans(rng: np.random.Generator, n: int, candles: Candles) -> pd.DataFrame:
    at = rng.integers(0, len(candles) - 1, n)
    decided = candles.ts[at] + MINUTE_MS * rng.integers(0, 3, n)
    sign = rng.choice([-1.0, 1.0], n)
    order = rng.choice(["limit", "market", "stop"], n, p=[0.5, 0.2, 0.3])
    away = GRID * rng.integers(-4, 20, n) * np.where(order == "stop", -1.0, 1.0)
    entry = candles.close[at] - sign * np.where(order == "market", 0.0, away)
    risk, reward = GRID * rng.integers(4, 40, n), GRID * rng.integers(4, 60, n)
    tp2 = reward + GRID * rng.integers(1, 40, n)
    return signals(
        [
            {
                "id": k + 1,
                "decided_ms": int(decided[k]),
                "direction": "long" if sign[k] > 0 else "short",
                "order_type": order[k],
                "entry": entry[k],
                "sl": entry[k] - sign[k] * risk[k],
                "tp1": entry[k] + sign[k] * reward[k],
                "tp2": entry[k] + sign[k] * tp2[k],
                "atr": GRID * int(rng.integers(2, 16)),
                "timeframe": rng.choice(["1m", "5m", "15m"]),
                "valid_until_ms": int(decided[k]) + MINUTE_MS * int(rng.integers(0, 120)),
            }
            for k in range(n)
        ]
    )


def _exits(rng: np.random.Generator, plans: pd.DataFrame, trails: tuple[int, ...]) -> ExitPlan:
    n = len(plans)
    n_targets = rng.integers(0, 4, n)
    sign = np.where(plans["direction"] == "long", 1.0, -1.0)
    price, fraction = np.full((n, 3), np.nan), np.full((n, 3), np.nan)
    for k in range(n):
        m = n_targets[k]
        steps = np.cumsum(GRID * rng.integers(2, 30, m))
        price[k, :m] = plans["entry"].iloc[k] + sign[k] * steps
        fraction[k, :m] = rng.choice([0.125, 0.25, 0.3])
        fraction[k, m - 1 : m] = 0.5
    exits = [
        np.sort(plans["decided_ms"].iloc[k] + MINUTE_MS * rng.integers(0, 300, int(rng.integers(1, 4))))
        if rng.random() < 0.3
        else np.empty(0, dtype=np.int64)
        for k in range(n)
    ]
    kind = rng.choice(trails, n)
    return ExitPlan(
        target_price=price,
        target_fraction=fraction,
        n_targets=n_targets.astype(np.int64),
        be_after=rng.integers(-1, 3, n),
        trail_kind=kind.astype(np.int64),
        trail_mult=np.where(kind == 2, rng.choice([0.5, 1.0, 3.0], n), rng.choice([0.5, 1.0, 2.0], n)),
        trail_after=rng.integers(-1, 2, n),
        max_hold_candles=rng.choice([0, 1, 5, 30], n).astype(np.int64),
        exit_at_ms=np.concatenate([*exits, np.empty(0, dtype=np.int64)]).astype(np.int64),
        exit_at_from=np.concatenate([[0], np.cumsum([len(part) for part in exits])]).astype(np.int64),
    )


def world(
    seed: int,
    n: int = 400,
    minutes: int = 1500,
    *,
    costs: CostModel = COSTS,
    funding: bool = True,
    trails: tuple[int, ...] = (0, 1, 2),
    **rules: Any,
) -> World:
    """Return a world of `n` plans; rules not given are drawn."""
    rng = np.random.default_rng(seed)
    candles = walk(rng, minutes)
    plans = _plans(rng, n, candles)
    marks = no_marks()
    if funding:
        ts = np.unique(T0 + MINUTE_MS * rng.integers(0, minutes, minutes // 40))
        marks = FundingMarks(ts, rng.normal(0.01, 0.02, len(ts)), rng.random(len(ts)) < 0.5)
    drawn: dict[str, Any] = {
        "entry_delay_candles": int(rng.integers(0, 3)),
        "fill": str(rng.choice(["touch", "through"])),
        "bar_policy": str(rng.choice(["conservative", "optimistic"])),
        "cancel_if_missed": bool(rng.random() < 0.5),
    }
    return World(plans, _exits(rng, plans, trails), candles, marks, ExecutionRules(**(drawn | rules)), costs)
