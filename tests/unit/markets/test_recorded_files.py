"""Recorded candles of real markets come through whole: every row, every hole."""

import os
from pathlib import Path

import numpy as np
import pytest

from core.adapters.markets.files import read_candles, read_tape
from core.adapters.markets.replay import ReplayMarket
from core.clock import MINUTE_MS, parse_time
from core.schema import Candles

pytestmark = pytest.mark.realdata

HALT = parse_time("2023-03-24T12:40"), parse_time("2023-03-24T14:00")
COUNTS = {
    "binance_ARBUSDT_1m_2023-03_2024-01.parquet": 406_770,
    "binance_BTCUSDT_1m_2023-01_2024-01.parquet": 525_520,
    "binance_ETHUSDT_1m_2023-01_2024-01.parquet": 525_520,
    "binance_SOLUSDT_1m_2023-01_2024-01.parquet": 525_519,
    "bitfinex_BTCUSD_1m_2017-01_2021-03.parquet": 2_168_557,
}


@pytest.fixture
def folder() -> Path:
    named = os.environ.get("TRADER_REALDATA")
    if not named:
        pytest.skip("TRADER_REALDATA does not name a folder of recorded candles")
    return Path(named) / "candles"


@pytest.mark.parametrize("name", COUNTS)
def test_every_recorded_candle_is_read(folder, name):
    candles = read_candles(folder / name)
    assert len(candles) == COUNTS[name]
    assert (np.diff(candles.ts) > 0).all()
    assert (candles.ts % MINUTE_MS == 0).all()
    assert np.isnan(candles.taker_volume).all() == name.startswith("bitfinex")


async def test_a_folder_plays_as_a_market_and_keeps_the_exchanges_halt(folder):
    table = {"BTC/USD": folder / "bitfinex_BTCUSD_1m_2017-01_2021-03.parquet"}
    symbols = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "ARB/USDT"]
    tape = read_tape(folder, table, symbols)
    assert sorted(tape.symbols) == sorted([*symbols, "BTC/USD"])
    begin, end = HALT
    market = ReplayMarket(tape, start_ms=end + MINUTE_MS)
    for symbol in symbols:
        halted: Candles = tape.series[symbol].candles.between(begin, end)
        assert len(halted) == 0
        rows = await market.fetch_ohlcv(symbol, "1m", begin - MINUTE_MS, 10)
        assert rows[:, 0].tolist() == [begin - MINUTE_MS, end, end + MINUTE_MS]
