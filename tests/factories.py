"""Small plausible databases: walking candles, plans on them, trades and their events.

Everything follows from a seed. The trades are played by a few plain lines here, not by the engine's kernel: what
reads a database must not care who wrote it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.clock import MINUTE_MS, timeframe_ms
from core.schema import SIGNALS, TRADE_EVENTS, TRADES, Candles, Instrument, conform, empty_frame
from core.store.writer import Writer

__all__ = ["START_MS", "Story", "event_rows", "resampled", "signal_rows", "trade_rows", "walk", "write_database"]

START_MS = 1_704_067_200_000  # 2024-01-01
EXIT_POLICY = "tp1_be_trail@0badcafe"
PLAN_HASH = "plan0001"
STAKE_USD = 100.0
_COST_PCT = 0.08


def walk(days: int, seed: int = 7, price: float = 40_000.0, start_ms: int = START_MS) -> Candles:
    """Return one-minute candles of a random walk."""
    rng = np.random.default_rng(seed)
    n = days * 1440
    path = price * np.exp(np.cumsum(rng.normal(0.0, 0.0007, n + 1)))
    open_, close = path[:-1], path[1:]
    high = np.maximum(open_, close) * (1.0 + np.abs(rng.normal(0.0, 0.0003, n)))
    low = np.minimum(open_, close) * (1.0 - np.abs(rng.normal(0.0, 0.0003, n)))
    volume = rng.gamma(2.0, 5.0, n)
    return Candles.of(start_ms + MINUTE_MS * np.arange(n), open_, high, low, close, volume)


def resampled(candles: Candles, timeframe: str) -> Candles:
    """Return whole buckets of one-minute candles."""
    k = timeframe_ms(timeframe) // MINUTE_MS
    n = len(candles) // k
    part = {name: getattr(candles, name)[: n * k].reshape(n, k) for name in ("ts", "open", "high", "low", "close")}
    volume = candles.volume[: n * k].reshape(n, k).sum(axis=1)
    return Candles.of(
        part["ts"][:, 0],
        part["open"][:, 0],
        part["high"].max(axis=1),
        part["low"].min(axis=1),
        part["close"][:, -1],
        volume,
        n_minutes=np.full(n, k),
    )


def signal_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return signals, each a plain long plan unless a row says otherwise."""
    plain: dict[str, Any] = {
        "exchange": "synthetic",
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
        "leverage": 5.0,
        "risk_pct": 0.5,
        "position_notional": 2_500.0,
        "confidence": 0.6,
        "rationale": "Long at the 0.618 pullback of the up leg.",
        "plan": "",
        "plan_hash": PLAN_HASH,
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
    full = []
    for number, row in enumerate(rows, 1):
        decided = row.get("decided_ms", START_MS + number * 3_600_000)
        times = {"ts_ms": decided - 900_000, "decided_ms": decided, "valid_until_ms": decided + 60 * 900_000}
        full.append({"id": number, "key": f"key-{number}", **plain, **times, **row})
    return conform(pd.DataFrame(full), SIGNALS) if full else empty_frame(SIGNALS)


def trade_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return trades, each closed at a stop an hour after its fill unless a row says otherwise."""
    plain: dict[str, Any] = {
        "exit_policy": EXIT_POLICY,
        "status": "CLOSED",
        "taken": 0,
        "blocked_by": "",
        "fill_price": 100.0,
        "exit_price": 98.0,
        "exit_reason": "SL",
        "tp1_hit": 0,
        "gross_pct": -2.0,
        "fees_pct": _COST_PCT,
        "funding_pct": 0.0,
        "pnl_pct": -2.0 - _COST_PCT,
        "pnl_usd": -2.0 - _COST_PCT,
        "r_multiple": (-2.0 - _COST_PCT) / 2.0,
        "mfe_pct": 0.4,
        "mae_pct": -2.0,
        "ambiguous": 0,
        "stop": 98.0,
        "extreme": 100.0,
        "remaining": 0.0,
        "next_target": 0,
        "funded_ms": 0,
        "n_events": 2,
    }
    full = []
    for number, row in enumerate(rows, 1):
        opened = row.get("opened_ms", START_MS + number * 3_600_000)
        closed = row.get("closed_ms", opened + 3_600_000 if opened else START_MS + number * 3_600_000)
        times = {
            "opened_ms": opened,
            "closed_ms": closed,
            "known_ms": closed + MINUTE_MS,
            "next_ms": closed + MINUTE_MS,
        }
        full.append({"signal_id": number, **plain, **times, **row})
    return conform(pd.DataFrame(full), TRADES) if full else empty_frame(TRADES)


def event_rows(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return events of trades."""
    plain = {"exit_policy": EXIT_POLICY, "fee_pct": 0.02, "rate_pct": np.nan, "source": "maker"}
    full = [{**plain, **row} for row in rows]
    return conform(pd.DataFrame(full), TRADE_EVENTS) if full else empty_frame(TRADE_EVENTS)


@dataclass(frozen=True)
class Story:
    """What a database is to hold.

    `every` places one plan each so many candles; 0 makes none. `limit` keeps the first so many plans of a series.
    `verdict` is that of every signal; without it a made-up model judges.
    """

    days: int = 3
    symbols: tuple[str, ...] = ("BTC/USDT:USDT",)
    timeframes: tuple[str, ...] = ("15m", "1h")
    every: int = 12
    limit: int | None = None
    synthetic: bool = True
    exchange: str = "synthetic"
    trades: bool = True
    verdict: str | None = None


def write_database(path: Path, story: Story) -> Path:
    """Write the database of a story and return its path."""
    with Writer(path) as writer:
        writer.put_exit_policy(EXIT_POLICY, "tp1_be_trail", json.dumps({"tp1_fraction": 0.5}))
        if story.synthetic:
            writer.set_meta(f"synthetic:{story.exchange}", "1")
        for place, symbol in enumerate(story.symbols):
            writer.put_instruments([Instrument(story.exchange, symbol, tick=0.01, lot=0.0001, min_notional=5.0)])
            minutes = walk(story.days, seed=7 + place, price=40_000.0 / 17**place)
            end_ms = int(minutes.ts[-1]) + MINUTE_MS
            _put_series(writer, story.exchange, symbol, "1m", minutes, end_ms)
            for timeframe in story.timeframes:
                candles = resampled(minutes, timeframe)
                _put_series(writer, story.exchange, symbol, timeframe, candles, end_ms)
                if story.every:
                    _put_plans(writer, story, symbol, timeframe, candles, minutes, place)
    return path


def _put_series(writer: Writer, exchange: str, symbol: str, timeframe: str, candles: Candles, end_ms: int) -> None:
    writer.put_candles(exchange, symbol, timeframe, candles, end_ms)
    writer.set_frontier(exchange, symbol, timeframe, end_ms)


def _put_plans(
    writer: Writer, story: Story, symbol: str, timeframe: str, candles: Candles, minutes: Candles, seed: int
) -> None:
    rng = np.random.default_rng(100 + seed)
    starts = list(range(40, len(candles), story.every))[: story.limit]
    plans = [_plan(story.exchange, symbol, timeframe, candles, at, rng) for at in starts]
    if story.verdict:
        plans = [{**plan, "verdict": story.verdict, "reason": "", "ml_p": np.nan, "ev_pct": np.nan} for plan in plans]
    if not plans:
        return
    signals = signal_rows(plans)
    with writer.transaction():
        put = writer.put_signals(signals)
        if not story.trades:
            return
        trades, events = [], []
        for (_, signal), number in zip(signals.iterrows(), put["id"], strict=True):
            trade, happened = _play(signal, int(number), minutes, bool(rng.random() < 0.4))
            trades.append(trade)
            events += happened
        writer.put_trades(trade_rows(trades))
        writer.put_events(event_rows(events))


def _plan(
    exchange: str, symbol: str, timeframe: str, candles: Candles, at: int, rng: np.random.Generator
) -> dict[str, Any]:
    step = timeframe_ms(timeframe)
    window = slice(at - 30, at + 1)
    long = bool(rng.random() < 0.5)
    atr = float(np.mean(candles.high[window] - candles.low[window]))
    side = 1.0 if long else -1.0
    close = float(candles.close[at])
    entry = round(close - side * 0.8 * atr, 2)
    far = int(np.argmin(candles.low[window]) if long else np.argmax(candles.high[window])) + at - 30
    near = int(np.argmax(candles.high[window]) if long else np.argmin(candles.low[window])) + at - 30
    a, b = min(far, near), max(far, near)
    edge = (candles.low, candles.high) if long else (candles.high, candles.low)
    leg = {"a_ms": int(candles.ts[a]), "a_price": float(edge[0][a]), "b_ms": int(candles.ts[b])}
    leg["b_price"] = float(edge[1][b])
    decided = int(candles.ts[at]) + step
    p = float(rng.uniform(0.3, 0.6))
    return {
        "key": f"{exchange}-{symbol}-{timeframe}-{at}",
        "exchange": exchange,
        "symbol": symbol,
        "timeframe": timeframe,
        "direction": "long" if long else "short",
        "ts_ms": decided - step,
        "decided_ms": decided,
        "valid_until_ms": decided + 60 * step,
        "entry": entry,
        "sl": round(entry - side * 1.6 * atr, 2),
        "tp1": round(entry + side * 2.4 * atr, 2),
        "tp2": round(entry + side * 3.6 * atr, 2),
        "atr": atr,
        "position_notional": round(50.0 / (1.6 * atr / entry), 2),
        "confidence": float(rng.uniform(0.2, 0.9)),
        "regime_trend": "trend" if rng.random() < 0.4 else "range",
        "regime_vol": ("low", "normal", "high")[int(rng.integers(3))],
        "ml_p": p,
        "ml_p_raw": p,
        "ev_pct": 0.5 * (p - 0.42),
        "model_version": "2024w01",
        "verdict": "PASS" if p > 0.45 else "FILTERED",
        "reason": "" if p > 0.45 else "ev_below_minimum",
        "origin": "retro",
        "plan": json.dumps({"setup": "fibo_avwap", "leg": leg, "fib": {"0.618": entry}, "avwap": close}),
        "rationale": f"{'Long' if long else 'Short'} at the 0.618 pullback of the leg, targets beyond its end.",
    }


def _play(
    signal: pd.Series, number: int, minutes: Candles, fortunate: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Fill at the entry, leave at the stop or the second target, whichever a minute touches first."""
    side = 1.0 if signal["direction"] == "long" else -1.0
    after = minutes.between(int(signal["decided_ms"]) + MINUTE_MS, None)
    entry, sl, tp = float(signal["entry"]), float(signal["sl"]), float(signal["tp2"])
    nothing = {"opened_ms": 0, "fill_price": np.nan, "exit_price": np.nan, "gross_pct": 0.0, "fees_pct": 0.0}
    nothing |= {"pnl_pct": 0.0, "pnl_usd": 0.0, "r_multiple": 0.0, "mfe_pct": 0.0, "mae_pct": 0.0, "n_events": 0}
    touched = np.flatnonzero(after.low <= entry if side > 0 else after.high >= entry)
    in_time = touched[after.ts[touched] < int(signal["valid_until_ms"])] if len(touched) else touched
    if len(in_time) == 0:
        if len(after) and int(after.ts[-1]) + MINUTE_MS >= int(signal["valid_until_ms"]):
            end = int(signal["valid_until_ms"])
            row = {"signal_id": number, **nothing, "status": "EXPIRED", "exit_reason": "EXPIRED", "closed_ms": end}
            event = {"signal_id": number, "seq": 0, "ts_ms": end, "kind": "EXPIRED", "price": np.nan, "fraction": 1.0}
            return row | {"known_ms": end}, [event]
        times = {"closed_ms": 0, "known_ms": 0, "next_ms": int(minutes.ts[-1]) + MINUTE_MS}
        return {"signal_id": number, **nothing, "status": "PENDING", "exit_reason": "", **times}, []
    i = int(in_time[0])
    opened = int(after.ts[i])
    fill = {"signal_id": number, "seq": 0, "ts_ms": opened, "kind": "FILL", "price": entry, "fraction": 1.0}
    rest = after.slice(i + 1)
    stopped = np.flatnonzero(rest.low <= sl if side > 0 else rest.high >= sl)
    reached = np.flatnonzero(rest.high >= tp if side > 0 else rest.low <= tp)
    first = min(stopped[0] if len(stopped) else len(rest), reached[0] if len(reached) else len(rest))
    seen = rest.slice(0, int(first) + 1)
    worst, best = (seen.low, seen.high) if side > 0 else (seen.high, seen.low)
    reach = 100.0 * side * (np.concatenate([worst, best, [entry]]) - entry) / entry
    row: dict[str, Any] = {"signal_id": number, "opened_ms": opened, "fill_price": entry, "n_events": 2}
    row |= {"mfe_pct": float(reach.max()), "mae_pct": float(min(0.0, reach.min()))}
    row["taken"] = int(signal["verdict"] == "PASS" and fortunate)
    row["blocked_by"] = "max_open" if signal["verdict"] == "PASS" and not fortunate else ""
    still_open = first == len(rest)
    won = len(reached) > 0 and (len(stopped) == 0 or reached[0] < stopped[0])
    price = tp if won else sl
    gross = 0.0 if still_open else 100.0 * side * (price - entry) / entry  # of an open trade: what is realised
    net = gross - _COST_PCT
    row |= {"gross_pct": gross, "pnl_pct": net, "pnl_usd": net / 100.0 * STAKE_USD}
    row["r_multiple"] = net / (100.0 * abs(entry - sl) / entry)
    if still_open:
        times = {"closed_ms": 0, "known_ms": 0, "next_ms": int(minutes.ts[-1]) + MINUTE_MS}
        return row | {"status": "OPEN", "exit_reason": "", "exit_price": np.nan, "remaining": 1.0, **times}, [fill]
    closed = int(rest.ts[int(first)])
    kind = "TP" if won else "SL"
    leave = {"signal_id": number, "seq": 1, "ts_ms": closed, "kind": kind, "price": price, "fraction": 1.0}
    leave["source"] = "maker" if won else "taker"
    times = {"closed_ms": closed, "known_ms": closed + MINUTE_MS, "next_ms": closed + MINUTE_MS}
    return row | {"status": "CLOSED", "exit_reason": kind, "exit_price": price, "tp1_hit": int(won), **times}, [
        fill,
        leave,
    ]
