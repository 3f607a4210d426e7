"""Rows of signals, trades and events for the tests of alerts, and the clock they happen on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from core.clock import HOUR_MS, MINUTE_MS, parse_time
from core.schema import SIGNALS, TRADE_EVENTS, TRADES, conform, empty_frame

DECIDED = parse_time("2024-05-01T12:00")
POLICY = "tp1_be_trail@0a1b2c3d"


def signal(number: int = 123, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "key": f"key{number}",
        "ts_ms": DECIDED - 15 * MINUTE_MS,
        "decided_ms": DECIDED,
        "exchange": "bitget",
        "symbol": "BTC/USDT:USDT",
        "timeframe": "15m",
        "setup": "fibo_avwap",
        "direction": "long",
        "order_type": "limit",
        "entry": 64250.0,
        "sl": 63100.0,
        "tp1": 66200.0,
        "tp2": 67800.0,
        "atr": 400.0,
        "valid_until_ms": DECIDED + 15 * HOUR_MS,
        "leverage": 10.0,
        "risk_pct": 0.5,
        "position_notional": 2793.48,
        "confidence": 0.62,
        "rationale": "pullback",
        "plan": "{}",
        "plan_hash": "plan",
        "regime_trend": "trend",
        "regime_vol": "normal",
        "ml_p_raw": np.nan,
        "ml_p": np.nan,
        "ev_pct": np.nan,
        "model_version": "",
        "verdict": "UNGATED",
        "reason": "NO_MODEL",
        "origin": "live",
        "in_sample": 0,
        **changes,
    }


def trade(number: int = 123, **changes: Any) -> dict[str, Any]:
    return {
        "signal_id": number,
        "exit_policy": POLICY,
        "status": "PENDING",
        "taken": 1,
        "blocked_by": "",
        "opened_ms": 0,
        "closed_ms": 0,
        "known_ms": 0,
        "fill_price": np.nan,
        "exit_price": np.nan,
        "exit_reason": "",
        "tp1_hit": 0,
        "gross_pct": 0.0,
        "fees_pct": 0.0,
        "funding_pct": 0.0,
        "pnl_pct": 0.0,
        "pnl_usd": 0.0,
        "r_multiple": 0.0,
        "mfe_pct": 0.0,
        "mae_pct": 0.0,
        "ambiguous": 0,
        "next_ms": DECIDED + MINUTE_MS,
        "stop": 63100.0,
        "extreme": np.nan,
        "remaining": 1.0,
        "next_target": 0,
        "funded_ms": 0,
        "n_events": 0,
        **changes,
    }


def opened(number: int = 123, **changes: Any) -> dict[str, Any]:
    return trade(
        number,
        **{"status": "OPEN", "opened_ms": DECIDED + 29 * MINUTE_MS, "fill_price": 64250.0, "n_events": 1, **changes},
    )


def closed(number: int = 123, **changes: Any) -> dict[str, Any]:
    return opened(
        number,
        **{
            "status": "CLOSED",
            "closed_ms": DECIDED + 5 * HOUR_MS,
            "known_ms": DECIDED + 5 * HOUR_MS + MINUTE_MS,
            "exit_price": 65812.5,
            "exit_reason": "TP1_TRAIL",
            "tp1_hit": 1,
            "gross_pct": 2.4319,
            "fees_pct": 0.0812,
            "funding_pct": 0.01,
            "pnl_pct": 2.3407,
            "r_multiple": 1.3077,
            "remaining": 0.0,
            "n_events": 3,
            **changes,
        },
    )


def event(kind: str, number: int = 123, seq: int = 0, minutes: int = 29, **changes: Any) -> dict[str, Any]:
    return {
        "signal_id": number,
        "exit_policy": POLICY,
        "seq": seq,
        "ts_ms": DECIDED + minutes * MINUTE_MS,
        "kind": kind,
        "price": 64250.0,
        "fraction": 1.0,
        "fee_pct": 0.02,
        "rate_pct": np.nan,
        "source": "maker",
        **changes,
    }


def signals(*rows: dict[str, Any]) -> pd.DataFrame:
    return conform(pd.DataFrame(rows), SIGNALS) if rows else empty_frame(SIGNALS)


def trades(*rows: dict[str, Any]) -> pd.DataFrame:
    return conform(pd.DataFrame(rows), TRADES) if rows else empty_frame(TRADES)


def events(*rows: dict[str, Any]) -> pd.DataFrame:
    return conform(pd.DataFrame(rows), TRADE_EVENTS) if rows else empty_frame(TRADE_EVENTS)


def settings(**switches: bool) -> Any:
    """The parts of a configuration that alerts read."""
    on = {"new_signal": True, "trade_update": True, "closed_trade": True, "weekly_summary": True, **switches}
    return SimpleNamespace(
        app=SimpleNamespace(timezone="UTC"),
        data=SimpleNamespace(base_timeframe="1m"),
        notify=SimpleNamespace(late_minutes=10, telegram=SimpleNamespace(send_on=SimpleNamespace(**on))),
    )
