"""Candles, rules and dishonest parts for the tests of the checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from core.adapters.markets.synthetic import instrument_of, make_world
from core.checks._subjects import Market
from core.clock import HOUR_MS, MINUTE_MS, floor_to, parse_time, timeframe_ms
from core.execution.costs import CostModel
from core.indicators.fibo import PullbackRules, Pullbacks, find_pullbacks
from core.indicators.legs import LegRules, Prices
from core.indicators.resample import resample
from core.indicators.swings import swing_pivots
from core.pipeline import ScanRules
from core.risk.sizing import RiskRules
from core.schema import CANDIDATES, Candles, FloatArray, Instrument, conform
from core.setups.fibo_avwap import FiboAvwap

SYMBOL = "BTC/USDT:USDT"
INSTRUMENT = instrument_of(SYMBOL)
COSTS = CostModel(maker_pct=0.02, taker_pct=0.06, slippage_pct=0.02)
RULES = ScanRules(COSTS, RiskRules(10_000, 0.5, 10, 0.5, 0.5), validity_candles=60)
WINDOW = 5


def world(name: str = "walk", seed: int = 1, days: int = 25) -> Market:
    """Return some days of a generated market with its 15m and 1h candles."""
    minutes = make_world(name, SYMBOL, parse_time("2024-01-01"), days, seed).candles
    end_ms = int(minutes.ts[-1]) + MINUTE_MS
    longer = {timeframe: resample(minutes, timeframe_ms(timeframe), 0, end_ms) for timeframe in ("15m", "1h")}
    return Market(INSTRUMENT, minutes, longer)


@dataclass(frozen=True)
class PivotSetup:
    """Buy below a swing low, `lag` candles after it; it is known after `WINDOW` candles."""

    lag: int
    name: str = "pivots"
    warmup: int = 50

    def params(self) -> dict[str, Any]:
        return {"lag": self.lag}

    def find(self, candles: Candles, instrument: Instrument, timeframe: str, first: int = 0) -> pd.DataFrame:
        places, kinds = swing_pivots(candles.high, candles.low, WINDOW)
        lows = places[kinds < 0]
        at = lows + self.lag
        at, lows = at[at >= first], lows[at >= first]
        price = candles.low[lows]
        level = {"entry": 0.999, "sl": 0.98, "tp1": 1.02, "tp2": 1.03, "atr": 0.01}
        words = {"direction": "long", "order_type": "limit", "regime_trend": "unknown", "regime_vol": "unknown"}
        columns = {
            "ts_ms": candles.ts[at],
            "decided_ms": candles.ts[at] + timeframe_ms(timeframe),
            **{name: share * price for name, share in level.items()},
            "confidence": np.full(len(at), 0.5),
            "anchor_a_ms": candles.ts[lows],
            "anchor_b_ms": candles.ts[lows],
        }
        texts = {**words, "plan": "", "rationale": ""}
        return conform(pd.DataFrame(columns).assign(**texts), CANDIDATES)


@dataclass(frozen=True, kw_only=True)
class Impatient(FiboAvwap):
    """The shipped setup, but for pivots that it believes after half the candles that prove them."""

    def _pullbacks(self, candles: Candles, atr: FloatArray, tick: float, first: int) -> Pullbacks:
        pivots, sides = swing_pivots(candles.high, candles.low, self.piv_window)
        legs = LegRules(3, self.min_leg_atr, self.entry_level, self.tp1_ext, self.tp2_ext, tick)
        rules = PullbackRules(self.piv_window // 2, 300, 3.0, 1.0, 0.75, self.rr_min, self.use_avwap)
        prices = Prices(candles.high, candles.low, candles.close, candles.volume, atr)
        return find_pullbacks(prices, pivots, sides, legs, rules, first)


@dataclass(frozen=True, kw_only=True)
class Hasty(FiboAvwap):
    """The shipped setup, but for a warm-up that is too short."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "warmup", 120)


def centred_window(candles: Candles) -> Mapping[str, FloatArray]:
    """A mean of candles on both sides."""
    return {"mean": pd.Series(candles.close).rolling(9, center=True).mean().to_numpy()}


def trailing_window(candles: Candles) -> Mapping[str, FloatArray]:
    return {"mean": pd.Series(candles.close).rolling(9).mean().to_numpy()}


def whole_sample_z_score(candles: Candles) -> Mapping[str, FloatArray]:
    """A score by mean and spread of all candles there will ever be."""
    return {"z": (candles.volume - candles.volume.mean()) / (candles.volume.std() + 1e-12)}


def growing_z_score(candles: Candles) -> Mapping[str, FloatArray]:
    seen = pd.Series(candles.volume).expanding()
    return {"z": ((candles.volume - seen.mean()) / seen.std()).to_numpy()}


def negative_index(candles: Candles) -> Mapping[str, FloatArray]:
    """A change over five candles, of which the first five are taken from the end."""
    back = np.arange(len(candles)) - 5
    return {"change": candles.close - candles.close[back] if len(candles) > 5 else np.zeros(len(candles))}


def guarded_index(candles: Candles) -> Mapping[str, FloatArray]:
    back = np.arange(len(candles)) - 5
    return {"change": np.where(back < 0, np.nan, candles.close - candles.close[np.maximum(back, 0)])}


def unclosed_hour(candles: Candles) -> Mapping[str, FloatArray]:
    """The close of the hour a candle lies in, before that hour is over."""
    hours = pd.Series(candles.ts // HOUR_MS)
    return {"hour_close": pd.Series(candles.close).groupby(hours).transform("last").to_numpy()}


def closed_hour(candles: Candles) -> Mapping[str, FloatArray]:
    """The close of the newest hour that is over at a candle's close."""
    if not len(candles):
        return {"hour_close": np.empty(0)}
    step_ms = 15 * MINUTE_MS
    minutes = Candles.of(candles.ts, candles.open, candles.high, candles.low, candles.close, candles.volume)
    begin_ms, end_ms = floor_to(int(candles.ts[0]), HOUR_MS), int(candles.ts[-1]) + step_ms
    hours = resample(minutes, HOUR_MS, begin_ms, end_ms)
    place = np.searchsorted(hours.ts + HOUR_MS, candles.ts + step_ms, side="right") - 1
    known = np.append(hours.close, np.nan)
    return {"hour_close": np.where(place < 0, np.nan, known[np.maximum(place, 0)])}
