"""How many candidates a year of a real market gives. Needs recorded candles in the folder TRADER_REALDATA names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.clock import MINUTE_MS, timeframe_ms
from core.indicators.resample import resample
from core.schema import Candles, Instrument
from core.setups.fibo_avwap import FiboAvwap

FOLDER = Path(os.environ.get("TRADER_REALDATA", "")) / "candles"
# candidates a symbol-year of Binance spot 2023, with room for a percent or two
EXPECTED = {"5m": (3_350, 4_450), "15m": (1_370, 1_480), "1h": (335, 360), "4h": (78, 93)}


@pytest.mark.realdata
@pytest.mark.skipif("TRADER_REALDATA" not in os.environ, reason="TRADER_REALDATA names no folder of candles")
@pytest.mark.parametrize("coin", ["BTC", "ETH", "SOL"])
def test_a_year_of_candles_gives_the_usual_number_of_plans_of_the_usual_shape(coin: str) -> None:
    minutes = pd.read_parquet(FOLDER / f"binance_{coin}USDT_1m_2023-01_2024-01.parquet")
    candles = Candles.of(*(minutes[name] for name in ("ts", "open", "high", "low", "close", "volume")))
    for timeframe, (least, most) in EXPECTED.items():
        longer = resample(candles, timeframe_ms(timeframe), int(candles.ts[0]), int(candles.ts[-1]) + MINUTE_MS)
        frame = FiboAvwap().find(longer, Instrument("binance", f"{coin}/USDT"), timeframe)
        assert least <= len(frame) <= most, timeframe
        reward, risk = (frame["tp1"] - frame["entry"]).abs(), (frame["entry"] - frame["sl"]).abs()
        np.testing.assert_allclose(np.percentile(reward / risk, [10, 50, 90]), [1.53, 1.68, 1.84], atol=0.05)
