"""A market whose ATR is two whatever it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from core.schema import Candles
from tests.unit.features.worlds import candles_of


def _steady(closes: Sequence[float], volume: Sequence[float] | None = None, timeframe: str = "1h") -> Candles:
    """Return candles that reach one above and one below their close, for closes that move by one at most."""
    bars = [
        (before, close + 1.0, close - 1.0, close) for before, close in zip([closes[0], *closes], closes, strict=False)
    ]
    return candles_of(bars, volume, timeframe=timeframe)


@pytest.fixture
def steady() -> Callable[..., Candles]:
    return _steady
