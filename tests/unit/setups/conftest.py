"""Candles for the setups' tests: made by hand, or a seeded random walk on a coarse grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from core.schema import Candles

HOUR_MS = 3_600_000


def make_candles(bars: Sequence[tuple[float, float, float]], volume: Sequence[float] | None = None) -> Candles:
    """Build hourly candles from (high, low, close); volume is 1 where not given."""
    high, low, close = np.array(bars, dtype=float).reshape(-1, 3).T
    ts = np.arange(len(bars)) * HOUR_MS
    return Candles.of(ts, close, high, low, close, np.ones(len(bars)) if volume is None else volume)


def make_walk(seed: int, n: int, grid: float = 0.5, start: float = 1_000.0) -> Candles:
    """Build a random walk on a grid coarse enough for equal highs, equal lows and candles that are both."""
    rng = np.random.default_rng(seed)
    close = start + grid * np.cumsum(rng.integers(-6, 7, n))
    high = close + grid * rng.integers(0, 5, n)
    low = close - grid * rng.integers(0, 5, n)
    volume = rng.integers(0, 8, n).astype(float)
    return Candles.of(np.arange(n) * HOUR_MS, close, high, low, close, volume)


@pytest.fixture
def by_hand() -> Callable[..., Candles]:
    return make_candles


@pytest.fixture
def walk() -> Callable[..., Candles]:
    return make_walk
