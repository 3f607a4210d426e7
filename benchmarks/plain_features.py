"""The features of candidates as a plain program makes them: whole columns with pandas and `ta`, rows picked at the end.

The law: as in `benchmarks.plain`. Where `ta` loops in Python (ATR, ADX) the same average is taken with `ewm`, which
does not; the engine's own modules are not imported.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from ta.momentum import RSIIndicator
from ta.trend import EMAIndicator
from ta.volatility import BollingerBands

from benchmarks._measure import Round, Sample

__all__ = ["bars_of", "features", "vectors_of"]

DAY_MS, MINUTE_MS = 86_400_000, 60_000
_MADE = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "taker_volume": "sum"}
Columns = dict[str, Any]


def bars_of(candles: str, minutes: int) -> pd.DataFrame:
    """Return longer candles of a stored year of minutes, indexed by time."""
    with np.load(candles) as year:
        run = pd.DataFrame({name: year[name] for name in ("ts", *_MADE)})
    step = minutes * MINUTE_MS
    bars = run.groupby(run["ts"] // step * step).agg(_MADE)
    return bars[(bars.index >= run["ts"].iloc[0]) & (bars.index + step <= run["ts"].iloc[-1] + MINUTE_MS)]


def features(candles: str, given: str, minutes: int) -> Round:
    """Make the vectors of a year's candidates; `given` holds plans, funding and outcomes."""
    bars = bars_of(candles, minutes)
    with np.load(Path(given)) as stored:
        plans = {name: stored[name] for name in stored.files}

    def once() -> Sample:
        began = perf_counter()
        vectors = vectors_of(bars, plans, minutes)
        took = perf_counter() - began
        return {"s": took, "rows": len(vectors), "sum": float(np.nansum(vectors.to_numpy()))}

    return once


def vectors_of(bars: pd.DataFrame, plans: Columns, minutes: int) -> pd.DataFrame:
    """Return one row a candidate."""
    side = np.where(plans["direction"] == "short", -1.0, 1.0)
    leg = pd.DataFrame([json.loads(text)["leg"] for text in plans["plan"].tolist()])
    at = np.searchsorted(bars.index, plans["ts_ms"])
    a, b = (np.searchsorted(bars.index, leg[name]) for name in ("a_ms", "b_ms"))
    close, atr = bars["close"].to_numpy()[at], _wilder(_true_range(bars), 14).to_numpy()
    market = _market(bars)
    market_at = {name: values.to_numpy()[at] for name, values in market.items()}
    columns = {
        **_geometry(plans, leg, side, close, minutes),
        **_avwap(bars, plans, side, at, a, b, atr),
        **{name: values if name in UNSIGNED else side * values for name, values in market_at.items()},
        "vol_regime": pd.Series(plans["regime_vol"]).map({"low": 0, "normal": 1, "high": 2}).to_numpy(),
        "trend_behind_atr": np.where(side > 0, market_at["low_atr"], market_at["high_atr"]),
        "trend_ahead_atr": np.where(side > 0, market_at["high_atr"], market_at["low_atr"]),
        "volume_leg_ratio": _leg_ratio(bars["volume"], at, a, b),
        **_longer(bars, plans, side, minutes),
        **_context(bars, plans, side, at),
        **_outcomes(plans),
    }
    return pd.DataFrame(columns).drop(columns=["low_atr", "high_atr"])


UNSIGNED = (
    "trend_adx",
    "vol_atr_pct",
    "vol_atr_rank",
    "vol_atr_ratio",
    "vol_realised_ratio",
    "vol_band_atr",
    "volume_z",
)


def _true_range(bars: pd.DataFrame) -> pd.Series:
    before = bars["close"].shift().fillna(bars["open"])
    return np.maximum(bars["high"], before) - np.minimum(bars["low"], before)


def _wilder(values: pd.Series, period: int) -> pd.Series:
    return values.ewm(alpha=1.0 / period, min_periods=period, adjust=False).mean()


def _geometry(plans: Columns, leg: pd.DataFrame, side: Any, close: Any, minutes: int) -> Columns:
    entry, atr = plans["entry"], plans["atr"]
    risk, size = side * (entry - plans["sl"]), side * (leg["b_price"] - leg["a_price"]).to_numpy()
    rewards = [side * (plans[name] - entry) for name in ("tp1", "tp2")]
    step, end = minutes * MINUTE_MS, leg["b_price"].to_numpy()
    cost_pct = np.where(plans["order_type"] == "limit", 0.02, 0.08) + (0.02 + 0.06 + 0.02) / 2.0
    return {
        "geo_level": side * (end - entry) / size,
        "geo_retracement": side * (end - close) / size,
        "geo_leg_atr": size / atr,
        "geo_leg_age": (plans["ts_ms"] - leg["b_ms"].to_numpy()) / step,
        "geo_leg_slope": size / atr / ((leg["b_ms"] - leg["a_ms"]).to_numpy() / step),
        "geo_sl_atr": risk / atr,
        "geo_stop_frac": risk / entry,
        "geo_tp1_atr": rewards[0] / atr,
        "geo_tp2_atr": rewards[1] / atr,
        "geo_rr1": rewards[0] / risk,
        "geo_rr2": rewards[1] / risk,
        "geo_cost_r": cost_pct / (100.0 * risk / entry),
        "geo_entry_atr": side * (close - entry) / atr,
        "geo_setup": pd.Series(plans["setup"]).map(lambda name: zlib.crc32(name.encode()) / 2.0**32).to_numpy(),
        "geo_timeframe": np.full(len(side), np.log(minutes)),
        "geo_side": side,
    }


def _avwap(bars: pd.DataFrame, plans: Columns, side: Any, at: Any, a: Any, b: Any, atr: Any) -> Columns:
    typical = (bars["high"] + bars["low"] + bars["close"]) / 3.0
    turnover, traded = (np.append(0.0, x.cumsum()) for x in (typical * bars["volume"], bars["volume"]))

    def since(first: Any, last: Any) -> Any:
        return (turnover[last + 1] - turnover[first]) / (traded[last + 1] - traded[first])

    high, low = bars["high"], bars["low"]
    top = (high > high.shift().rolling(5).max()) & (high >= high[::-1].shift().rolling(5).max()[::-1])
    bottom = (low < low.shift().rolling(5).min()) & (low <= low[::-1].shift().rolling(5).min()[::-1])
    swings = {1: np.flatnonzero(top & ~bottom), -1: np.flatnonzero(bottom & ~top)}
    newest = {kind: where[np.searchsorted(where, at - 5, side="right") - 1] for kind, where in swings.items()}
    close, unit = bars["close"].to_numpy()[at], atr[at]
    behind, ahead = (np.where(side > 0, newest[-way], newest[way]) for way in (1, -1))
    of_leg = since(a, at)
    return {
        "avwap_a_atr": side * (close - of_leg) / unit,
        "avwap_b_atr": side * (close - since(b, at)) / unit,
        "avwap_behind_atr": side * (close - since(behind, at)) / unit,
        "avwap_ahead_atr": side * (close - since(ahead, at)) / unit,
        "avwap_confluence": (1.0 - np.abs(plans["entry"] - of_leg) / unit / 3.0).clip(0.0, 1.0),
        "avwap_slope": side * (of_leg - since(a, at - 4)) / unit / 4.0,
    }


def _market(bars: pd.DataFrame) -> dict[str, pd.Series]:
    """Return what does not depend on a plan, for every candle, as a long sees it."""
    high, low, close, volume = (bars[name] for name in ("high", "low", "close", "volume"))
    ranges = _true_range(bars)
    atr, returns, span = _wilder(ranges, 14), np.log(close).diff(), high - low
    pct = 100.0 * atr / close
    ema = {n: EMAIndicator(close, n).ema_indicator() for n in (20, 50)}
    bands = BollingerBands(close, 20, 2)
    return {
        **{f"trend_ema_{n}_atr": (close - line) / atr for n, line in ema.items()},
        **{f"trend_ema_{n}_slope": line.diff(4) / atr / 4.0 for n, line in ema.items()},
        **_directional(bars, ranges),
        "trend_efficiency": close.diff(32) / close.diff().abs().rolling(32).sum(),
        "low_atr": (close - low.rolling(96).min()) / atr,
        "high_atr": (high.rolling(96).max() - close) / atr,
        "mom_rsi": (RSIIndicator(close, 14).rsi() - 50.0) / 50.0,
        **{f"mom_ret_{n}": close.diff(n) / atr for n in (1, 4, 16, 96)},
        "mom_close_location": ((2.0 * close - high - low) / span).where(span > 0.0, 0.0),
        "mom_body": (close - bars["open"]) / atr,
        "vol_atr_pct": pct,
        "vol_atr_rank": pct.rolling(500).rank(pct=True) - 0.5 / 500,
        "vol_atr_ratio": atr / ranges.rolling(200).mean(),
        "vol_realised_ratio": returns.rolling(16).std(ddof=0) / returns.rolling(96).std(ddof=0),
        "vol_band_atr": (bands.bollinger_hband() - bands.bollinger_lband()) / atr,
        "volume_z": (volume - volume.rolling(96).mean()) / volume.rolling(96).std(ddof=0),
        "volume_taker": 2.0 * bars["taker_volume"].rolling(16).sum() / volume.rolling(16).sum() - 1.0,
    }


def _directional(bars: pd.DataFrame, ranges: pd.Series) -> dict[str, pd.Series]:
    up, down = bars["high"].diff(), -bars["low"].diff()
    span = _wilder(ranges, 14)
    plus = 100.0 * _wilder(up.where((up > down) & (up > 0.0), 0.0), 14) / span
    minus = 100.0 * _wilder(down.where((down > up) & (down > 0.0), 0.0), 14) / span
    dx = 100.0 * (plus - minus).abs() / (plus + minus)
    return {"trend_adx": _wilder(dx, 14), "trend_di": plus - minus}


def _longer(bars: pd.DataFrame, plans: Columns, side: Any, minutes: int) -> Columns:
    length = {1: 5, 3: 15, 5: 15, 15: 60, 30: 120, 60: 240, 120: 480, 240: 1_440}[minutes] * MINUTE_MS
    groups = bars.groupby(bars.index // length * length)
    longer = groups.agg({"open": "first", "high": "max", "low": "min", "close": "last"})
    close, unit = longer["close"], _true_range(longer).rolling(14).mean()
    columns = {
        "trend_htf_atr": (close - close.rolling(20).mean()) / unit,
        "trend_htf_bias": (close.rolling(10).mean() - close.rolling(30).mean()) / unit,
        "trend_htf_efficiency": close.diff(20) / close.diff().abs().rolling(20).sum(),
    }
    closed = np.searchsorted(longer.index, plans["decided_ms"] - length, side="right") - 1
    return {name: side * np.append(values, np.nan)[closed] for name, values in columns.items()}


def _leg_ratio(volume: pd.Series, at: Any, a: Any, b: Any) -> Any:
    total = np.append(0.0, volume.cumsum())
    return np.log((total[b + 1] - total[a + 1]) / (b - a) / ((total[at + 1] - total[b + 1]) / (at - b)))


def _context(bars: pd.DataFrame, plans: Columns, side: Any, at: Any) -> Columns:
    """Return context columns; the benchmark is the series itself."""
    close, decided = bars["close"], plans["decided_ms"]
    unit, returns = _true_range(bars).rolling(96).mean(), np.log(close).diff()
    volatility = returns.rolling(16).std(ddof=0) / returns.rolling(96).std(ddof=0)
    angle, day = 2.0 * np.pi * (decided % DAY_MS) / DAY_MS, pd.to_datetime(decided, unit="ms")
    settled = plans["funding"][:, 0].astype(np.int64)
    newest = np.searchsorted(settled, decided - 10 * MINUTE_MS, side="right") - 1
    usual = np.where(newest > 0, settled[newest] - settled[newest - 1], DAY_MS // 3)
    known = newest >= 0
    return {
        **{f"ctx_btc_ret_{n}": side * (close.diff(n) / unit).to_numpy()[at] for n in (1, 4, 16)},
        "ctx_btc_vol": volatility.to_numpy()[at],
        "ctx_hour_sin": np.sin(angle),
        "ctx_hour_cos": np.cos(angle),
        "ctx_weekday": day.day_of_week.to_numpy(),
        "ctx_funding_minutes": np.where(known, (usual - (decided - settled[newest]) % usual) / MINUTE_MS, np.nan),
        "ctx_funding_rate": np.where(known, side * 100.0 * plans["funding"][newest, 1], np.nan),
    }


def _outcomes(plans: Columns) -> Columns:
    known_ms, r, decided = plans["known_ms"], pd.Series(plans["r"]), plans["decided_ms"]
    newest = np.searchsorted(known_ms, decided, side="right")
    older = np.searchsorted(known_ms, decided - 30 * DAY_MS, side="right")
    lagged = {f"out_r_{n}": np.append(np.nan, r.rolling(n).mean())[newest] for n in (1, 5, 20)}
    return {**lagged, "out_count": newest - older}
