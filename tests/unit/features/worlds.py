"""Candles, candidates and their surroundings for the features' tests, and what a family's docstring tells."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from core.clock import HOUR_MS, timeframe_ms
from core.execution.costs import CostModel
from core.features import Outcomes, Plans, View
from core.features._base import Family
from core.schema import Candles
from tests.factories import START_MS, signal_rows

__all__ = [
    "COSTS",
    "START_MS",
    "Told",
    "at_end_of",
    "candles_of",
    "cut",
    "plan_row",
    "sources_of",
    "surroundings",
    "told_of",
    "value_of",
    "view_of",
    "walk",
]

COSTS = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)


def walk(seed: int, n: int, timeframe: str = "15m", missing: float = 0.01, price: float = 100.0) -> Candles:
    """Return a random walk with volume and takers; a share of its candles is missing, as in life."""
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0.0, 0.006, n)))
    open_ = np.concatenate([[price], close[:-1]])
    high = np.maximum(open_, close) * (1.0 + rng.uniform(0.0, 0.004, n))
    low = np.minimum(open_, close) * (1.0 - rng.uniform(0.0, 0.004, n))
    volume = rng.lognormal(3.0, 1.0, n)
    taker = volume * rng.uniform(size=n)
    ts = START_MS + np.arange(n) * timeframe_ms(timeframe)
    present = rng.uniform(size=n) >= missing
    return Candles.of(*(column[present] for column in (ts, open_, high, low, close, volume, taker)))


def candles_of(
    bars: Sequence[tuple[float, float, float, float]],
    volume: Sequence[float] | None = None,
    taker: Sequence[float] | None = None,
    timeframe: str = "1h",
    start_ms: int = START_MS,
) -> Candles:
    """Return candles of (open, high, low, close); volume is 1 where not given."""
    open_, high, low, close = np.array(bars, dtype=float).reshape(-1, 4).T
    ts = start_ms + np.arange(len(bars)) * timeframe_ms(timeframe)
    return Candles.of(ts, open_, high, low, close, np.ones(len(bars)) if volume is None else volume, taker)


def plan_row(candles: Candles, at: int, side: int, timeframe: str, leg: tuple[int, int] | None) -> dict[str, Any]:
    """Return a plan at a candle: entry an ATR back, stop two further, targets three and five from the entry."""
    close, step = float(candles.close[at]), timeframe_ms(timeframe)
    atr = 0.01 * close
    entry = close - side * atr
    row = {
        "ts_ms": int(candles.ts[at]),
        "decided_ms": int(candles.ts[at]) + step,
        "timeframe": timeframe,
        "direction": "long" if side > 0 else "short",
        "entry": entry,
        "sl": entry - 2.0 * side * atr,
        "tp1": entry + 3.0 * side * atr,
        "tp2": entry + 5.0 * side * atr,
        "atr": atr,
    }
    if leg is not None:
        a, b = leg
        near, far = (candles.low, candles.high) if side > 0 else (candles.high, candles.low)
        ends = {"a_ms": int(candles.ts[a]), "a_price": float(near[a])}
        ends |= {"b_ms": int(candles.ts[b]), "b_price": float(far[b])}
        row["plan"] = json.dumps({"setup": "fibo_avwap", "leg": ends, "rr1": 1.5})
    return row


def view_of(
    candles: Candles, at: Sequence[int], timeframe: str = "15m", *, legs: bool = True, seed: int = 0, **around: Any
) -> View:
    """Return candidates at some candles, longs and shorts in turn, each with a leg behind it where there is room."""
    rows = []
    for number, place in enumerate(at):
        side = 1 if number % 2 == 0 else -1
        rows.append(plan_row(candles, place, side, timeframe, leg_before(candles, place, side) if legs else None))
    signals = signal_rows(rows)
    words = np.random.default_rng(seed).choice(["low", "normal", "high"], len(rows))
    signals["regime_vol"] = pd.Series(words, dtype="str")
    return View(candles, np.array(at, dtype=np.int64), Plans.of(signals), timeframe, COSTS, **around)


def leg_before(candles: Candles, at: int, side: int) -> tuple[int, int] | None:
    """Return the extreme a few candles back and the opposite one before it."""
    near, far = (candles.low, -candles.high) if side > 0 else (-candles.high, candles.low)
    if at < 70:
        return None
    b = at - 25 + int(np.argmin(far[at - 25 : at - 5]))
    return b - 42 + int(np.argmin(near[b - 42 : b - 2])), b


def surroundings(candles: Candles, seed: int, timeframe: str = "15m") -> dict[str, Any]:
    """Return a benchmark, settlements and outcomes over the time of a run of candles."""
    rng = np.random.default_rng(seed)
    first, last = int(candles.ts[0]), int(candles.ts[-1])
    step = timeframe_ms(timeframe)
    benchmark = walk(seed + 1_000, (last - first) // step + 1, timeframe, missing=0.0, price=40_000.0)
    settled = np.arange(first, last, 8 * HOUR_MS)
    known_ms = np.sort(rng.integers(first, last + 1, max(1, len(candles) // 20)))
    return {
        "benchmark": replace(benchmark, ts=benchmark.ts + (first - START_MS)),
        "funding": np.column_stack([settled, rng.normal(0.0, 1e-4, len(settled))]),
        "outcomes": Outcomes(known_ms, rng.normal(size=len(known_ms))),
    }


def cut(view: View, first: int, last: int, keep: Sequence[int]) -> View:
    """Return some candidates of a view with candles `first` to ``last - 1`` only."""
    rows = np.array(keep, dtype=np.int64)
    plans = replace(view.plans, **{name: getattr(view.plans, name)[rows] for name in Plans.__slots__})
    return replace(view, candles=view.candles.slice(first, last), at=view.at[rows] - first, plans=plans)


def at_end_of(candles: Candles, side: int = 1, timeframe: str = "1h", **around: Any) -> View:
    """Return one candidate at the last candle."""
    leg = around.pop("leg", None)
    last = len(candles) - 1
    signals = signal_rows([plan_row(candles, last, side, timeframe, leg) | around.pop("plan", {})])
    return View(candles, np.array([last]), Plans.of(signals), timeframe, around.pop("costs", COSTS), **around)


def value_of(family: Family, view: View) -> dict[str, float]:
    """Return the columns of a view's first candidate by name."""
    return dict(zip(family.columns, family.compute(view)[0].tolist(), strict=True))


class Told(NamedTuple):
    """What a docstring says of a column."""

    unit: str
    definition: str
    sources: tuple[int, ...]


def told_of(family: Family) -> dict[str, Told]:
    """Return what a family's docstring says of each column, in its order."""
    found = {}
    for entry in re.split(r"\n(?=\S)", _section(family, "Columns")):
        head, _, body = entry.partition("\n")
        name, _, unit = head.partition(" : ")
        text = " ".join(body.split())
        sources = tuple(int(number) for number in re.findall(r"\[(\d+)\]_", text))
        found[name] = Told(unit, re.sub(r"( \[\d+\]_)+", "", text), sources)
    return found


def sources_of(family: Family) -> dict[int, str]:
    """Return the numbered references of a family's docstring."""
    entries = re.findall(r"^\.\. \[(\d+)\] (.*(?:\n   .*)*)", _section(family, "References"), re.MULTILINE)
    return {int(number): " ".join(text.split()) for number, text in entries}


def _section(family: Family, title: str) -> str:
    text = inspect.getdoc(type(family)) or ""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=\n\n\w+\n---|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{family.name}: no section {title}"
    return found[1].strip("\n")
