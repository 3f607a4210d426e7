"""Candles, signals and trades in small numbers, for the tests of the store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.clock import timeframe_ms
from core.schema import DECISIONS, SIGNALS, TRADE_EVENTS, TRADES, Candles, conform

START_MS = 1_704_067_200_000  # 2024-01-01, a whole day
BTC = ("bitget", "BTC/USDT:USDT", "1m")
COLUMNS = ("ts", "open", "high", "low", "close", "volume", "taker_volume", "n_minutes")


def walk(n: int, seed: int = 1, timeframe: str = "1m", start_ms: int = START_MS, taker: bool = False) -> Candles:
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.001, n)))
    ts = start_ms + timeframe_ms(timeframe) * np.arange(n)
    volume = rng.gamma(2.0, 5.0, n)
    return Candles.of(ts, close, close * 1.001, close * 0.999, close, volume, volume / 2 if taker else None)


def pick(candles: Candles, which: Any) -> Candles:
    return Candles.of(*(getattr(candles, name)[which] for name in COLUMNS))


def scaled(candles: Candles, factor: float) -> Candles:
    prices = [getattr(candles, name) * factor for name in ("open", "high", "low", "close")]
    return Candles.of(candles.ts, *prices, candles.volume, candles.taker_volume, candles.n_minutes)


def same(one: Candles, other: Candles) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name != "ts") for name in COLUMNS)


def signals(*rows: dict[str, Any]) -> pd.DataFrame:
    plain: dict[str, Any] = {
        "ts_ms": START_MS,
        "decided_ms": START_MS + 900_000,
        "exchange": "bitget",
        "symbol": "BTC/USDT:USDT",
        "timeframe": "15m",
        "setup": "fibo_avwap",
        "direction": "long",
        "order_type": "limit",
        "entry": 100.0,
        "sl": 98.0,
        "tp1": 103.0,
        "tp2": 105.0,
        "atr": 1.0,
        "valid_until_ms": START_MS + 3_600_000,
        "leverage": 5.0,
        "risk_pct": 0.5,
        "position_notional": 2_500.0,
        "confidence": 0.6,
        "rationale": "a pullback",
        "plan": "{}",
        "plan_hash": "plan0001",
        "regime_trend": "trend",
        "regime_vol": "normal",
        "ml_p_raw": np.nan,
        "ml_p": np.nan,
        "ev_pct": np.nan,
        "model_version": "",
        "verdict": "UNGATED",
        "reason": "no_model",
        "origin": "live",
        "in_sample": 0,
    }
    spec = {name: dtype for name, dtype in SIGNALS.items() if name != "id"}
    return conform(pd.DataFrame([{"key": f"key-{i}", **plain, **row} for i, row in enumerate(rows)]), spec)


def trades(*rows: dict[str, Any]) -> pd.DataFrame:
    plain: dict[str, Any] = {
        "signal_id": 1,
        "exit_policy": "tp1@1",
        "status": "PENDING",
        "taken": 0,
        "blocked_by": "",
        "exit_reason": "",
        "next_ms": START_MS,
    }
    numbers = {name: np.nan if dtype == "float64" else 0 for name, dtype in TRADES.items() if dtype != "str"}
    return conform(pd.DataFrame([{**numbers, **plain, **row} for row in rows]), TRADES)


def events(*rows: dict[str, Any]) -> pd.DataFrame:
    plain: dict[str, Any] = {
        "signal_id": 1,
        "exit_policy": "tp1@1",
        "ts_ms": START_MS,
        "kind": "FILL",
        "price": 100.0,
        "fraction": 1.0,
        "fee_pct": 0.02,
        "rate_pct": np.nan,
        "source": "maker",
    }
    return conform(pd.DataFrame([{"seq": i, **plain, **row} for i, row in enumerate(rows)]), TRADE_EVENTS)


def decisions(*rows: dict[str, Any]) -> pd.DataFrame:
    floats = {name: np.nan for name, dtype in DECISIONS.items() if dtype == "float64"}
    plain = {"signal_id": 1, "verdict": "UNGATED", "reason": "", "threshold_source": "", "model_version": ""}
    return conform(pd.DataFrame([{"seq": i, **floats, **plain, **row} for i, row in enumerate(rows)]), DECISIONS)
